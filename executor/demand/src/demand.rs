//! Finds what is missing for a selection, and makes the tasks that give it.
//!
//! Works backwards over the streams: what a sink wants of a stored edge and is not to be had becomes a task; what that
//! task takes in is wanted in turn. A stage whose results are all there is never reached.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use flowc_planner::plan::{OutputColumn, Plan, Producer, StreamId, shown_columns};

use crate::lineage::row_origin;
use crate::location::{ColumnLocation, Locator, Lookup};
use crate::segments::{Node, Segments};
use crate::selection::Selection;
use crate::task::{ChainStage, Root, StoredOutput, Task, TaskId, Work, ascending, column_flags, input_columns};

mod gather;
mod slices;

pub use gather::{gathers, is_unreduced};

/// What is to run: tasks, each after those that it depends on.
#[derive(Default)]
pub struct Demand {
    /// In an order in which they can run.
    pub tasks: Vec<Task>,
    /// Per task, the tasks whose results it takes in.
    pub after: Vec<Vec<usize>>,
}

impl Demand {
    /// The tasks that are accepted, but for those that depend on one that is not.
    pub(crate) fn only(self, accepts: impl Fn(&Task) -> bool) -> Self {
        let mut places = vec![None; self.tasks.len()];
        let mut kept = Self::default();
        for (number, (task, after)) in self.tasks.into_iter().zip(self.after).enumerate() {
            let after: Option<Vec<usize>> = after.into_iter().map(|before| places[before]).collect();
            if let Some(after) = after.filter(|_| accepts(&task)) {
                places[number] = Some(kept.tasks.len());
                kept.tasks.push(task);
                kept.after.push(after);
            }
        }
        kept
    }
}

/// The tasks that give everything that a selection wants and that can't be had without running. `stored` says per stream
/// whether its edge is stored; `unreduced` are stages that [`is_unreduced`] was found of.
///
/// # Errors
/// If the look-up fails.
pub fn demand<L: Lookup>(
    locator: Locator<'_, L>,
    stored: &[bool],
    selection: &Selection,
    unreduced: &BTreeSet<usize>,
) -> Result<Demand, L::Error> {
    let plan = locator.plan;
    let mut planner = TaskPlanner::new(locator, stored, &selection.forced, unreduced);
    for stream in selection.wanted(plan) {
        let all: Vec<usize> = (0..shown_columns(&plan.stream(stream).schema).fields().len()).collect();
        planner.want_all(stream, &all)?;
    }
    planner.resolve()
}

/// What an invocation takes of an input that does not drive it.
struct WholeInput {
    stream: StreamId,
    columns: Vec<usize>,
    /// None for all.
    segments: Option<Vec<usize>>,
}

/// What is wanted of one segment.
type Wanted = BTreeMap<(StreamId, usize), BTreeSet<usize>>;

/// Collects wants and turns them into tasks.
pub(crate) struct TaskPlanner<'a, L> {
    locator: Locator<'a, L>,
    /// Per stream, whether its edge is stored.
    stored: &'a [bool],
    /// Stages that run even if their results are there.
    forced: &'a BTreeSet<usize>,
    /// Stages whose merges take rows, where partials are missing.
    unreduced: &'a BTreeSet<usize>,
    wanted: Wanted,
    tasks: HashMap<TaskId, (Task, Vec<TaskId>)>,
    /// Slices whose partials tasks make, by stage and place.
    sliced: HashSet<(usize, usize)>,
    /// Per stage whose slices' partials were looked up, whether each is there.
    partials: HashMap<usize, Vec<bool>>,
}

impl<'a, L: Lookup> TaskPlanner<'a, L> {
    /// Wants nothing yet.
    pub(crate) fn new(
        locator: Locator<'a, L>,
        stored: &'a [bool],
        forced: &'a BTreeSet<usize>,
        unreduced: &'a BTreeSet<usize>,
    ) -> Self {
        Self {
            locator,
            stored,
            forced,
            unreduced,
            wanted: Wanted::new(),
            tasks: HashMap::new(),
            sliced: HashSet::new(),
            partials: HashMap::new(),
        }
    }

