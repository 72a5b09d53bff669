//! A module whose variables are named after columns, matched to them.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema};
use flowc_planner::plan::{Class, KernelColumns, OutputColumn};
use naga::Scalar;

use super::bins::Found;
use super::{Bins, BinsOf, Bound, Columns, Contents, Part, Table, Written, ascending, reads};
use crate::class::Matched;
use crate::diagnostic::Diagnostic;
use crate::facts::{Facts, Finding};
use crate::forms::Holds;
use crate::layout::{Element, NO_WORDS, Rows, Storage};
use crate::module::{ModuleForm, OF_TABLE, Role, Variable};
use crate::numeric::{Numeric, ways, why_not_exact};
use crate::parsed::{Parsed, Place};
use crate::row::{KEEP, VALID};

const OFFSETS: &str = "_offsets";
const BYTES: &str = "_bytes";

/// Matches variables to columns, and proves what follows.
pub(crate) fn bind(
    parsed: &Parsed,
    form: &ModuleForm,
    facts: &Facts,
    reachable: &[Place],
    inputs: &[&Schema],
    settings: &KernelColumns,
) -> Result<Bound, Vec<Diagnostic>> {
    let columns = Columns { schema: inputs[0], settings };
    let table_settings = of_table(settings);
    let table = inputs.get(1).filter(|_| form.has_table);
    let table = table.map(|schema| Columns { schema, settings: &table_settings });
    let mut problems = unknown_settings(form, &columns);
    let bins = match Found::of(parsed, form, &columns) {
        Ok(bins) => bins,
        Err(found) => {
            problems.extend(found);
            return Err(problems);
        }
    };
    let outputs = match &bins {
        Some(_) => Ok(Vec::new()),
        None => outputs(parsed, form, &columns),
    };
    let outputs = outputs.unwrap_or_else(|found| {
        problems.extend(found);
        Vec::new()
    });
    let mut buffers = Vec::new();
    let mut holds = HashMap::new();
    for variable in &form.variables {
        let of_bins = bins.as_ref().and_then(|bins| bins.variable(variable));
        let found = match (of_bins, table.as_ref().zip(column_of_table(variable))) {
            (Some(found), _) => Ok(found),
            (None, Some((table, (name, element)))) => read_table(table, variable, name, element),
            (None, None) => variable_of(form, &columns, &outputs, variable),
        };
        match found {
            Ok((contents, held)) => {
                buffers.push(contents);
                holds.insert(variable.global, held);
            }
            Err(problem) => problems.push(problem.at(&parsed.source, variable.span, "")),
        }
    }
    let picks = buffers.contains(&Contents::Mask);
    if outputs.is_empty() && bins.is_none() && !picks && problems.is_empty() {
        let help = "declare a column as `var<storage, read_write> name: array<...>`, or a mask as `keep: array<u32>`";
        problems.push(Diagnostic::new("the kernel writes no column and no mask").with_help(help));
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let matched = Matched { parsed, reachable, holds: &holds };
    let (class, because, numeric) = proven(&matched, facts);
    let table = form.has_table.then(|| Table { reads: table_reads(&buffers), piece: form.piece });
    if let Some(found) = bins {
        if !buffers.contains(&Contents::Batch) {
            let problem = Diagnostic::new("the kernel counts, and does not know how many rows there are");
            let help = "declare `struct Batch { rows: u32 }` and `var<uniform> batch: Batch;`, and let invocations return where \
                        `at.x >= batch.rows` before they count";
            return Err(vec![problem.with_help(help)]);
        }
        let counted = counted(&matched, facts, found).map_err(|problem| vec![problem])?;
        return Ok(of_bins(counted, numeric, buffers, table));
    }
    let written: Vec<Written> = outputs.into_iter().map(|(written, _)| written).collect();
    let (schema, columns) = columns.output(&written);
    Ok(Bound {
        reads: reads(&buffers),
        table,
        bins: None,
        written,
        picks,
        class,
        because,
        numeric,
        buffers,
        schema,
        columns,
        call: None,
    })
}

/// What is counted into, if neither other rows nor an order show in it.
fn counted(matched: &Matched<'_>, facts: &Facts, found: Found<'_>) -> Result<(Bins, Vec<Written>), Diagnostic> {
    let shows = |found: Finding| {
        let told = Diagnostic::new(format!("what is counted depends on how rows are cut: {}", found.what));
        let help = "rows are counted in parts, in any order: an invocation may read its own row alone, and count by \
                    `atomicAdd`, `atomicMin`, `atomicMax`, `atomicAnd`, `atomicOr` or `atomicXor` without using what they give";
        told.at(&matched.parsed.source, found.span, "").with_help(help)
    };
    // What an atomic operation gives tells more than where it is.
    let ways = ways(matched).map_err(shows)?;
    match matched.why_not_row_wise(facts) {
        Some(found) => Err(shows(found)),
        None => found.counted(matched, &ways),
    }
}

/// A kernel that counts.
fn of_bins(
    (bins, written): (Bins, Vec<Written>),
    numeric: Numeric,
    buffers: Vec<Contents>,
    table: Option<Table>,
) -> Bound {
    let key = match bins.of {
        BinsOf::Groups { column, .. } => Some(column),
        BinsOf::Number(_) => None,
    };
    let schema = bins.output(&written);
    Bound {
        reads: ascending(reads(&buffers).into_iter().chain(key)),
        table,
        class: Class::Combining,
        because: None,
        numeric,
        buffers,
        columns: vec![OutputColumn::Written; schema.fields().len()],
        schema,
        written,
        picks: false,
        bins: Some(bins),
        call: None,
    }
}

/// What settings say of the columns of a table, by their names there.
fn of_table(settings: &KernelColumns) -> KernelColumns {
    let of_table = |(name, column): (&String, &String)| Some((name.strip_prefix(OF_TABLE)?.to_owned(), column.clone()));
    KernelColumns { bind: settings.bind.iter().filter_map(of_table).collect(), ..KernelColumns::default() }
}

/// The column of the table that a variable holds, by its name there.
fn column_of_table(variable: &Variable) -> Option<(&str, Element)> {
    match variable.role {
        Role::Read(element) => Some((variable.name.strip_prefix(OF_TABLE)?, element)),
        _ => None,
    }
}

/// Matches a variable to a column of the table. All invocations may look at all of it.
fn read_table(
    table: &Columns<'_>,
    variable: &Variable,
    name: &str,
    element: Element,
) -> Result<(Contents, Holds), Diagnostic> {
    let (contents, _) = read(table, &Variable { name: name.to_owned(), ..variable.clone() }, element)?;
    match contents {
        Contents::Input { column, part } => Ok((Contents::Table { column, part }, Holds::Table)),
        other => Ok((other, Holds::Table)),
    }
}

fn table_reads(buffers: &[Contents]) -> Vec<usize> {
    ascending(buffers.iter().filter_map(|contents| match contents {
        Contents::Table { column, .. } => Some(*column),
        _ => None,
    }))
}

/// The class and the numeric class, with the reason why it is not row-wise.
fn proven(matched: &Matched<'_>, facts: &Facts) -> (Class, Option<String>, Numeric) {
    let line = |found: &Finding| matched.parsed.source.line_of(found.span);
    let because = matched.why_not_row_wise(facts).map(|found| match line(&found) {
        Some(line) => format!("{} (line {line})", found.what),
        None => found.what,
    });
    let class = if because.is_some() { Class::PerSegment } else { Class::RowWise };
    let numeric = match why_not_exact(matched, facts) {
        Some(found) => Numeric::Device { line: line(&found), because: found.what },
        None => Numeric::Exact,
    };
    (class, because, numeric)
}

fn unknown_settings(form: &ModuleForm, columns: &Columns<'_>) -> Vec<Diagnostic> {
    let mut names: Vec<&str> = Vec::new();
    let mut written = Vec::new();
    for variable in &form.variables {
        let name = variable.name.as_str();
        match variable.role {
            Role::Read(_) => {
                let value = [VALID, OFFSETS, BYTES].into_iter().find_map(|end| name.strip_suffix(end));
                names.extend(std::iter::once(name).chain(value));
            }
            Role::Bins { .. } => written.push(name),
            Role::Write(_) if name != KEEP => written.push(name),
            Role::Write(_) | Role::Config | Role::Batch | Role::Table => {}
        }
    }
    columns.unknown_settings(&names, &written)
}

/// Whether a variable says which values of another that is written are there.
fn validity_of<'a>(form: &ModuleForm, variable: &'a Variable) -> Option<&'a str> {
    let value = variable.name.strip_suffix(VALID)?;
    let writes = |other: &&Variable| matches!(other.role, Role::Write(_)) && other.name == value;
    form.variables.iter().find(writes).map(|_| value)
}

