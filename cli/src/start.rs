//! The start of flowc. Most runs find that nothing is to do: they are answered here, by a program that is small, since the system takes
//! longer to load one with an engine than such a run takes. All else is handed to `flowc-engine`, which lies beside it.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::sync::Arc;

use clap::Parser;
use flowc_executor::sandbox::ENGINE;
use flowc_executor::{Observer, run_if_up_to_date};

use crate::args::{self, Args, RunArgs};
use crate::commands::Context;
use crate::ending::Ending;
use crate::exit::Exit;
use crate::progress::Progress;
use crate::report::{self, Failure};
use crate::telemetry;

/// Does what was typed, itself or by the engine.
pub fn main() -> ExitCode {
    // The engine has this program start its sandboxes: it returns only if that is not what is asked.
    flowc_executor::sandbox::main();
    let done = std::panic::catch_unwind(run_again).ok().flatten();
    ExitCode::from(done.unwrap_or_else(hand_over).number)
}

/// Tells of a run that nothing is to do for. None if that is not what was typed, or if there is something to do or to say.
fn run_again() -> Option<Exit> {
    if !std::env::args_os().any(|argument| argument == OsStr::new("run")) {
        return None;
    }
    let Args { command: args::Command::Run(args), color } = Args::try_parse().ok()? else { return None };
    let context = Context::new(color);
    if telemetry::is_wanted(&context.env) {
        return None;
    }
    report_again(args, &context)
}

fn report_again(args: RunArgs, context: &Context) -> Option<Exit> {
    let mode = args.mode();
    let options = context.options(args.pipeline.file.as_deref(), &args.pipeline.settings, args.update).ok()?;
    let progress = Arc::new(Progress::new(mode));
    let ending = Ending::new(mode, Arc::clone(&progress));
    let report = run_if_up_to_date(&options, &args.request(), &*progress as &dyn Observer)?;
    Some(ending.close(Ok(report)))
}

/// Becomes the engine's program. Returns only if there is none.
fn hand_over() -> Exit {
    let engine = std::env::current_exe().map(|program| program.with_file_name(ENGINE));
    let refused = engine.map_or_else(
        |error| error,
        |engine| {
            let mut arguments = std::env::args_os();
            let name = arguments.next().unwrap_or_else(|| "flowc".into());
            Command::new(engine).arg0(name).args(arguments).exec()
        },
    );
    let message = format!("`{ENGINE}` cannot be started: it is to lie beside `flowc`, of the same build");
    report::tell(&Failure::System { message, cause: refused.into() }, None)
}