    /// Wants columns of every segment of a stream. Those that are all there want nothing more.
    pub(crate) fn want_all(&mut self, stream: StreamId, columns: &[usize]) -> Result<(), L::Error> {
        if self.plan().producing_stage(stream).is_none() {
            return Ok(());
        }
        let segments: Vec<usize> = match self.is_forced_edge(stream) {
            true => (0..self.locator.segments(stream)).collect(),
            false => self.locator.at_hand(stream, columns)?.lacking,
        };
        segments.into_iter().for_each(|segment| self.want(stream, segment, columns));
        Ok(())
    }

    /// Wants columns of one segment.
    pub(crate) fn want(&mut self, stream: StreamId, segment: usize, columns: &[usize]) {
        self.wanted.entry((stream, segment)).or_default().extend(columns);
    }

    /// Wants the partial of one segment.
    pub(crate) fn want_partial(&mut self, stage: usize, segment: usize) -> Result<(), L::Error> {
        let Some(tree) = self.locator.datasets.partials.get(&stage).cloned() else { return Ok(()) };
        if segment < tree.len() {
            self.supply_partial(stage, &tree, Node { level: 0, index: segment })?;
        }
        Ok(())
    }

    /// All tasks for what is wanted.
    pub(crate) fn resolve(mut self) -> Result<Demand, L::Error> {
        // Producers come before consumers in the plan's streams, so from the last on every want of a stream is known
        // when the stream's turn comes.
        loop {
            while let Some(((stream, segment), columns)) = self.wanted.pop_last() {
                self.supply(stream, segment, columns.into_iter().collect())?;
            }
            if !self.share_stages() {
                return Ok(ordered(self.tasks));
            }
        }
    }

    /// Where a task begins with a stage that another task comes to from further above, has it begin there too: so both are done in
    /// one pass, and the stage runs once. Tells whether there was such a task.
    fn share_stages(&mut self) -> bool {
        let mut others: HashMap<(usize, usize, usize), TaskId> = HashMap::new();
        for (id, (task, _)) in &self.tasks {
            let Work::Segment(segment) = id.work else { continue };
            for pair in task.chain.windows(2) {
                let known = others.entry((pair[0].stage, pair[1].stage, segment)).or_insert(*id);
                *known = (*known).min(*id);
            }
        }
        let begins_below = |(id, (task, _)): (&TaskId, &(Task, Vec<TaskId>))| match (id.work, &task.root) {
            (Work::Segment(segment), Root::Segment { stream, .. }) if !self.stored[stream.0] => {
                let (above, _) = self.plan().producing_stage(*stream)?;
                Some((*id, others.get(&(above, task.chain[0].stage, segment)).copied()?))
            }
            _ => None,
        };
        let shared: Vec<(TaskId, TaskId)> = self.tasks.iter().filter_map(begins_below).collect();
        shared.iter().for_each(|(task, other)| self.begin_with(task, other));
        !shared.is_empty()
    }

    /// Has a task begin as another one does, with the stages of that one down to its own first stage.
    fn begin_with(&mut self, id: &TaskId, other: &TaskId) {
        let (Some((mut task, mut after)), Some((other, other_after))) =
            (self.tasks.get(id).cloned(), self.tasks.get(other).cloned())
        else {
            return;
        };
        let above = other.chain.iter().map(|link| link.stage).take_while(|&stage| stage != task.chain[0].stage);
        let above: Vec<usize> = above.collect();
        let Root::Segment { segment, columns, .. } = &task.root else { return };
        let (segment, mut columns) = (*segment, columns.clone());
        for stage in above.into_iter().rev() {
            let of = &self.plan().stages[stage];
            let width = self.plan().stream(of.outputs[0].stream).schema.fields().len();
            let needed = vec![column_flags(width, &columns)];
            let driving = of.driving().map(|(port, _)| port);
            columns = driving.map_or_else(Vec::new, |port| input_columns(self.plan(), stage, port, &needed));
            task.chain.insert(0, ChainStage { stage, needed });
        }
        task.root = match other.root {
            Root::Segment { stream, .. } => {
                self.want(stream, segment, &columns);
                Root::Segment { stream, segment, columns }
            }
            root => root,
        };
        after.extend(other_after);
        self.tasks.insert(*id, (task, after));
    }

