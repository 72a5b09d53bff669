//! One file per subcommand; what they share is here.

mod completions;
mod doctor;
mod graph;
mod init;
mod log;
mod plan;
mod precompile;
mod run;
#[cfg(feature = "serve")]
mod serve;
#[cfg(not(feature = "serve"))]
#[path = "no_serve.rs"]
mod serve;
mod show;
mod status_text;
mod store;
mod why;
#[cfg(feature = "workers")]
mod worker;
#[cfg(not(feature = "workers"))]
#[path = "no_worker.rs"]
mod worker;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowc_executor::{Options, Planned, Session};

use crate::args::{Args, Command, PipelineArgs};
use crate::exit::{self, Exit};
use crate::progress::{Mode, Progress};
use crate::report::{self, Failure};
use crate::settings::{self, ColorChoice, Environment, Settings, SettingsArgs};
use crate::telemetry::Telemetry;
use crate::terminal;

/// What every command gets.
pub(crate) struct Context {
    /// The process's environment.
    pub(crate) env: Environment,
    color: Option<ColorChoice>,
}

/// Does what was typed.
pub(crate) fn dispatch(args: Args) -> Exit {
    let context = Context::new(args.color);
    let telemetry = match Telemetry::start(&context.env) {
        Ok(telemetry) => telemetry,
        Err(failure) => return report::tell(&failure, args.command.json()),
    };
    let span = tracing::info_span!("flowc", command = args.command.name()).entered();
    let json = args.command.json();
    let exit = perform(args.command, &context).unwrap_or_else(|failure| report::tell(&failure, json));
    drop(span);
    if let Some(warning) = telemetry.finish() {
        terminal::eprint(report::warning(&warning, terminal::stderr_paint()));
    }
    exit
}

fn perform(command: Command, context: &Context) -> Result<Exit, Failure> {
    match command {
        Command::Init(args) => init::run(&args),
        Command::Plan(args) => plan::run(&args, context),
        Command::Run(args) => run::run(args, context),
        Command::Why(args) => why::run(&args, context),
        Command::Graph(args) => graph::run(&args, context),
        Command::Show(args) => show::run(&args, context),
        Command::Serve(args) => serve::run(&args, context),
        Command::Log(args) => log::run(&args, context),
        Command::Store(command) => store::run(command, context),
        Command::Worker(args) => worker::run(&args),
        Command::Doctor(args) => doctor::run(&args, context),
        Command::Precompile(args) => precompile::run(&args),
        Command::Completions(args) => completions::run(&args),
    }
}

impl Context {
    /// The context of a command that was typed with a choice of colour, or without one.
    pub(crate) fn new(color: Option<ColorChoice>) -> Self {
        if let Some(color) = color {
            terminal::choose_color(color);
        }
        Self { env: Environment::of_process(), color }
    }

    /// Settings for work in `folder`; colour is settled with them.
    fn settings(&self, args: &SettingsArgs, folder: &Path) -> Result<Settings, Failure> {
        let settings = Settings::resolve(args, &self.env, folder)?;
        terminal::choose_color(self.color.unwrap_or(settings.color));
        Ok(settings)
    }

    /// A session on the pipeline that was typed.
    fn session(&self, args: &PipelineArgs, update_lock: bool) -> Result<Session, Failure> {
        self.session_of(args.file.as_deref(), &args.settings, update_lock)
    }

    /// A session on a pipeline; on the one in this folder where none is named.
    fn session_of(&self, file: Option<&Path>, args: &SettingsArgs, update_lock: bool) -> Result<Session, Failure> {
        Ok(Session::new(self.options(file, args, update_lock)?))
    }

    /// What the engine is told of a pipeline.
    pub(crate) fn options(
        &self,
        file: Option<&Path>,
        args: &SettingsArgs,
        update_lock: bool,
    ) -> Result<Options, Failure> {
        let pipeline = settings::pipeline_path(file)?;
        let settings = self.settings(args, settings::folder_of(&pipeline))?;
        Ok(options(pipeline, settings, update_lock))
    }
}

fn options(pipeline: PathBuf, settings: Settings, update_lock: bool) -> Options {
    let Settings {
        store, jobs, memory, budget, params, ambient, locked, build, require_isolation, workers, gpu, ..
    } = settings;
    Options {
        pipeline,
        store,
        jobs,
        params,
        ambient,
        locked,
        build,
        update_lock,
        memory,
        budget,
        require_isolation,
        workers,
        gpu,
    }
}

/// Plans for a command that only looks, with builds told on standard error.
fn planned(session: &Session) -> Result<Planned, Failure> {
    let progress = Arc::new(Progress::new(Mode::People));
    let planned = session.plan(Arc::clone(&progress) as _);
    progress.clear();
    Ok(planned?)
}

/// Text on standard output, and all is well.
fn printed(text: &str) -> Result<Exit, Failure> {
    terminal::print(text)?;
    Ok(exit::OK)
}

/// A JSON document on standard output, and all is well.
fn printed_json(value: &impl serde::Serialize) -> Result<Exit, Failure> {
    let text = serde_json::to_string_pretty(value).map_err(std::io::Error::other)?;
    printed(&format!("{text}\n"))
}
