//! Decimals as numbers of JSON. Arrow writes the zeros behind a number by its scale, also behind a zero: `000` is no number.

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, DecimalType};
use arrow_array::{Array, ArrowNativeTypeOp, PrimitiveArray};
use arrow_json::writer::{Encoder, EncoderFactory, EncoderOptions, NullableEncoder};
use arrow_schema::{ArrowError, DataType, FieldRef};

/// Makes encoders of decimals whose digits end before the point; others are Arrow's.
#[derive(Debug)]
pub struct JsonNumbers;

impl EncoderFactory for JsonNumbers {
    fn make_default_encoder<'a>(
        &self,
        _field: &'a FieldRef,
        array: &'a dyn Array,
        _options: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        Ok(match array.data_type() {
            DataType::Decimal32(_, ..0) => Some(encoder::<Decimal32Type>(array)),
            DataType::Decimal64(_, ..0) => Some(encoder::<Decimal64Type>(array)),
            DataType::Decimal128(_, ..0) => Some(encoder::<Decimal128Type>(array)),
            DataType::Decimal256(_, ..0) => Some(encoder::<Decimal256Type>(array)),
            _ => None,
        })
    }
}

fn encoder<T: DecimalType>(array: &dyn Array) -> NullableEncoder<'_> {
    NullableEncoder::new(Box::new(Decimals(array.as_primitive::<T>())), array.nulls().cloned())
}

struct Decimals<'a, T: DecimalType>(&'a PrimitiveArray<T>);

impl<T: DecimalType> Encoder for Decimals<'_, T> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        match self.0.value(row).is_zero() {
            true => out.push(b'0'),
            false => out.extend(self.0.value_as_string(row).bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Decimal64Array, RecordBatch, StructArray};
    use arrow_json::writer::{LineDelimited, WriterBuilder};

    use super::*;

    #[test]
    fn a_zero_without_a_fraction_is_one_digit_at_any_depth() {
        let decimals = Decimal64Array::from(vec![Some(0), Some(-12), None, Some(3)]);
        let decimals: ArrayRef = Arc::new(decimals.with_precision_and_scale(12, -2).unwrap());
        let within: ArrayRef = Arc::new(StructArray::try_from(vec![("d", decimals.clone())]).unwrap());
        let batch = RecordBatch::try_from_iter([("a", decimals), ("b", within)]).unwrap();
        let builder = WriterBuilder::new().with_explicit_nulls(true).with_encoder_factory(Arc::new(JsonNumbers));
        let mut writer = builder.build::<_, LineDelimited>(Vec::new());
        writer.write(&batch).unwrap();
        let expected = "{\"a\":0,\"b\":{\"d\":0}}\n{\"a\":-1200,\"b\":{\"d\":-1200}}\n{\"a\":null,\"b\":{\"d\":null}}\n\
                        {\"a\":300,\"b\":{\"d\":300}}\n";
        assert_eq!(String::from_utf8(writer.into_inner()).unwrap(), expected);
    }
}
