//! What JSON values have in common, as an Arrow type. Members keep the order in which they first appear.

use std::sync::Arc;

use arrow_schema::{DataType, Field};
use serde_json::Value;

/// The shape of the values seen so far.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Shape {
    /// Nulls, or nothing.
    Nothing,
    Bool,
    /// Whole numbers from 0 that 64 bits with a sign hold.
    Natural,
    /// Whole numbers that 64 bits with a sign hold, negative ones too.
    Integer,
    /// Whole numbers from 0, some of which only 64 bits without a sign hold.
    Large,
    Float,
    Text,
    List(Box<Shape>),
    Object(Vec<(String, Shape)>),
    /// Values of kinds that no one type holds.
    Mixed,
}

impl Shape {
    /// The shape with one value more.
    pub(crate) fn with(self, value: &Value) -> Self {
        match (self, value) {
            (Shape::List(item), Value::Array(items)) => Shape::List(Box::new(items.iter().fold(*item, Shape::with))),
            (Shape::Object(members), Value::Object(object)) => Shape::Object(merge(members, object)),
            (shape, Value::Null) => shape,
            (Shape::Nothing, Value::Array(items)) => {
                Shape::List(Box::new(items.iter().fold(Shape::Nothing, Shape::with)))
            }
            (Shape::Nothing, Value::Object(object)) => Shape::Object(merge(Vec::new(), object)),
            (shape, scalar) => shape.join(Shape::of_scalar(scalar)),
        }
    }

    fn of_scalar(value: &Value) -> Self {
        match value {
            Value::Bool(_) => Shape::Bool,
            Value::Number(number) if number.is_i64() && number.is_u64() => Shape::Natural,
            Value::Number(number) if number.is_i64() => Shape::Integer,
            Value::Number(number) if number.is_u64() => Shape::Large,
            Value::Number(_) => Shape::Float,
            Value::String(_) => Shape::Text,
            Value::Null => Shape::Nothing,
            Value::Array(_) | Value::Object(_) => Shape::Mixed,
        }
    }

    /// Different scalars are text together: every scalar can be read as text.
    fn join(self, other: Shape) -> Self {
        use Shape::{Bool, Float, Integer, Large, List, Mixed, Natural, Nothing, Object, Text};
        match (self, other) {
            (own, other) if own == other => own,
            (Nothing, other) => other,
            (Natural, Integer) | (Integer, Natural) => Integer,
            (Natural, Large) | (Large, Natural) => Large,
            (Natural | Integer, Float) | (Float, Natural | Integer) => Float,
            (Mixed | List(_) | Object(_), _) | (_, Mixed | List(_) | Object(_)) => Mixed,
            (Bool | Natural | Integer | Large | Float | Text, _) => Text,
        }
    }

    /// The type for these values.
    pub(crate) fn data_type(&self) -> DataType {
        match self {
            // Rows that are neither scalars nor all lists nor all objects are bad rows of a text column.
            Shape::Nothing | Shape::Text | Shape::Mixed => DataType::Utf8,
            Shape::Bool => DataType::Boolean,
            Shape::Natural | Shape::Integer => DataType::Int64,
            Shape::Large => DataType::UInt64,
            Shape::Float => DataType::Float64,
            Shape::List(item) => DataType::List(Arc::new(Field::new("item", item.data_type(), true))),
            Shape::Object(members) => DataType::Struct(
                members.iter().map(|(name, shape)| Field::new(name, shape.data_type(), true)).collect(),
            ),
        }
    }
}

fn merge(mut members: Vec<(String, Shape)>, object: &serde_json::Map<String, Value>) -> Vec<(String, Shape)> {
    for (place, (name, value)) in object.iter().enumerate() {
        // Objects mostly have the same members in the same order.
        let at = match members.get(place) {
            Some((own, _)) if own == name => Some(place),
            _ => members.iter().position(|(own, _)| own == name),
        };
        match at {
            Some(at) => {
                let shape = std::mem::replace(&mut members[at].1, Shape::Nothing);
                members[at].1 = shape.with(value);
            }
            None => members.push((name.clone(), Shape::Nothing.with(value))),
        }
    }
    members
}
