//! The process's side: a component, served.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_schema::SchemaRef;
use flowc_flight::serve::{Location, Served, ServedCode, input_ended, serve};
use flowc_planner::catalogue::{Description, Problem, Question, Signature};
use flowc_planner::key::StageDigest;
use flowc_planner::plan::{Code, Limits};
use flowc_platform::{is_sealed, read_sealed};
use flowc_wasm::{CompiledCache, ComponentFiles, WasmRunner};
use serde::{Deserialize, Serialize};

/// The argument by which a program knows that it is to serve a component.
const SERVE: &str = "serve-component";

/// A component, and what a process needs to know to serve it. Where it listens is in the
/// environment ([`Location`]).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ServedComponent {
    /// The component's file, which is sealed.
    pub component: PathBuf,
    /// What it is compiled to, in a sealed file, under the name that [`WasmRunner::files`] gives it. One that does not fit the machine is
    /// compiled again, and not kept.
    pub compiled: PathBuf,
    /// Its identity.
    pub digest: StageDigest,
    /// Bytes of memory for an instance.
    pub memory: Option<u64>,
}

impl ServedComponent {
    /// One that is registered with a runner, which compiles it if it has not yet.
    ///
    /// # Errors
    /// If it is no stage, or can't be kept in files.
    pub fn of(runner: &WasmRunner, digest: StageDigest, memory: Option<u64>) -> Result<Self, Problem> {
        let ComponentFiles { component, compiled } = runner.files(&digest)?;
        Ok(Self { component, compiled, digest, memory })
    }

    /// The arguments of a program that calls [`main`].
    ///
    /// # Errors
    /// If a path is not UTF-8.
    pub fn args(&self) -> serde_json::Result<Vec<String>> {
        Ok(vec![SERVE.to_owned(), serde_json::to_string(self)?])
    }

    /// The files that the process reads.
    pub fn files(&self) -> [&Path; 2] {
        [&self.component, &self.compiled]
    }
}

/// Serves a component until standard input ends, if the arguments of this process ask for it; does not return then.
pub fn main() {
    let mut args = std::env::args().skip(1);
    let (Some(part), Some(served)) = (args.next(), args.next()) else { return };
    if part != SERVE {
        return;
    }
    let status = run(&served).map_or_else(
        |error| {
            eprintln!("{error}");
            1
        },
        |()| 0,
    );
    std::process::exit(status);
}

fn run(served: &str) -> Result<(), String> {
    let served: ServedComponent = serde_json::from_str(served).map_err(|error| error.to_string())?;
    let location = Location::of_environment().map_err(|error| format!("where to listen: {error}"))?;
    let component = Component::load(served)?;
    serve(Arc::new(component), &location, input_ended()).map_err(|error| format!("{}: {error}", location.listen))
}

/// A runner with one component.
struct Component {
    runner: WasmRunner,
    served: ServedComponent,
}

impl Component {
    fn load(served: ServedComponent) -> Result<Self, String> {
        let path = &served.component;
        let component = read_sealed(path);
        let component = component.ok_or_else(|| format!("{} is not there, or damaged; run again", path.display()))?;
        let cache = Arc::new(Compiled(served.compiled.clone()));
        let runner = WasmRunner::new(cache).map_err(|error| error.to_string())?;
        runner.add(component, served.digest);
        Ok(Self { runner, served })
    }
}

/// The one file that there is. The process can only read it.
struct Compiled(PathBuf);

impl CompiledCache for Compiled {
    fn find(&self, name: &str) -> Option<PathBuf> {
        (self.0.file_name()? == name && is_sealed(&self.0)).then(|| self.0.clone())
    }

    fn put(&self, _: &str, _: &[u8]) -> Option<PathBuf> {
        None
    }
}

/// A program with one stage ignores its name.
impl Served for Component {
    fn signature(&self, _: &str) -> Result<Signature, Problem> {
        self.runner.signature(&self.served.digest)
    }

    fn describe(&self, _: &str, config: serde_json::Value, inputs: Vec<SchemaRef>) -> Result<Description, Problem> {
        let code = Code::Wasm(self.served.component.to_string_lossy().into_owned());
        self.runner.describe(&Question { code, digest: self.served.digest, config, inputs })
    }

    fn code(&self, _: &str, _: &Limits) -> Result<ServedCode<'_>, Problem> {
        // Whoever started the process measures time, and ends it.
        let limits = Limits { memory: self.served.memory, ..Limits::default() };
        Ok(ServedCode { runner: &self.runner, digest: self.served.digest, limits })
    }
}