/// The written columns, as the output has them, with how their rows lie.
fn outputs(parsed: &Parsed, form: &ModuleForm, columns: &Columns<'_>) -> Result<Vec<(Written, Rows)>, Vec<Diagnostic>> {
    let (mut outputs, mut problems) = (Vec::new(), Vec::new());
    for variable in &form.variables {
        let Role::Write(element) = variable.role else { continue };
        if variable.name == KEEP || validity_of(form, variable).is_some() {
            continue;
        }
        match output(form, columns, variable, element) {
            Ok(output) => outputs.push(output),
            Err(problem) => problems.push(problem.at(&parsed.source, variable.span, "")),
        }
    }
    columns.sort(&mut outputs);
    if problems.is_empty() { Ok(outputs) } else { Err(problems) }
}

fn output(
    form: &ModuleForm,
    columns: &Columns<'_>,
    variable: &Variable,
    element: Element,
) -> Result<(Written, Rows), Diagnostic> {
    let name = &variable.name;
    if columns.schema.column_with_name(name).is_some() {
        let found = Diagnostic::new(format!("the input has a column `{name}`, and a variable can't be both"));
        return Err(found.with_help("read it as `var<storage, read>`, and give the new column another name"));
    }
    let (data_type, storage) = columns.written_type(name, element)?;
    let rows = element.lies(storage).filter(|rows| matches!(rows, Rows::Apart { .. })).ok_or_else(|| {
        Diagnostic::new(format!("`{name}` can't be {data_type}: its elements are {}", element.data_type()))
            .in_setting(format!("/gives/{name}"))
    })?;
    let says = |other: &Variable| matches!(other.role, Role::Write(_)) && validity_of(form, other) == Some(name);
    let has_validity = form.variables.iter().any(says);
    let field = Arc::new(Field::new(name, data_type, has_validity));
    Ok((Written { field, null_with: Vec::new(), has_validity }, rows))
}

