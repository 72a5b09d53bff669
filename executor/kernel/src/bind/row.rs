//! A function over rows, matched to columns.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema};
use flowc_planner::plan::{Class, KernelColumns};

use super::{Argument, Bound, Call, Columns, Contents, Part, Written, reads};
use crate::diagnostic::Diagnostic;
use crate::facts::Facts;
use crate::layout::{Element, NO_WORDS, Storage, written};
use crate::numeric::Numeric;
use crate::parsed::Parsed;
use crate::row::{FieldOut, KEEP, Parameter, RowForm, VALID};

/// Matches parameters and fields to columns.
pub(crate) fn bind(
    parsed: &Parsed,
    form: &RowForm,
    facts: &Facts,
    schema: &Schema,
    settings: &KernelColumns,
) -> Result<Bound, Vec<Diagnostic>> {
    let columns = Columns { schema, settings };
    let mut problems = unknown_settings(form, &columns);
    problems.extend(columns.unused_groups());
    let mut arguments = Vec::new();
    for parameter in &form.parameters {
        match argument(parsed, form, &columns, parameter) {
            Ok(found) => arguments.push(found),
            Err(problem) => problems.push(problem),
        }
    }
    let unseen = unseen(form, &arguments, schema);
    let outputs = outputs(parsed, form, &columns, &unseen).unwrap_or_else(|found| {
        problems.extend(found);
        Vec::new()
    });
    if !problems.is_empty() {
        return Err(problems);
    }
    let numeric = match &facts.float {
        Some(found) => Numeric::Device { because: found.what.clone(), line: parsed.source.line_of(found.span) },
        None => Numeric::Exact,
    };
    let call = Call { results: results(form, &outputs), arguments, unseen };
    let written: Vec<Written> = outputs.into_iter().map(|(written, _)| written).collect();
    let (schema, columns) = columns.output(&written);
    let buffers = buffers(&call);
    let picks = call.results.contains(&Contents::Mask);
    Ok(Bound {
        reads: reads(&buffers),
        class: Class::RowWise,
        because: None,
        table: None,
        bins: None,
        call: Some(call),
        written,
        picks,
        numeric,
        buffers,
        schema,
        columns,
    })
}

fn unknown_settings(form: &RowForm, columns: &Columns<'_>) -> Vec<Diagnostic> {
    let is_column = |parameter: &&Parameter| parameter.element.is_some();
    let names: Vec<&str> = form.parameters.iter().filter(is_column).map(|parameter| &*parameter.name).collect();
    let written: Vec<&str> =
        form.fields.iter().filter(|field| role(form, field) == Role::Value).map(|field| &*field.name).collect();
    columns.unknown_settings(&names, &written)
}

fn argument(
    parsed: &Parsed,
    form: &RowForm,
    columns: &Columns<'_>,
    parameter: &Parameter,
) -> Result<Argument, Diagnostic> {
    let Some(element) = parameter.element else { return Ok(Argument::Config) };
    let name = &parameter.name;
    let here = |problem: Diagnostic| problem.at(&parsed.source, parameter.span, "");
    let of = name.strip_suffix(VALID).filter(|_| element.scalar == naga::Scalar::BOOL && element.lanes == 1);
    let beside = |value: &&str| form.parameters.iter().any(|other| other.name == *value);
    let validity = |value: &str| columns.find(value).map(|(at, field)| Argument::Validity(at, field.is_nullable()));
    if let Some(value) = of.filter(beside) {
        return validity(value).ok_or_else(|| here(columns.missing(value)));
    }
    match columns.find(name) {
        Some((at, field)) => {
            let storage = value(parsed, parameter, element, field).map_err(here)?;
            Ok(Argument::Value(at, storage))
        }
        None => of.and_then(validity).ok_or_else(|| here(columns.missing(name))),
    }
}

/// How the rows of a column lie that a parameter takes.
fn value(parsed: &Parsed, parameter: &Parameter, element: Element, field: &Field) -> Result<Storage, Diagnostic> {
    let name = &parameter.name;
    let Some(storage) = Storage::of(field.data_type()) else {
        let found = Diagnostic::new(format!(
            "the column `{}` is {}, which has no value in WGSL",
            field.name(),
            field.data_type()
        ));
        return Err(found.with_help("write a `@compute` module for texts; other types can't be read by a kernel"));
    };
    if element.holds(storage) {
        return Ok(storage);
    }
    let ty = written(&parsed.module.types, parameter.ty);
    let found =
        Diagnostic::new(format!("the column `{}` is {}, and `{name}` is {ty}", field.name(), field.data_type()));
    Err(found.with_help(match (offer(storage), storage.offer()) {
        (Some(offer), _) => format!("declare `{name}: {offer}`"),
        (None, Some(words)) => {
            format!("a function over rows can't take it; a `@compute` module can, as words: `array<{words}>`")
        }
        (None, None) => NO_WORDS.to_owned(),
    }))
}

