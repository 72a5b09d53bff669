//! What a kernel counts into, where it does not write a row for each row: variables of a length, or with an element for each group.

use std::sync::Arc;

use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};
use naga::Scalar;
use serde_json::{Value, json};

use super::{Columns, Contents, Part, Written};
use crate::class::Matched;
use crate::counter::{Counter, MOST_ROWS, Operation, most_added};
use crate::diagnostic::Diagnostic;
use crate::forms::Holds;
use crate::layout::{Element, Kind, Storage};
use crate::module::{GROUP, ModuleForm, Role, Variable};
use crate::numeric::{Way, Ways};
use crate::parsed::Parsed;

/// What the metadata of a partial's columns calls how they were counted.
const COUNTED: &str = "flowc.counted";

/// The most bins of a kernel.
const MOST_BINS: u32 = 1 << 20;

/// The column with the numbers of bins, unless a stage labels them otherwise.
const BIN: &str = "bin";

/// Rows that are new: one for each bin.
#[derive(Clone, Debug, PartialEq)]
pub struct Bins {
    /// Which bins there are.
    pub of: BinsOf,
    /// How each of the written columns is counted.
    pub counters: Vec<Counter>,
    /// The columns before them, which say what a bin is.
    pub labels: Labels,
}

/// Which bins there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BinsOf {
    /// So many.
    Number(u32),
    /// One for each value of a column of the input, null among them.
    Groups {
        /// The column.
        column: usize,
        /// As the output has it.
        field: FieldRef,
    },
}

/// What says which bin a row is.
#[derive(Clone, Debug, PartialEq)]
pub enum Labels {
    /// The number of the bin, from 0, or the value of the group.
    Plain,
    /// The range of values of the bin.
    Edges(Edges),
}

/// Ranges of equal width. The first bin is for what is below all of them, then there is one for each, one for what is above, and one for
/// nulls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edges {
    /// The type of the columns `from` and `to`.
    pub data_type: DataType,
    /// Where the first range begins.
    pub from: i128,
    /// How many values a range has.
    pub width: i128,
}

impl Bins {
    /// The columns of what was counted over a part of the rows. They say how it was counted: who puts parts together has nothing else.
    pub fn partial(&self, written: &[Written]) -> SchemaRef {
        let counters = self.counters.iter().map(|counter| counter.operation.name()).collect::<Vec<_>>();
        let mut said = json!({ "counters": counters });
        if let BinsOf::Number(number) = self.of {
            said["bins"] = number.into();
        }
        if let Labels::Edges(Edges { data_type, from, width }) = &self.labels {
            said["edges"] = json!([data_type.to_string(), from.to_string(), width.to_string()]);
        }
        let metadata = [(COUNTED.to_owned(), said.to_string())].into();
        Arc::new(Schema::clone(&schema(self.key(), written)).with_metadata(metadata))
    }

    /// What was counted in a partial, by its columns. None if they do not say.
    pub fn of_partial(schema: &Schema) -> Option<(Self, Vec<Written>)> {
        let said: Value = serde_json::from_str(schema.metadata().get(COUNTED)?).ok()?;
        let (first, rest) = schema.fields().split_first()?;
        let operations = said["counters"].as_array()?;
        if operations.len() != rest.len() {
            return None;
        }
        let counter = |(operation, field): (&Value, &FieldRef)| {
            let operation = Operation::named(operation.as_str()?)?;
            let data_type = field.data_type();
            let (is_signed, is_wide) = (*data_type == DataType::Int32, *data_type == DataType::UInt64);
            Some(Counter { operation, is_signed, is_wide })
        };
        let counters = operations.iter().zip(rest).map(counter).collect::<Option<_>>()?;
        let of = match said["bins"].as_u64() {
            Some(number) => BinsOf::Number(u32::try_from(number).ok()?),
            None => BinsOf::Groups { column: 0, field: first.clone() },
        };
        let labels = match said["edges"].as_array().map(Vec::as_slice) {
            Some([data_type, from, width]) => Labels::Edges(Edges {
                data_type: data_type.as_str()?.parse().ok()?,
                from: from.as_str()?.parse().ok()?,
                width: width.as_str()?.parse().ok()?,
            }),
            _ => Labels::Plain,
        };
        let written = |field: &FieldRef| Written { field: field.clone(), null_with: Vec::new(), has_validity: false };
        Some((Self { of, counters, labels }, rest.iter().map(written).collect()))
    }

