//! Values of a column chunk that the decoder would turn into others: they are looked at before it gets them.

use parquet::column::page::PageReader;
use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::DataType;
use parquet::errors::Result;
use parquet::schema::types::ColumnDescPtr;

use crate::BATCH_ROWS;

/// A value that the type can't say.
pub(super) struct Misfit {
    /// In which row of the row group, from 0.
    pub(super) row: u64,
    /// For people.
    pub(super) value: String,
}

/// Finds the first value of a column chunk that `told` has a text for.
pub(super) fn find_misfit<T: DataType>(
    column: ColumnDescPtr,
    pages: Box<dyn PageReader>,
    told: impl Fn(&T::T) -> Option<String>,
) -> Result<Option<Misfit>> {
    let most = [column.max_def_level(), column.max_rep_level()];
    let mut reader = ColumnReaderImpl::<T>::new(column, pages);
    let (mut definitions, mut repetitions, mut values) = (Vec::new(), Vec::new(), Vec::new());
    let mut rows = 0;
    loop {
        definitions.clear();
        repetitions.clear();
        values.clear();
        let (records, ..) =
            reader.read_records(BATCH_ROWS, Some(&mut definitions), Some(&mut repetitions), &mut values)?;
        if records == 0 {
            return Ok(None);
        }
        let misfit = values.iter().enumerate().find_map(|(place, value)| Some((place, told(value)?)));
        if let Some((place, value)) = misfit {
            let row = rows + row_of(place, &definitions, &repetitions, most);
            return Ok(Some(Misfit { row, value }));
        }
        rows += records as u64;
    }
}

/// The row of the value with this number: levels tell which rows have none, and which have several.
fn row_of(place: usize, definitions: &[i16], repetitions: &[i16], most: [i16; 2]) -> u64 {
    if most[0] == 0 {
        return place as u64;
    }
    let of_values = definitions.iter().enumerate().filter(|(_, level)| **level == most[0]);
    let level = of_values.map(|(at, _)| at).nth(place).unwrap_or(0);
    match most[1] {
        0 => level as u64,
        _ => repetitions[..=level].iter().filter(|repetition| **repetition == 0).count() as u64 - 1,
    }
}
