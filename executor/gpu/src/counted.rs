//! What kernels have counted: parts of it are combined, kept as rows, and become rows of the output.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, UInt32Type, UInt64Type};
use arrow_array::{Array, ArrayRef, UInt32Array};
use arrow_buffer::NullBuffer;
use arrow_schema::{ArrowError, DataType, Schema};
use flowc_kernel::{Bins, BinsOf, Bound, Edges, Labels, Written};

use crate::written::{self, row_bytes};

/// The most groups that are counted: all of them are in memory.
const MOST_GROUPS: usize = 1 << 24;

/// Rows of a batch of what was counted.
pub(crate) const BATCH_ROWS: usize = 1 << 16;

/// A value of a column of integers, as a number that is ordered as the values are; none for null, which comes first.
pub(crate) type Key = Option<u64>;

/// What was counted so far.
pub(crate) struct Counted {
    bins: Bins,
    written: Vec<Written>,
    /// The groups, in the order in which they were met; of bins with numbers none.
    keys: Vec<Key>,
    places: HashMap<Key, usize>,
    /// Per written column, what was counted in each bin or group.
    counts: Vec<Vec<u64>>,
}

impl Counted {
    /// Nothing yet. None for a kernel that does not count.
    pub(crate) fn new(bound: &Bound) -> Option<Self> {
        Some(Self::of(bound.bins.clone()?, bound.written.clone()))
    }

    /// Nothing yet, of what partials of these columns are about. None if they do not say.
    pub(crate) fn of_partials(schema: &Schema) -> Option<Self> {
        let (bins, written) = Bins::of_partial(schema)?;
        Some(Self::of(bins, written))
    }

    fn of(bins: Bins, written: Vec<Written>) -> Self {
        let number = match bins.of {
            BinsOf::Number(number) => number as usize,
            BinsOf::Groups { .. } => 0,
        };
        let counts = bins.counters.iter().map(|counter| vec![counter.identity().into(); number]).collect();
        Self { bins, written, keys: Vec::new(), places: HashMap::new(), counts }
    }

    /// Adds what was counted over other rows: columns of a partial.
    ///
    /// # Errors
    /// In words, if there are more groups than can be kept, or the columns are not those of a partial.
    pub(crate) fn add(&mut self, columns: &[ArrayRef]) -> Result<(), String> {
        let (Some(first), true) = (columns.first(), columns.len() == self.width()) else {
            return Err("a partial has other columns than the stage gives".to_owned());
        };
        let places = self.places_of(first)?;
        for ((column, counter), counts) in columns[1..].iter().zip(&self.bins.counters).zip(&mut self.counts) {
            let values = values(column).ok_or_else(|| format!("a partial has a column of {}", column.data_type()))?;
            counts.resize(counts.len().max(self.keys.len()), counter.identity().into());
            for (place, value) in places.iter().zip(values) {
                counts[*place] = counter.combined(counts[*place], value);
            }
        }
        Ok(())
    }

    /// How many columns a partial has.
    pub(crate) fn width(&self) -> usize {
        self.written.len() + 1
    }

    /// Where the rows of a partial are counted, by its first column.
    fn places_of(&mut self, first: &ArrayRef) -> Result<Vec<usize>, String> {
        if let BinsOf::Number(number) = self.bins.of {
            let numbers = first.as_primitive_opt::<UInt32Type>().filter(|numbers| numbers.null_count() == 0);
            let numbers = numbers.map(|numbers| numbers.values().iter().map(|bin| *bin as usize).collect::<Vec<_>>());
            let numbers = numbers.filter(|numbers| numbers.iter().all(|bin| *bin < number as usize));
            return numbers.ok_or_else(|| "a partial names bins that there are not".to_owned());
        }
        let mut places = Vec::with_capacity(first.len());
        for key in keys(first) {
            let next = self.keys.len();
            let place = *self.places.entry(key).or_insert(next);
            if place == next {
                self.keys.push(key);
            }
            places.push(place);
        }
        if self.keys.len() > MOST_GROUPS {
            return Err(format!(
                "there are more than {MOST_GROUPS} groups, which are all kept in memory; leave rows out before, or make a coarser key"
            ));
        }
        Ok(places)
    }

