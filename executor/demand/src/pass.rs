//! Which tasks are done in one pass, the tree of stages that such a pass goes through, and which passes are done by one job.
//!
//! Tasks that begin with the same stage over the same segment, and wait for the same, share the segment and the stages that they have
//! in common. Each remains a task of its own: with its keys and results, found or missing by itself.
//!
//! The windows of a stage that follow one another and wait for the same are done by one job, one pass after the other: what is done once
//! for a job takes longer than a small window does. Each remains a pass of its own.

use std::collections::{BTreeMap, BTreeSet};

use crate::demand::Demand;
use crate::task::{ChainStage, Root, Task, Work};

/// The stages of a pass, as a tree.
#[derive(Clone, Debug)]
pub struct TaskTree {
    /// Stages; each comes after the one whose batches it takes, and the first takes the root.
    pub nodes: Vec<TreeNode>,
    /// What is taken in, for all tasks together.
    pub root: Root,
}

/// A stage of a tree.
#[derive(Clone, Debug)]
pub struct TreeNode {
    /// The stage; what is needed of it is what any task needs.
    pub link: ChainStage,
    /// The nodes that take its batches.
    pub below: Vec<usize>,
    /// The tasks that it is a stage of, by their place in the pass.
    pub tasks: Vec<usize>,
}

impl TaskTree {
    /// The tree of some tasks, which share a pass.
    pub fn of(tasks: &[&Task]) -> Self {
        let mut tree = Self { nodes: Vec::new(), root: root(tasks) };
        for (place, task) in tasks.iter().enumerate() {
            let mut above = None;
            for link in &task.chain {
                above = Some(tree.enter(above, link, place));
            }
        }
        tree
    }

    /// The nodes from one on to the next fork or end.
    pub fn run(&self, first: usize) -> Vec<usize> {
        let next = |&node: &usize| match self.nodes[node].below[..] {
            [only] => Some(only),
            _ => None,
        };
        std::iter::successors(Some(first), next).collect()
    }

    /// All nodes, in stretches from the beginning or a fork to the next fork or end.
    pub fn runs(&self) -> impl Iterator<Item = Vec<usize>> {
        let forks = self.nodes.iter().filter(|node| node.below.len() > 1);
        let first = forks.flat_map(|node| node.below.iter().copied());
        std::iter::once(0).chain(first).map(|first| self.run(first))
    }

    /// The nodes of a task, from the first on.
    pub fn path(&self, task: usize) -> impl DoubleEndedIterator<Item = usize> {
        (0..self.nodes.len()).filter(move |&node| self.nodes[node].tasks.contains(&task))
    }

    /// The node of a stage below another one, where a task goes through it.
    fn enter(&mut self, above: Option<usize>, link: &ChainStage, task: usize) -> usize {
        let mut there = match above {
            Some(above) => self.nodes[above].below.clone(),
            None => (0..self.nodes.len().min(1)).collect(),
        };
        there.retain(|&node| self.nodes[node].link.stage == link.stage);
        let node = there.first().copied().unwrap_or_else(|| {
            let node = self.nodes.len();
            self.nodes.push(TreeNode { link: link.clone(), below: Vec::new(), tasks: Vec::new() });
            above.into_iter().for_each(|above| self.nodes[above].below.push(node));
            node
        });
        let TreeNode { link: merged, tasks, .. } = &mut self.nodes[node];
        tasks.push(task);
        let columns = merged.needed.iter_mut().flatten().zip(link.needed.iter().flatten());
        columns.for_each(|(merged, needed)| *merged |= needed);
        node
    }
}

/// What all tasks take in.
fn root(tasks: &[&Task]) -> Root {
    match &tasks[0].root {
        Root::Segment { stream, segment, .. } => {
            let of_task = |task: &&Task| match &task.root {
                Root::Segment { columns, .. } => columns.clone(),
                Root::Nothing | Root::Segments { .. } | Root::Partials(_) => Vec::new(),
            };
            let columns: BTreeSet<usize> = tasks.iter().flat_map(of_task).collect();
            Root::Segment { stream: *stream, segment: *segment, columns: columns.into_iter().collect() }
        }
        other => other.clone(),
    }
}