fn variable_of(
    form: &ModuleForm,
    columns: &Columns<'_>,
    outputs: &[(Written, Rows)],
    variable: &Variable,
) -> Result<(Contents, Holds), Diagnostic> {
    let by_word = Holds::Rows(Rows::Apart { elements: 1 });
    let number = |name: &str| outputs.iter().position(|(written, _)| written.field.name() == name);
    match variable.role {
        Role::Config => Ok((Contents::Config, Holds::Config)),
        Role::Batch => Ok((Contents::Batch, Holds::Batch)),
        Role::Table => Ok((Contents::Piece, Holds::Table)),
        Role::Read(element) => read(columns, variable, element),
        // What is wrong with it has been told.
        Role::Bins { .. } => Ok((Contents::Mask, Holds::Bins { by_groups: false })),
        Role::Write(element) => match validity_of(form, variable) {
            _ if variable.name == KEEP => words(variable, element).map(|()| (Contents::Mask, by_word)),
            Some(value) => {
                words(variable, element)?;
                let output = number(value).unwrap_or_default();
                Ok((Contents::Output { output, part: Part::Validity }, by_word))
            }
            // What is wrong with an output has been told.
            None => {
                let output = number(&variable.name).unwrap_or_default();
                let rows = outputs.get(output).map_or(Rows::Packed { rows: 0 }, |(_, rows)| *rows);
                Ok((Contents::Output { output, part: Part::Values }, Holds::Rows(rows)))
            }
        },
    }
}

/// Checks that a variable is of words.
fn words(variable: &Variable, element: Element) -> Result<(), Diagnostic> {
    if element.scalar == Scalar::U32 && element.lanes == 1 {
        return Ok(());
    }
    Err(Diagnostic::new(format!("`{0}` is no `array<u32>`", variable.name))
        .with_help(format!("declare `{}: array<u32>`", variable.name)))
}

fn read(columns: &Columns<'_>, variable: &Variable, element: Element) -> Result<(Contents, Holds), Diagnostic> {
    let name = &variable.name;
    if let Some((column, field)) = columns.find(name) {
        let rows = values(name, element, field)?;
        return Ok((Contents::Input { column, part: Part::Values }, Holds::Rows(rows)));
    }
    let parts = [(VALID, Part::Validity), (OFFSETS, Part::Offsets), (BYTES, Part::Bytes)];
    for (end, part) in parts {
        let Some((column, field)) = name.strip_suffix(end).and_then(|value| columns.find(value)) else { continue };
        words(variable, element)?;
        let held = match part {
            Part::Validity => Holds::Rows(Rows::Packed { rows: 32 }),
            _ if !is_text(field.data_type()) => {
                return Err(Diagnostic::new(format!(
                    "the column `{}` is {}, and no text",
                    field.name(),
                    field.data_type()
                )));
            }
            _ => Holds::Texts,
        };
        return Ok((Contents::Input { column, part }, held));
    }
    Err(columns.missing(name))
}

/// How the rows of a column lie in a variable.
fn values(name: &str, element: Element, field: &Field) -> Result<Rows, Diagnostic> {
    let data_type = field.data_type();
    if is_text(data_type) {
        return Err(Diagnostic::new(format!(
            "the column `{}` is text, of which rows have no fixed width",
            field.name()
        ))
        .with_help(format!("declare `{name}{OFFSETS}: array<u32>` and `{name}{BYTES}: array<u32>`")));
    }
    let Some(storage) = Storage::of(data_type) else {
        return Err(Diagnostic::new(format!(
            "the column `{}` is {data_type}, which a kernel can't read",
            field.name()
        )));
    };
    element.lies(storage).ok_or_else(|| {
        let help = match storage.offer() {
            Some(element) => format!("declare `{name}: array<{element}>`"),
            None => NO_WORDS.to_owned(),
        };
        Diagnostic::new(format!("the column `{}` is {data_type}, which `{name}` can't hold", field.name()))
            .with_help(help)
    })
}

fn is_text(data_type: &DataType) -> bool {
    use DataType as D;
    matches!(data_type, D::Utf8 | D::LargeUtf8 | D::Utf8View | D::Binary | D::LargeBinary | D::BinaryView)
}
