//! What a run shows while it goes on: JSON lines, a live bar, plain lines, or nothing. After the end that is told once,
//! nothing more is shown.
//!
//! A thread of its own writes all of it ([`teller`]): no thread of a run waits for a reader. Of the bar only its last state counts.
//! Lines, and so the events of `--json`, are all kept until they are read.

mod backlog;
mod bar;
mod lines;
mod teller;

use std::borrow::Cow;
use std::sync::Mutex;

use flowc_executor::{ErrorReport, Event, Observer, Stamper};
use flowc_platform::lock;

use self::backlog::Worth;
use self::bar::{Bar, View};
use self::lines::Lines;
use self::teller::Teller;
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
    bar: Option<Bar>,
    telling: Mutex<Telling>,
    teller: Teller,
}

/// What has been told.
struct Telling {
    lines: Lines,
    view: View,
    stamper: Stamper,
    has_ended: bool,
}

impl Progress {
    /// Nothing is drawn before the first event.
    pub(crate) fn new(mode: Mode) -> Self {
        let bar = (mode == Mode::People && terminal::is_watched()).then(Bar::new);
        let lines = Lines::new(bar.is_none());
        let telling = Telling { lines, view: View::default(), stamper: Stamper::new(), has_ended: false };
        let teller = match mode {
            Mode::Json => Teller::new(None, |lines| terminal::print(lines)),
            Mode::People | Mode::Quiet => Teller::new(bar.clone(), |lines| {
                terminal::eprint(lines);
                Ok(())
            }),
        };
        Self { mode, bar, telling: Mutex::new(telling), teller }
    }

    /// A line for people, above the bar.
    pub(crate) fn say(&self, line: &str) {
        if self.mode == Mode::People {
            self.teller.tell(Some(format!("{line}\n").into_bytes()), Worth::Kept, None);
        }
    }

    /// Waits until all has been told that was to be told, and takes the bar away.
    pub(crate) fn clear(&self) {
        self.teller.drain();
        if let Some(bar) = &self.bar {
            bar.clear();
        }
    }

    /// Shows these events and none after them, unless that was done before.
    pub(crate) fn end(&self, last: impl IntoIterator<Item = Event>) {
        let mut telling = lock(&self.telling);
        if !std::mem::replace(&mut telling.has_ended, true) {
            last.into_iter().for_each(|event| self.tell(&mut telling, &event));
        }
    }

    /// What devices did for the stages of the run, as a line; none where there were none.
    pub(crate) fn devices(&self) -> Option<String> {
        lock(&self.telling).lines.devices()
    }

    /// Why an event could not be written, if one could not.
    pub(crate) fn unwritten(&self) -> Option<std::io::Error> {
        self.teller.unwritten()
    }

    /// Events get their numbers in the order in which they are told.
    fn tell(&self, telling: &mut Telling, event: &Event) {
        match self.mode {
            Mode::Quiet => {}
            Mode::Json => {
                let stamped = telling.stamper.stamp(shortened(event).into_owned());
                let line = serde_json::to_vec(&stamped).ok().map(|line| [line, vec![b'\n']].concat());
                self.teller.tell(line, worth(event), None);
            }
            Mode::People => {
                let line = telling.lines.of(event).map(|line| format!("{line}\n").into_bytes());
                let is_changed = self.bar.is_some() && telling.view.observe(event);
                self.teller.tell(line, Worth::Kept, is_changed.then(|| telling.view.clone()));
                if is_changed && telling.view.is_hidden() {
                    self.teller.drain_briefly();
                }
            }
        }
    }
}

impl Observer for Progress {
    fn observe(&self, event: Event) {
        let mut telling = lock(&self.telling);
        if !telling.has_ended {
            self.tell(&mut telling, &event);
        }
    }
}

/// What the report of a run tells again, or a stage's log has, can be missed.
fn worth(event: &Event) -> Worth {
    match event {
        Event::StageLog { level, .. } if matches!(level.as_str(), "error" | "warn") => Worth::Kept,
        Event::FileRead { .. }
        | Event::BuildLog { .. }
        | Event::TaskStarted { .. }
        | Event::TaskFailed { .. }
        | Event::DeviceUsed { .. }
        | Event::SegmentRan { .. }
        | Event::SegmentUnchanged { .. }
        | Event::StageLog { .. } => Worth::Progress,
        Event::Pinned { .. }
        | Event::RunStarted { .. }
        | Event::BuildStarted { .. }
        | Event::BuildFinished { .. }
        | Event::CompileStarted { .. }
        | Event::BadRows { .. }
        | Event::LateRows { .. }
        | Event::IgnoredMembers { .. }
        | Event::WorkPlanned { .. }
        | Event::StageVerified { .. }
        | Event::StageCompared { .. }
        | Event::StageFailed { .. }
        | Event::SinkWritten { .. }
        | Event::SinkAppended { .. }
        | Event::Warning { .. }
        | Event::Error(_)
        | Event::RunFinished(_) => Worth::Kept,
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
