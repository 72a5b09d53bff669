//! The live bar on a terminal.

use std::time::Duration;

use flowc_executor::Event;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::terminal;

/// What the bar shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct View {
    phase: Phase,
    message: String,
    done: u64,
    tasks: u64,
}

/// A bar appears when there is work, and goes when the work is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Hidden,
    /// Something is done of which nobody knows how much it is.
    Spinning,
    /// Tasks run.
    Counting,
}

impl View {
    /// Takes in an event; gives whether it changes what is shown.
    pub(super) fn observe(&mut self, event: &Event) -> bool {
        let before = self.clone();
        match event {
            Event::BuildStarted { code } => self.spin(format!("building {code}")),
            Event::CompileStarted { code } => self.spin(format!("compiling {code}")),
            Event::BuildLog { message, .. } => message.clone_into(&mut self.message),
            Event::BuildFinished { .. } => self.phase = Phase::Hidden,
            Event::FileRead { file, .. } => self.message = format!("reading {file}"),
            Event::WorkPlanned { tasks, .. } if *tasks > 0 => {
                (self.phase, self.tasks, self.message) = (Phase::Counting, *tasks as u64, String::new());
            }
            Event::SegmentRan { stages, .. } => self.step(stages.last().map_or("", String::as_str)),
            Event::SegmentUnchanged { stage, .. } => self.step(stage),
            _ => {}
        }
        *self != before
    }

    /// Whether there is no bar.
    pub(super) fn is_hidden(&self) -> bool {
        self.phase == Phase::Hidden
    }

    fn spin(&mut self, message: String) {
        (self.phase, self.message) = (Phase::Spinning, message);
    }

    /// After the last task the bar goes: sinks on standard output may share the terminal with it.
    fn step(&mut self, stage: &str) {
        self.done += 1;
        stage.clone_into(&mut self.message);
        if self.phase == Phase::Counting && self.done >= self.tasks {
            self.phase = Phase::Hidden;
        }
    }
}

/// Draws the bar.
#[derive(Clone)]
pub(super) struct Bar(ProgressBar);

impl Bar {
    /// Nothing is drawn yet.
    pub(super) fn new() -> Self {
        Self(ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()))
    }

    /// Runs something that prints, with the bar out of the way.
    pub(super) fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        self.0.suspend(print)
    }

    /// Takes the bar away.
    pub(super) fn clear(&self) {
        self.0.disable_steady_tick();
        self.0.finish_and_clear();
        self.0.set_draw_target(ProgressDrawTarget::hidden());
    }

    /// Shows something.
    pub(super) fn draw(&self, view: View) {
        let template = match view.phase {
            Phase::Hidden => return self.clear(),
            Phase::Spinning => "{spinner} {wide_msg}",
            Phase::Counting => "{spinner} {bar:24} {pos}/{len} {elapsed} {wide_msg}",
        };
        if self.0.is_hidden() {
            self.0.reset();
            self.0.set_draw_target(ProgressDrawTarget::stderr());
            self.0.enable_steady_tick(Duration::from_millis(120));
        }
        self.0.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
        self.0.set_length(view.tasks);
        self.0.set_position(view.done);
        self.0.set_message(terminal::harmless(&view.message));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_is_there_while_tasks_run() {
        let mut view = View::default();
        let ran = |stage: &str| Event::SegmentRan { stages: vec![stage.into()], segment: 0, rows: 1, seconds: 0.0 };
        assert!(view.observe(&Event::CompileStarted { code: "a".into() }) && !view.is_hidden());
        view.observe(&ran("a"));
        assert!(view.observe(&Event::WorkPlanned { tasks: 2, stages: vec![] }));
        assert!(!view.is_hidden() && view.message.is_empty());
        assert!(view.observe(&ran("b")) && view.is_hidden());
        assert!(!view.observe(&Event::Warning { message: "a".into() }));
    }
}
