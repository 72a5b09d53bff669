//! What can be typed: commands, arguments and flags. Nothing is decided here; see [`crate::settings`].

mod serve;

use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Parser, Subcommand, ValueEnum};

use flowc_executor::RunRequest;

pub(crate) use self::serve::ServeArgs;
use crate::json_form::JsonForm;
use crate::settings::{ColorChoice, SettingsArgs};

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// Plan, run and rerun Arrow data pipelines: a rerun does only what changed.
#[derive(Debug, Parser)]
#[command(name = "flowc", version, styles = STYLES, max_term_width = 100)]
#[command(after_help = "Start with `flowc init`, then `flowc run`. Each command says more with `--help`.")]
pub(crate) struct Args {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
    /// When to use colour: auto, always or never [env: FLOWC_COLOR, NO_COLOR]
    #[arg(long, global = true, value_enum, value_name = "WHEN", hide_possible_values = true)]
    pub(crate) color: Option<ColorChoice>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a small working pipeline, or a stage in Rust or Python, to start from
    Init(InitArgs),
    /// Show what a run would do, and why
    Plan(PlanArgs),
    /// Run what is not in the store yet, and write the sinks
    Run(RunArgs),
    /// Say why a stage would run again, and why it last ran
    Why(WhyArgs),
    /// Draw the pipeline
    Graph(GraphArgs),
    /// Show the first rows of a source, a stage's output or a sink
    Show(ShowArgs),
    /// Offer stored results over Arrow Flight and Flight SQL
    Serve(ServeArgs),
    /// Show what a stage logged when it last ran
    Log(LogArgs),
    /// Manage the result store
    #[command(subcommand)]
    Store(StoreCommand),
    /// Execute components for runs on other hosts
    Worker(WorkerArgs),
    /// Check what flowc needs on this machine
    Doctor(DoctorArgs),
    /// Compile the standard stages ahead of their first use
    Precompile(PrecompileArgs),
    /// Print a script that completes commands in a shell
    Completions(CompletionsArgs),
}

impl Command {
    /// Its name, for spans.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Command::Init(_) => "init",
            Command::Plan(_) => "plan",
            Command::Run(_) => "run",
            Command::Why(_) => "why",
            Command::Graph(_) => "graph",
            Command::Show(_) => "show",
            Command::Serve(_) => "serve",
            Command::Log(_) => "log",
            Command::Store(_) => "store",
            Command::Worker(_) => "worker",
            Command::Doctor(_) => "doctor",
            Command::Precompile(_) => "precompile",
            Command::Completions(_) => "completions",
        }
    }

    /// What programs read of it, if it was asked to print JSON.
    pub(crate) fn json(&self) -> Option<JsonForm> {
        let (asked, form) = match self {
            Command::Plan(args) => (args.json, JsonForm::Document),
            Command::Run(args) => (args.json, JsonForm::Lines),
            Command::Why(args) => (args.json, JsonForm::Document),
            Command::Show(args) => (args.json, JsonForm::Lines),
            Command::Serve(args) => (args.json, JsonForm::Lines),
            Command::Log(args) => (args.json, JsonForm::Lines),
            Command::Store(StoreCommand::Info(args)) => (args.store.json, JsonForm::Document),
            Command::Store(StoreCommand::Verify(args)) => (args.store.json, JsonForm::Document),
            Command::Store(StoreCommand::Gc(args)) => (args.store.json, JsonForm::Document),
            Command::Worker(args) => (args.json, JsonForm::Document),
            Command::Store(StoreCommand::Pin(_) | StoreCommand::Unpin(_))
            | Command::Init(_)
            | Command::Graph(_)
            | Command::Doctor(_)
            | Command::Precompile(_)
            | Command::Completions(_) => return None,
        };
        asked.then_some(form)
    }
}

/// Which pipeline.
#[derive(Debug, clap::Args)]
pub(crate) struct PipelineArgs {
    /// The pipeline file, or a folder with a `flow.kdl` [default: flow.kdl]
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
}

/// `flowc init`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  flowc init                           a pipeline, here
  flowc init words                     a pipeline, in the new folder `words`
  flowc init --stage rust shout        a stage in `shout`, as a Rust crate
  flowc init --stage python my/tone    a stage in `my/tone`, in Python

A stage comes with a lock file, a test and the SDK, and runs at once. A pipeline
that uses it is written too, or its lines are printed where there is one.
It refuses to overwrite anything.")]
pub(crate) struct InitArgs {
    /// Write a stage in this language instead of a pipeline
    #[arg(long, value_enum, value_name = "LANGUAGE")]
    pub(crate) stage: Option<StageLanguage>,
    /// The folder to write to; made if it is not there. A stage is called by its folder's name
    #[arg(value_name = "DIR", default_value = ".")]
    pub(crate) directory: PathBuf,
}

