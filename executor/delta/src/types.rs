//! Types of tables and types of Arrow.

use std::sync::Arc;

use arrow_schema::{DataType, Field, FieldRef, Fields, TimeUnit};
use delta_kernel::schema::{
    ArrayType, ColumnMetadataKey, DataType as KernelType, MapType, MetadataValue, PrimitiveType, StructField,
    StructType,
};
use delta_kernel::table_features::ColumnMappingMode;
use delta_kernel::{KernelError, KernelResult};
use flowc_planner::key::KeyHasher;

/// What the item of a list is called.
const ELEMENT: &str = "element";

/// A column of a table, or a field within one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// What it is called, and its type.
    pub field: FieldRef,
    /// What it is called in data files.
    pub stored: String,
    /// Its number in data files, where that tells columns, and not the name.
    pub id: Option<i32>,
    /// The fields of a struct, the item of a list, the key and the value of a map.
    pub inner: Vec<Column>,
}

impl Column {
    /// What it is, and how it is found in data files.
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = KeyHasher::new("flowc delta column 1");
        self.hash(&mut hasher);
        hasher.finish()
    }

    fn hash(&self, hasher: &mut KeyHasher) {
        hasher.field(&self.field).bytes(self.stored.as_bytes()).bytes(format!("{:?}", self.id).as_bytes());
        hasher.number(self.inner.len() as u64);
        self.inner.iter().for_each(|inner| inner.hash(hasher));
    }
}

/// The columns of a table.
pub(crate) fn columns(schema: &StructType, mapping: ColumnMappingMode) -> KernelResult<Vec<Column>> {
    schema.fields().map(|field| column(field, mapping)).collect()
}

fn column(field: &StructField, mapping: ColumnMappingMode) -> KernelResult<Column> {
    let said = |key: ColumnMetadataKey| field.get_config_value(&key).filter(|_| mapping != ColumnMappingMode::None);
    let stored = match said(ColumnMetadataKey::ColumnMappingPhysicalName) {
        Some(MetadataValue::String(name)) => name.clone(),
        _ => field.name().clone(),
    };
    let id = match said(ColumnMetadataKey::ColumnMappingId) {
        Some(MetadataValue::Number(id)) if mapping == ColumnMappingMode::Id => i32::try_from(*id).ok(),
        _ => None,
    };
    typed(field.name(), field.data_type(), field.is_nullable(), stored, id, mapping)
}

/// A column of a type; errors name it.
fn typed(
    name: &str,
    of: &KernelType,
    nullable: bool,
    stored: String,
    id: Option<i32>,
    mapping: ColumnMappingMode,
) -> KernelResult<Column> {
    let within =
        |name: &str, of: &KernelType, nullable: bool| typed(name, of, nullable, name.to_owned(), None, mapping);
    let (data_type, inner) = match of {
        KernelType::Primitive(of) => {
            let unread = || KernelError::unsupported(format!("the column `{name}` of type {of}"));
            (primitive(of).ok_or_else(unread)?, Vec::new())
        }
        KernelType::Struct(of) => {
            let inner = columns(of, mapping)?;
            (DataType::Struct(inner.iter().map(|column| column.field.clone()).collect()), inner)
        }
        KernelType::Array(of) => {
            let item = within(ELEMENT, of.element_type(), of.contains_null())?;
            (DataType::List(item.field.clone()), vec![item])
        }
        KernelType::Map(of) => {
            let (key, value) =
                (within("key", of.key_type(), false)?, within("value", of.value_type(), of.value_contains_null())?);
            let pair = Fields::from(vec![key.field.clone(), value.field.clone()]);
            let entries = Field::new("key_value", DataType::Struct(pair), false);
            (DataType::Map(Arc::new(entries), false), vec![key, value])
        }
        other => return Err(KernelError::unsupported(format!("the column `{name}` of type {other}"))),
    };
    Ok(Column { field: Arc::new(Field::new(name, data_type, nullable)), stored, id, inner })
}

fn primitive(of: &PrimitiveType) -> Option<DataType> {
    Some(match of {
        PrimitiveType::String => DataType::Utf8,
        PrimitiveType::Long => DataType::Int64,
        PrimitiveType::Integer => DataType::Int32,
        PrimitiveType::Short => DataType::Int16,
        PrimitiveType::Byte => DataType::Int8,
        PrimitiveType::Float => DataType::Float32,
        PrimitiveType::Double => DataType::Float64,
        PrimitiveType::Boolean => DataType::Boolean,
        PrimitiveType::Binary => DataType::Binary,
        PrimitiveType::Date => DataType::Date32,
        PrimitiveType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        PrimitiveType::TimestampNtz => DataType::Timestamp(TimeUnit::Microsecond, None),
        PrimitiveType::Decimal(of) => DataType::Decimal128(of.precision(), i8::try_from(of.scale()).ok()?),
        _ => return None,
    })
}

