//! The live bar on a terminal.

use std::time::Duration;

use flowc_executor::Event;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::terminal;

/// A bar that appears when there is work, and goes when the work is done.
pub(super) struct Bar(ProgressBar);

impl Bar {
    /// Nothing is drawn yet.
    pub(super) fn new() -> Self {
        Self(ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()))
    }

    /// Runs something that prints, with the bar out of the way.
    pub(super) fn suspend(&self, print: impl FnOnce()) {
        self.0.suspend(print);
    }

    /// Takes the bar away.
    pub(super) fn clear(&self) {
        self.0.disable_steady_tick();
        self.0.finish_and_clear();
        self.0.set_draw_target(ProgressDrawTarget::hidden());
    }

    /// Moves the bar.
    pub(super) fn observe(&self, event: &Event) {
        match event {
            Event::BuildStarted { code } => self.appear(&format!("building {code}")),
            Event::CompileStarted { code } => self.appear(&format!("compiling {code}")),
            Event::BuildLog { message, .. } => self.0.set_message(terminal::harmless(message)),
            Event::BuildFinished { .. } => self.clear(),
            Event::FileRead { file, .. } => self.0.set_message(terminal::harmless(&format!("reading {file}"))),
            Event::WorkPlanned { tasks, .. } => self.start(*tasks),
            Event::SegmentRan { stages, .. } => self.step(stages.last().map_or("", String::as_str)),
            Event::SegmentUnchanged { stage, .. } => self.step(stage),
            _ => {}
        }
    }

    fn appear(&self, message: &str) {
        if self.0.is_hidden() {
            self.0.reset();
            self.0.set_draw_target(ProgressDrawTarget::stderr());
            self.0.enable_steady_tick(Duration::from_millis(120));
        }
        self.0.set_style(style("{spinner} {wide_msg}"));
        self.0.set_message(terminal::harmless(message));
    }

    fn start(&self, tasks: usize) {
        if tasks == 0 {
            return;
        }
        self.appear("");
        self.0.set_style(style("{spinner} {bar:24} {pos}/{len} {elapsed} {wide_msg}"));
        self.0.set_length(tasks as u64);
    }

    /// After the last task the bar goes: sinks on standard output may share the terminal with it.
    fn step(&self, stage: &str) {
        self.0.set_message(stage.to_owned());
        self.0.inc(1);
        if self.0.length().is_some_and(|length| self.0.position() >= length) {
            self.clear();
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
