//! What a stage says of itself, checked: a description that passes here can be keyed, planned and run.

use std::collections::BTreeMap;

use arrow_schema::{Schema, SchemaRef};
use flowc_planner::catalogue::{
    Description, Explanation, InputDescription, OutputDescription, Problem, Question, Signature,
};
use flowc_planner::key::StageDigest;
use flowc_planner::plan::{Class, OutputColumn, Purity, Rows, Serialization};
use flowc_runner::{check_ports, misdescribed, schema};

use crate::contract::{
    WireClass, WireDescription, WireInput, WireOrigin, WireOutput, WireProblem, WireRows, WireSignature,
};
use crate::wasi;

/// The signature of a component.
pub(crate) fn signature(wire: WireSignature, digest: StageDigest, uses_wasi: bool) -> Result<Signature, Problem> {
    check_ports(&wire.inputs, &wire.outputs)?;
    let config_schema = serde_json::from_str(&wire.config_schema)
        .map_err(|error| misdescribed(format!("its config schema is not JSON: {error}")))?;
    let runner =
        if uses_wasi { BTreeMap::from([("wasi".to_owned(), wasi::VERSION.to_owned())]) } else { BTreeMap::new() };
    let WireSignature { doc, inputs, outputs, .. } = wire;
    Ok(Signature {
        digest,
        doc,
        inputs,
        outputs,
        config_schema,
        purity: Purity::Proven,
        runner,
        unenforced: None,
        chains: false,
        // What runs components elsewhere is flowc itself.
        serializations: Serialization::ALL.to_vec(),
    })
}

/// A problem that the stage itself reports.
pub(crate) fn problem(wire: WireProblem) -> Problem {
    Problem { message: wire.message, config_path: wire.config_path, help: wire.help, ..Problem::default() }
}

/// The description that answers a question.
pub(crate) fn description(
    wire: WireDescription,
    signature: &Signature,
    question: &Question,
) -> Result<Description, Problem> {
    expect_count("inputs", signature.inputs.len(), wire.inputs.len())?;
    expect_count("outputs", signature.outputs.len(), wire.outputs.len())?;
    let inputs = wire.inputs.into_iter().zip(&signature.inputs).zip(&question.inputs);
    let inputs = inputs.map(|((wire, name), schema)| input(wire, name, schema)).collect::<Result<Vec<_>, _>>()?;
    let outputs = wire.outputs.into_iter().zip(&signature.outputs);
    let outputs =
        outputs.map(|(wire, name)| output(wire, name, &inputs, &question.inputs)).collect::<Result<_, _>>()?;
    let partial = wire.partial.as_deref().map(|bytes| decode("the partials", bytes)).transpose()?;
    check_partial(&inputs, partial.as_ref())?;
    check_parts(wire.parts, inputs.len())?;
    let (runner, explanation) = (BTreeMap::new(), Explanation::default());
    Ok(Description { inputs, outputs, partial, parts: wire.parts, runner, explanation })
}

fn expect_count(what: &str, due: usize, found: usize) -> Result<(), Problem> {
    if found == due { Ok(()) } else { Err(misdescribed(format!("it describes {found} {what}, but has {due}"))) }
}

fn input(wire: WireInput, name: &str, schema: &Schema) -> Result<InputDescription, Problem> {
    let reads = columns(&wire.reads, schema, &format!("the columns read of input `{name}`"))?;
    if !reads.is_sorted_by(|a, b| a < b) {
        return Err(misdescribed(format!("the columns read of input `{name}` are not in ascending order")));
    }
    let keys = columns(&wire.keys, schema, &format!("the keys of input `{name}`"))?;
    let class = class(wire.class);
    if !keys.is_empty() && class != Class::Keyed {
        return Err(misdescribed(format!("input `{name}` has keys, but is {class}")));
    }
    Ok(InputDescription { class, reads, keys })
}

fn class(wire: WireClass) -> Class {
    match wire {
        WireClass::RowWise => Class::RowWise,
        WireClass::PerSegment => Class::PerSegment,
        WireClass::Combining => Class::Combining,
        WireClass::Keyed => Class::Keyed,
        WireClass::Whole => Class::Whole,
    }
}

