//! A [`Stage`] behind the component's exports.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::sync::{Arc, Once};

use crate::arrow::datatypes::SchemaRef;
use flowc_arrays::{read_schema, write_schema};

use crate::batch::Batch;
use crate::bindings::exports::flowc::stage::stage as wit;
use crate::columns::Columns;
use crate::description::{Class, Description, Input, Origin, Output, Rows};
use crate::host::Handle;
use crate::log::{Level, log};
use crate::outputs::Outputs;
use crate::problem::{Problem, Result, parse_config};
use crate::stage::{Opening, Phase, Stage};

/// The exports of a component whose stage is `S`.
pub struct Component<S>(PhantomData<S>);

/// An open invocation. One instance of a component has one at most.
struct Open {
    stage: Box<dyn Running>,
    reads: Vec<SchemaRef>,
}

thread_local! {
    static OPEN: RefCell<Option<Open>> = const { RefCell::new(None) };
}

/// The part of [`Stage`] that an open invocation needs, for any stage.
trait Running {
    fn push(&mut self, port: usize, batch: Batch) -> Result<()>;
    fn end_of_input(&mut self, port: usize) -> Result<()>;
    fn finish(&mut self) -> Result<()>;
}

impl<S: Stage> Running for S {
    fn push(&mut self, port: usize, batch: Batch) -> Result<()> {
        Stage::push(self, port, batch, &mut Outputs::new())
    }

    fn end_of_input(&mut self, port: usize) -> Result<()> {
        Stage::end_of_input(self, port, &mut Outputs::new())
    }

    fn finish(&mut self) -> Result<()> {
        Stage::finish(self, &mut Outputs::new())
    }
}

impl<S: Stage> wit::Guest for Component<S> {
    fn signature() -> wit::StageSignature {
        report_panics();
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let schema = schemars::schema_for!(S::Config);
        let config_schema = serde_json::to_string(&schema).unwrap_or_default();
        wit::StageSignature {
            doc: S::DOC.to_owned(),
            inputs: names(S::INPUTS),
            outputs: names(S::OUTPUTS),
            config_schema,
        }
    }

    fn describe(config: String, inputs: Vec<Vec<u8>>) -> Result<wit::Description, wit::Problem> {
        report_panics();
        describe::<S>(&config, &inputs).map_err(problem)
    }

    fn open(config: String, inputs: Vec<Vec<u8>>, phase: wit::Phase, part: u64) -> Result<(), wit::Problem> {
        report_panics();
        open::<S>(&config, &inputs, phase, part).map_err(problem)
    }

    fn push(port: u32, batch: wit::Batch) -> Result<(), wit::Problem> {
        let push = |open: &mut Open| {
            let reads = open.reads.get(port as usize).cloned();
            let reads = reads.ok_or_else(|| Problem::new(format!("there is no input port number {port}")))?;
            open.stage.push(port as usize, Batch::new(Handle::new(batch), reads))
        };
        with_open(push)
    }

    fn end_of_input(port: u32) -> Result<(), wit::Problem> {
        with_open(|open| open.stage.end_of_input(port as usize))
    }

    fn finish() -> Result<(), wit::Problem> {
        with_open(|open| open.stage.finish())
    }
}

fn with_open(act: impl FnOnce(&mut Open) -> Result<()>) -> Result<(), wit::Problem> {
    OPEN.with_borrow_mut(|open| match open {
        Some(open) => act(open),
        None => Err(Problem::new("no invocation is open")),
    })
    .map_err(problem)
}

fn describe<S: Stage>(config: &str, inputs: &[Vec<u8>]) -> Result<wit::Description> {
    let schemas = schemas(inputs)?.into_iter().enumerate();
    let columns: Vec<Columns> = schemas.map(|(port, schema)| Columns { port, schema }).collect();
    Ok(description(S::describe(&parse_config(config)?, &columns)?.checked()?))
}

fn open<S: Stage>(config: &str, inputs: &[Vec<u8>], phase: wit::Phase, part: u64) -> Result<()> {
    let reads = schemas(inputs)?;
    let phase = match phase {
        wit::Phase::Run => Phase::Run,
        wit::Phase::Partial => Phase::Partial,
        wit::Phase::Merge => Phase::Merge,
        wit::Phase::Finish => Phase::Finish,
    };
    let stage = S::open(parse_config(config)?, Opening { inputs: reads.clone(), phase, part })?;
    OPEN.set(Some(Open { stage: Box::new(stage), reads }));
    Ok(())
}

/// A panic ends the instance; its message must not be lost with it.
fn report_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| std::panic::set_hook(Box::new(|panic| log(Level::Error, &panic.to_string()))));
}

fn problem(problem: Problem) -> wit::Problem {
    wit::Problem { message: problem.message, config_path: problem.config_path, help: problem.help }
}

fn schemas(messages: &[Vec<u8>]) -> Result<Vec<SchemaRef>> {
    messages.iter().map(|bytes| Ok(Arc::new(read_schema(bytes)?))).collect()
}

fn description(description: Description) -> wit::Description {
    wit::Description {
        inputs: description.inputs.iter().map(input).collect(),
        outputs: description.outputs.iter().map(output).collect(),
        partial: description.partial.as_deref().map(write_schema),
        parts: description.parts,
    }
}

fn input(input: &Input) -> wit::InputDescription {
    let class = match input.class {
        Class::RowWise => wit::Class::RowWise,
        Class::PerSegment => wit::Class::PerSegment,
        Class::Combining => wit::Class::Combining,
        Class::Keyed => wit::Class::Keyed,
        Class::Whole => wit::Class::Whole,
    };
    wit::InputDescription { class, reads: numbers(&input.reads), keys: numbers(&input.keys) }
}

fn numbers(indices: &[usize]) -> Vec<u32> {
    indices.iter().map(|&index| index as u32).collect()
}

fn output(output: &Output) -> wit::OutputDescription {
    let rows = match output.rows {
        Rows::Same(input) => wit::RowsRelation::Same(input as u32),
        Rows::Subset(input) => wit::RowsRelation::Subset(input as u32),
        Rows::New => wit::RowsRelation::New,
    };
    let column = |origin: &Origin| match origin {
        Origin::Written => wit::ColumnOrigin::Written,
        Origin::Passed(column) => wit::ColumnOrigin::Passed(*column as u32),
    };
    let columns = output.columns.iter().map(column).collect();
    wit::OutputDescription { schema: write_schema(&output.schema()), rows, columns }
}