/// Windows of one job at most: with more, what is done once for a job shows no more.
const WINDOWS_OF_A_JOB: usize = 64;
/// Jobs for each thread at least, as far as there are windows, so that threads end at about the same time.
const JOBS_OF_A_THREAD: usize = 4;

impl Demand {
    /// The passes in groups, each of which is for one job. Those of a group wait for the same, and none of them for another.
    /// `has_windows` says of a stage whether it is invoked by windows.
    pub fn jobs(&self, has_windows: impl Fn(usize) -> bool, threads: usize) -> Vec<Vec<Vec<usize>>> {
        let mut runs: Vec<Vec<Vec<usize>>> = Vec::new();
        for pass in self.passes() {
            match runs.last_mut() {
                Some(run) if self.are_windows_alike(&has_windows, &run[0], &pass) => run.push(pass),
                _ => runs.push(vec![pass]),
            }
        }
        let jobs = |run: Vec<Vec<usize>>| {
            let most = (run.len() / (threads.max(1) * JOBS_OF_A_THREAD)).clamp(1, WINDOWS_OF_A_JOB);
            run.chunks(most).map(<[_]>::to_vec).collect::<Vec<_>>()
        };
        runs.into_iter().flat_map(jobs).collect()
    }

    /// Whether two passes have one task each, of two windows of a stage, and wait for the same.
    fn are_windows_alike(&self, has_windows: &impl Fn(usize) -> bool, one: &[usize], other: &[usize]) -> bool {
        let ([one], [other]) = (one, other) else { return false };
        let is_of_window = |task: &Task| matches!(task.id.work, Work::Segment(_)) && has_windows(task.chain[0].stage);
        self.after[*one] == self.after[*other]
            && self.tasks[*one].id.stage == self.tasks[*other].id.stage
            && [one, other].into_iter().all(|&task| is_of_window(&self.tasks[task]))
    }

    /// The tasks by their numbers, those together that are done in one pass; in an order in which they can run.
    pub fn passes(&self) -> Vec<Vec<usize>> {
        let mut passes: Vec<Vec<usize>> = Vec::new();
        let mut shared: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (number, task) in self.tasks.iter().enumerate() {
            let (Work::Segment(work), Root::Segment { stream, segment, .. }) = (task.id.work, &task.root) else {
                passes.push(vec![number]);
                continue;
            };
            let same = shared.entry((*stream, *segment, work, task.chain[0].stage, &self.after[number])).or_default();
            let has_room = |pass: &Vec<usize>| !pass.iter().any(|&other| is_within(&self.tasks[other], task));
            match same.iter().copied().find(|&place| has_room(&passes[place])) {
                Some(place) => passes[place].push(number),
                None => {
                    same.push(passes.len());
                    passes.push(vec![number]);
                }
            }
        }
        passes
    }
}

/// Whether the stages of one task are the first ones of the other.
fn is_within(one: &Task, other: &Task) -> bool {
    one.chain.iter().zip(&other.chain).all(|(one, other)| one.stage == other.stage)
}

#[cfg(test)]
mod tests {
    use flowc_planner::plan::StreamId;

    use super::*;
    use crate::task::TaskId;

    /// A task over a segment through these stages, each of which is needed these columns of.
    fn task(chain: &[(usize, [bool; 2])], columns: &[usize]) -> Task {
        let link = |&(stage, needed): &(usize, [bool; 2])| ChainStage { stage, needed: vec![needed.to_vec()] };
        Task {
            id: TaskId { stage: chain[chain.len() - 1].0, work: Work::Segment(0) },
            chain: chain.iter().map(link).collect(),
            root: Root::Segment { stream: StreamId(0), segment: 0, columns: columns.to_vec() },
            outputs: Vec::new(),
            slices: Vec::new(),
        }
    }