/// The fields of a checkpoint, as far as a log may have such types: others are those of values in statistics.
pub(crate) fn kernel_fields(fields: &Fields) -> KernelResult<StructType> {
    let field = |field: &FieldRef| {
        let data_type = kernel_type(field.data_type()).transpose()?;
        Some(data_type.map(|data_type| StructField::new(field.name(), data_type, field.is_nullable())))
    };
    StructType::try_new(fields.iter().filter_map(field).collect::<KernelResult<Vec<_>>>()?)
}

fn kernel_type(of: &DataType) -> KernelResult<Option<KernelType>> {
    Ok(Some(match of {
        DataType::Struct(fields) => kernel_fields(fields)?.into(),
        DataType::List(item) => match kernel_type(item.data_type())? {
            Some(element) => ArrayType::new(element, item.is_nullable()).into(),
            None => return Ok(None),
        },
        DataType::Map(entries, _) => {
            let DataType::Struct(pair) = entries.data_type() else { return Ok(None) };
            let [key, value] = &pair[..] else { return Ok(None) };
            match (kernel_type(key.data_type())?, kernel_type(value.data_type())?) {
                (Some(of), Some(to)) => MapType::new(of, to, value.is_nullable()).into(),
                _ => return Ok(None),
            }
        }
        other => match kernel_primitive(other)? {
            Some(primitive) => primitive.into(),
            None => return Ok(None),
        },
    }))
}

/// The type of a table for values of a type of Arrow; none if it has none that holds just them.
pub(crate) fn kernel_primitive(of: &DataType) -> KernelResult<Option<PrimitiveType>> {
    Ok(Some(match of {
        DataType::Utf8 => PrimitiveType::String,
        DataType::Int64 => PrimitiveType::Long,
        DataType::Int32 => PrimitiveType::Integer,
        DataType::Int16 => PrimitiveType::Short,
        DataType::Int8 => PrimitiveType::Byte,
        DataType::Float32 => PrimitiveType::Float,
        DataType::Float64 => PrimitiveType::Double,
        DataType::Boolean => PrimitiveType::Boolean,
        DataType::Binary => PrimitiveType::Binary,
        DataType::Date32 => PrimitiveType::Date,
        DataType::Timestamp(_, Some(_)) => PrimitiveType::Timestamp,
        DataType::Timestamp(_, None) => PrimitiveType::TimestampNtz,
        DataType::Decimal128(precision, scale) => match u8::try_from(*scale) {
            Ok(scale) => PrimitiveType::decimal(*precision, scale)?,
            Err(_) => return Ok(None),
        },
        _ => return Ok(None),
    }))
}

/// The type in which a table holds values of a type of Arrow; those that differ in their form alone become one. An error says why there
/// is none, and what to do.
///
/// # Errors
/// If tables have no type that holds the same values.
pub fn table_type(of: &DataType) -> Result<DataType, String> {
    use DataType::{
        Binary, BinaryView, Boolean, Date32, Decimal32, Decimal64, Decimal128, Dictionary, FixedSizeBinary,
        FixedSizeList, Float16, Float32, Float64, Int8, Int16, Int32, Int64, LargeBinary, LargeList, LargeUtf8, List,
        Map, Struct, Timestamp, UInt8, UInt16, UInt32, Utf8, Utf8View,
    };
    let named = |field: &FieldRef, name: &str| {
        Ok::<_, String>(Arc::new(Field::new(name, table_type(field.data_type())?, field.is_nullable())))
    };
    Ok(match of {
        Boolean | Int8 | Int16 | Int32 | Int64 | Float32 | Float64 | Utf8 | Binary | Date32 => of.clone(),
        UInt8 => Int16,
        UInt16 => Int32,
        UInt32 => Int64,
        Float16 => Float32,
        LargeUtf8 | Utf8View => Utf8,
        LargeBinary | BinaryView | FixedSizeBinary(_) => Binary,
        Timestamp(_, zone) => Timestamp(TimeUnit::Microsecond, zone.as_ref().map(|_| "UTC".into())),
        Decimal32(precision, scale) | Decimal64(precision, scale) | Decimal128(precision, scale) if *scale >= 0 => {
            Decimal128(*precision, *scale)
        }
        Dictionary(_, value) => table_type(value)?,
        List(item) | LargeList(item) | FixedSizeList(item, _) => List(named(item, ELEMENT)?),
        Struct(fields) if !fields.is_empty() => {
            Struct(fields.iter().map(|field| named(field, field.name())).collect::<Result<_, _>>()?)
        }
        Map(entries, _) => {
            let Struct(pair) = entries.data_type() else { return Err("a map without keys".to_owned()) };
            let [key, value] = &pair[..] else { return Err("a map without keys".to_owned()) };
            let pair = Fields::from(vec![named(key, "key")?, named(value, "value")?]);
            Map(Arc::new(Field::new("key_value", Struct(pair), false)), false)
        }
        other => return Err(format!("Delta tables have no type for {other}; convert it in a stage before the sink")),
    })
}
