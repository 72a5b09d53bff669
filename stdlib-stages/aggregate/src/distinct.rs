//! Distinct values of each group, counted exactly.

use std::cell::OnceCell;

use flowc_sdk::arrow::array::{Int64Array, UInt32Array};
use flowc_sdk::prelude::*;
use stage_parts::{Grouper, list, list_items};

use crate::config::Finish;
use crate::state::State;

/// Pairs of a group and a value.
pub(crate) struct Pairs {
    pairs: Grouper,
    /// By pair, its group.
    groups: Vec<u32>,
    /// By group, the number of its pairs.
    lengths: Vec<usize>,
    /// All pairs by group and value, once they are asked for.
    sorted: OnceCell<Vec<u32>>,
}

impl Pairs {
    /// Of values of this type.
    pub(crate) fn new(data_type: &DataType) -> Result<Self> {
        let fields = [field("group", DataType::UInt32, false), field("value", data_type.clone(), false)];
        Ok(Self { pairs: Grouper::new(&fields)?, groups: Vec::new(), lengths: Vec::new(), sorted: OnceCell::new() })
    }

    /// The type of the values that come out.
    pub(crate) fn data_type(&self) -> &DataType {
        self.pairs.fields()[1].data_type()
    }

    /// Makes room for so many groups.
    pub(crate) fn grow(&mut self, groups: usize) {
        self.lengths.resize(groups, 0);
    }

    /// Calls `each` with every row that has a value, and the number of its pair.
    pub(crate) fn add(&mut self, rows: &[u32], values: &ArrayRef, mut each: impl FnMut(usize, usize)) -> Result<()> {
        let nulls = values.logical_nulls().filter(|nulls| nulls.null_count() > 0);
        let columns = [Arc::new(UInt32Array::from(rows.to_vec())) as ArrayRef, values.clone()];
        self.sorted.take();
        let (owners, lengths) = (&mut self.groups, &mut self.lengths);
        self.pairs.each(&columns, rows.len(), nulls.as_ref(), |row, pair| {
            if pair as usize == owners.len() {
                owners.push(rows[row]);
                lengths[rows[row] as usize] += 1;
            }
            each(row, pair as usize);
        })
    }

    /// The number of distinct values of a group.
    pub(crate) fn length(&self, group: u32) -> usize {
        self.lengths[group as usize]
    }

    /// The pairs of some groups, group by group, and within one in the order of their values.
    pub(crate) fn of(&self, groups: &[u32]) -> Vec<u32> {
        let mut places = vec![None; self.lengths.len()];
        let mut next = 0;
        for &group in groups {
            places[group as usize] = Some(next);
            next += self.length(group);
        }
        let mut pairs = vec![0; next];
        for &pair in self.sorted.get_or_init(|| self.pairs.sorted()) {
            if let Some(place) = &mut places[self.groups[pair as usize] as usize] {
                pairs[*place] = pair;
                *place += 1;
            }
        }
        pairs
    }

    /// The values of some pairs.
    pub(crate) fn values(&self, pairs: &[u32]) -> Result<ArrayRef> {
        self.pairs.columns(pairs)?.pop().ok_or_else(|| Problem::new("pairs without values"))
    }
}

/// Distinct values by group.
pub(crate) struct Distinct(Pairs);

impl Distinct {
    pub(crate) fn new(fields: &[FieldRef]) -> Result<Self> {
        let data_type = fields.first().map(|field| field.data_type().clone());
        Ok(Self(Pairs::new(&data_type.unwrap_or(DataType::Null))?))
    }

    fn item(&self) -> FieldRef {
        field("item", self.0.data_type().clone(), false)
    }
}

impl State for Distinct {
    fn fields(&self) -> Vec<FieldRef> {
        vec![field("values", DataType::List(self.item()), false)]
    }

    fn result_type(&self, _: Finish) -> (DataType, bool) {
        (DataType::Int64, false)
    }

    fn grow(&mut self, groups: usize) {
        self.0.grow(groups);
    }

    fn add(&mut self, rows: &[u32], columns: &[ArrayRef]) -> Result<()> {
        self.0.add(rows, &columns[0], |_, _| ())
    }

    fn merge(&mut self, rows: &[u32], columns: &[ArrayRef]) -> Result<()> {
        let (places, values) = list_items(&columns[0])?;
        let rows: Vec<u32> = places.into_iter().map(|row| rows[row]).collect();
        self.0.add(&rows, &values, |_, _| ())
    }

    fn partial(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        let lengths = groups.iter().map(|&group| self.0.length(group));
        Ok(vec![list(self.item(), lengths, self.0.values(&self.0.of(groups))?)?])
    }

    fn result(&self, _: Finish, groups: &[u32]) -> Result<ArrayRef> {
        Ok(Arc::new(groups.iter().map(|&group| self.0.length(group) as i64).collect::<Int64Array>()))
    }
}
