//! What a run shows while it goes on: JSON lines, a live bar, plain lines, or nothing. After the end that is told once,
//! nothing more is shown.

mod bar;
mod lines;

use std::borrow::Cow;
use std::sync::{Mutex, MutexGuard, PoisonError};

use flowc_executor::{ErrorReport, Event, Observer, Stamper};
use serde::Serialize;

use self::bar::Bar;
use self::lines::Lines;
use crate::shorten::shorten;
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
    ended: Mutex<bool>,
    stamper: Stamper,
    /// Why standard output took no more events.
    unwritten: Mutex<Option<std::io::Error>>,
}

impl Progress {
    /// Nothing is drawn before the first event.
    pub(crate) fn new(mode: Mode) -> Self {
        let bar = (mode == Mode::People && terminal::is_watched()).then(Bar::new);
        Self {
            mode,
            lines: Mutex::new(Lines::new(bar.is_none())),
            bar,
            ended: Mutex::default(),
            stamper: Stamper::new(),
            unwritten: Mutex::default(),
        }
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

    /// Shows these events and none after them, unless that was done before.
    pub(crate) fn end(&self, last: impl IntoIterator<Item = Event>) {
        let mut ended = self.ended();
        if !std::mem::replace(&mut *ended, true) {
            last.into_iter().for_each(|event| self.print(&event));
        }
    }

    fn ended(&self) -> MutexGuard<'_, bool> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn print(&self, event: &Event) {
        match self.mode {
            Mode::Quiet => {}
            Mode::Json => self.write(event),
            Mode::People => self.show(event),
        }
    }

    /// An event that can't be written is the last that is tried: what followed would hide the gap.
    fn write(&self, event: &Event) {
        let mut unwritten = self.unwritten.lock().unwrap_or_else(PoisonError::into_inner);
        if unwritten.is_none() {
            *unwritten = print_json(&self.stamper.stamp(shortened(event).into_owned())).err();
        }
    }

    /// Why an event could not be written, if one could not.
    pub(crate) fn unwritten(&self) -> Option<std::io::Error> {
        self.unwritten.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn show(&self, event: &Event) {
        if let Some(bar) = &self.bar {
            bar.observe(event);
        }
        let line = self.lines.lock().unwrap_or_else(PoisonError::into_inner).of(event);
        if let Some(line) = line {
            self.say(&line);
        }
    }
}

impl Observer for Progress {
    fn observe(&self, event: Event) {
        let ended = self.ended();
        if !*ended {
            self.print(&event);
        }
    }
}

/// What a stage says as it fails may be longer than anybody reads.
fn shortened(event: &Event) -> Cow<'_, Event> {
    match event {
        Event::StageFailed { stage, message } => {
            let message = shorten(message).into_owned();
            Cow::Owned(Event::StageFailed { stage: stage.clone(), message })
        }
        Event::Error(report) => {
            let message = shorten(&report.message).into_owned();
            Cow::Owned(Event::Error(Box::new(ErrorReport { message, ..(**report).clone() })))
        }
        other => Cow::Borrowed(other),
    }
}

/// One JSON value on a line of standard output. A reader that has gone is no failure.
///
/// # Errors
/// If standard output can't be written.
pub(crate) fn print_json(value: &impl Serialize) -> std::io::Result<()> {
    terminal::print(&format!("{}\n", serde_json::to_string(value)?))
}
