//! A kind of stage that only these tests know, in the place of Python: what the engine asks of a kind is in its trait.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_schema::{DataType, Field, Schema};
use flowc_code::{Evidence, Parts};
use flowc_planner::catalogue::{InputDescription, OutputDescription};
use flowc_planner::key::KeyHasher;
use flowc_planner::plan::{Class, Limits, OutputColumn, Purity, Rows, Serialization};
use flowc_runner::{Batch, Keep, PerBatch};

use super::*;
use crate::{Cancel, RunRequest, Session};

/// What is asked of the kind.
#[derive(Default)]
struct Asked {
    located: AtomicUsize,
    prepared: AtomicUsize,
    opened: AtomicUsize,
    ended: AtomicUsize,
}

/// Stages whose code is a number in a file: they multiply by it.
struct Multiplying(Arc<Asked>, Mutex<BTreeMap<StageDigest, i64>>);

impl Multiplying {
    fn factor(&self, digest: &StageDigest) -> i64 {
        self.1.lock().unwrap()[digest]
    }
}

impl StageKind for Multiplying {
    fn name(&self) -> &'static str {
        "python"
    }

    fn locate(&self, code: &Code, context: &dyn CodeContext) -> Result<Located, Problem> {
        let Code::Python { dir, .. } = code else { return Err(foreign_code(code)) };
        self.0.located.fetch_add(1, Ordering::Relaxed);
        let file = context.base().join(dir);
        let text = context.read(context.base(), Keep::Nothing, |_| fs::read_to_string(&file));
        let text = text.map_err(|error| Problem::new(error.to_string()))?;
        let factor = context.build(code, |log| {
            log("reading a number");
            text.trim().parse().map_err(|_| Problem::new(format!("{text} is no number")))
        })?;
        let digest = StageDigest::new(KeyHasher::new("multiplying").bytes(text.as_bytes()).finish());
        self.1.lock().unwrap().insert(digest, factor);
        let mut evidence = Evidence::default();
        evidence.look(&file);
        Ok(Located { parts: Some(Parts::default().with("number", text.as_bytes())), ..Located::new(digest, evidence) })
    }

    fn signature(&self, digest: &StageDigest) -> Result<Signature, Problem> {
        Ok(Signature {
            digest: *digest,
            doc: "Multiplies.".to_owned(),
            inputs: vec!["in".to_owned()],
            outputs: vec!["out".to_owned()],
            config_schema: serde_json::json!({ "type": "object" }),
            purity: Purity::Sandboxed,
            runner: BTreeMap::new(),
            unenforced: None,
            chains: false,
            serializations: Serialization::ALL.to_vec(),
        })
    }

    fn describe(&self, question: &Question) -> Result<Description, Problem> {
        let [input] = &question.inputs[..] else { return Err(Problem::new("one input")) };
        if input.field(0).data_type() != &DataType::Int64 {
            return Err(Problem::new("secret words: the first column has to be a number"));
        }
        Ok(Description {
            inputs: vec![InputDescription { class: Class::RowWise, reads: vec![0], keys: Vec::new() }],
            outputs: vec![OutputDescription {
                schema: Arc::new(Schema::new(vec![Field::new("product", DataType::Int64, true)])),
                rows: Rows::Same { input: 0 },
                columns: vec![OutputColumn::Written],
            }],
            partial: None,
            parts: 1,
            runner: BTreeMap::new(),
            explanation: Default::default(),
        })
    }

    fn runner(&self, _: Isolate) -> &dyn Runner {
        self
    }

    fn end_idle(&self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }

    fn shown(&self, text: String) -> String {
        text.replace("secret words", "what its author knows")
    }
}

impl Runner for Multiplying {
    fn open(&self, invocation: &Invocation, outlet: Box<dyn Outlet>) -> Result<Box<dyn Instance>, StageError> {
        self.0.opened.fetch_add(1, Ordering::Relaxed);
        Ok(Product { factor: self.factor(&invocation.digest) }.before(outlet))
    }