    #[test]
    fn tasks_share_the_stages_that_they_begin_with_and_what_is_needed_of_these() {
        let [no, yes] = [[true, false], [false, true]];
        let tasks = [
            task(&[(0, no), (1, no), (3, no)], &[0, 2]),
            task(&[(0, yes), (2, no)], &[1, 2]),
            task(&[(0, no), (1, yes), (4, no), (5, no)], &[0]),
        ];
        let tree = TaskTree::of(&tasks.iter().collect::<Vec<_>>());
        let stages = |nodes: Vec<usize>| nodes.iter().map(|&node| tree.nodes[node].link.stage).collect::<Vec<_>>();
        assert_eq!(
            (0..3).map(|task| stages(tree.path(task).collect())).collect::<Vec<_>>(),
            [vec![0, 1, 3], vec![0, 2], vec![0, 1, 4, 5],]
        );
        assert_eq!(tree.runs().map(stages).collect::<Vec<_>>(), [vec![0], vec![1], vec![2], vec![3], vec![4, 5]]);
        let needed: Vec<_> = tree.nodes.iter().map(|node| node.link.needed[0].clone()).collect();
        assert_eq!(needed[..2], [vec![true, true], vec![true, true]]);
        assert!(matches!(&tree.root, Root::Segment { columns, .. } if *columns == [0, 1, 2]));
    }

    #[test]
    fn tasks_of_a_pass_wait_for_the_same_and_none_goes_on_where_another_ends() {
        let needed = [true, true];
        let chains: [&[(usize, [bool; 2])]; 5] = [
            &[(0, needed)],
            &[(0, needed), (1, needed)],
            &[(0, needed), (2, needed)],
            &[(0, needed), (3, needed)],
            &[(4, needed)],
        ];
        let tasks = chains.iter().map(|chain| task(chain, &[0])).collect();
        let demand = Demand { tasks, after: vec![vec![], vec![], vec![], vec![0], vec![]] };
        assert_eq!(demand.passes(), [vec![0], vec![1, 2], vec![3], vec![4]]);
    }

    #[test]
    fn windows_that_wait_for_the_same_are_done_by_one_job_in_their_order() {
        let of = |stage: usize, work| Task {
            id: TaskId { stage, work },
            root: Root::Partials(Vec::new()),
            ..task(&[(stage, [true, true])], &[])
        };
        let mut tasks = vec![of(0, Work::Slices(0)), of(0, Work::Slices(1))];
        let mut after = vec![vec![], vec![]];
        let mut add = |stage, windows: std::ops::Range<usize>, waits_for: &[usize]| {
            tasks.extend(windows.clone().map(|window| of(stage, Work::Segment(window))));
            after.extend(windows.map(|_| waits_for.to_vec()));
        };
        add(0, 0..1000, &[0]);
        add(0, 1000..1010, &[0, 1]);
        add(1, 0..100, &[]);
        add(2, 0..100, &[]);
        let demand = Demand { tasks, after };
        let sizes = |threads: usize| {
            let jobs = demand.jobs(|stage| stage < 2, threads);
            assert!(jobs.iter().flatten().flatten().copied().eq(0..demand.tasks.len()), "each once, and in order");
            for job in &jobs {
                let ids: Vec<_> =
                    job.iter().map(|pass| (demand.tasks[pass[0]].id.stage, &demand.after[pass[0]])).collect();
                assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
            }
            jobs.iter().map(Vec::len).collect::<Vec<_>>()
        };
        let due = [vec![1, 1], vec![64; 15], vec![40], vec![2; 5], vec![25; 4], vec![1; 100]].concat();
        assert_eq!(sizes(1), due);
        assert!(sizes(4)[2..18].iter().all(|&size| size == 62));
        assert_eq!(sizes(1000), vec![1; 1212]);
    }
}
