//! Checkpoints, which are Parquet: how they are read and written.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use arrow_cast::cast;
use arrow_schema::DataType as ArrowType;
use delta_kernel::schema::SchemaRef;
use delta_kernel::{
    EngineData, FileMeta, KernelError, KernelResult, KernelResultIterator, ParquetFooter, ParquetHandler, PredicateRef,
    StorageHandler,
};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Map, Value};
use url::Url;

use super::checkpoint::{Unencoded, encoded};
use super::rows::{Rows, name_file, set};
use super::storage::Storage;
use crate::types::kernel_fields;

/// Actions that are read at once.
const BATCH_ROWS: usize = 8192;

/// Reads and writes checkpoints for the kernel.
pub(crate) struct Checkpoints(pub(crate) Arc<Storage>);

impl Checkpoints {
    fn open(&self, file: &FileMeta) -> KernelResult<ParquetRecordBatchReaderBuilder<bytes::Bytes>> {
        let bytes = self.0.read(&file.location, None)?;
        ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|error| self.damaged(&file.location, &error))
    }

    fn damaged(&self, file: &Url, error: &dyn std::fmt::Display) -> KernelError {
        let file = self.0.relative(file).unwrap_or_default();
        KernelError::generic(format!("{file} is damaged: {error}"))
    }
}

impl ParquetHandler for Checkpoints {
    fn read_parquet_files(
        &self,
        files: &[FileMeta],
        schema: SchemaRef,
        _: Option<PredicateRef>,
    ) -> KernelResult<KernelResultIterator<'static, Box<dyn EngineData>>> {
        let (this, files) = (Self(self.0.clone()), files.to_vec());
        let read = move |file: FileMeta| -> KernelResultIterator<'static, Box<dyn EngineData>> {
            let opened = this.open(&file).and_then(|builder| {
                let columns = builder.parquet_schema();
                let is_wanted = |root: &usize| schema.contains(columns.root_schema().get_fields()[*root].name());
                let roots: Vec<usize> = (0..columns.root_schema().get_fields().len()).filter(is_wanted).collect();
                let mask = ProjectionMask::roots(columns, roots);
                let reader = builder.with_projection(mask).with_batch_size(BATCH_ROWS).build();
                reader.map_err(|error| this.damaged(&file.location, &error))
            });
            let (storage, schema) = (Self(this.0.clone()), schema.clone());
            match opened {
                Err(error) => Box::new(std::iter::once(Err(error))),
                Ok(reader) => Box::new(reader.map(move |batch| {
                    let batch = batch.map_err(|error| storage.damaged(&file.location, &error))?;
                    let mut rows = rows(&batch)?;
                    name_file(&mut rows.0, &schema, &file.location);
                    Ok(Box::new(rows) as Box<dyn EngineData>)
                })),
            }
        };
        Ok(Box::new(files.into_iter().flat_map(read)))
    }

    fn write_parquet_file(
        &self,
        file: Url,
        data: KernelResultIterator<'static, Box<dyn EngineData>>,
    ) -> KernelResult<u64> {
        let bytes = encoded(data.map(|batch| Ok::<_, KernelError>(Rows::of(&*batch?)?.0.clone())))?;
        let size = bytes.len() as u64;
        self.0.put(&file, bytes, true)?;
        Ok(size)
    }

    fn read_parquet_footer(&self, file: &FileMeta) -> KernelResult<ParquetFooter> {
        let builder = self.open(file)?;
        Ok(ParquetFooter { schema: Arc::new(kernel_fields(builder.schema().fields())?) })
    }
}

impl From<Unencoded> for KernelError {
    fn from(error: Unencoded) -> Self {
        Self::generic(format!("an action is none of a checkpoint: {}", error.0))
    }
}

pub(super) fn rows(batch: &RecordBatch) -> KernelResult<Rows> {
    let mut rows = vec![Value::Object(Map::new()); batch.num_rows()];
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        for (row, value) in rows.iter_mut().zip(values(column)?) {
            set(row, field.name(), value);
        }
    }
    Ok(Rows(rows))
}

/// The values of a column.
fn values(column: &dyn Array) -> KernelResult<Vec<Value>> {
    macro_rules! numbers {
        ($of:ty) => {
            column.as_primitive::<$of>().iter().map(|value| value.map_or(Value::Null, Value::from)).collect()
        };
    }
    Ok(match column.data_type() {
        ArrowType::Utf8 => column.as_string::<i32>().iter().map(|text| text.map_or(Value::Null, Value::from)).collect(),
        ArrowType::Boolean => column.as_boolean().iter().map(|value| value.map_or(Value::Null, Value::Bool)).collect(),
        ArrowType::Int8 => numbers!(Int8Type),
        ArrowType::Int16 => numbers!(Int16Type),
        ArrowType::Int32 => numbers!(Int32Type),
        ArrowType::Int64 => numbers!(Int64Type),
        ArrowType::Float32 => numbers!(Float32Type),
        ArrowType::Float64 => numbers!(Float64Type),
        ArrowType::Struct(_) => structs(column)?,
        ArrowType::List(_) => {
            let list = column.as_list::<i32>();
            let items = values(list.values())?;
            let of =
                |row: usize| items[list.value_offsets()[row] as usize..list.value_offsets()[row + 1] as usize].to_vec();
            (0..list.len()).map(|row| if list.is_null(row) { Value::Null } else { Value::Array(of(row)) }).collect()
        }
        ArrowType::Map(..) => maps(column)?,
        ArrowType::LargeUtf8 | ArrowType::Utf8View | ArrowType::Dictionary(..) => {
            let texts = cast(column, &ArrowType::Utf8).map_err(|error| KernelError::generic(error.to_string()))?;
            values(&texts)?
        }
        // What is typed of data, such as least and greatest values, is read by nobody.
        _ => vec![Value::Null; column.len()],
    })
}

fn structs(column: &dyn Array) -> KernelResult<Vec<Value>> {
    let column = column.as_struct();
    let mut rows = vec![Value::Object(Map::new()); column.len()];
    for (field, values_of) in column.fields().iter().zip(column.columns()) {
        for (row, value) in rows.iter_mut().zip(values(values_of)?) {
            set(row, field.name(), value);
        }
    }
    for row in (0..column.len()).filter(|&row| column.is_null(row)) {
        rows[row] = Value::Null;
    }
    Ok(rows)
}

fn maps(column: &dyn Array) -> KernelResult<Vec<Value>> {
    let map = column.as_map();
    let (keys, items) = (values(map.keys())?, values(map.values())?);
    let of = |row: usize| {
        let range = map.value_offsets()[row] as usize..map.value_offsets()[row + 1] as usize;
        let pairs = keys[range.clone()].iter().zip(&items[range]);
        pairs.filter_map(|(key, value)| Some((key.as_str()?.to_owned(), value.clone()))).collect()
    };
    Ok((0..map.len()).map(|row| if map.is_null(row) { Value::Null } else { Value::Object(of(row)) }).collect())
}
