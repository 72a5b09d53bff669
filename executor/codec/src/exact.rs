//! Whether JSON says exactly what columns can hold. arrow-json reads numbers of many kinds into columns of many kinds, and
//! rounds or cuts them where it has to; what a stage sends must not be changed silently.

use std::fmt;

use arrow_schema::{DataType, SchemaRef};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Unexpected, Visitor};

/// Checks lines of JSON against the columns that are due.
///
/// # Errors
/// What is wrong first, and where; in words.
pub(crate) fn check(lines: &[u8], due: &SchemaRef) -> Result<(), String> {
    let row = DataType::Struct(due.fields().clone());
    let lines = lines.split(|byte| *byte == b'\n').zip(1..).filter(|(line, _)| !line.trim_ascii().is_empty());
    for (line, number) in lines {
        let mut found = serde_json::Deserializer::from_slice(line);
        let checked = Exactly(&row).deserialize(&mut found).and_then(|()| found.end());
        checked.map_err(|error| {
            let (said, column) = (error.to_string(), error.column());
            let what = said.rsplit_once(" at line ").map_or(&*said, |(what, _)| what);
            format!("{what} at line {number} column {column}")
        })?;
    }
    Ok(())
}

/// A value that a column of this type holds as it is, or null. Whether an integer is in the type's range arrow-json says.
struct Exactly<'a>(&'a DataType);

impl Exactly<'_> {
    fn is<E: Error>(&self, fits: bool, found: Unexpected<'_>) -> Result<(), E> {
        if fits { Ok(()) } else { Err(E::invalid_type(found, self)) }
    }

    fn is_number(&self) -> bool {
        self.0.is_integer() || self.0.is_floating()
    }
}

impl<'de> DeserializeSeed<'de> for Exactly<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Exactly<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            DataType::Struct(_) => f.write_str("an object"),
            other => write!(f, "{other}"),
        }
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.is(*self.0 == DataType::Boolean, Unexpected::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.is(self.is_number(), Unexpected::Signed(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.is(self.is_number(), Unexpected::Unsigned(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        let fits = match self.0 {
            DataType::Float64 => true,
            DataType::Float32 => (value as f32).is_finite(),
            _ => false,
        };
        self.is(fits, Unexpected::Float(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.is(matches!(self.0, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View), Unexpected::Str(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let (DataType::List(item) | DataType::LargeList(item)) = self.0 else {
            return Err(Error::invalid_type(Unexpected::Seq, &self));
        };
        while items.next_element_seed(Exactly(item.data_type()))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let DataType::Struct(fields) = self.0 else { return Err(Error::invalid_type(Unexpected::Map, &self)) };
        let mut seen = vec![false; fields.len()];
        while let Some(name) = members.next_key::<String>()? {
            let found = fields.find(&name);
            let (place, field) = found.ok_or_else(|| Error::custom(format!("no column `{name}` is due")))?;
            if std::mem::replace(&mut seen[place], true) {
                return Err(Error::custom(format!("`{name}` comes twice")));
            }
            members.next_value_seed(Exactly(field.data_type()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_schema::{Field, Schema};

    use super::*;

    fn due() -> SchemaRef {
        let list = DataType::new_list(DataType::Int8, true);
        let fields = [
            ("i", DataType::Int64),
            ("x", DataType::Float64),
            ("y", DataType::Float32),
            ("t", DataType::Utf8),
            ("l", list),
        ];
        Arc::new(Schema::new(fields.map(|(name, data_type)| Field::new(name, data_type, true)).to_vec()))
    }

    #[test]
    fn what_a_column_holds_is_taken() {
        for good in ["", "{}\n", r#"{"i":-5,"x":1.5e3,"y":2,"t":"7","l":[1,null]}"#, "{\"i\":null}\n{\"i\":1}\n"] {
            check(good.as_bytes(), &due()).unwrap();
        }
    }

    #[test]
    fn what_would_be_changed_is_refused() {
        let bad = [
            r#"{"i":5.7}"#,
            r#"{"i":5.0}"#,
            r#"{"i":1e3}"#,
            r#"{"i":"7"}"#,
            r#"{"i":007}"#,
            r#"{"x":"NaN"}"#,
            r#"{"x":1e400}"#,
            r#"{"y":1e39}"#,
            r#"{"i":1,"i":2}"#,
            r#"{"t":7}"#,
            r#"{"l":[0.5]}"#,
            r#"{"l":1}"#,
            r#"{"z":1}"#,
            r#"{"i":true}"#,
            "[1]",
            "7",
            "{}{}",
            "{\"i\":\n1}",
            r#"{"i":1"#,
        ];
        for bad in bad {
            assert!(check(bad.as_bytes(), &due()).is_err(), "{bad}");
        }
        let second = check(b"{\"i\":1}\n{\"i\":true}\n", &due()).unwrap_err();
        assert!(second.ends_with("at line 2 column 9"), "{second}");
    }
}
