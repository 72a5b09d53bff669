//! One text file is one test: a pipeline, what changes, and the tasks that follow.
//!
//! Lines of the pipeline that begin with `//> ` are steps, in the words of [`Steps::take`].

#![allow(clippy::unwrap_used)]

#[path = "../../../planner/tests/support/mod.rs"]
mod catalogue;
#[path = "support/world.rs"]
mod world;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use flowc_demand::{Request, Root, Selection, Work, fused_groups, passthrough};
use flowc_planner::plan::{Plan, StreamId};
use world::{Done, Segment, World};

/// The steps of a case, and what was told of them.
struct Steps {
    world: World,
    /// Sources that are being read.
    reading: BTreeSet<usize>,
    told: String,
}

impl Steps {
    /// Takes one step:
    ///
    /// - `segments SOURCE N` gives a source so many segments;
    /// - `change SOURCE SEGMENT [COLUMN]` changes a segment's rows, or one column;
    /// - `regroup SOURCE SEGMENT GROUP` changes the rows of a segment that are in one group of keys;
    /// - `minutes SOURCE SEGMENT MINUTE...` says of which minutes a segment has rows; `regroup` with the number of one changes them;
    /// - `remove SOURCE SEGMENT` takes a segment away;
    /// - `code STAGE` changes a stage's code;
    /// - `constant STAGE` makes all results of a stage have the same content;
    /// - `unreduced STAGE` says that the partials of a stage have about as many rows as what they are made of;
    /// - `forget` empties the store;
    /// - `reading SOURCE...` says that these sources are not known before they have ended;
    /// - `arrive SOURCE SEGMENT` tells the tasks that are due when a segment arrives, and stores their results;
    /// - `end SOURCE` tells the tasks that are due when a source has ended while others are being read, and stores their results;
    /// - `keys` tells the keys of all streams;
    /// - `run [only|until|force|verify STAGE]...` tells the tasks of a request, and stores their results.
    fn take(&mut self, step: &str) {
        writeln!(self.told, "{step}").unwrap();
        let words: Vec<&str> = step.split_whitespace().collect();
        let plan = &self.world.plan;
        let stage = |name: &str| plan.stages.iter().position(|stage| stage.name == name).unwrap();
        let source = |name: &str| plan.sources.iter().position(|source| source.name == name).unwrap();
        let number = |text: &str| text.parse::<usize>().unwrap();
        match words[..] {
            ["segments", name, count] => {
                let segment = |id| Segment { id, ..Segment::default() };
                self.world.sources.insert(source(name), (0..number(count) as u64).map(segment).collect());
            }
            ["change", name, segment] => self.segment(name, segment).rows += 1,
            ["change", name, segment, column] => {
                let schema = plan.stream(plan.sources[source(name)].stream).schema.clone();
                *self.segment(name, segment).columns.entry(schema.index_of(column).unwrap()).or_default() += 1;
            }
            ["regroup", name, segment, group] => {
                *self.segment(name, segment).groups.entry(number(group) as u64).or_default() += 1;
            }
            ["minutes", name, segment, ref minutes @ ..] => {
                self.segment(name, segment).minutes = minutes.iter().map(|minute| minute.parse().unwrap()).collect();
            }
            ["remove", name, segment] => {
                let (source, segment) = (source(name), number(segment));
                self.world.sources.get_mut(&source).unwrap().remove(segment);
            }
            ["code", name] => {
                let stage = stage(name);
                *self.world.code.entry(stage).or_default() += 1;
            }
            ["constant", name] => {
                let stage = stage(name);
                self.world.constant.insert(stage);
            }
            ["unreduced", name] => {
                let stage = stage(name);
                self.world.unreduced.insert(stage);
            }
            ["forget"] => {
                self.world.columns.clear();
                self.world.rows.clear();
            }
            ["reading", ref sources @ ..] => self.reading = sources.iter().map(|name| source(name)).collect(),
            ["arrive", name, segment] => {
                let (source, segment) = (source(name), number(segment));
                let done = self.world.arrive(source, segment, &self.reading);
                self.tell_tasks(&done);
            }
            ["end", name] => {
                let source = source(name);
                self.reading.remove(&source);
                let done = self.world.end(source, &self.reading);
                self.tell_tasks(&done);
            }
            ["keys"] => self.tell_keys(),
            ["run", ref request @ ..] => self.run(request),
            _ => panic!("no such step: {step}"),
        }
    }

    fn segment(&mut self, source: &str, segment: &str) -> &mut Segment {
        let source = self.world.plan.sources.iter().position(|of| of.name == source).unwrap();
        &mut self.world.sources.get_mut(&source).unwrap()[segment.parse::<usize>().unwrap()]
    }

    fn run(&mut self, request: &[&str]) {
        let of = |word: &str| -> Vec<String> {
            request.chunks(2).filter(|pair| pair[0] == word).map(|pair| pair[1].to_owned()).collect()
        };
        let (only, until, force, verify) = (of("only"), of("until"), of("force"), of("verify"));
        let request = Request { only: &only, until: &until, force: &force, verify: &verify };
        let selection = Selection::new(&self.world.plan, &request).unwrap();
        assert!(self.reading.is_empty(), "what is missing is known once all sources are");
        let done = self.world.run(&selection);
        self.tell_tasks(&done);
        let again = Selection { forced: Default::default(), ..selection };
        assert!(self.world.demand(&again).tasks.is_empty(), "a run leaves nothing to do\n{}", self.told);
    }