    fn prepare(&self, stage: &StageDigest, _: &Limits, is_wanted: &dyn Fn() -> bool) {
        assert!(is_wanted() && self.factor(stage) != 0);
        self.0.prepared.fetch_add(1, Ordering::Relaxed);
    }
}

struct Product {
    factor: i64,
}

impl PerBatch for Product {
    fn push(&mut self, _: usize, batch: Batch, outlet: &mut dyn Outlet) -> Result<(), StageError> {
        let numbers = batch.column(0).unwrap().as_primitive::<Int64Type>();
        let products = numbers.unary::<_, Int64Type>(|number| number * self.factor);
        outlet.emit(0, Batch::new(batch.rows(), vec![Some(Arc::new(products) as _)]))
    }
}

/// Hears nothing.
struct Deaf;

impl Observer for Deaf {
    fn observe(&self, _: Event) {}
}

/// A pipeline in a folder, whose sessions know the kind of these tests alone.
struct Project(tempfile::TempDir);

impl Project {
    fn new(rows: &str) -> Self {
        let project = Self(tempfile::tempdir().unwrap());
        fs::write(project.path("in.csv"), rows).unwrap();
        fs::write(project.path("number"), "3").unwrap();
        let flow = "source \"s\" { files \"in.csv\" }\nstage \"m\" { in \"s\"; python \"number\" }\n\
                    sink \"o\" { in \"m\"; file \"out.csv\" }\n";
        fs::write(project.path("flow.kdl"), flow).unwrap();
        project
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn session(&self, asked: &Arc<Asked>) -> Session {
        let kinds: Vec<Box<dyn StageKind>> = vec![Box::new(Multiplying(asked.clone(), Mutex::default()))];
        self.session_with(|runners| runners.kinds = kinds)
    }

    fn session_with(&self, change: impl FnOnce(&mut Runners)) -> Session {
        let options = Options {
            pipeline: self.path("flow.kdl"),
            store: self.path(".store"),
            jobs: 1,
            params: BTreeMap::new(),
            ambient: [].into(),
            locked: false,
            build: true,
            update_lock: false,
            memory: 64 << 20,
            budget: 1 << 30,
            require_isolation: false,
            workers: Vec::new(),
            gpu: None,
        };
        Session::with_runners(options, change)
    }
}

#[test]
fn a_kind_is_planned_run_and_ended_by_its_trait_alone() {
    let (project, asked) = (Project::new("a\n1\n2\n"), Arc::new(Asked::default()));
    let run = |asked| project.session(asked).run(&RunRequest::default(), Arc::new(Deaf), Cancel::new());
    run(&asked).unwrap_or_else(|failure| panic!("{failure:?}"));
    assert_eq!(fs::read_to_string(project.path("out.csv")).unwrap(), "product\n3\n6\n");
    let counts =
        |asked: &Asked| [&asked.located, &asked.opened, &asked.ended].map(|count| count.load(Ordering::Relaxed));
    let [located, opened, ended] = counts(&asked);
    assert!(located > 0 && opened == 1 && ended > 0, "{located} {opened} {ended}");
    // Other code, other results.
    fs::write(project.path("number"), "5").unwrap();
    run(&Arc::default()).unwrap_or_else(|failure| panic!("{failure:?}"));
    assert_eq!(fs::read_to_string(project.path("out.csv")).unwrap(), "product\n5\n10\n");
}

#[test]
fn programs_are_started_while_files_are_read_that_no_run_has_seen() {
    let project = Project::new("a\n1\n2\n");
    let prepared = || {
        let asked = Arc::new(Asked::default());
        let ran = project.session(&asked).run(&RunRequest::default(), Arc::new(Deaf), Cancel::new());
        ran.unwrap_or_else(|failure| panic!("{failure:?}"));
        asked.prepared.load(Ordering::Relaxed)
    };
    assert_eq!(prepared(), 1);
    // The stage is another one, but what it reads is known: whether it runs is known at once.
    fs::write(project.path("number"), "5").unwrap();
    assert_eq!(prepared(), 0);
    fs::write(project.path("in.csv"), "a\n1\n2\n3\n").unwrap();
    assert_eq!(prepared(), 1);
}

/// What is told of a pipeline that this flowc can't run: places and messages.
fn refusal(project: &Project, change: impl FnOnce(&mut Runners)) -> Vec<String> {
    let error = project.session_with(change).plan(Arc::new(Deaf)).err().unwrap();
    let Error::Machine(problems) = error else { panic!("{error:?}") };
    problems.iter().map(|problem| format!("{} {problem}", problem.first_place().unwrap().line)).collect()
}

#[test]
fn what_this_flowc_was_built_without_is_refused_at_its_place() {
    let project = Project::new("a\n1\n");
    let without_python = |runners: &mut Runners| runners.kinds.retain(|kind| kind.name() != "python");
    assert_eq!(
        refusal(&project, without_python),
        ["2 python number: this flowc was built without the feature `python`"]
    );
    let flow = "source \"s\" { files \"in.csv\" }\nstage \"m\" {\n  in \"s\"\n  std \"select@1\"\n  config { keep \"a\" }\n  \
                isolate \"process\"\n}\n";
    fs::write(project.path("flow.kdl"), flow).unwrap();
    let without_processes = |runners: &mut Runners| runners.features.iter_mut().for_each(|one| one.is_built = false);
    let told = ["6 isolate \"process\": this flowc was built without the feature `processes`"];
    assert_eq!(refusal(&project, without_processes), told);
}

#[test]
fn what_a_kind_says_is_shown_as_its_author_knows_it() {
    let project = Project::new("a\nb\n");
    let failed = project.session(&Arc::default()).plan(Arc::new(Deaf)).unwrap_err();
    let problems = format!("{failed:?}");
    assert!(problems.contains("what its author knows: the first column"), "{problems}");
}

#[test]
fn code_of_a_kind_that_is_not_registered_is_refused() {
    let project = Project::new("a\n1\n");
    fs::write(
        project.path("flow.kdl"),
        "source \"s\" { files \"in.csv\" }\nstage \"m\" { in \"s\"; std \"count@1\" }\n",
    )
    .unwrap();
    let failed = project.session(&Arc::default()).plan(Arc::new(Deaf)).unwrap_err();
    let problems = format!("{failed:?}");
    assert!(problems.contains("`wasm` stages can't be run by this flowc"), "{problems}");
}

/// The lines of a folder's Rust files that name one of these, but for tests.
fn naming(folder: &Path, kinds: &[String], found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            naming(&path, kinds, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod").next().unwrap_or_default();
            let names = |line: &&str| kinds.iter().any(|kind| line.contains(kind));
            found.extend(code.lines().filter(names).map(|line| format!("{}: {line}", path.display())));
        }
    }
}

/// The lines of the engine and the command line, but for these rooms, that name a kind of something.
fn named(of: &str, kinds: &[&str], except: Option<&str>) -> Vec<String> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let kinds: Vec<String> = kinds.iter().map(|kind| format!("{of}::{kind}")).collect();
    let mut found = Vec::new();
    for folder in [here.join("src"), here.join("../cli/src"), here.join("runner/src"), here.join("process/src")] {
        naming(&folder, &kinds, &mut found);
    }
    found.retain(|line| except.is_none_or(|room| !line.contains(room)));
    found
}

#[test]
fn no_other_room_names_a_kind_of_code() {
    let kinds = ["Std", "Wasm", "Rust", "Python", "Container", "Image", "Sql", "Wgsl"];
    assert_eq!(named("Code", &kinds, Some("/src/runners/")), [""; 0]);
}

#[test]
fn no_room_names_a_kind_of_source_or_sink() {
    let locations = ["Files", "Stdin", "Kafka", "Objects", "Database", "Flight"];
    assert_eq!(named("Location", &locations, None), [""; 0]);
    let targets = ["File", "Directory", "Objects", "Stdout", "Kafka", "Database"];
    assert_eq!(named("Target", &targets, None), [""; 0]);
}
