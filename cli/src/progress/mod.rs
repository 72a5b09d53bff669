//! What a run shows while it goes on: JSON lines, a live bar, plain lines, or nothing.

mod bar;
mod lines;

use std::sync::Mutex;

use flowc_executor::{Event, Observer, RunReport};
use serde::Serialize;

use self::bar::Bar;
use self::lines::Lines;
use crate::terminal;

/// How a run is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// One event a line on standard output.
    Json,
    /// For people: a bar where they watch, lines elsewhere.
    People,
    /// Not at all.
    Quiet,
}

/// Shows the events of a run.
pub(crate) struct Progress {
    mode: Mode,
    lines: Mutex<Lines>,
    bar: Option<Bar>,
}

impl Progress {
    /// Nothing is drawn before the first event.
    pub(crate) fn new(mode: Mode) -> Self {
        let bar = (mode == Mode::People && terminal::is_watched()).then(Bar::new);
        Self { mode, lines: Mutex::new(Lines::new(bar.is_none())), bar }
    }

    /// A line for people, above the bar.
    pub(crate) fn say(&self, line: &str) {
        let print = || terminal::eprint(&format!("{line}\n"));
        match (&self.bar, self.mode) {
            (_, Mode::Json | Mode::Quiet) => {}
            (Some(bar), _) => bar.suspend(print),
            (None, _) => print(),
        }
    }

    /// Takes the bar away.
    pub(crate) fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.clear();
        }
    }

    /// The last event, after all others. The engine sends it too; it is printed here alone, since errors come before it.
    pub(crate) fn finish(&self, report: RunReport) {
        if self.mode == Mode::Json {
            print_json(&Event::RunFinished(report));
        }
    }

    fn show(&self, event: &Event) {
        if let Some(bar) = &self.bar {
            bar.observe(event);
        }
        let line = self.lines.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).of(event);
        if let Some(line) = line {
            self.say(&line);
        }
    }
}

impl Observer for Progress {
    fn observe(&self, event: Event) {
        match (self.mode, &event) {
            (Mode::Quiet, _) | (_, Event::RunFinished(_)) => {}
            (Mode::Json, event) => print_json(event),
            (Mode::People, event) => self.show(event),
        }
    }
}

/// One JSON value on a line of standard output. A reader that has gone does not stop the run.
pub(crate) fn print_json(value: &impl Serialize) {
    match serde_json::to_string(value) {
        Ok(text) => drop(terminal::print(&format!("{text}\n"))),
        Err(error) => tracing::error!(%error, "an event has no JSON form"),
    }
}