    /// The columns of the output.
    pub(crate) fn output(&self, written: &[Written]) -> SchemaRef {
        match &self.labels {
            Labels::Plain => schema(self.key(), written),
            Labels::Edges(edges) => {
                let edge = |name: &str| Arc::new(Field::new(name, edges.data_type.clone(), true));
                schema([edge("from"), edge("to")].to_vec(), written)
            }
        }
    }

    fn key(&self) -> Vec<FieldRef> {
        match &self.of {
            BinsOf::Number(_) => vec![Arc::new(Field::new(BIN, DataType::UInt32, false))],
            BinsOf::Groups { field, .. } => vec![field.clone()],
        }
    }
}

fn schema(first: Vec<FieldRef>, written: &[Written]) -> SchemaRef {
    let written = written.iter().map(|written| written.field.clone());
    Arc::new(Schema::new(first.into_iter().chain(written).collect::<Vec<_>>()))
}

/// The variables that a kernel counts into, before it is known how.
pub(super) struct Found<'a> {
    of: BinsOf,
    pub(super) variables: Vec<(&'a Variable, Written)>,
}

impl<'a> Found<'a> {
    /// The bins of a kernel, if it has some.
    ///
    /// # Errors
    /// All that is wrong with what is counted into.
    pub(super) fn of(
        parsed: &Parsed,
        form: &'a ModuleForm,
        columns: &Columns<'_>,
    ) -> Result<Option<Self>, Vec<Diagnostic>> {
        let lengths = form.variables.iter().filter_map(|variable| match variable.role {
            Role::Bins { length, .. } => Some((variable, length)),
            _ => None,
        });
        let lengths: Vec<(&Variable, u32)> = lengths.collect();
        let of = match (&columns.settings.groups, &lengths[..]) {
            (None, []) => return Ok(None),
            (Some(column), []) => groups(columns, column).map_err(|problem| vec![problem])?,
            (None, [(first, length), rest @ ..]) => {
                if let Some((other, differing)) = rest.iter().find(|(_, other)| other != length) {
                    let found = format!("`{}` has {length} elements and `{}` {differing}", first.name, other.name);
                    return Err(vec![
                        Diagnostic::new(found).with_help("give all variables that are counted into one length"),
                    ]);
                }
                if *length > MOST_BINS {
                    return Err(vec![Diagnostic::new(format!("`{}` has more than {MOST_BINS} elements", first.name))]);
                }
                BinsOf::Number(*length)
            }
            (Some(_), [(first, _), ..]) => {
                let found = Diagnostic::new(format!("`{}` has a length, and there are groups of rows", first.name));
                let help = format!("declare `{}: array<atomic<u32>>`, which has an element for each group", first.name);
                return Err(vec![found.with_help(help).in_setting("/groups".to_owned())]);
            }
        };
        let (mut variables, mut problems) = (Vec::new(), Vec::new());
        for variable in &form.variables {
            let (Role::Bins { element, .. } | Role::Write(element)) = variable.role else { continue };
            match counted(columns, &of, variable, element) {
                Ok(written) => variables.push((variable, written)),
                Err(problem) => problems.push(problem.at(&parsed.source, variable.span, "")),
            }
        }
        if !columns.settings.drops.is_empty() {
            let found = Diagnostic::new("a kernel that counts rows passes no columns on");
            problems.push(found.with_help("leave `drops` out").in_setting("/drops/0".to_owned()));
        }
        if variables.is_empty() && problems.is_empty() {
            problems.extend(columns.unused_groups());
        }
        if problems.is_empty() { Ok(Some(Self { of, variables })) } else { Err(problems) }
    }

    /// What a variable holds, if it belongs to bins.
    pub(super) fn variable(&self, variable: &Variable) -> Option<(Contents, Holds)> {
        let by_groups = matches!(self.of, BinsOf::Groups { .. });
        if by_groups && variable.name == GROUP && matches!(variable.role, Role::Read(_)) {
            return Some((Contents::Group, Holds::Group));
        }
        let output = self.variables.iter().position(|(other, _)| other.global == variable.global)?;
        Some((Contents::Output { output, part: Part::Values }, Holds::Bins { by_groups }))
    }

