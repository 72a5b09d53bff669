//! One dictionary per segment: a file of batches can hold a dictionary that grows, but not one that changes.

use arrow_array::types::*;
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, make_array};
use arrow_buffer::{ArrowNativeType, ScalarBuffer};
use arrow_data::ArrayData;
use arrow_schema::{DataType, Field};
use arrow_select::concat::concat;

use crate::ColumnsError;
use crate::canonical::{Interner, canonical, key_type, value_keys, with_key_type};

/// Renumbers the dictionaries of the canonical chunks of one column, so that each chunk's dictionary is the one before it
/// or begins with it. Columns without dictionaries pass untouched.
#[derive(Default)]
pub struct Unifier {
    dictionaries: Vec<Growing>,
}

#[derive(Default)]
struct Growing {
    interner: Interner,
    values: Option<ArrayRef>,
}

impl Unifier {
    /// Renumbers the dictionaries of the next chunk.
    ///
    /// # Errors
    /// If the column has more different values than its dictionary's keys can number.
    pub fn push(&mut self, chunk: &ArrayRef) -> Result<ArrayRef, ColumnsError> {
        if !has_dictionary(chunk.data_type()) {
            return Ok(chunk.clone());
        }
        Ok(make_array(self.renumber(&chunk.to_data(), &mut 0)?))
    }

    /// Gives a chunk that was renumbered all values of the dictionaries.
    fn completed(&self, data: &ArrayData, place: &mut usize) -> Result<ArrayData, ColumnsError> {
        if matches!(data.data_type(), DataType::Dictionary(..)) {
            *place += 1;
            let all = self.dictionaries[*place - 1].values.iter().map(|values| values.to_data());
            let all = all.chain(data.child_data().iter().cloned()).take(1).collect();
            return Ok(data.clone().into_builder().child_data(all).build()?);
        }
        let children =
            data.child_data().iter().map(|child| self.completed(child, place)).collect::<Result<Vec<_>, _>>()?;
        Ok(data.clone().into_builder().child_data(children).build()?)
    }

    /// `place` numbers the dictionaries in the order of the type tree.
    fn renumber(&mut self, data: &ArrayData, place: &mut usize) -> Result<ArrayData, ColumnsError> {
        if matches!(data.data_type(), DataType::Dictionary(..)) {
            if self.dictionaries.len() == *place {
                self.dictionaries.push(Growing::default());
            }
            *place += 1;
            return self.dictionaries[*place - 1].renumber(data);
        }
        let children =
            data.child_data().iter().map(|child| self.renumber(child, place)).collect::<Result<Vec<_>, _>>()?;
        Ok(data.clone().into_builder().child_data(children).build()?)
    }
}

/// The parts of a column with the same dictionaries, so that they can be put together whatever the number of parts. Parts without
/// dictionaries pass untouched.
///
/// # Errors
/// As [`Unifier::push`].
pub(crate) fn unified(parts: Vec<ArrayRef>) -> Result<Vec<ArrayRef>, ColumnsError> {
    let is_shared = |pair: &[ArrayRef]| share_dictionaries(&pair[0].to_data(), &pair[1].to_data());
    if parts.len() < 2 || !has_dictionary(parts[0].data_type()) || parts.windows(2).all(is_shared) {
        return Ok(parts);
    }
    let mut unifier = Unifier::default();
    let parts = parts.iter().map(|part| unifier.push(&canonical(part)?)).collect::<Result<Vec<_>, _>>()?;
    parts.iter().map(|part| Ok(make_array(unifier.completed(&part.to_data(), &mut 0)?))).collect()
}

impl Growing {
    fn renumber(&mut self, data: &ArrayData) -> Result<ArrayData, ColumnsError> {
        let values = &data.child_data()[0];
        let numbers = self.add(values)?;
        let keys = with_key_type!(key_type(data), K => self.keys::<K>(data, &numbers)?);
        let all = self.values.as_ref().map_or_else(|| values.clone(), |values| values.to_data());
        Ok(data.clone().into_builder().buffers(vec![keys]).child_data(vec![all]).build()?)
    }

    /// Adds the values that are new; gives the number of each.
    fn add(&mut self, values: &ArrayData) -> Result<Vec<usize>, ColumnsError> {
        let mut new = Vec::new();
        let mut numbers = Vec::with_capacity(values.len());
        let array = make_array(values.clone());
        for (row, key) in value_keys(values).into_iter().enumerate() {
            let (number, is_new) = self.interner.intern(&key);
            numbers.push(number);
            if is_new {
                new.push(array.slice(row, 1));
            }
        }
        if !new.is_empty() {
            let parts: Vec<&dyn Array> = self.values.iter().chain(&new).map(|part| part.as_ref()).collect();
            self.values = Some(concat(&parts)?);
        }
        Ok(numbers)
    }

    fn keys<K: ArrowPrimitiveType>(
        &self,
        data: &ArrayData,
        numbers: &[usize],
    ) -> Result<arrow_buffer::Buffer, ColumnsError>
    where
        K::Native: ArrowNativeType,
    {
        if self.interner.len() > 0 && K::Native::from_usize(self.interner.len() - 1).is_none() {
            return Err(ColumnsError::DictionaryFull { values: self.interner.len(), key: key_type(data).clone() });
        }
        let keys = data.buffers()[0].typed_data::<K::Native>();
        let number = |row: usize| if data.is_null(row) { 0 } else { numbers[keys[row].as_usize()] };
        let keys: ScalarBuffer<K::Native> = (0..data.len()).map(|row| K::Native::usize_as(number(row))).collect();
        Ok(keys.into_inner())
    }
}

/// Whether the dictionaries of two parts of a column are the same in memory.
fn share_dictionaries(one: &ArrayData, other: &ArrayData) -> bool {
    let mut children = one.child_data().iter().zip(other.child_data());
    match one.data_type() {
        DataType::Dictionary(..) => children.all(|(one, other)| one.ptr_eq(other)),
        _ => children.all(|(one, other)| share_dictionaries(one, other)),
    }
}

fn has_dictionary(data_type: &DataType) -> bool {
    let field = |field: &Field| has_dictionary(field.data_type());
    match data_type {
        DataType::Dictionary(..) => true,
        DataType::List(child) | DataType::LargeList(child) | DataType::Map(child, _) => field(child),
        DataType::ListView(child) | DataType::LargeListView(child) | DataType::FixedSizeList(child, _) => field(child),
        DataType::Struct(children) => children.iter().any(|child| field(child)),
        DataType::Union(children, _) => children.iter().any(|(_, child)| field(child)),
        DataType::RunEndEncoded(_, values) => field(values),
        _ => false,
    }
}
