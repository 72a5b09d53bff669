//! The passes of a run as jobs.

use flowc_demand::{Demand, Task};

use crate::run::context::Run;
use crate::schedule::JobId;

/// Adds all passes, in groups for one job each, after the tasks that they take in. Gives the jobs of the tasks, by their numbers; `add`
/// gives those of the passes that it adds.
pub(crate) fn add_passes(
    demand: &Demand,
    run: &Run<'_>,
    mut add: impl FnMut(Vec<Vec<usize>>, &[JobId]) -> Vec<JobId>,
) -> Vec<JobId> {
    let mut jobs: Vec<Option<JobId>> = vec![None; demand.tasks.len()];
    let has_windows = |stage: usize| run.plan().stages[stage].window().is_some();
    for passes in demand.jobs(has_windows, run.options.jobs) {
        let after: Vec<JobId> = demand.after[passes[0][0]].iter().filter_map(|&before| jobs[before]).collect();
        let tasks = passes.concat();
        tasks.into_iter().zip(add(passes, &after)).for_each(|(task, job)| jobs[task] = Some(job));
    }
    jobs.into_iter().flatten().collect()
}

/// The tasks of a pass.
pub(crate) fn tasks_of<'d>(demand: &'d Demand, pass: &[usize]) -> Vec<&'d Task> {
    pass.iter().map(|&task| &demand.tasks[task]).collect()
}

/// The jobs of these tasks, out of those of all.
pub(crate) fn chosen(jobs: &[JobId], numbers: &[usize]) -> Vec<JobId> {
    numbers.iter().map(|&number| jobs[number]).collect()
}
