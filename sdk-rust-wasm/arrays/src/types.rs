//! Whether columns are of the types that are declared.

use arrow_schema::{DataType, Field, FieldRef};

use crate::{ArraysError, Fault};

/// Compares the types of columns with those of the declared fields: they have to be equal, down to the names, the
/// nullability and the metadata of nested fields.
///
/// # Errors
/// The first difference, at the place where it is within the column.
pub fn check_types(declared: &[FieldRef], given: &[DataType]) -> Result<(), ArraysError> {
    if declared.len() != given.len() {
        return Err(ArraysError::Count { declared: declared.len(), given: given.len() });
    }
    let mut pairs = declared.iter().zip(given);
    match pairs.find_map(|(field, given)| difference(field.name().clone(), field.data_type(), given)) {
        Some((column, fault)) => Err(ArraysError::Column { column, fault }),
        None => Ok(()),
    }
}

/// Where two types differ, as a path of field names, and how.
fn difference(path: String, declared: &DataType, given: &DataType) -> Option<(String, Fault)> {
    if declared == given {
        return None;
    }
    let nested = match (declared, given) {
        (DataType::Dictionary(keys, values), DataType::Dictionary(other_keys, other_values)) if keys == other_keys => {
            difference(path.clone(), values, other_values)
        }
        _ => field_pairs(declared, given).into_iter().find_map(|(a, b)| field_difference(&path, a, b)),
    };
    let whole = || Fault::OtherType { declared: declared.to_string(), given: given.to_string() };
    Some(nested.unwrap_or_else(|| (path, whole())))
}

fn field_difference(path: &str, declared: &Field, given: &Field) -> Option<(String, Fault)> {
    let path = format!("{path}.{}", declared.name());
    let in_type = difference(path.clone(), declared.data_type(), given.data_type());
    in_type.or_else(|| (declared != given).then(|| (path, other_field(declared, given))))
}

/// How two fields of one type differ.
fn other_field(declared: &Field, given: &Field) -> Fault {
    let nullable = |field: &Field| if field.is_nullable() { "nullable" } else { "without nulls" }.to_owned();
    let (declared, given) = if declared.name() != given.name() {
        (format!("field `{}`", declared.name()), format!("field `{}`", given.name()))
    } else if declared.is_nullable() != given.is_nullable() {
        (nullable(declared), nullable(given))
    } else {
        (format!("a field with metadata {:?}", declared.metadata()), format!("one with {:?}", given.metadata()))
    };
    Fault::OtherType { declared, given }
}

/// The nested fields of two types side by side, where the types differ in nothing else.
fn field_pairs<'a>(declared: &'a DataType, given: &'a DataType) -> Vec<(&'a Field, &'a Field)> {
    use DataType::*;
    match (declared, given) {
        (List(a), List(b))
        | (LargeList(a), LargeList(b))
        | (ListView(a), ListView(b))
        | (LargeListView(a), LargeListView(b)) => vec![(a, b)],
        (FixedSizeList(a, size), FixedSizeList(b, other)) if size == other => vec![(a, b)],
        (Map(a, sorted), Map(b, other)) if sorted == other => vec![(a, b)],
        (RunEndEncoded(ends, a), RunEndEncoded(other, b)) if ends == other => vec![(a, b)],
        (Struct(a), Struct(b)) if a.len() == b.len() => a.iter().zip(b).map(|(a, b)| (&**a, &**b)).collect(),
        (Union(a, mode), Union(b, other)) if mode == other && a.len() == b.len() => {
            let same_ids = a.iter().zip(b.iter()).all(|((a, _), (b, _))| a == b);
            let pairs = a.iter().zip(b.iter()).filter(|_| same_ids);
            pairs.map(|((_, a), (_, b))| (&**a, &**b)).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn told(declared: DataType, given: DataType) -> String {
        check_types(&[Arc::new(Field::new("x", declared, true))], &[given]).unwrap_err().to_string()
    }

    fn list(item: Field) -> DataType {
        DataType::List(Arc::new(item))
    }

    #[test]
    fn a_difference_is_told_at_its_place() {
        use DataType::*;
        let int = |name: &str, nullable| Field::new(name, Int64, nullable);
        let of = |fields: Vec<Field>| list(Field::new("item", Struct(fields.into()), true));
        let declared = of(vec![int("a", true), int("b", true)]);
        let cases = [
            (Int64, Float64, "column `x`: declared as Int64, but given as Float64"),
            (
                declared.clone(),
                of(vec![int("a", true), Field::new("b", Utf8, true)]),
                "column `x.item.b`: declared as Int64, but given as Utf8",
            ),
            (
                declared.clone(),
                of(vec![int("b", true), int("a", true)]),
                "column `x.item.a`: declared as field `a`, but given as field `b`",
            ),
            (
                declared,
                of(vec![int("a", false), int("b", true)]),
                "column `x.item.a`: declared as nullable, but given as without nulls",
            ),
            (
                Dictionary(Box::new(Int8), Box::new(Utf8)),
                Dictionary(Box::new(Int8), Box::new(LargeUtf8)),
                "column `x`: declared as Utf8, but given as LargeUtf8",
            ),
        ];
        for (declared, given, expected) in cases {
            assert_eq!(told(declared, given), expected);
        }
    }

    #[test]
    fn the_number_of_columns_counts() {
        let error = check_types(&[], &[DataType::Int8]).unwrap_err().to_string();
        assert_eq!(error, "columns given: 1, columns declared: 0");
    }
}
