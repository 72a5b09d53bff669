//! What stages are opened with, out of the plan and a task.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow_schema::{Schema, SchemaRef};
use flowc_demand::{ChainStage, Demand, Task, TaskTree, Work, passthrough};
use flowc_planner::key::{Phase, canonical_json};
use flowc_planner::plan::{Input, Limits, OutputColumn, Rows, Stage, WINDOW_COLUMNS};
use flowc_runner::{InputIdentity, InputPort, Invocation, OutputPort};

use crate::chain::chains::Chains;

/// What an invocation of a stage may take, where stages that say nothing may have so many bytes of memory.
pub(crate) fn limits(stage: &Stage, memory: u64) -> Limits {
    let limits = stage.limits.clone();
    Limits { memory: limits.memory.or(Some(memory)), ..limits }
}

impl Chains<'_> {
    /// What a stage of a task is opened with.
    pub(crate) fn invocation(&self, task: &Task, link: &ChainStage, phase: Phase) -> Invocation {
        let stage = self.plan_stage(link.stage);
        let part = match task.id.work {
            Work::Segment(segment) if stage.driving().is_none() && stage.window().is_none() => segment as u64,
            _ => 0,
        };
        Invocation {
            stage: stage.name.as_str().into(),
            digest: stage.digest,
            config: canonical_json(&stage.config).into(),
            phase,
            part,
            inputs: self.input_ports(stage, phase),
            main_input: main_input(stage, phase),
            outputs: self.output_ports(stage, link, phase),
            limits: self.limits(stage),
            secrets: self.secrets.of(link.stage),
        }
    }

    /// What an invocation of a stage may take.
    pub(crate) fn limits(&self, stage: &Stage) -> Limits {
        limits(stage, self.memory)
    }

    /// What the stages of a pass may take at most: each instance in flowc's process, and each program that runs some of them.
    pub(crate) fn memory_of(&self, tree: &TaskTree) -> u64 {
        let of_instance = |group: &[usize]| {
            let first = &tree.nodes[group[0]].link;
            match group.len() == 1 && passthrough(self.reading.locator.plan, first).is_some() {
                true => 0,
                false => self.limits(self.plan_stage(first.stage)).memory.unwrap_or(0),
            }
        };
        let of_run = |run: Vec<usize>| {
            let groups = self.fused_groups(tree, &run);
            groups.into_iter().map(|group| of_instance(&run[group])).fold(0, u64::saturating_add)
        };
        tree.runs().map(of_run).fold(0, u64::saturating_add)
    }

    /// Has programs started of the stages that can't begin yet, one after the other: those whose tasks all take in what others
    /// give. The stages that begin at once start their own. A stage whose tasks are all settled needs no program any more, nor
    /// does any stage of a run that was stopped.
    pub(crate) fn start_ahead(&self, demand: &Demand, is_settled: &dyn Fn(usize) -> bool) {
        let mut later: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let mut at_once = BTreeSet::new();
        for (number, (task, after)) in demand.tasks.iter().zip(&demand.after).enumerate() {
            for link in &task.chain {
                match after.is_empty() {
                    true => drop(at_once.insert(link.stage)),
                    false => later.entry(link.stage).or_default().push(number),
                }
            }
        }
        later.retain(|stage, _| !at_once.contains(stage));
        for (stage, tasks) in later {
            let is_wanted = || !self.cancel.is_cancelled() && !tasks.iter().all(|&task| is_settled(task));
            if is_wanted() {
                let stage = self.plan_stage(stage);
                self.runners.of(stage).prepare(&stage.digest, &self.limits(stage), &is_wanted);
            }
        }
    }

    fn input_ports(&self, stage: &Stage, phase: Phase) -> Arc<[InputPort]> {
        if let (Phase::Merge | Phase::Finish, Some(schema)) = (phase, &stage.partial) {
            let reads = (0..schema.fields().len()).collect();
            return Arc::new([InputPort { schema: schema.clone(), reads, identity: None }]);
        }
        let plan = self.reading.locator.plan;
        let port = |(port, input): (usize, &Input)| InputPort {
            schema: plan.stream(input.stream).schema.clone(),
            reads: input.reads.clone(),
            identity: self.identity(stage, port, phase),
        };
        stage.inputs.iter().enumerate().map(port).collect()
    }

    /// What the rows of an input are that each invocation takes whole, and of which no output has any.
    fn identity(&self, stage: &Stage, port: usize, phase: Phase) -> Option<InputIdentity> {
        let input = &stage.inputs[port];
        let is_whole = !input.is_driving() && input.key.is_none() && input.window.is_none();
        let is_given_on = phase == Phase::Run && stage.outputs.iter().any(|output| output.rows.input() == Some(port));
        let segments = self.reading.locator.datasets.streams.get(&input.stream)?;
        (is_whole && !is_given_on).then(|| InputIdentity::of(&segments.key(), &input.reads))
    }

    fn output_ports(&self, stage: &Stage, link: &ChainStage, phase: Phase) -> Arc<[OutputPort]> {
        if let (Phase::Partial | Phase::Merge, Some(schema)) = (phase, &stage.partial) {
            let width = schema.fields().len();
            let columns = vec![OutputColumn::Written; width];
            return Arc::new([OutputPort {
                schema: schema.clone(),
                rows: Rows::New,
                columns,
                needed: vec![true; width],
            }]);
        }
        let plan = self.reading.locator.plan;
        // The bounds of windows are put before what the stage gives.
        let first = if stage.window().is_some() { WINDOW_COLUMNS.len() } else { 0 };
        let ports = stage.outputs.iter().zip(&link.needed).map(|(output, needed)| OutputPort {
            schema: without_first(&plan.stream(output.stream).schema, first),
            rows: output.rows,
            columns: output.columns[first..].to_vec(),
            needed: needed[first..].to_vec(),
        });
        ports.collect()
    }
}

fn without_first(schema: &SchemaRef, columns: usize) -> SchemaRef {
    match columns {
        0 => schema.clone(),
        _ => Arc::new(Schema::new_with_metadata(schema.fields()[columns..].to_vec(), schema.metadata().clone())),
    }
}

/// The input that is fed last.
fn main_input(stage: &Stage, phase: Phase) -> Option<usize> {
    match (phase, stage.driving()) {
        (Phase::Merge | Phase::Finish, _) => Some(0),
        (_, Some((port, _))) => Some(port),
        (_, None) => stage.inputs.len().checked_sub(1),
    }
}
