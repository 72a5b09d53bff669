//! What JSON values have in common, as an Arrow type. Members keep the order in which they first appear.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{ArrowError, DataType, Field};

use crate::text::json::{Cursor, Token};

/// How many members an object can have. One with more has keys in place of names: it is a map.
const MOST_MEMBERS: usize = 200;

/// Objects of many members whose values have no one type are maps of text where a mean object has less than this share of
/// the members: as columns, all but a few values of each row would be null.
const SPARSE: usize = 10;

/// The shape of the values seen so far. Its type has room for each of them.
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
    Object(Members),
    /// Values of kinds that no one type holds, but as text.
    Mixed,
}

/// The members of objects.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Members {
    shapes: Vec<(String, Shape)>,
    places: HashMap<String, usize>,
    /// Objects so far.
    objects: usize,
    /// Members of all of them.
    occurrences: usize,
}

impl Shape {
    /// Takes in the value at the cursor.
    ///
    /// # Errors
    /// The value is no JSON; the shape is of no use then.
    pub(crate) fn add(&mut self, cursor: &mut Cursor<'_>) -> Result<(), ArrowError> {
        let other = match cursor.token()? {
            Token::List => return self.add_items(cursor),
            Token::Object => return self.add_members(cursor),
            Token::Null => Shape::Nothing,
            Token::Truth(_) => Shape::Bool,
            Token::Number(number) => Shape::of_number(number),
            Token::Text(_) => Shape::Text,
        };
        let own = std::mem::replace(self, Shape::Nothing);
        *self = own.join(other);
        Ok(())
    }

    fn add_items(&mut self, cursor: &mut Cursor<'_>) -> Result<(), ArrowError> {
        let mut item = match std::mem::replace(self, Shape::Mixed) {
            Shape::List(item) => item,
            Shape::Nothing => Box::new(Shape::Nothing),
            _ => {
                while cursor.next_item()? {
                    cursor.skip()?;
                }
                return Ok(());
            }
        };
        while cursor.next_item()? {
            item.add(cursor)?;
        }
        *self = Shape::List(item);
        Ok(())
    }

    fn add_members(&mut self, cursor: &mut Cursor<'_>) -> Result<(), ArrowError> {
        let mut members = match std::mem::replace(self, Shape::Mixed) {
            Shape::Object(members) => members,
            Shape::Nothing => Members::default(),
            _ => {
                while cursor.next_member()?.is_some() {
                    cursor.skip()?;
                }
                return Ok(());
            }
        };
        members.objects += 1;
        let mut next = 0;
        while let Some(name) = cursor.next_member()? {
            let place = members.place(&name, next);
            members.shapes[place].1.add(cursor)?;
            members.occurrences += 1;
            next = place + 1;
        }
        *self = Shape::Object(members);
        Ok(())
    }

    /// A number that its type would round is text.
    fn of_number(number: &str) -> Self {
        let is_whole = !number.contains(['.', 'e', 'E']);
        match (is_whole, number.parse::<i64>(), number.parse::<u64>()) {
            (true, Ok(_), Ok(_)) => Shape::Natural,
            (true, Ok(_), Err(_)) => Shape::Integer,
            (true, Err(_), Ok(_)) => Shape::Large,
            (false, ..) if number.parse::<f64>().is_ok_and(f64::is_finite) => Shape::Float,
            _ => Shape::Text,
        }
    }

    /// Different scalars are text together: every value can be read as text.
    fn join(self, other: Shape) -> Self {
        use Shape::{Bool, Float, Integer, Large, List, Mixed, Natural, Nothing, Object, Text};
        match (self, other) {
            (Nothing, shape) | (shape, Nothing) => shape,
            (List(own), List(other)) => List(Box::new(own.join(*other))),
            (Object(own), Object(other)) => Object(own.join(other)),
            (Mixed | List(_) | Object(_), _) | (_, Mixed | List(_) | Object(_)) => Mixed,
            (own, other) if own == other => own,
            (Natural, Integer) | (Integer, Natural) => Integer,
            (Natural, Large) | (Large, Natural) => Large,
            (Natural | Integer, Float) | (Float, Natural | Integer) => Float,
            (Bool | Natural | Integer | Large | Float | Text, _) => Text,
        }
    }

