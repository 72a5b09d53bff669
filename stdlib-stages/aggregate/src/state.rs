//! What is kept of each group.

use flowc_sdk::arrow::array::Int64Array;
use flowc_sdk::arrow::buffer::NullBuffer;
use flowc_sdk::arrow::datatypes::Int64Type;
use flowc_sdk::prelude::*;
use stage_parts::plain_type;

use crate::best::Best;
use crate::config::{Finish, StateKind};
use crate::distinct::Distinct;
use crate::extreme::Extreme;
use crate::moments::Moments;
use crate::numbers::{Kind, valid_rows};
use crate::quantiles::Quantiles;
use crate::sketch::Sketches;
use crate::sum::Sums;

/// A state for each group. Groups have numbers; the groups of some rows come as one number a row.
pub(crate) trait State {
    /// The columns of a partial.
    fn fields(&self) -> Vec<FieldRef>;

    /// The column of a result.
    fn result_type(&self, finish: Finish) -> (DataType, bool);

    /// Makes room for so many groups.
    fn grow(&mut self, groups: usize);

    /// Adds rows of the input.
    fn add(&mut self, rows: &[u32], columns: &[ArrayRef]) -> Result<()>;

    /// Adds rows of partials.
    fn merge(&mut self, rows: &[u32], columns: &[ArrayRef]) -> Result<()>;

    /// The states of some groups as rows of a partial, in this order.
    fn partial(&self, groups: &[u32]) -> Result<Vec<ArrayRef>>;

    /// The results of some groups, in this order.
    fn result(&self, finish: Finish, groups: &[u32]) -> Result<ArrayRef>;
}

/// A state of this kind over columns of these fields.
pub(crate) fn new(kind: StateKind, fields: &[FieldRef]) -> Result<Box<dyn State>> {
    let number = || {
        let kind = fields.first().and_then(|field| Kind::of(field.data_type()));
        kind.ok_or_else(|| Problem::new("a column without numbers"))
    };
    Ok(match kind {
        StateKind::Count => Box::new(Counts::default()),
        StateKind::Sum => Box::new(Sums::new(number()?)),
        StateKind::Moments => Box::new(Moments::new(number()?)),
        StateKind::Extreme { greatest } => Box::new(Extreme::new(fields, greatest)?),
        StateKind::Best { greatest, k } => Box::new(Best::new(fields, greatest, k)?),
        StateKind::Distinct => Box::new(Distinct::new(fields)?),
        StateKind::Sketch => Box::new(Sketches::new(fields)?),
        StateKind::Quantiles => Box::new(Quantiles::new(number()?)?),
    })
}

/// The key under which a partial's first column tells the type of what it is made from.
const OF: &str = "of";

/// The columns of a partial for the state of this number. The first of them tells the types of the input's columns.
pub(crate) fn partial_fields(number: usize, state: &dyn State, input: &[FieldRef]) -> Vec<FieldRef> {
    let types: Vec<String> = input.iter().map(|field| plain_type(field.data_type()).to_string()).collect();
    let named = |field: FieldRef| field.as_ref().clone().with_name(format!("{number}.{}", field.name()));
    let mut fields: Vec<Field> = state.fields().into_iter().map(named).collect();
    if let Some(first) = fields.first_mut() {
        first.set_metadata([(OF.to_owned(), types.join("\n"))].into());
    }
    fields.into_iter().map(Arc::new).collect()
}

/// The columns of the input, as a partial's first column tells them.
pub(crate) fn input_of(partial: &FieldRef) -> Result<Vec<FieldRef>> {
    let types = partial.metadata().get(OF).ok_or_else(|| Problem::new("a partial that does not tell its types"))?;
    types.lines().map(|text| Ok(field("", text.parse::<DataType>()?, true))).collect()
}

/// Numbers of rows, or of values that are not null.
#[derive(Default)]
pub(crate) struct Counts(Vec<i64>);

impl Counts {
    pub(crate) fn grow(&mut self, groups: usize) {
        self.0.resize(groups, 0);
    }

    /// Counts values; rows if there is no column.
    #[inline]
    pub(crate) fn add(&mut self, rows: &[u32], column: Option<&ArrayRef>) {
        match column {
            None => rows.iter().for_each(|&group| self.0[group as usize] += 1),
            Some(column) => valid_rows(column, |row| self.0[rows[row] as usize] += 1),
        }
    }

    pub(crate) fn merge(&mut self, rows: &[u32], column: &ArrayRef) -> Result<()> {
        let counts = column.as_primitive_opt::<Int64Type>().ok_or_else(|| Problem::new("a partial without counts"))?;
        rows.iter().zip(counts.values()).for_each(|(&group, count)| self.0[group as usize] += count);
        Ok(())
    }

    pub(crate) fn column(&self, groups: &[u32]) -> ArrayRef {
        Arc::new(groups.iter().map(|&group| self.of(group)).collect::<Int64Array>())
    }

    pub(crate) fn of(&self, group: u32) -> i64 {
        self.0[group as usize]
    }

    /// Null for groups without a value.
    pub(crate) fn nulls(&self, groups: &[u32]) -> Option<NullBuffer> {
        let nulls: NullBuffer = groups.iter().map(|&group| self.of(group) > 0).collect();
        Some(nulls).filter(|nulls| nulls.null_count() > 0)
    }
}

impl State for Counts {
    fn fields(&self) -> Vec<FieldRef> {
        vec![field("count", DataType::Int64, false)]
    }

    fn result_type(&self, _: Finish) -> (DataType, bool) {
        (DataType::Int64, false)
    }

    fn grow(&mut self, groups: usize) {
        Counts::grow(self, groups);
    }

    fn add(&mut self, rows: &[u32], columns: &[ArrayRef]) -> Result<()> {
        Counts::add(self, rows, columns.first());
        Ok(())
    }

    fn merge(&mut self, rows: &[u32], columns: &[ArrayRef]) -> Result<()> {
        Counts::merge(self, rows, &columns[0])
    }

    fn partial(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.column(groups)])
    }

    fn result(&self, _: Finish, groups: &[u32]) -> Result<ArrayRef> {
        Ok(self.column(groups))
    }
}