/// A language that there is an SDK for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StageLanguage {
    /// A crate that flowc builds to a WebAssembly component
    Rust,
    /// A project whose functions run in a sandboxed process
    Python,
}

/// Stages that a request names.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct StageArgs {
    /// Run this stage and what it needs that is not in the store; write no sinks (repeatable)
    #[arg(long, value_name = "STAGE")]
    pub(crate) only: Vec<String>,
    /// Run this stage and everything upstream, plus sinks fed only by them (repeatable)
    #[arg(long, value_name = "STAGE")]
    pub(crate) until: Vec<String>,
    /// Run this stage even where the store has its results (repeatable)
    #[arg(long, value_name = "STAGE")]
    pub(crate) force: Vec<String>,
    /// Run this stage again and compare what it gives with what the store has; a kernel also with its `reference`, and with
    /// what another device gave (repeatable)
    #[arg(long, value_name = "STAGE")]
    pub(crate) verify: Vec<String>,
}

impl From<StageArgs> for RunRequest {
    fn from(StageArgs { only, until, force, verify }: StageArgs) -> Self {
        Self { only, until, force, verify, ..Self::default() }
    }
}

/// `flowc plan`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  flowc plan                          of flow.kdl in this folder
  flowc plan other.kdl --param day=2024-02-01
  flowc plan --until words            what `flowc run --until words` would do
  flowc plan --json | jq .status      for programs")]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) stages: StageArgs,
    /// Print one JSON document: `plan`, `hash`, `units`, `status`, `lock_changes`
    #[arg(long)]
    pub(crate) json: bool,
    /// Print how queries are run, too: the physical plan of each `sql` stage
    #[arg(long, conflicts_with = "json")]
    pub(crate) explain: bool,
    #[command(flatten)]
    pub(crate) pipeline: PipelineArgs,
}

/// `flowc run`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  flowc run                        what is new or changed
  flowc run --until words          up to the stage `words`, with its sinks
  flowc run --force words          the stage `words` again
  flowc run --verify words         again, and is it the same?
  flowc run --locked --no-build    as a build server should
  flowc run --json | jq -c 'select(.event == \"run-finished\")'")]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) stages: StageArgs,
    /// After a failure, go on with what does not depend on it
    #[arg(long)]
    pub(crate) keep_going: bool,
    /// Re-resolve components and inferred schemas, and update `flow.lock`
    #[arg(long, conflicts_with = "locked")]
    pub(crate) update: bool,
    /// Print one event a line as JSON; the last is `run-finished`
    #[arg(long, conflicts_with = "quiet")]
    pub(crate) json: bool,
    /// Only print errors
    #[arg(long, short)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) pipeline: PipelineArgs,
}

/// `flowc why`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  flowc why words
  flowc why words other.kdl --json
  flowc why per-minute --window 2024-03-01T12:00   the windows of this time")]
pub(crate) struct WhyArgs {
    /// The stage
    #[arg(value_name = "STAGE")]
    pub(crate) stage: String,
    /// Say which files have rows of the windows that this time is in, and whether their results are stored
    #[arg(long, value_name = "TIME")]
    pub(crate) window: Option<String>,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) pipeline: PipelineArgs,
}

/// `flowc graph`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  flowc graph                            Mermaid, for Markdown
  flowc graph --format svg > flow.svg    a picture
  flowc graph --format dot | dot -Tpdf > flow.pdf")]
pub(crate) struct GraphArgs {
    /// How it is drawn
    #[arg(long, value_enum, default_value_t = GraphFormat::Mermaid)]
    pub(crate) format: GraphFormat,
    #[command(flatten)]
    pub(crate) pipeline: PipelineArgs,
}

/// How a graph is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum GraphFormat {
    /// Text that Markdown pages draw
    Mermaid,
    /// Text for Graphviz
    Dot,
    /// A picture
    Svg,
}

/// `flowc show`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  flowc show words                  the first rows as a table
  flowc show words --rows 100 --csv
  flowc show parts.rejects --json   one of several outputs, or bad rows
  flowc show words --arrow > words.arrows    all rows, for programs")]
pub(crate) struct ShowArgs {
    /// A stream (`name` or `name.port`) or a sink
    #[arg(value_name = "OUTPUT")]
    pub(crate) output: String,
    /// Show only the rows of the windows that this time is in, such as 2024-03-01T12:00
    #[arg(long, value_name = "TIME")]
    pub(crate) window: Option<String>,
    /// At most so many rows, or `all` [default: 20; `all` with --arrow]
    #[arg(long, value_name = "N", value_parser = parse_rows)]
    pub(crate) rows: Option<u64>,
    /// Print one JSON object a row
    #[arg(long, group = "form")]
    pub(crate) json: bool,
    /// Print CSV
    #[arg(long, group = "form")]
    pub(crate) csv: bool,
    /// Write an Arrow IPC stream, with the columns' own types
    #[arg(long, group = "form")]
    pub(crate) arrow: bool,
    /// Refuse rows other than those that a run told of by this key, in `streams` of its last event
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
    #[command(flatten)]
    pub(crate) pipeline: PipelineArgs,
}