    /// The columns of a partial. Bins that nothing was counted into are left out.
    ///
    /// # Errors
    /// If Arrow refuses them.
    pub(crate) fn partial(&self) -> Result<Vec<ArrayRef>, ArrowError> {
        let order = self.order(|place| {
            let mut counts = self.counts.iter().zip(&self.bins.counters);
            counts.any(|(counts, counter)| counts[place] != u64::from(counter.identity()))
        });
        let first = match &self.bins.of {
            BinsOf::Number(_) => Arc::new(UInt32Array::from_iter_values(order.iter().map(|bin| *bin as u32))),
            BinsOf::Groups { field, .. } => self.groups(field.data_type(), &order)?,
        };
        self.columns(vec![first], &order)
    }

    /// The columns of the output.
    ///
    /// # Errors
    /// If Arrow refuses them.
    pub(crate) fn output(&self) -> Result<Vec<ArrayRef>, ArrowError> {
        let order = self.order(|_| true);
        let first = match (&self.bins.of, &self.bins.labels) {
            (BinsOf::Groups { field, .. }, _) => vec![self.groups(field.data_type(), &order)?],
            (BinsOf::Number(number), Labels::Plain) => {
                vec![Arc::new(UInt32Array::from_iter_values(0..*number)) as ArrayRef]
            }
            (BinsOf::Number(number), Labels::Edges(edges)) => edge_columns(edges, *number)?.to_vec(),
        };
        self.columns(first, &order)
    }

    /// The bins or groups in the order of their rows, without those of numbered bins that are not wanted.
    fn order(&self, is_wanted: impl Fn(usize) -> bool) -> Vec<usize> {
        match self.bins.of {
            BinsOf::Number(number) => (0..number as usize).filter(|bin| is_wanted(*bin)).collect(),
            BinsOf::Groups { .. } => {
                let mut order: Vec<usize> = (0..self.keys.len()).collect();
                order.sort_unstable_by_key(|place| self.keys[*place]);
                order
            }
        }
    }

    fn groups(&self, data_type: &DataType, order: &[usize]) -> Result<ArrayRef, ArrowError> {
        column(data_type, order.iter().map(|place| self.keys[*place]))
    }

    fn columns(&self, mut columns: Vec<ArrayRef>, order: &[usize]) -> Result<Vec<ArrayRef>, ArrowError> {
        for (written, counts) in self.written.iter().zip(&self.counts) {
            let data_type = written.field.data_type();
            let width = row_bytes(data_type) as usize;
            let bytes = order.iter().flat_map(|place| counts[*place].to_le_bytes().into_iter().take(width)).collect();
            columns.push(written::column(data_type, bytes, order.len(), None)?);
        }
        Ok(columns)
    }
}

/// Where ranges begin and end: what is below has no beginning, what is above no end, and nulls have neither.
fn edge_columns(edges: &Edges, bins: u32) -> Result<[ArrayRef; 2], ArrowError> {
    let ranges = i128::from(bins.saturating_sub(3));
    let edge = |number: i128| (0..=ranges).contains(&number).then(|| edges.from + number * edges.width);
    let is_signed = is_signed(&edges.data_type);
    let key = |value: i128| ordered(value as u64, is_signed);
    let from = std::iter::once(None).chain((0..=ranges).map(edge)).chain([None]);
    let to = (0..=ranges).map(edge).chain([None, None]);
    Ok([
        column(&edges.data_type, from.map(|value| value.map(key)))?,
        column(&edges.data_type, to.map(|value| value.map(key)))?,
    ])
}

/// The words of a column that was counted.
fn values(column: &ArrayRef) -> Option<Vec<u64>> {
    match column.data_type() {
        _ if column.null_count() > 0 => None,
        DataType::UInt32 => {
            Some(column.as_primitive::<UInt32Type>().values().iter().map(|value| u64::from(*value)).collect())
        }
        DataType::Int32 => {
            let words = column.as_primitive::<Int32Type>().values().iter().map(|value| value.cast_unsigned().into());
            Some(words.collect())
        }
        DataType::UInt64 => Some(column.as_primitive::<UInt64Type>().values().to_vec()),
        _ => None,
    }
}