fn columns(numbers: &[u32], schema: &Schema, what: &str) -> Result<Vec<usize>, Problem> {
    let width = schema.fields().len();
    let check = |&number: &u32| {
        let column = number as usize;
        if column < width { Ok(column) } else { Err(misdescribed(format!("{what} name column {number} of {width}"))) }
    };
    numbers.iter().map(check).collect()
}

fn output(
    wire: WireOutput,
    name: &str,
    inputs: &[InputDescription],
    schemas: &[SchemaRef],
) -> Result<OutputDescription, Problem> {
    let schema = decode(&format!("output `{name}`"), &wire.schema)?;
    let (fields, origins) = (schema.fields().len(), wire.columns.len());
    if fields != origins {
        return Err(misdescribed(format!(
            "the schema of output `{name}` has {fields} columns, its origins are {origins}"
        )));
    }
    let rows = match wire.rows {
        WireRows::Same(input) => Rows::Same { input: input as usize },
        WireRows::Subset(input) => Rows::Subset { input: input as usize },
        WireRows::New => Rows::New,
    };
    check_rows(rows, name, inputs)?;
    let from = rows.input().map(|input| &*schemas[input]);
    let origins = wire.columns.iter().enumerate();
    let columns = origins.map(|(i, origin)| column(*origin, name, &schema, i, from)).collect::<Result<_, _>>()?;
    Ok(OutputDescription { schema, rows, columns })
}

fn check_rows(rows: Rows, name: &str, inputs: &[InputDescription]) -> Result<(), Problem> {
    let Some(input) = rows.input() else { return Ok(()) };
    match inputs.get(input) {
        None => Err(misdescribed(format!("output `{name}` has the rows of input {input} of {}", inputs.len()))),
        Some(input) if input.class == Class::Combining => Err(misdescribed(format!(
            "output `{name}` has the rows of a combining input, which are gone when it is made"
        ))),
        Some(_) => Ok(()),
    }
}

fn column(
    origin: WireOrigin,
    output: &str,
    schema: &Schema,
    i: usize,
    from: Option<&Schema>,
) -> Result<OutputColumn, Problem> {
    let WireOrigin::Passed(column) = origin else { return Ok(OutputColumn::Written) };
    let (column, field) = (column as usize, schema.field(i));
    let place = format!("column `{}` of output `{output}`", field.name());
    let Some(from) = from else { return Err(misdescribed(format!("{place} is passed on, but the rows are new"))) };
    let Some(source) = from.fields().get(column) else {
        return Err(misdescribed(format!("{place} is column {column} of {} of the input", from.fields().len())));
    };
    if source.data_type() != field.data_type() {
        let (new, old) = (field.data_type(), source.data_type());
        return Err(misdescribed(format!("{place} is passed on as {new}, but is {old}")));
    }
    if source.is_nullable() && !field.is_nullable() {
        return Err(misdescribed(format!("{place} is passed on as not nullable, but `{}` is nullable", source.name())));
    }
    Ok(OutputColumn::Passed { column })
}

fn decode(what: &str, bytes: &[u8]) -> Result<SchemaRef, Problem> {
    let schema =
        schema::decode(bytes).map_err(|error| misdescribed(format!("the schema of {what} can't be read: {error}")))?;
    for (i, field) in schema.fields().iter().enumerate() {
        if schema.fields()[..i].iter().any(|earlier| earlier.name() == field.name()) {
            return Err(Problem::new(format!("two columns of {what} would be named `{}`", field.name())));
        }
    }
    Ok(schema.into())
}

fn check_partial(inputs: &[InputDescription], partial: Option<&SchemaRef>) -> Result<(), Problem> {
    let combining = inputs.iter().filter(|input| input.class == Class::Combining).count();
    match (combining, partial) {
        (0, None) | (1, Some(_)) => Ok(()),
        (0, Some(_)) => Err(misdescribed("it has partials, but no combining input")),
        (1, None) => Err(misdescribed("it has a combining input, but no partials")),
        _ => Err(misdescribed("it has several combining inputs")),
    }
}

fn check_parts(parts: u64, inputs: usize) -> Result<(), Problem> {
    match (parts, inputs) {
        (0, _) => Err(misdescribed("it has no parts: one is the least")),
        (2.., 1..) => Err(misdescribed(format!("it has {parts} parts, but inputs too"))),
        _ => Ok(()),
    }
}
