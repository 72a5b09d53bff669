//! How columns lie in buffers, and what of that a kernel's types can hold.

use std::sync::Arc;

use arrow_schema::{DataType, Field, IntervalUnit};
use naga::{ArraySize, Handle, Scalar, ScalarKind, Type, TypeInner, UniqueArena, VectorSize};

/// What the values of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    Uint,
    Sint,
    Float,
    /// No number of WGSL: words alone.
    Bits,
}

/// How a row of a column of fixed width lies in its buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Storage {
    pub(crate) kind: Kind,
    /// Of one value.
    pub(crate) bits: u32,
    /// Values of a row: more than one in a list of fixed size.
    pub(crate) count: u32,
}

/// What is said of a column that nothing in a buffer can hold.
pub(crate) const NO_WORDS: &str =
    "kernels read values of 1, 2 or a multiple of 4 bytes; such a column can be passed on alone";

impl Storage {
    /// None for types whose rows have no fixed width, and for lists of no values.
    pub(crate) fn of(data_type: &DataType) -> Option<Self> {
        use DataType as D;
        let one = |kind, bits| Some(Self { kind, bits, count: 1 });
        match data_type {
            D::Boolean => one(Kind::Bool, 1),
            D::UInt8 => one(Kind::Uint, 8),
            D::UInt16 => one(Kind::Uint, 16),
            D::UInt32 => one(Kind::Uint, 32),
            D::UInt64 => one(Kind::Uint, 64),
            D::Int8 => one(Kind::Sint, 8),
            D::Int16 => one(Kind::Sint, 16),
            D::Int32 | D::Date32 | D::Time32(_) | D::Decimal32(..) => one(Kind::Sint, 32),
            D::Int64 | D::Date64 | D::Time64(_) | D::Timestamp(..) | D::Duration(_) | D::Decimal64(..) => {
                one(Kind::Sint, 64)
            }
            D::Float16 => one(Kind::Float, 16),
            D::Float32 => one(Kind::Float, 32),
            D::Float64 => one(Kind::Float, 64),
            D::Interval(IntervalUnit::YearMonth) => one(Kind::Sint, 32),
            D::Interval(IntervalUnit::DayTime) => one(Kind::Bits, 64),
            D::Interval(IntervalUnit::MonthDayNano) | D::Decimal128(..) => one(Kind::Bits, 128),
            D::Decimal256(..) => one(Kind::Bits, 256),
            D::FixedSizeBinary(bytes) => one(Kind::Bits, u32::try_from(*bytes).ok()?.checked_mul(8)?),
            D::FixedSizeList(item, count) => {
                let item = Self::of(item.data_type()).filter(|item| item.count == 1)?;
                Some(Self { count: u32::try_from(*count).ok()?, ..item })
            }
            _ => None,
        }
        .filter(|storage| storage.row_bits() > 0)
    }

    /// Of all values of a row; 0 where that is no number of WGSL.
    pub(crate) fn row_bits(self) -> u32 {
        self.bits.checked_mul(self.count).unwrap_or(0)
    }

    /// How a kernel may declare the elements of a buffer that holds this, if it can.
    pub(crate) fn offer(self) -> Option<String> {
        let scalar = match (self.kind, self.bits) {
            (Kind::Uint, 32) => "u32",
            (Kind::Sint, 32) => "i32",
            (Kind::Float, 32) => "f32",
            (Kind::Float, 16) => "f16",
            (Kind::Uint, 64) => "u64",
            (Kind::Sint, 64) => "i64",
            (_, 64) => "vec2<u32>",
            (_, 128) => "vec4<u32>",
            (_, bits) if bits.is_multiple_of(32) || 32 % bits == 0 => return Some("u32".to_owned()),
            _ => return None,
        };
        Some(if self.count == 1 { scalar.to_owned() } else { format!("array<{scalar}, {}>", self.count) })
    }
}

/// A value of a kernel that a row of a column can be: a scalar, a vector, or an array of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) scalar: Scalar,
    /// Scalars, one after the other.
    pub(crate) lanes: u32,
    /// Whether it is more than a scalar, however many lanes it has.
    pub(crate) is_list: bool,
    /// Whether it is an atomic.
    pub(crate) is_atomic: bool,
}

/// Why a type can't be a column's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// Scalars do not follow each other without a gap: three lanes take the room of four.
    Padded,
    /// It is a structure, a matrix, or of no fixed size.
    Other,
}

