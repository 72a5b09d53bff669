//! The command line of flowc: arguments and settings in, text and an exit code out. It is two programs: [`start`] is what people call,
//! and [`engine`] does what needs an engine.
//!
//! [`args`] says what can be typed; [`settings`] resolves it with environment and files; each file in [`commands`] is
//! one subcommand; [`report`] turns failures into text; [`exit`] lists the exit codes.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod args;
mod commands;
mod ending;
mod exit;
mod interrupt;
mod json_form;
mod progress;
mod reasons;
mod report;
mod settings;
mod shorten;
pub mod start;
mod summary;
mod telemetry;
mod terminal;

#[cfg(test)]
mod reference;

use std::process::ExitCode;

use clap::Parser;

/// The program of the engine, `flowc-engine`: does what was typed.
pub fn engine() -> ExitCode {
    flowc_platform::keep_freed_memory();
    // Stages in processes of their own are started through this program: it returns only if that is not what is asked.
    flowc_executor::play_part();
    let code = match args::Args::try_parse() {
        Ok(args) => perform(args),
        Err(told) => report::command_line(told),
    };
    ExitCode::from(code.number)
}

fn perform(args: args::Args) -> exit::Exit {
    let json = args.command.json();
    let done = std::panic::catch_unwind(|| commands::dispatch(args));
    done.unwrap_or_else(|_| report::tell(&report::Failure::Bug, json))
}
