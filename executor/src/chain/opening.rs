//! Opens the stages of a pass, the last ones first: each is given where its batches go.

use std::ops::Range;

use arrow_schema::{ArrowError, DataType};
use flowc_demand::{
    Beginning, ChainStage, Root, Task, TaskTree, TreeNode, Work, fused_groups, input_columns, passthrough,
};
use flowc_planner::key::Phase;
use flowc_planner::plan::{Input, Stage, Window};
use flowc_runner::{
    Edge, EdgeObserver, Instance, Invocation, LONGEST_CHAIN, Outlet, PerBatch, StageError, open_stages,
};

use crate::Error;
use crate::chain::chains::{ChainError, Chains, Ran};
use crate::chain::fork::{Branch, BranchFailure, Fork};
use crate::chain::outlets::{Counts, EdgeCounter, StoreWriter};
use crate::chain::output::{Said, Shared};
use crate::chain::running::{Running, check, push_counted};
use crate::chain::sessions::sessions;
use crate::chain::stand_in::StandIn;
use crate::chain::windows::{Combined, LateRows, MarkRows, NoRows, Partials, SharedOutlet, WindowBounds};
use crate::inputs::full_input::FullInput;
use crate::inputs::lookup::Locator;
use crate::inputs::partitioner::Partitioner;

/// Tasks that are done in one pass, and what comes of them.
pub(crate) struct Pass<'t> {
    /// The tasks.
    pub tasks: &'t [&'t Task],
    /// Their stages.
    pub tree: TaskTree,
    /// Per stage of the tree, the rows that it gave.
    counts: Vec<Counts>,
    /// Per stage of the tree, what the branch that begins with it failed with.
    failures: Vec<BranchFailure>,
    /// Per task, what its outlets left behind. Of a stage of several tasks the first has it.
    outputs: Vec<Shared>,
}

impl<'t> Pass<'t> {
    /// Nothing has come of the tasks yet. The tree is theirs.
    pub(crate) fn new(tasks: &'t [&'t Task], tree: TaskTree) -> Self {
        let counts = tree.nodes.iter().map(|node| Counts::new(node.link.needed.len())).collect();
        let failures = tree.nodes.iter().map(|_| BranchFailure::default()).collect();
        Self { tasks, tree, counts, failures, outputs: tasks.iter().map(|_| Shared::default()).collect() }
    }

    /// What has come of the tasks, where driving them ended so. A task that has not failed by itself fails with all.
    pub(crate) fn ended(
        self,
        driven: Result<(), ChainError>,
        said: &mut Vec<Said>,
    ) -> Result<Vec<Result<Ran, StageError>>, ChainError> {
        let mut outputs = Vec::new();
        let mut failure = driven.err();
        for output in &self.outputs {
            let (not_a_stage, staged, log, used) = output.take();
            said.extend(log);
            failure = not_a_stage.map(ChainError::Other).or(failure);
            outputs.push((staged, used));
        }
        let failed: Vec<Option<StageError>> = (0..self.tasks.len()).map(|task| self.failed(task)).collect();
        if let Some(failure) = failure
            && (matches!(failure, ChainError::Other(_)) || failed.iter().any(Option::is_none))
        {
            return Err(failure);
        }
        let ran = outputs.into_iter().zip(failed).enumerate().map(|(task, ((outputs, used), failed))| match failed {
            Some(error) => Err(error),
            None => {
                let rows = self.tree.path(task).map(|node| self.counts[node].read()).collect();
                Ok(Ran { outputs, rows, used })
            }
        });
        Ok(ran.collect())
    }

    /// What a task failed with: that which is nearest to its end.
    fn failed(&self, task: usize) -> Option<StageError> {
        self.tree.path(task).rev().find_map(|node| self.failures[node].get())
    }

    /// The first of the tasks that a node is a stage of.
    fn task(&self, node: &TreeNode) -> &'t Task {
        self.tasks[node.tasks[0]]
    }
}