/// How a parameter is declared that takes a column.
fn offer(storage: Storage) -> Option<String> {
    use crate::layout::Kind;
    match storage.kind {
        Kind::Bits => None,
        Kind::Float if storage.bits == 64 => None,
        Kind::Bool if storage.count == 1 => Some("bool".to_owned()),
        Kind::Bool => Some(format!("array<bool, {}>", storage.count)),
        _ => Storage { bits: storage.bits.max(if storage.kind == Kind::Float { 16 } else { 32 }), ..storage }.offer(),
    }
}

/// The columns whose nulls the function does not see: those of which it does not ask whether they have a value.
fn unseen(form: &RowForm, arguments: &[Argument], schema: &Schema) -> Vec<usize> {
    let asks =
        |column: usize| arguments.iter().any(|argument| matches!(argument, Argument::Validity(of, _) if *of == column));
    let mut unseen: Vec<usize> = form
        .parameters
        .iter()
        .zip(arguments)
        .filter_map(|(_, argument)| match argument {
            Argument::Value(column, _) if !asks(*column) && schema.field(*column).is_nullable() => Some(*column),
            _ => None,
        })
        .collect();
    unseen.sort_unstable();
    unseen.dedup();
    unseen
}

/// What a field of the result is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role<'a> {
    Keep,
    ValidityOf(&'a str),
    Value,
}

fn role<'a>(form: &RowForm, field: &'a FieldOut) -> Role<'a> {
    let is_field = |value: &&str| form.fields.iter().any(|other| other.name == *value);
    match field.name.strip_suffix(VALID).filter(is_field) {
        _ if field.name == KEEP => Role::Keep,
        Some(value) => Role::ValidityOf(value),
        None => Role::Value,
    }
}

/// The written columns, as the output has them, with the names of their fields.
fn outputs<'a>(
    parsed: &Parsed,
    form: &'a RowForm,
    columns: &Columns<'_>,
    unseen: &[usize],
) -> Result<Vec<(Written, &'a str)>, Vec<Diagnostic>> {
    let (mut outputs, mut problems) = (Vec::new(), Vec::new());
    for field in form.fields.iter().filter(|field| role(form, field) == Role::Value) {
        match output(form, columns, field, unseen) {
            Ok(written) => outputs.push((written, &*field.name)),
            Err(problem) => problems.push(problem.at(&parsed.source, field.span, "")),
        }
    }
    columns.sort(&mut outputs);
    if problems.is_empty() { Ok(outputs) } else { Err(problems) }
}

fn output(form: &RowForm, columns: &Columns<'_>, field: &FieldOut, unseen: &[usize]) -> Result<Written, Diagnostic> {
    let (data_type, storage) = columns.written_type(&field.name, field.element)?;
    let narrows = data_type != DataType::Boolean && storage.bits < u32::from(field.element.scalar.width) * 8;
    if narrows || !field.element.holds(storage) {
        let found =
            Diagnostic::new(format!("`{}` is {}, and is to be {data_type}", field.name, field.element.data_type()));
        return Err(found.in_setting(format!("/gives/{}", field.name)));
    }
    let has_validity = form.fields.iter().any(|other| role(form, other) == Role::ValidityOf(&field.name));
    let nullable = has_validity || !unseen.is_empty();
    let field = Arc::new(Field::new(&field.name, data_type, nullable));
    Ok(Written { field, null_with: unseen.to_vec(), has_validity })
}

/// Where the fields of the result go.
fn results(form: &RowForm, outputs: &[(Written, &str)]) -> Vec<Contents> {
    let number = |name: &str| outputs.iter().position(|(_, field)| *field == name).unwrap_or_default();
    let contents = |field: &FieldOut| match role(form, field) {
        Role::Keep => Contents::Mask,
        Role::ValidityOf(value) => Contents::Output { output: number(value), part: Part::Validity },
        Role::Value => Contents::Output { output: number(&field.name), part: Part::Values },
    };
    form.fields.iter().map(contents).collect()
}

/// All buffers that a call takes, each once.
fn buffers(call: &Call) -> Vec<Contents> {
    let mut buffers = vec![Contents::Batch];
    let mut add = |contents| {
        if !buffers.contains(&contents) {
            buffers.push(contents);
        }
    };
    for argument in &call.arguments {
        match argument {
            Argument::Config => add(Contents::Config),
            Argument::Value(column, _) => add(Contents::Input { column: *column, part: Part::Values }),
            Argument::Validity(column, true) => add(Contents::Input { column: *column, part: Part::Validity }),
            Argument::Validity(_, false) => {}
        }
    }
    call.unseen.iter().for_each(|column| add(Contents::Input { column: *column, part: Part::Validity }));
    call.results.iter().for_each(|contents| add(*contents));
    buffers
}