    /// Makes the task that gives a segment's missing columns, if any are missing. Those that a stage only passes on are
    /// wanted where they are stored: where its rows are known, it need not run for them.
    fn supply(&mut self, stream: StreamId, segment: usize, columns: Vec<usize>) -> Result<(), L::Error> {
        let Producer::Stage { stage, port } = self.plan().stream(stream).producer else { return Ok(()) };
        let mut missing = self.missing(stream, segment, &columns)?;
        missing.retain(|&column| match stored_origin(self.locator.plan, self.stored, stream, column) {
            Some((above, column)) => {
                self.want(above, segment, &[column]);
                false
            }
            None => true,
        });
        let has_rows = self.locator.rows(stream, segment)?.is_some();
        if missing.is_empty() && has_rows && !self.is_forced_edge(stream) {
            return Ok(());
        }
        let combining = self.plan().stages[stage].is_combining();
        let work = if combining { Work::Finish } else { Work::Segment(segment) };
        let id = TaskId { stage, work };
        if let Some((task, _)) = self.tasks.get_mut(&id) {
            missing.extend(&task.outputs[port].columns);
            task.outputs[port].columns = ascending(missing);
            // Another port of the stage made the task: what it takes in may grow.
            let task = task.clone();
            return self.add(id, task.outputs);
        }
        let mut outputs = Vec::new();
        for output in &self.plan().stages[stage].outputs {
            let Some(keys) = self.locator.keys(output.stream, segment) else { return Ok(()) };
            let schema = self.plan().stream(output.stream).schema.clone();
            outputs.push(StoredOutput { schema, keys, columns: Vec::new() });
        }
        outputs[port].columns = missing;
        self.add(id, outputs)
    }

    fn missing(&self, stream: StreamId, segment: usize, columns: &[usize]) -> Result<Vec<usize>, L::Error> {
        let located = self.locator.locate(stream, segment, columns)?;
        let forced = self.is_forced_edge(stream);
        let is_missing = |location: &Option<ColumnLocation<L::Column>>| match location {
            None => true,
            Some(ColumnLocation::Stored(_)) => forced,
            Some(ColumnLocation::Source { .. }) => false,
        };
        Ok(columns
            .iter()
            .zip(&located)
            .filter(|(_, location)| is_missing(location))
            .map(|(&column, _)| column)
            .collect())
    }

    /// Whether the stage behind a stored edge, or one collapsed into its chain, is forced.
    fn is_forced_edge(&self, stream: StreamId) -> bool {
        let Some((stage, _)) = self.plan().producing_stage(stream) else { return false };
        if self.forced.is_empty() {
            return false;
        }
        if self.forced.contains(&stage) {
            return true;
        }
        match self.plan().stages[stage].driving() {
            Some((_, input)) if !self.stored[input.stream.0] => self.is_forced_edge(input.stream),
            _ => false,
        }
    }

    fn add(&mut self, id: TaskId, outputs: Vec<StoredOutput>) -> Result<(), L::Error> {
        let (task, after) = match id.work {
            Work::Segment(number) => match self.slices(id.stage) {
                Some(slices) => self.of_slices(id, number, &slices, outputs)?,
                None => self.chain(id, number, outputs)?,
            },
            Work::Slices(_) | Work::Merge { .. } | Work::Finish => self.of_partials(id, outputs)?,
        };
        self.tasks.insert(id, (task, after));
        Ok(())
    }