impl Element {
    /// What a type holds. `in_buffer`: whether its gaps matter, as they do in memory that is shared.
    pub(crate) fn of(types: &UniqueArena<Type>, ty: Handle<Type>, in_buffer: bool) -> Result<Self, Unfit> {
        match types[ty].inner {
            TypeInner::Scalar(scalar) => Ok(Self { scalar, lanes: 1, is_list: false, is_atomic: false }),
            TypeInner::Atomic(scalar) => Ok(Self { scalar, lanes: 1, is_list: false, is_atomic: true }),
            TypeInner::Vector { size: VectorSize::Tri, .. } if in_buffer => Err(Unfit::Padded),
            TypeInner::Vector { size, scalar } => {
                Ok(Self { scalar, lanes: u32::from(size), is_list: true, is_atomic: false })
            }
            TypeInner::Array { base, size: ArraySize::Constant(count), stride } => {
                let item = Self::of(types, base, in_buffer)?;
                let lanes = item.lanes.checked_mul(count.get()).ok_or(Unfit::Other)?;
                match item {
                    Self { is_atomic: true, .. } => Err(Unfit::Other),
                    _ if in_buffer && item.bytes() != Some(stride) => Err(Unfit::Padded),
                    _ => Ok(Self { lanes, is_list: true, ..item }),
                }
            }
            _ => Err(Unfit::Other),
        }
    }

    /// None for booleans, which have no size, and for what is larger than any buffer.
    pub(crate) fn bytes(self) -> Option<u32> {
        if self.scalar == Scalar::BOOL { None } else { self.lanes.checked_mul(self.scalar.width.into()) }
    }

    /// The type of a column of such values.
    pub(crate) fn data_type(self) -> DataType {
        let scalar = match (self.scalar.kind, self.scalar.width) {
            (ScalarKind::Bool, _) => DataType::Boolean,
            (ScalarKind::Float, 2) => DataType::Float16,
            (ScalarKind::Float, _) => DataType::Float32,
            (ScalarKind::Sint, 8) => DataType::Int64,
            (ScalarKind::Uint, 8) => DataType::UInt64,
            (ScalarKind::Sint, _) => DataType::Int32,
            _ => DataType::UInt32,
        };
        if !self.is_list {
            return scalar;
        }
        let lanes = i32::try_from(self.lanes).unwrap_or(i32::MAX);
        DataType::FixedSizeList(Arc::new(Field::new_list_field(scalar, false)), lanes)
    }

    fn kind(self) -> Kind {
        match self.scalar.kind {
            ScalarKind::Bool => Kind::Bool,
            ScalarKind::Sint => Kind::Sint,
            ScalarKind::Float => Kind::Float,
            _ => Kind::Uint,
        }
    }

    /// Whether it holds a row of a column as a value: of the same kind and number, wide enough.
    pub(crate) fn holds(self, storage: Storage) -> bool {
        let same = self.lanes == storage.count && self.kind() == storage.kind;
        let width = u32::from(self.scalar.width) * 8;
        same && match storage.kind {
            Kind::Bool => true,
            Kind::Float | Kind::Bits => width == storage.bits,
            Kind::Uint | Kind::Sint => width == storage.bits.max(32),
        }
    }

    /// How rows of a column lie in a buffer of such elements, if they can.
    pub(crate) fn lies(self, storage: Storage) -> Option<Rows> {
        let (bits, size) = (storage.bits, self.bytes()?.checked_mul(8)?);
        let words = self.scalar == Scalar::U32;
        if bits < 32 && !(self.kind() == storage.kind && u32::from(self.scalar.width) * 8 == bits) {
            // A row of a list may be whole words, of which the kernel sees so many at once.
            if words && self.lanes > 1 {
                return storage
                    .row_bits()
                    .is_multiple_of(size)
                    .then(|| Rows::Apart { elements: storage.row_bits() / size });
            }
            let packs = words && 32 % bits == 0;
            return packs.then_some(Rows::Packed { rows: if storage.count == 1 { 32 / bits } else { 0 } });
        }
        let typed = self.kind() == storage.kind && u32::from(self.scalar.width) * 8 == bits;
        let fits = (typed || (words && bits.is_multiple_of(32))) && storage.row_bits().is_multiple_of(size);
        fits.then(|| Rows::Apart { elements: storage.row_bits() / size })
    }
}

/// How rows lie in the elements of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rows {
    /// A row has elements of its own.
    Apart {
        /// How many.
        elements: u32,
    },
    /// A word holds several rows.
    Packed {
        /// How many; 0 where a row is in parts of words.
        rows: u32,
    },
}