    /// Whether values of both shapes keep their kind in one type.
    fn is_akin(&self, other: &Shape) -> bool {
        use Shape::{Float, Integer, Large, List, Natural, Nothing, Object};
        match (self, other) {
            (Nothing, _) | (_, Nothing) | (Object(_), Object(_)) => true,
            (List(own), List(other)) => own.is_akin(other),
            (Natural | Integer | Large | Float, Natural | Integer | Large | Float) => true,
            (own, other) => own == other,
        }
    }

    /// The type for these values.
    pub(crate) fn data_type(&self) -> DataType {
        match self {
            Shape::Nothing | Shape::Text | Shape::Mixed => DataType::Utf8,
            Shape::Bool => DataType::Boolean,
            Shape::Natural | Shape::Integer => DataType::Int64,
            Shape::Large => DataType::UInt64,
            Shape::Float => DataType::Float64,
            Shape::List(item) => DataType::List(Arc::new(Field::new("item", item.data_type(), true))),
            Shape::Object(members) => members.data_type(),
        }
    }

    /// The shape of a member, if this is the shape of records that have it.
    pub(crate) fn member(&self, name: &str) -> Option<&Shape> {
        match self {
            Shape::Object(members) => members.places.get(name).map(|&place| &members.shapes[place].1),
            _ => None,
        }
    }

    /// The columns, if this is the shape of records. Records of any number of members have columns.
    pub(crate) fn columns(&self) -> Vec<Field> {
        match self {
            Shape::Object(members) => members.fields(),
            _ => Vec::new(),
        }
    }
}

impl Members {
    /// Where a member is, which is new if there is none of the name. Objects mostly have the same members in one order:
    /// `next` is where this one is expected.
    fn place(&mut self, name: &str, next: usize) -> usize {
        match self.shapes.get(next) {
            Some((own, _)) if own == name => return next,
            _ => {}
        }
        if let Some(place) = self.places.get(name) {
            return *place;
        }
        self.places.insert(name.to_owned(), self.shapes.len());
        self.shapes.push((name.to_owned(), Shape::Nothing));
        self.shapes.len() - 1
    }

    fn join(mut self, other: Members) -> Self {
        self.objects += other.objects;
        self.occurrences += other.occurrences;
        for (name, shape) in other.shapes {
            let place = self.place(&name, usize::MAX);
            let own = std::mem::replace(&mut self.shapes[place].1, Shape::Nothing);
            self.shapes[place].1 = own.join(shape);
        }
        self
    }

    fn data_type(&self) -> DataType {
        if self.shapes.len() <= MOST_MEMBERS {
            return DataType::Struct(self.fields().into());
        }
        let shapes = || self.shapes.iter().map(|(_, shape)| shape);
        let value = shapes().cloned().fold(Shape::Nothing, Shape::join);
        let is_sparse = self.occurrences * SPARSE < self.objects * self.shapes.len();
        match is_sparse || shapes().try_fold(&Shape::Nothing, akin).is_some() {
            true => map(value.data_type()),
            false => DataType::Struct(self.fields().into()),
        }
    }

    fn fields(&self) -> Vec<Field> {
        self.shapes.iter().map(|(name, shape)| Field::new(name, shape.data_type(), true)).collect()
    }
}

/// The one of two shapes that is more than nothing, if they are akin.
fn akin<'a>(own: &'a Shape, other: &'a Shape) -> Option<&'a Shape> {
    own.is_akin(other).then_some(if *own == Shape::Nothing { other } else { own })
}

fn map(value: DataType) -> DataType {
    let fields = vec![Field::new("key", DataType::Utf8, false), Field::new("value", value, true)];
    DataType::Map(Arc::new(Field::new("entries", DataType::Struct(fields.into()), false)), false)
}
