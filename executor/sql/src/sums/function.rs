//! The functions as the engine knows them.

use arrow_schema::{DataType, Field, FieldRef};
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, GroupsAccumulator, ReversedUDAF, Signature, Volatility};

use super::accumulators::{Distinct, Groups, One, Types};
use super::total::Kind;

/// Decimal places of a mean of decimals, where there is room.
const MEAN_PLACES: i16 = 16;
/// Digits that a sum of decimals has more than these.
const SUM_DIGITS: u8 = 10;
/// Digits of the widest decimal.
const MOST_DIGITS: u8 = 38;

/// A function of exact sums.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Function {
    name: &'static str,
    aliases: Vec<String>,
    kind: Kind,
    signature: Signature,
}

impl Function {
    pub(crate) fn new(name: &'static str, aliases: &[&str], kind: Kind) -> Self {
        let aliases = aliases.iter().map(|&alias| alias.to_owned()).collect();
        Self { name, aliases, kind, signature: Signature::user_defined(Volatility::Immutable) }
    }

    fn types(&self, args: &AccumulatorArgs<'_>) -> Types {
        Types { kind: self.kind, of: args.expr_fields[0].data_type().clone(), to: args.return_type().clone() }
    }
}

impl AggregateUDFImpl for Function {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let [given] = types else { return plan_err!("`{}` takes one value, not {}", self.name, types.len()) };
        let given = if let DataType::Dictionary(_, value) = given { value } else { given };
        let taken = match given {
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => DataType::Int64,
            DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 => DataType::UInt64,
            DataType::Null | DataType::Float16 | DataType::Float32 | DataType::Float64 => DataType::Float64,
            DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) if self.kind.has_squares() => {
                DataType::Float64
            }
            DataType::Decimal32(precision, scale)
            | DataType::Decimal64(precision, scale)
            | DataType::Decimal128(precision, scale) => DataType::Decimal128(*precision, *scale),
            DataType::Duration(_) | DataType::Interval(_) => {
                return plan_err!("`{0}` takes numbers; take it of seconds: `{0}(extract(epoch FROM ...))`", self.name);
            }
            other => return plan_err!("`{}` takes numbers, not {other}", self.name),
        };
        Ok(vec![taken])
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(match (self.kind, &types[0]) {
            (Kind::Sum, DataType::Decimal128(precision, scale)) => {
                DataType::Decimal128(MOST_DIGITS.min(precision + SUM_DIGITS), *scale)
            }
            (Kind::Sum, other) => other.clone(),
            (Kind::Mean, DataType::Decimal128(precision, scale)) => {
                let (most, digits, scale) = (i16::from(MOST_DIGITS), i16::from(*precision), i16::from(*scale));
                let whole = digits - scale;
                let places = MEAN_PLACES.max(scale).min(most - whole).max(scale);
                DataType::Decimal128((whole + places).clamp(1, most) as u8, places as i8)
            }
            _ => DataType::Float64,
        })
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let types = self.types(&args);
        Ok(if args.is_distinct { Box::new(Distinct::new(types)) } else { Box::new(One::new(types)) })
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(vec![Field::new(format_state_name(args.name, "total"), DataType::Binary, false).into()])
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        !args.is_distinct
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Groups::new(self.types(&args))))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }
}