    /// A task that merges or finishes partials. Those that are missing become tasks of their own, unless it takes rows instead.
    fn of_partials(&mut self, id: TaskId, outputs: Vec<StoredOutput>) -> Result<(Task, Vec<TaskId>), L::Error> {
        let Some(tree) = self.locator.datasets.partials.get(&id.stage).cloned() else {
            return Ok((lone(id, outputs), vec![]));
        };
        if let Work::Merge { level, index } = id.work
            && let Some(task) = self.of_rows(id, &tree, Node { level, index }, &outputs)?
        {
            return Ok(task);
        }
        let nodes: Vec<Node> = match id.work {
            Work::Merge { level, index } => tree.children(Node { level, index }).collect(),
            _ => (!tree.is_empty()).then(|| tree.root()).into_iter().collect(),
        };
        let mut after = Vec::new();
        for &node in &nodes {
            after.extend(self.supply_partial(id.stage, &tree, node)?);
        }
        let mut task = lone(id, outputs);
        task.root = Root::Partials(nodes.into_iter().map(|node| tree.keys(node)).collect());
        Ok((task, after))
    }

    /// Makes the task that gives a node of the tree, unless it is in the store. A single child is not merged but stands for itself.
    fn supply_partial(&mut self, stage: usize, tree: &Segments, node: Node) -> Result<Option<TaskId>, L::Error> {
        let mut children = tree.children(node);
        if let (Some(only), None) = (children.next(), children.next()) {
            return self.supply_partial(stage, tree, only);
        }
        let Node { level, index } = node;
        let work = if level == 0 { Work::Segment(index) } else { Work::Merge { level, index } };
        let id = TaskId { stage, work };
        if self.tasks.contains_key(&id) {
            return Ok(Some(id));
        }
        let keys = tree.keys(node);
        let found = self.locator.lookup.columns(&keys.columns)?;
        let forced = self.forced.contains(&stage) || self.is_forced_chain(stage);
        if found.iter().all(Option::is_some) && !forced {
            return Ok(None);
        }
        let Some(schema) = self.plan().stages[stage].partial.clone() else { return Ok(None) };
        let columns = (0..schema.fields().len()).collect();
        self.add(id, vec![StoredOutput { schema, keys, columns }])?;
        Ok(Some(id))
    }

    fn is_forced_chain(&self, stage: usize) -> bool {
        let driving = self.plan().stages[stage].driving();
        driving.is_some_and(|(_, input)| !self.stored[input.stream.0] && self.is_forced_edge(input.stream))
    }

    /// A task over one segment: from the nearest place above where all that is needed can be had.
    fn chain(
        &mut self,
        id: TaskId,
        segment: usize,
        outputs: Vec<StoredOutput>,
    ) -> Result<(Task, Vec<TaskId>), L::Error> {
        let partial = self.plan().stages[id.stage].is_combining();
        let needed = outputs.iter().map(|kept| column_flags(kept.schema.fields().len(), &kept.columns)).collect();
        // From the last stage up.
        let mut chain = vec![ChainStage { stage: id.stage, needed }];
        let mut after = Vec::new();
        let root = loop {
            let head = &chain[chain.len() - 1];
            // The outputs of a partial phase are partials: they pass nothing on.
            let passes = if partial && chain.len() == 1 { &[][..] } else { &head.needed[..] };
            let stage = head.stage;
            let whole = self.whole_inputs(stage, segment, passes);
            let driving = self.plan().stages[stage].driving();
            let driving = driving.map(|(port, input)| (input.stream, input_columns(self.plan(), stage, port, passes)));
            after.extend(self.want_whole_inputs(whole)?);
            let Some((stream, columns)) = driving else { break Root::Nothing };
            if self.is_root(stream, segment, &columns)? {
                self.want(stream, segment, &columns);
                after.extend(self.tasks_for(stream, segment));
                break Root::Segment { stream, segment, columns };
            }
            let Some((above, _)) = self.plan().producing_stage(stream) else { break Root::Nothing };
            let needed = vec![column_flags(self.plan().stream(stream).schema.fields().len(), &columns)];
            chain.push(ChainStage { stage: above, needed });
        };
        chain.reverse();
        Ok((Task { id, chain, root, outputs, slices: Vec::new() }, after))
    }

    fn is_root(&self, stream: StreamId, segment: usize, columns: &[usize]) -> Result<bool, L::Error> {
        if self.stored[stream.0] || self.plan().producing_stage(stream).is_none() {
            return Ok(true);
        }
        let has_rows = self.locator.rows(stream, segment)?.is_some();
        Ok(has_rows && !self.is_forced_edge(stream) && self.missing(stream, segment, columns)?.is_empty())
    }