impl Chains<'_> {
    /// Opens the stages of a pass, and gives them the inputs that do not drive them.
    pub(crate) fn open(&self, pass: &Pass<'_>) -> Result<Running<'_>, ChainError> {
        let port = match &pass.tree.root {
            Root::Nothing => None,
            Root::Segment { .. } | Root::Segments { .. } => Some(self.driven_port(&pass.tree.nodes[0])),
            Root::Partials(_) => Some(0),
        };
        Ok(Running::new(self.open_run(pass, 0)?, port, self.cancel))
    }

    /// Opens the stages from a node on to the next fork or end, and those below.
    fn open_run(&self, pass: &Pass<'_>, first: usize) -> Result<Box<dyn Instance>, ChainError> {
        let run = pass.tree.run(first);
        let last = self.outlet(pass, run[run.len() - 1])?;
        let groups = self.fused_groups(&pass.tree, &run);
        let open = |number: usize, outlet| self.open_group(pass, &run[groups[number].clone()], outlet);
        let edge = |number: usize| {
            let (above, below) = (run[groups[number].end - 1], run[groups[number + 1].start]);
            let port = self.driven_port(&pass.tree.nodes[below]);
            Edge { port, observer: Box::new(self.edge_counter(pass, above)) }
        };
        open_stages(groups.len(), last, open, edge)
    }

    /// Where the batches of a stage go that ends its branch, or is followed by several.
    fn outlet(&self, pass: &Pass<'_>, above: usize) -> Result<Box<dyn Outlet>, ChainError> {
        let node = &pass.tree.nodes[above];
        if node.below.is_empty() {
            let (task, counts) = (node.tasks[0], pass.counts[above].clone());
            let output = pass.outputs[task].clone();
            return Ok(Box::new(StoreWriter::new(&self.reading, pass.tasks[task], output, counts, self.cancel)));
        }
        let branches: Vec<Branch> =
            node.below.iter().map(|&below| self.branch(pass, below)).collect::<Result<_, _>>()?;
        Ok(Box::new(Fork { observer: Box::new(self.edge_counter(pass, above)), branches }))
    }

    /// A stage after a fork, and those below. One that can't be opened is no concern of the others.
    fn branch(&self, pass: &Pass<'_>, below: usize) -> Result<Branch, ChainError> {
        let (node, failure) = (&pass.tree.nodes[below], pass.failures[below].clone());
        let port = self.driven_port(node);
        let next = match self.open_run(pass, below) {
            Ok(next) => Some(next),
            Err(ChainError::Stage(error)) => failure.keep(error).map(|()| None)?,
            Err(other) => return Err(other),
        };
        let columns = input_columns(self.reading.locator.plan, node.link.stage, port, self.passes(pass, node));
        Ok(Branch { next, port, columns, failure, given: 0 })
    }

    /// What counts the rows between a stage and the next.
    fn edge_counter(&self, pass: &Pass<'_>, above: usize) -> EdgeCounter {
        let node = &pass.tree.nodes[above];
        let (rows, shared) = (pass.counts[above].clone(), pass.outputs[node.tasks[0]].clone());
        EdgeCounter { stage: node.link.stage, rows, cancel: self.cancel.clone(), shared }
    }

    /// The input of a stage that is driven.
    fn driven_port(&self, node: &TreeNode) -> usize {
        self.plan_stage(node.link.stage).driving().map_or(0, |(port, _)| port)
    }

    /// The part of a stage's life that it is in: the last stage of a task may be in another than the rest.
    fn phase(&self, pass: &Pass<'_>, node: &TreeNode) -> Phase {
        match node.below.is_empty() {
            true => pass.task(node).phase(self.plan_stage(node.link.stage)),
            false => Phase::Run,
        }
    }

    /// What is needed of a stage's outputs that pass something on: partials pass nothing on.
    fn passes<'n>(&self, pass: &Pass<'_>, node: &'n TreeNode) -> &'n [Vec<bool>] {
        if self.phase(pass, node) == Phase::Partial { &[] } else { &node.link.needed }
    }

    /// Opens stages that run in one instance, and gives it the inputs that do not drive it.
    fn open_group(
        &self,
        pass: &Pass<'_>,
        group: &[usize],
        outlet: Box<dyn Outlet>,
    ) -> Result<Box<dyn Instance>, ChainError> {
        let first = &pass.tree.nodes[group[0]];
        if matches!(pass.task(first).id.work, Work::Slices(_)) {
            return self.run_slices(pass.task(first), outlet);
        }
        if let (1, Some(ports)) = (group.len(), passthrough(self.reading.locator.plan, &first.link)) {
            return Ok(StandIn(ports).before(outlet));
        }
        let stage = self.plan_stage(first.link.stage);
        if let Some(window) = stage.late_window() {
            return Ok(self.late_rows(pass.task(first), window, outlet));
        }
        if stage.code.adds_marks() {
            return Ok(MarkRows::new(stage.inputs[0].reads[0]).before(outlet));
        }
        if let Some(data_type) = self.bound_type(stage) {
            return self.open_window(pass, first, data_type, outlet);
        }
        let invocation = |&node: &usize| {
            let node = &pass.tree.nodes[node];
            self.invocation(pass.task(node), &node.link, self.phase(pass, node))
        };
        let invocations: Vec<Invocation> = group.iter().map(invocation).collect();
        let mut instance = match (&invocations[..], self.runners.chained(stage)) {
            ([_, _, ..], Some(runner)) => {
                let observer = |&node| Box::new(self.edge_counter(pass, node)) as Box<dyn EdgeObserver>;
                let between = group[..group.len() - 1].iter().map(observer).collect();
                runner.open_chain(&invocations, between, outlet)?
            }
            _ => self.runners.of(stage).open(&invocations[0], outlet)?,
        };
        if matches!(invocations[0].phase, Phase::Run | Phase::Partial) {
            self.feed_whole(pass, first, None, instance.as_mut())?;
        }
        Ok(instance)
    }

    /// The type of the bounds with which the rows of a stage begin, if it is invoked by windows.
    fn bound_type(&self, stage: &Stage) -> Option<DataType> {
        let input = stage.inputs.iter().find(|input| input.window.is_some())?;
        Some(input.window.as_ref()?.bound_type(&self.reading.locator.plan.stream(input.stream).schema))
    }

    /// What picks the late rows of a segment.
    fn late_rows(&self, task: &Task, window: Window, outlet: Box<dyn Outlet>) -> Box<dyn Instance> {
        let locator = &self.reading.locator;
        let beginnings = locator.datasets.beginnings.get(&task.id.stage);
        let beginning = match (task.id.work, beginnings) {
            (Work::Segment(segment), Some(beginnings)) => beginnings.get(segment).cloned(),
            _ => None,
        };
        let beginning = beginning.unwrap_or_else(|| Beginning { latest: None, partition: "".into(), first_row: 0 });
        let schema = &locator.plan.stream(self.plan_stage(task.id.stage).outputs[0].stream).schema;
        LateRows::new(window, &beginning, schema).before(outlet)
    }

    /// Opens a stage over one window, and gives it the rows. Of sessions all are done here, and what is given back only closes the outlet.
    fn open_window(
        &self,
        pass: &Pass<'_>,
        node: &TreeNode,
        data_type: DataType,
        outlet: Box<dyn Outlet>,
    ) -> Result<Box<dyn Instance>, ChainError> {
        let (task, stage) = (pass.task(node), self.plan_stage(node.link.stage));
        let windows = self.reading.locator.datasets.windows.get(&node.link.stage);
        let (Some(windows), Work::Segment(number)) = (windows, task.id.work) else {
            return Ok(NoRows.before(outlet));
        };
        let bounds = (windows[number].start, windows[number].end);
        if let Root::Partials(partials) = &pass.tree.root {
            if partials.is_empty() {
                return Ok(NoRows.before(outlet));
            }
            let outlet = Box::new(WindowBounds::new(bounds, data_type, outlet));
            return Ok(self.runners.of(stage).open(&self.invocation(task, &node.link, Phase::Finish), outlet)?);
        }
        if !self.has_rows(pass, node, number)? {
            return Ok(NoRows.before(outlet));
        }
        let made_by_rows =
            stage.inputs.iter().position(|input| input.window.as_ref().is_some_and(Window::is_made_by_rows));
        if let Some(port) = made_by_rows {
            return self.run_sessions(pass, node, (port, number), data_type, outlet);
        }
        let outlet = Box::new(WindowBounds::new(bounds, data_type, outlet));
        let mut instance = self.open_instance(pass, node, outlet)?;
        self.feed_whole(pass, node, None, instance.as_mut())?;
        Ok(instance)
    }

    /// Opens a stage for the rows of one window.
    fn open_instance(
        &self,
        pass: &Pass<'_>,
        node: &TreeNode,
        outlet: Box<dyn Outlet>,
    ) -> Result<Box<dyn Instance>, StageError> {
        let (task, stage) = (pass.task(node), self.plan_stage(node.link.stage));
        let open = |phase: Phase, outlet: Box<dyn Outlet>| {
            self.runners.of(stage).open(&self.invocation(task, &node.link, phase), outlet)
        };
        if stage.partial.is_none() {
            return open(Phase::Run, outlet);
        }
        let partials = Partials::new(node.link.stage, pass.outputs[node.tasks[0]].clone());
        let finish = open(Phase::Finish, outlet)?;
        Ok(Box::new(Combined::new(open(Phase::Partial, Box::new(partials.clone()))?, partials, finish)))
    }

    /// Runs a stage over each window of a group of keys that rows make.
    fn run_sessions(
        &self,
        pass: &Pass<'_>,
        node: &TreeNode,
        (port, number): (usize, usize),
        data_type: DataType,
        outlet: Box<dyn Outlet>,
    ) -> Result<Box<dyn Instance>, ChainError> {
        let Locator { plan, datasets, .. } = self.reading.locator;
        let (stage, input) = (node.link.stage, &plan.stages[node.link.stage].inputs[port]);
        let (Some(window), Some(part)) = (&input.window, datasets.part_of(stage, input, number)) else {
            return Ok(NoRows.before(outlet));
        };
        let wanted = input_columns(plan, stage, port, self.passes(pass, node));
        let mut columns = [&wanted[..], &part.deciding_columns()].concat();
        columns.sort_unstable();
        columns.dedup();
        let segments = datasets.segments_of(plan, stage, port, number);
        let mut batches = Vec::new();
        let rows = FullInput::new(self.reading, input.stream, &columns, segments, Some(part));
        rows.each(&mut |batch| -> Result<(), ChainError> {
            batches.push(batch);
            check(self.cancel)
        })?;
        let shared = SharedOutlet::new(outlet);
        for session in sessions(&batches, window).map_err(misfit)? {
            let bounds = (session.start, session.end);
            let outlet = Box::new(WindowBounds::new(bounds, data_type.clone(), Box::new(shared.clone())));
            let mut instance = self.open_instance(pass, node, outlet)?;
            self.feed_whole(pass, node, Some(port), instance.as_mut())?;
            let mut rows = 0;
            for batch in session.batches(&batches).map_err(misfit)? {
                check(self.cancel)?;
                push_counted(instance.as_mut(), port, batch.only(&wanted), &mut rows)?;
            }
            instance.end_of_input(port)?;
            instance.finish()?;
        }
        let outlet = shared.take().ok_or_else(|| Error::Lost("the outlet of sessions is gone".into()))?;
        Ok(NoRows.before(outlet))
    }

    /// Whether an invocation over a window has rows: of a window all rows may be late.
    fn has_rows(&self, pass: &Pass<'_>, node: &TreeNode, number: usize) -> Result<bool, ChainError> {
        let Locator { plan, datasets, .. } = self.reading.locator;
        let stage = node.link.stage;
        for (port, input) in plan.stages[stage].inputs.iter().enumerate().filter(|(_, input)| input.window.is_some()) {
            let Some(part) = datasets.part_of(stage, input, number) else { continue };
            let mut columns = input_columns(plan, stage, port, self.passes(pass, node));
            columns.extend(part.deciding_columns());
            columns.sort_unstable();
            columns.dedup();
            for segment in datasets.segments_of(plan, stage, port, number) {
                let partitioner = Partitioner { reading: self.reading, stream: input.stream, part, columns: &columns };
                let partition = partitioner.partition(segment)?;
                if partition.ok_or_else(|| self.reading.lost(input.stream, segment))?.rows > 0 {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// The stages of a stretch of a tree in groups, each for one instance. In flowc's process each stage has its own, and batches
    /// pass by handle; where they would travel, neighbours share one (`docs/flight-protocol.md`, Chains).
    pub(crate) fn fused_groups(&self, tree: &TaskTree, run: &[usize]) -> Vec<Range<usize>> {
        let has_chains = |stage: &_| self.runners.chained(stage).is_some();
        let links: Vec<&ChainStage> = run.iter().map(|&node| &tree.nodes[node].link).collect();
        fused_groups(self.reading.locator.plan, &links, LONGEST_CHAIN, has_chains)
    }

    /// Gives an instance the inputs that do not drive it, but for one. Of inputs with windows, that which would drive it without comes last.
    fn feed_whole(
        &self,
        pass: &Pass<'_>,
        node: &TreeNode,
        without: Option<usize>,
        instance: &mut dyn Instance,
    ) -> Result<(), ChainError> {
        let plan = self.reading.locator.plan;
        let mut inputs: Vec<(usize, &Input)> = plan.stages[node.link.stage].inputs.iter().enumerate().collect();
        inputs.sort_by_key(|(_, input)| input.class.is_driving());
        for (port, input) in inputs {
            if input.is_driving() || without == Some(port) {
                continue;
            }
            if instance.holds(port) {
                instance.end_of_input(port)?;
                continue;
            }
            let (stage, datasets) = (node.link.stage, self.reading.locator.datasets);
            let columns = input_columns(plan, stage, port, self.passes(pass, node));
            let number = match pass.task(node).id.work {
                Work::Segment(number) => number,
                Work::Slices(_) | Work::Merge { .. } | Work::Finish => 0,
            };
            let segments = datasets.segments_of(plan, stage, port, number);
            let part = datasets.part_of(stage, input, number);
            let whole = FullInput::new(self.reading, input.stream, &columns, segments, part);
            let mut rows = 0;
            whole.each(&mut |batch| -> Result<(), ChainError> {
                check(self.cancel)?;
                Ok(push_counted(instance, port, batch, &mut rows)?)
            })?;
            instance.end_of_input(port)?;
        }
        Ok(())
    }
}

fn misfit(error: ArrowError) -> Error {
    Error::internal("dividing an input into sessions")(error)
}