    /// The bins, with what their variables are counted by.
    ///
    /// # Errors
    /// If nothing is counted into one, or too much.
    pub(super) fn counted(self, matched: &Matched<'_>, ways: &Ways) -> Result<(Bins, Vec<Written>), Diagnostic> {
        let counters = self.variables.iter().map(|(variable, written)| {
            let source = &matched.parsed.source;
            counter(matched, ways, variable, written).map_err(|problem| problem.at(source, variable.span, ""))
        });
        let counters = counters.collect::<Result<_, _>>()?;
        let written = self.variables.into_iter().map(|(_, written)| written).collect();
        Ok((Bins { of: self.of, counters, labels: Labels::Plain }, written))
    }
}

/// The bins of the values of a column.
fn groups(columns: &Columns<'_>, name: &str) -> Result<BinsOf, Diagnostic> {
    let setting = || "/groups".to_owned();
    let Some((column, field)) = columns.schema.column_with_name(name) else {
        let known = columns.schema.fields().iter().map(|field| field.name().as_str());
        let found = Diagnostic::new(format!("the input has no column `{name}`")).in_setting(setting());
        return Err(Diagnostic { help: flowc_planner::suggest(name, known), ..found });
    };
    let storage = Storage::of(field.data_type());
    let is_key =
        |of: Storage| of.count == 1 && of.bits <= 64 && matches!(of.kind, Kind::Bool | Kind::Sint | Kind::Uint);
    if !storage.is_some_and(is_key) {
        let found = format!("the column `{name}` is {}, and groups are of integers", field.data_type());
        let help = "integers, booleans, dates, times, timestamps, durations and decimals of up to 64 bits make groups";
        return Err(Diagnostic::new(found).with_help(help).in_setting(setting()));
    }
    Ok(BinsOf::Groups { column, field: Arc::new(field.clone()) })
}

/// The column of a variable that is counted into.
fn counted(columns: &Columns<'_>, of: &BinsOf, variable: &Variable, element: Element) -> Result<Written, Diagnostic> {
    let name = &variable.name;
    let is_word = matches!(element.scalar, Scalar::U32 | Scalar::I32) && element.lanes == 1;
    if !element.is_atomic || !is_word {
        let found = Diagnostic::new(format!("`{name}` is not counted into"));
        let help =
            "beside bins a kernel writes nothing else: declare it as `array<atomic<u32>, ...>` or of `atomic<i32>`";
        return Err(found.with_help(help));
    }
    let label = match of {
        BinsOf::Number(_) => BIN,
        BinsOf::Groups { field, .. } => field.name(),
    };
    if name == label {
        return Err(Diagnostic::new(format!("`{name}` is the column that says which bin a row is"))
            .with_help("give what is counted another name"));
    }
    let natural = element.data_type();
    let data_type = columns.settings.gives.get(name).cloned().unwrap_or_else(|| natural.clone());
    let is_wide = data_type == DataType::UInt64 && natural == DataType::UInt32;
    if data_type != natural && !is_wide {
        return Err(Diagnostic::new(format!("`{name}` can't be {data_type}: what is counted is {natural}"))
            .with_help("sums of `atomic<u32>` can be `UInt64`")
            .in_setting(format!("/gives/{name}")));
    }
    let field = Arc::new(Field::new(name, data_type, false));
    Ok(Written { field, null_with: Vec::new(), has_validity: false })
}

fn counter(matched: &Matched<'_>, ways: &Ways, variable: &Variable, written: &Written) -> Result<Counter, Diagnostic> {
    let name = &variable.name;
    let Some(Way::Atomic(operation)) = ways.get(&variable.global).copied() else {
        return Err(Diagnostic::new(format!("nothing is counted into `{name}`"))
            .with_help(format!("write `atomicAdd(&{name}[bin], 1u);`")));
    };
    let data_type = written.field.data_type();
    let is_wide = *data_type == DataType::UInt64;
    let most = || most_added(matched, variable.global);
    if is_wide && most().is_none_or(|most| most.saturating_mul(MOST_ROWS.into()) > u32::MAX.into()) {
        let found = format!("`{name}` can't be UInt64: what a row adds to it may exceed 32 bits in many rows");
        let help = "of 64 bits are sums to which a row adds constants, outside of loops, of 4095 at most in all";
        return Err(Diagnostic::new(found).with_help(help).in_setting(format!("/gives/{name}")));
    }
    Ok(Counter { operation, is_signed: *data_type == DataType::Int32, is_wide })
}