fn is_signed(data_type: &DataType) -> bool {
    !(data_type.is_unsigned_integer() || *data_type == DataType::Boolean)
}

/// The number that is ordered as a value is, from its bits or back.
fn ordered(bits: u64, is_signed: bool) -> u64 {
    if is_signed { bits ^ (1 << 63) } else { bits }
}

/// The values of a column of integers of up to 64 bits.
pub(crate) fn keys(array: &ArrayRef) -> Vec<Key> {
    let is_there = |row: &usize| array.is_valid(*row);
    if let Some(flags) = array.as_boolean_opt() {
        return (0..array.len()).map(|row| Some(row).filter(is_there).map(|row| flags.value(row).into())).collect();
    }
    let (data, data_type) = (array.to_data(), array.data_type());
    let width = row_bytes(data_type) as usize;
    let bytes = data.buffers().first().map_or(&[][..], |buffer| &buffer.as_slice()[data.offset() * width..]);
    let is_signed = is_signed(data_type);
    let key = |row: usize| {
        let value = &bytes[row * width..(row + 1) * width];
        let fill = if is_signed && value[width - 1] >= 0x80 { u8::MAX } else { 0 };
        let mut wide = [fill; 8];
        wide[..width].copy_from_slice(value);
        ordered(u64::from_le_bytes(wide), is_signed)
    };
    (0..array.len()).map(|row| Some(row).filter(is_there).map(key)).collect()
}

/// A column of such values.
fn column(data_type: &DataType, keys: impl Iterator<Item = Key>) -> Result<ArrayRef, ArrowError> {
    let keys: Vec<Key> = keys.collect();
    let (width, is_signed) = (row_bytes(data_type) as usize, is_signed(data_type));
    let bytes = |key: &Key| ordered(key.unwrap_or_default(), is_signed).to_le_bytes().into_iter().take(width);
    let nulls: NullBuffer = keys.iter().map(Option::is_some).collect();
    written::column(data_type, keys.iter().flat_map(bytes).collect(), keys.len(), Some(nulls))
}

#[cfg(test)]
mod tests {
    use arrow_array::types::Int64Type;
    use arrow_array::{BooleanArray, Date32Array, Decimal64Array, Int8Array, Int64Array, UInt16Array, UInt64Array};
    use arrow_schema::Field;
    use flowc_kernel::{Kernel, Operation, Source};
    use flowc_planner::plan::KernelColumns;

    use super::*;

    /// Keys are ordered as values are, and are the same column again.
    #[test]
    fn keys_are_ordered_as_values_of_all_types_are() {
        let arrays: [ArrayRef; 7] = [
            Arc::new(Int8Array::from(vec![None, Some(i8::MIN), Some(-1), Some(0), Some(i8::MAX)])),
            Arc::new(Int64Array::from(vec![None, Some(i64::MIN), Some(-1), Some(0), Some(i64::MAX)])),
            Arc::new(UInt16Array::from(vec![None, Some(0), Some(1), Some(u16::MAX)])),
            Arc::new(UInt64Array::from(vec![Some(0), Some(1 << 63), Some(u64::MAX)])),
            Arc::new(Date32Array::from(vec![None, Some(-5), Some(20_000)])),
            Arc::new(BooleanArray::from(vec![None, Some(false), Some(true)])),
            Arc::new(Decimal64Array::from(vec![None, Some(-7), Some(7)]).with_precision_and_scale(9, 2).unwrap()),
        ];
        for array in arrays {
            let found = keys(&array);
            assert!(found.is_sorted(), "{:?}: {found:?}", array.data_type());
            assert_eq!(&column(array.data_type(), found.into_iter()).unwrap(), &array);
            let rest = array.slice(1, array.len() - 1);
            assert_eq!(&column(rest.data_type(), keys(&rest).into_iter()).unwrap(), &rest);
        }
    }