    /// The inputs that do not drive an invocation of the stage, with the columns that are needed of them, and the segments, where it is
    /// not all.
    fn whole_inputs(&self, stage: usize, number: usize, needed: &[Vec<bool>]) -> Vec<WholeInput> {
        let inputs = self.plan().stages[stage].inputs.iter().enumerate();
        let whole = inputs.filter(|(_, input)| !input.is_driving()).map(|(index, input)| {
            let mut columns = input_columns(self.plan(), stage, index, needed);
            columns.extend(input.dividing_columns());
            let segments = || self.locator.datasets.segments_of(self.plan(), stage, index, number);
            let columns = ascending(columns);
            WholeInput { stream: input.stream, columns, segments: input.window.as_ref().map(|_| segments()) }
        });
        whole.collect()
    }

    /// Wants what is taken of these streams; gives the tasks that may make it.
    fn want_whole_inputs(&mut self, inputs: Vec<WholeInput>) -> Result<Vec<TaskId>, L::Error> {
        let mut tasks = Vec::new();
        for WholeInput { stream, columns, segments } in inputs {
            let segments = match segments {
                Some(segments) => {
                    segments.iter().for_each(|&segment| self.want(stream, segment, &columns));
                    segments
                }
                None => {
                    self.want_all(stream, &columns)?;
                    (0..self.locator.segments(stream)).collect()
                }
            };
            tasks.extend(segments.into_iter().flat_map(|segment| self.tasks_for(stream, segment)));
        }
        Ok(tasks)
    }

    /// The tasks that would make a segment of a stored edge, and what is passed on to it. They may turn out not to be
    /// needed.
    fn tasks_for(&self, stream: StreamId, segment: usize) -> Vec<TaskId> {
        let streams = std::iter::successors(Some(stream), |&stream| row_origin(self.plan(), stream));
        let stages = streams.filter_map(|stream| self.plan().producing_stage(stream)).map(|(stage, _)| stage);
        let work = |stage: usize| match self.plan().stages[stage].is_combining() {
            true => Work::Finish,
            false => Work::Segment(segment),
        };
        stages.map(|stage| TaskId { stage, work: work(stage) }).collect()
    }

    fn plan(&self) -> &'a Plan {
        self.locator.plan
    }
}

/// The stored edge above, and its column, that a column is, passed on row for row. None for what must be made here.
fn stored_origin(plan: &Plan, stored: &[bool], stream: StreamId, column: usize) -> Option<(StreamId, usize)> {
    let (stage, port) = plan.producing_stage(stream)?;
    let OutputColumn::Passed { column } = plan.stages[stage].outputs[port].columns[column] else { return None };
    let above = row_origin(plan, stream)?;
    if stored[above.0] { Some((above, column)) } else { stored_origin(plan, stored, above, column) }
}

fn lone(id: TaskId, outputs: Vec<StoredOutput>) -> Task {
    let needed = outputs.iter().map(|kept| column_flags(kept.schema.fields().len(), &kept.columns)).collect();
    Task { id, chain: vec![ChainStage { stage: id.stage, needed }], root: Root::Nothing, outputs, slices: Vec::new() }
}

/// Numbers the tasks so that each comes after those that it depends on. Stages are in topological order, and within a
/// stage partials come before merges, and those, level by level, before the finish.
fn ordered(tasks: HashMap<TaskId, (Task, Vec<TaskId>)>) -> Demand {
    let sorted: BTreeMap<TaskId, (Task, Vec<TaskId>)> = tasks.into_iter().collect();
    let places: HashMap<TaskId, usize> = sorted.keys().enumerate().map(|(place, id)| (*id, place)).collect();
    let mut demand = Demand::default();
    for (task, after) in sorted.into_values() {
        demand.tasks.push(task);
        demand.after.push(ascending(after.iter().filter_map(|id| places.get(id).copied()).collect()));
    }
    demand
}
