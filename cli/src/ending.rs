//! The end of a run, told once, by whoever comes first: the run itself, or a signal.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use flowc_executor::{Error, Event, RunFailure, RunReport};
use flowc_platform::lock;

use crate::exit::{self, Exit};
use crate::progress::{Mode, Progress};
use crate::report::{self, Failure};
use crate::{summary, terminal};

/// The end of a run, which is told once: when it returns, or when it is abandoned.
pub(crate) struct Ending {
    mode: Mode,
    started: Instant,
    progress: Arc<Progress>,
    told: Mutex<Option<Exit>>,
}

impl Ending {
    /// The end of a run that starts now and is shown so.
    pub(crate) fn new(mode: Mode, progress: Arc<Progress>) -> Self {
        Self { mode, started: Instant::now(), progress, told: Mutex::new(None) }
    }

    /// What shows the run.
    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Tells the end of a run that has returned, unless one was told before. Gives the exit code that was told.
    pub(crate) fn close(&self, outcome: Result<RunReport, RunFailure>) -> Exit {
        self.once(|| self.tell(outcome))
    }

    /// Tells the end of a run that was stopped and does not return.
    pub(crate) fn abandon(&self, report: Option<RunReport>) -> Exit {
        self.once(|| {
            let stopped = Error::Cancelled.reports().into_iter().map(Box::new).map(Event::Error);
            self.progress.end(stopped.chain(report.clone().map(Event::RunFinished)));
            self.tell(Err(RunFailure { errors: vec![Error::Cancelled], report: report.map(Box::new) }))
        })
    }

    fn once(&self, tell: impl FnOnce() -> Exit) -> Exit {
        *lock(&self.told).get_or_insert_with(tell)
    }

    fn tell(&self, outcome: Result<RunReport, RunFailure>) -> Exit {
        let (errors, report) = match outcome {
            Ok(report) => (Vec::new(), Some(report)),
            Err(RunFailure { errors, report }) => (errors, report.map(|report| *report)),
        };
        self.progress.clear();
        let failed = (!errors.is_empty()).then(|| report::show(&Failure::Run(errors)));
        let unwritten = self.progress.unwritten().map(|error| report::show(&Failure::Output(error)));
        let exit = failed.or(unwritten).unwrap_or(exit::OK);
        // Of a run that failed without a stage there is nothing to sum up.
        let report = report.filter(|report| exit == exit::OK || !report.stages.is_empty());
        if let (Some(report), Mode::People) = (report, self.mode) {
            let paint = terminal::stderr_paint();
            let devices = self.progress.devices().map(|line| paint.dim(&line) + "\n").unwrap_or_default();
            terminal::eprint(devices + &summary::text(&report, self.started.elapsed(), paint));
        }
        exit
    }
}