    fn counted(text: &str, groups: bool) -> Counted {
        let schema = Schema::new(vec![Field::new("key", DataType::Int64, true)]);
        let groups = groups.then(|| "key".to_owned());
        let kernel = Kernel::parse(Source::new("k.wgsl", text)).unwrap();
        Counted::new(&kernel.bind(&[&schema], &KernelColumns { groups, ..KernelColumns::default() }).unwrap()).unwrap()
    }

    const HEAD: &str = "struct Batch { rows: u32 }\nvar<uniform> batch: Batch;\n";
    const MAIN: &str = "@compute @workgroup_size(64)\nfn main(@builtin(global_invocation_id) at: vec3<u32>) {\n    \
                        if at.x >= batch.rows { return; }\n";

    #[test]
    fn parts_of_groups_come_together_in_order_with_null_first() {
        let text = format!(
            "{HEAD}var<storage, read> group: array<u32>;\nvar<storage, read_write> least: array<atomic<i32>>;\n{MAIN}    \
             atomicMin(&least[group[at.x]], -1i);\n}}\n"
        );
        let mut all = counted(&text, true);
        assert_eq!(all.bins.counters[0].operation, Operation::Min);
        let part = |keys: Vec<Option<i64>>, least: Vec<i32>| -> [ArrayRef; 2] {
            [Arc::new(Int64Array::from(keys)), Arc::new(arrow_array::Int32Array::from(least))]
        };
        all.add(&part(vec![Some(5), None], vec![-1, 4])).unwrap();
        all.add(&part(vec![Some(-9), Some(5)], vec![3, -2])).unwrap();
        let rows = all.output().unwrap();
        assert_eq!(rows[0].as_primitive::<Int64Type>().iter().collect::<Vec<_>>(), [None, Some(-9), Some(5)]);
        assert_eq!(rows[1].as_primitive::<Int32Type>().values(), &[4, 3, -2]);
        assert_eq!(all.partial().unwrap(), rows);
        assert!(all.add(&rows[..1]).unwrap_err().contains("other columns"));
    }

    #[test]
    fn bins_that_nothing_was_counted_into_are_in_the_output_alone() {
        let text =
            format!("{HEAD}var<storage, read_write> n: array<atomic<u32>, 4>;\n{MAIN}    atomicAdd(&n[2], 1u);\n}}\n");
        let mut all = counted(&text, false);
        let part: [ArrayRef; 2] = [Arc::new(UInt32Array::from(vec![2, 3])), Arc::new(UInt32Array::from(vec![7, 0]))];
        all.add(&part).unwrap();
        all.add(&part).unwrap();
        let partial = all.partial().unwrap();
        assert_eq!(partial[0].as_primitive::<UInt32Type>().values(), &[2]);
        assert_eq!(partial[1].as_primitive::<UInt32Type>().values(), &[14]);
        let rows = all.output().unwrap();
        assert_eq!(rows[0].as_primitive::<UInt32Type>().values(), &[0, 1, 2, 3]);
        assert_eq!(rows[1].as_primitive::<UInt32Type>().values(), &[0, 0, 14, 0]);
        let beyond: [ArrayRef; 2] = [Arc::new(UInt32Array::from(vec![4])), Arc::new(UInt32Array::from(vec![1]))];
        assert!(all.add(&beyond).unwrap_err().contains("bins that there are not"));
    }

    #[test]
    fn ranges_have_edges_but_for_those_outside() {
        let edges = Edges { data_type: DataType::Int64, from: -10, width: 10 };
        let [from, to] = edge_columns(&edges, 5).unwrap();
        assert_eq!(
            from.as_primitive::<Int64Type>().iter().collect::<Vec<_>>(),
            [None, Some(-10), Some(0), Some(10), None]
        );
        assert_eq!(
            to.as_primitive::<Int64Type>().iter().collect::<Vec<_>>(),
            [Some(-10), Some(0), Some(10), None, None]
        );
    }
}