/// `flowc log`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  flowc log words
  flowc log words --json")]
pub(crate) struct LogArgs {
    /// The stage
    #[arg(value_name = "STAGE")]
    pub(crate) stage: String,
    /// Print one JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) pipeline: PipelineArgs,
}

/// `flowc store ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Say where the store is, how big, and what is in it
    Info(StoreInfoArgs),
    /// Read every stored result and compare it with its digest
    Verify(StoreVerifyArgs),
    /// Keep the results of a pipeline's last good run, whatever runs come after it
    Pin(StorePinArgs),
    /// Unpin a run
    Unpin(StoreUnpinArgs),
    /// Remove results not needed by a last successful run or a pin
    Gc(StoreGcArgs),
}

/// Which store.
#[derive(Debug, clap::Args)]
pub(crate) struct StoreArgs {
    /// Folder of the store [env: FLOWC_STORE]
    #[arg(long, value_name = "DIR")]
    pub(crate) store: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

/// `flowc store info`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  flowc store info
  flowc store info --store /data/flowc --json")]
pub(crate) struct StoreInfoArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// `flowc store verify`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  flowc store verify             ends with 3 if anything is damaged
  flowc store verify --repair    forgets what is damaged, to be made again")]
pub(crate) struct StoreVerifyArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Forget damaged results and remove damaged code, so that the next run makes them again
    #[arg(long)]
    pub(crate) repair: bool,
}

/// `flowc store pin`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  flowc store pin paper             the last good run of flow.kdl in this folder
  flowc store pin v1 other.kdl      a name that is taken moves to this run")]
pub(crate) struct StorePinArgs {
    /// A name for the run
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) pipeline: PipelineArgs,
}

/// `flowc store unpin`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  flowc store unpin paper; flowc store gc    gives its room back")]
pub(crate) struct StoreUnpinArgs {
    /// The name that the run was pinned as
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Folder of the store [env: FLOWC_STORE]
    #[arg(long, value_name = "DIR")]
    pub(crate) store: Option<PathBuf>,
}

/// `flowc store gc`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  flowc store gc --dry-run    what would go
  flowc store gc

The last run of a pipeline whose file is not there any more keeps nothing; a
pinned run does. Packages of Python stages and components that were compiled or
built go by the same rule as results; a run that needs them makes them again.
Runs that are under way go on, and what they need stays.")]
pub(crate) struct StoreGcArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Only say what would be removed
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `flowc worker`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  flowc worker --listen 10.0.0.2:7000 --credentials worker.json
  flowc worker --listen build7:0 --credentials worker.json    any free port

It ends with Ctrl-C or a termination signal. Give the file to those who are to
use the worker, over a way that others do not see: `flowc run --worker FILE`.")]
pub(crate) struct WorkerArgs {
    /// An address of this host by which others reach it, and a port; 0 picks a free one
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) listen: String,
    /// File to write what `flowc run --worker` needs; removed when the worker ends
    #[arg(long, value_name = "FILE")]
    pub(crate) credentials: PathBuf,
    /// Say the address as a JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

/// `flowc doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  flowc doctor

It ends with 1 if something is missing that every pipeline needs.")]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) pipeline: PipelineArgs,
}

/// `flowc precompile`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  flowc precompile         after `cargo install`, once
  flowc precompile code    for a package: its `lib/flowc`, beside `bin/flowc`

The code runs on every processor of x86-64-v3 (since 2013) if this one is such,
else on processors like this one. On others, and with another version of flowc,
stages are compiled when they are first used. `cargo xtask install` and wheels
bring this code.")]
pub(crate) struct PrecompileArgs {
    /// The folder that the code is put into [default: `../lib/flowc` beside this program, where runs find it]
    #[arg(value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
}

/// `flowc completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  flowc completions bash > ~/.local/share/bash-completion/completions/flowc
  flowc completions zsh > ~/.zfunc/_flowc
  flowc completions fish > ~/.config/fish/completions/flowc.fish")]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

/// A number of rows as clap reads it.
pub(crate) fn parse_rows(text: &str) -> Result<u64, String> {
    match text {
        "all" => Ok(u64::MAX),
        number => number.parse().map_err(|_| "write a whole number, or `all`".to_owned()),
    }
}

#[cfg(test)]
mod tests;