/// A type as WGSL writes it.
pub(crate) fn written(types: &UniqueArena<Type>, ty: Handle<Type>) -> String {
    let scalar = |scalar: Scalar| match (scalar.kind, scalar.width) {
        (ScalarKind::Bool | ScalarKind::AbstractInt | ScalarKind::AbstractFloat, _) => "bool".to_owned(),
        (ScalarKind::Float, width) => format!("f{}", width * 8),
        (ScalarKind::Sint, width) => format!("i{}", width * 8),
        (ScalarKind::Uint, width) => format!("u{}", width * 8),
    };
    match types[ty].inner {
        TypeInner::Scalar(of) => scalar(of),
        TypeInner::Atomic(of) => format!("atomic<{}>", scalar(of)),
        TypeInner::Vector { size, scalar: of } => format!("vec{}<{}>", size as u8, scalar(of)),
        TypeInner::Matrix { columns, rows, scalar: of } => {
            format!("mat{}x{}<{}>", columns as u8, rows as u8, scalar(of))
        }
        TypeInner::Array { base, size: ArraySize::Constant(count), .. } => {
            format!("array<{}, {count}>", written(types, base))
        }
        TypeInner::Array { base, .. } => format!("array<{}>", written(types, base)),
        _ => types[ty].name.clone().unwrap_or_else(|| "a type without a name".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(scalar: Scalar, lanes: u32) -> Element {
        Element { scalar, lanes, is_list: lanes > 1, is_atomic: false }
    }

    fn list(item: DataType, count: i32) -> Storage {
        let list = DataType::FixedSizeList(Arc::new(Field::new_list_field(item, true)), count);
        Storage::of(&list).unwrap()
    }

    #[test]
    fn rows_lie_in_elements_of_their_own_or_share_words() {
        let lies = |storage: Storage, scalar, lanes| element(scalar, lanes).lies(storage);
        let of = |data_type: DataType| Storage::of(&data_type).unwrap();
        let apart = |elements| Some(Rows::Apart { elements });
        assert_eq!(lies(of(DataType::Float32), Scalar::F32, 1), apart(1));
        assert_eq!(lies(of(DataType::Float32), Scalar::U32, 1), apart(1));
        assert_eq!(lies(of(DataType::Float32), Scalar::I32, 1), None);
        assert_eq!(lies(of(DataType::Float64), Scalar::U32, 2), apart(1));
        assert_eq!(lies(of(DataType::Float64), Scalar::U32, 1), apart(2));
        assert_eq!(lies(of(DataType::Float64), Scalar::F32, 2), None);
        assert_eq!(lies(of(DataType::Decimal128(38, 2)), Scalar::U32, 4), apart(1));
        assert_eq!(lies(of(DataType::Boolean), Scalar::U32, 1), Some(Rows::Packed { rows: 32 }));
        assert_eq!(lies(of(DataType::Int8), Scalar::U32, 1), Some(Rows::Packed { rows: 4 }));
        assert_eq!(lies(of(DataType::Int8), Scalar::I32, 1), None);
        assert_eq!(lies(list(DataType::Float32, 384), Scalar::F32, 384), apart(1));
        assert_eq!(lies(list(DataType::Float32, 384), Scalar::F32, 1), apart(384));
        assert_eq!(lies(list(DataType::Float32, 6), Scalar::F32, 4), None);
        assert_eq!(lies(list(DataType::Int8, 384), Scalar::U32, 1), Some(Rows::Packed { rows: 0 }));
        assert_eq!(lies(list(DataType::Int8, 384), Scalar::U32, 96), apart(1));
        assert_eq!(lies(list(DataType::Int8, 6), Scalar::U32, 2), None);
        assert_eq!(lies(of(DataType::Float16), Scalar::F16, 1), apart(1));
    }

    #[test]
    fn values_are_of_the_same_kind_and_number_and_may_be_wider() {
        let of = |data_type: DataType| Storage::of(&data_type).unwrap();
        assert!(
            element(Scalar::I32, 1).holds(of(DataType::Int8)) && !element(Scalar::U32, 1).holds(of(DataType::Int8))
        );
        assert!(
            element(Scalar::I64, 1).holds(of(DataType::Int64)) && !element(Scalar::I64, 1).holds(of(DataType::Int32))
        );
        assert!(element(Scalar::BOOL, 1).holds(of(DataType::Boolean)));
        assert!(!element(Scalar::F32, 1).holds(of(DataType::Float64)));
        assert!(element(Scalar::F32, 3).holds(list(DataType::Float32, 3)));
        assert!(!element(Scalar::F32, 4).holds(list(DataType::Float32, 3)));
    }

    /// What is offered can be taken, and where nothing is, words of no number can.
    #[test]
    fn an_offer_can_be_taken() {
        for bytes in 1..40 {
            let storage = Storage::of(&DataType::FixedSizeBinary(bytes)).unwrap();
            let lies = |lanes| element(Scalar::U32, lanes).lies(storage);
            let lanes = match storage.offer().as_deref() {
                Some("u32") => 1,
                Some("vec2<u32>") => 2,
                Some("vec4<u32>") => 4,
                other => {
                    assert_eq!(other, None, "{bytes}");
                    assert!((1..40).all(|lanes| lies(lanes).is_none()), "{bytes}");
                    continue;
                }
            };
            assert!(lies(lanes).is_some(), "{bytes}");
        }
    }

    #[test]
    fn rows_without_a_fixed_width_do_not_lie_anywhere() {
        for data_type in [DataType::Utf8, DataType::Null, DataType::FixedSizeBinary(0), DataType::BinaryView] {
            assert_eq!(Storage::of(&data_type), None, "{data_type}");
        }
        let huge = DataType::FixedSizeList(Arc::new(Field::new_list_field(DataType::Int64, true)), i32::MAX);
        assert_eq!(Storage::of(&huge), None);
    }
}
