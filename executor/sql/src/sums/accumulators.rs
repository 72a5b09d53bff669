//! Totals as the engine fills them: of one group, of many, and of values that count once.

use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, BinaryArray, BooleanArray};
use arrow_schema::DataType;
use datafusion::common::{Result, ScalarValue, internal_datafusion_err, internal_err};
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};

use super::total::{Kind, Total, Value};

/// What is made of which type.
#[derive(Clone, Debug)]
pub(crate) struct Types {
    pub(crate) kind: Kind,
    pub(crate) of: DataType,
    pub(crate) to: DataType,
}

impl Types {
    fn result(&self, total: &Total) -> Result<ScalarValue> {
        total.result(self.kind, &self.of, &self.to)
    }
}

/// Goes through the values of a column, with their rows.
fn each(column: &ArrayRef, mut take: impl FnMut(usize, Value)) -> Result<()> {
    macro_rules! values {
        ($of:ty, $value:expr) => {{
            let column = column.as_primitive::<$of>();
            match column.null_count() {
                0 => column.values().iter().enumerate().for_each(|(row, value)| take(row, $value(*value))),
                _ => column.iter().enumerate().for_each(|(row, value)| {
                    value.into_iter().for_each(|value| take(row, $value(value)));
                }),
            }
        }};
    }
    match column.data_type() {
        DataType::Int64 => values!(Int64Type, |value| Value::Whole(i128::from(value))),
        DataType::UInt64 => values!(UInt64Type, |value| Value::Whole(i128::from(value))),
        DataType::Float64 => values!(Float64Type, Value::Float),
        DataType::Decimal128(..) => values!(Decimal128Type, Value::Whole),
        other => return internal_err!("a sum of {other}"),
    }
    Ok(())
}

fn written(states: &[ArrayRef]) -> Result<&BinaryArray> {
    states[0].as_binary_opt::<i32>().ok_or_else(|| internal_datafusion_err!("a sum is no bytes"))
}

fn bytes<'a>(totals: impl IntoIterator<Item = &'a Total>) -> ArrayRef {
    let write = |total: &Total| {
        let mut bytes = Vec::new();
        total.write(&mut bytes);
        bytes
    };
    Arc::new(BinaryArray::from_iter_values(totals.into_iter().map(write)))
}

/// The total of one group.
#[derive(Debug)]
pub(crate) struct One {
    types: Types,
    total: Total,
}

impl One {
    pub(crate) fn new(types: Types) -> Self {
        Self { types, total: Total::default() }
    }
}

impl Accumulator for One {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        each(&values[0], |_, value| self.total.add(self.types.kind, value))
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.types.result(&self.total)
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::try_from_array(&bytes([&self.total]), 0)?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        written(states)?.iter().flatten().try_for_each(|bytes| {
            self.total.merge(&Total::read(bytes)?);
            Ok(())
        })
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        each(&values[0], |_, value| self.total.retract(self.types.kind, value))
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }
}

/// The totals of many groups.
pub(crate) struct Groups {
    types: Types,
    totals: Vec<Total>,
}

impl Groups {
    pub(crate) fn new(types: Types) -> Self {
        Self { types, totals: Vec::new() }
    }
}

impl GroupsAccumulator for Groups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        count: usize,
    ) -> Result<()> {
        self.totals.resize_with(count, Total::default);
        let (kind, totals) = (self.types.kind, &mut self.totals);
        let is_taken = |row| filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
        each(&values[0], |row, value| {
            if is_taken(row) {
                totals[groups[row]].add(kind, value);
            }
        })
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let totals = emit_to.take_needed(&mut self.totals);
        if totals.is_empty() {
            return Ok(arrow_array::new_empty_array(&self.types.to));
        }
        let results = totals.iter().map(|total| self.types.result(total)).collect::<Result<Vec<_>>>()?;
        ScalarValue::iter_to_array(results)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![bytes(&emit_to.take_needed(&mut self.totals))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], count: usize) -> Result<()> {
        self.totals.resize_with(count, Total::default);
        let mut states = written(states)?.iter().zip(groups);
        states.try_for_each(|(bytes, &group)| {
            self.totals[group].merge(&Total::read(bytes.unwrap_or_default())?);
            Ok(())
        })
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let rows = values[0].len();
        let mut each_row = Self::new(self.types.clone());
        each_row.update_batch(values, &(0..rows).collect::<Vec<_>>(), filter, rows)?;
        each_row.state(EmitTo::All)
    }

    fn size(&self) -> usize {
        self.totals.capacity() * size_of::<Total>()
    }
}

/// The values of one group, each once.
#[derive(Debug)]
pub(crate) struct Distinct {
    types: Types,
    seen: HashSet<i128>,
}

impl Distinct {
    pub(crate) fn new(types: Types) -> Self {
        Self { types, seen: HashSet::new() }
    }

    fn value(&self, seen: i128) -> Value {
        match self.types.of {
            DataType::Float64 => Value::Float(f64::from_bits(seen as u64)),
            _ => Value::Whole(seen),
        }
    }
}

/// A value as what tells it from others: there is one zero, and one value that is no number.
fn identity(value: Value) -> i128 {
    match value {
        Value::Whole(number) => number,
        Value::Float(float) if float.is_nan() => f64::NAN.to_bits().into(),
        Value::Float(float) => (float + 0.0).to_bits().into(),
    }
}

impl Accumulator for Distinct {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        each(&values[0], |_, value| {
            self.seen.insert(identity(value));
        })
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let mut total = Total::default();
        self.seen.iter().for_each(|&seen| total.add(self.types.kind, self.value(seen)));
        self.types.result(&total)
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.seen.capacity() * (size_of::<i128>() + 1)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let mut seen: Vec<i128> = self.seen.iter().copied().collect();
        seen.sort_unstable();
        Ok(vec![ScalarValue::Binary(Some(seen.iter().flat_map(|seen| seen.to_le_bytes()).collect()))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for bytes in written(states)?.iter().flatten() {
            let values = bytes.chunks_exact(16).filter_map(|chunk| chunk.try_into().ok());
            self.seen.extend(values.map(i128::from_le_bytes));
        }
        Ok(())
    }
}