    fn tell_tasks(&mut self, done: &[Done]) {
        for done in done {
            writeln!(self.told, "  {}", described(&self.world.plan, done)).unwrap();
        }
        if done.is_empty() {
            self.told.push_str("  nothing to do\n");
        }
    }

    fn tell_keys(&mut self) {
        let deriver = self.world.deriver();
        let datasets = self.world.datasets(&deriver);
        for (index, stream) in self.world.plan.streams.iter().enumerate() {
            for (segment, keys) in datasets.streams.get(&StreamId(index)).iter().flat_map(|all| all.iter()).enumerate()
            {
                let fields = stream.schema.fields().iter().zip(&*keys.columns);
                let columns: Vec<String> =
                    fields.map(|(field, key)| format!("{} {}", field.name(), short(key.as_bytes()))).collect();
                let rows = short(keys.rows.as_bytes());
                writeln!(self.told, "  {}[{segment}]: rows {rows}, {}", stream.name, columns.join(", ")).unwrap();
            }
        }
    }
}

fn short(key: &[u8; 32]) -> String {
    key[..6].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A task in a line: what it is, what it takes in, the stages in their instances, what it keeps, what it waits for, and with which
/// task it shares a pass.
fn described(plan: &Plan, done: &Done) -> String {
    let Done { task, after, with, ran } = done;
    let name = |stage: usize| plan.stages[stage].name.as_str();
    let mut line = match task.id.work {
        Work::Slices(segment) => format!("{} slices {segment}", name(task.id.stage)),
        Work::Segment(segment) => format!("{}[{segment}]", name(task.id.stage)),
        Work::Merge { level, index } => format!("{} merge {level}.{index}", name(task.id.stage)),
        Work::Finish => format!("{} finish", name(task.id.stage)),
    };
    if !ran {
        line.push_str(" (equal content is stored)");
    }
    line.push_str(": ");
    match &task.root {
        Root::Nothing => {}
        Root::Segment { stream, segment, columns } => {
            let stream = plan.stream(*stream);
            let columns: Vec<&str> =
                columns.iter().map(|&column| stream.schema.field(column).name().as_str()).collect();
            write!(line, "{}[{segment}] ({}) -> ", stream.name, columns.join(", ")).unwrap();
        }
        Root::Segments { stream, segments, columns, .. } => {
            let stream = plan.stream(*stream);
            let columns: Vec<&str> =
                columns.iter().map(|&column| stream.schema.field(column).name().as_str()).collect();
            write!(line, "{}[{segments:?}] ({}) -> ", stream.name, columns.join(", ")).unwrap();
        }
        Root::Partials(partials) => write!(line, "{} partials -> ", partials.len()).unwrap(),
    }
    let instance = |places: std::ops::Range<usize>| {
        let stage = |place: usize| match passthrough(plan, &task.chain[place]) {
            Some(_) => format!("({})", name(task.chain[place].stage)),
            None => name(task.chain[place].stage).to_owned(),
        };
        places.map(stage).collect::<Vec<_>>().join("+")
    };
    let links: Vec<_> = task.chain.iter().collect();
    let groups = fused_groups(plan, &links, 16, |stage| stage.chains);
    line.push_str(&groups.into_iter().map(instance).collect::<Vec<_>>().join(" -> "));
    for output in &task.outputs {
        let kept: Vec<&str> =
            output.columns.iter().map(|&column| output.schema.field(column).name().as_str()).collect();
        write!(line, " [{}]", kept.join(", ")).unwrap();
    }
    if !after.is_empty() {
        let after: Vec<String> = after.iter().map(ToString::to_string).collect();
        write!(line, " after {}", after.join(", ")).unwrap();
    }
    if let Some(first) = with {
        write!(line, " in the pass of {first}").unwrap();
    }
    line
}

fn told(text: &str) -> String {
    let outcome = catalogue::planned(text);
    let problems: Vec<String> = outcome.problems.iter().map(ToString::to_string).collect();
    let plan = outcome.value.unwrap_or_else(|| panic!("{problems:?}\n{text}"));
    let mut steps = Steps { world: World::new(plan), reading: BTreeSet::new(), told: String::new() };
    text.lines().filter_map(|line| line.strip_prefix("//> ")).for_each(|step| steps.take(step));
    steps.told
}

#[test]
fn tasks_are_as_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "kdl"));
    paths.sort();
    assert!(paths.len() >= 10);
    let mut wrong = Vec::new();
    for path in paths {
        let found = told(&std::fs::read_to_string(&path).unwrap());
        let beside = path.with_extension("tasks");
        if std::env::var_os("FLOWC_BLESS").is_some() {
            std::fs::write(&beside, &found).unwrap();
        } else if std::fs::read_to_string(&beside).unwrap_or_default() != found {
            wrong.push(format!("{}\n{found}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "not as expected (FLOWC_BLESS=1 rewrites):\n{}", wrong.join("\n"));
}
