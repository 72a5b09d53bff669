//! Rows for a table whose columns have other types: each value as it is, or none of them. Pure.
//!
//! Databases round, shorten and parse where a value meets another type. So the columns that differ are converted by name, and back again
//! to see whether the values are what they were.

use flowc_adbc::{Vendor, quoted};

/// A column of a table, with its type in the words of the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TypedColumn {
    pub(super) name: String,
    pub(super) data_type: String,
}

/// A column whose type in the table is not that of the rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Conversion {
    pub(super) column: String,
    /// The type of the rows.
    pub(super) from: String,
    /// The type in the table.
    pub(super) to: String,
}

/// The columns of rows that have another type in the table.
pub(super) fn conversions(rows: &[TypedColumn], table: &[TypedColumn]) -> Vec<Conversion> {
    let conversion = |column: &TypedColumn| {
        let to = table.iter().find(|other| other.name == column.name)?;
        let (column, from, to) = (column.name.clone(), column.data_type.clone(), to.data_type.clone());
        (from != to).then_some(Conversion { column, from, to })
    };
    rows.iter().filter_map(conversion).collect()
}

impl Conversion {
    /// The expression for the column's value in the table's type.
    pub(super) fn value(&self) -> String {
        let column = quoted(&self.column);
        match self.is_uuid() {
            true => format!("CAST(encode({column}, 'hex') AS uuid)"),
            false => format!("CAST({column} AS {})", self.to),
        }
    }

    /// A query for a value that would be another one in the table, as a text; none if there can't be any.
    pub(super) fn changed_value(&self, vendor: &Vendor, rows: &str) -> Option<String> {
        let column = quoted(&self.column);
        let condition = match vendor {
            Vendor::Sqlite => self.changed_in_sqlite(&column)?,
            _ => self.changed_by_cast(&column),
        };
        Some(format!("SELECT CAST({column} AS text) FROM {rows} WHERE {condition} LIMIT 1"))
    }

    fn changed_by_cast(&self, column: &str) -> String {
        let (value, Self { from, to, .. }) = (self.value(), self);
        let is_zoned = |data_type: &str| data_type.to_ascii_lowercase().ends_with("with time zone");
        if is_zoned(from) != is_zoned(to) {
            // Which moment it is would depend on the session.
            format!("{column} IS NOT NULL")
        } else if from == "text" && matches!(to.as_str(), "json" | "jsonb") {
            // It is converted, which fails where it is no JSON; blanks do not count.
            format!("{column} IS NOT NULL AND {value} IS NULL")
        } else if from == "text" && to.starts_with("numeric") {
            format!("CAST({column} AS numeric) IS DISTINCT FROM CAST({value} AS numeric)")
        } else if self.is_uuid() {
            format!("{column} IS DISTINCT FROM decode(replace(CAST({value} AS text), '-', ''), 'hex')")
        } else {
            format!("{column} IS DISTINCT FROM CAST({value} AS {from})")
        }
    }

    /// SQLite converts where a column has an affinity, and as it can.
    fn changed_in_sqlite(&self, column: &str) -> Option<String> {
        match (Affinity::of(&self.from), Affinity::of(&self.to)) {
            (Affinity::Text, Affinity::Number | Affinity::Real) => {
                Some(format!("{column} = CAST({column} AS NUMERIC)"))
            }
            (Affinity::Number | Affinity::Real, Affinity::Text) => Some(format!("{column} IS NOT NULL")),
            (Affinity::Number, Affinity::Real) => Some(format!("CAST({column} AS REAL) <> {column}")),
            _ => None,
        }
    }

    fn is_uuid(&self) -> bool {
        (self.from.as_str(), self.to.as_str()) == ("bytea", "uuid")
    }
}

/// What SQLite makes of values in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Affinity {
    Text,
    Number,
    Real,
    /// It leaves them as they are.
    None,
}

impl Affinity {
    /// By the rules of SQLite for declared types.
    fn of(declared: &str) -> Self {
        let declared = declared.to_ascii_uppercase();
        let has = |words: &[&str]| words.iter().any(|word| declared.contains(word));
        if has(&["INT"]) {
            Self::Number
        } else if has(&["CHAR", "CLOB", "TEXT"]) {
            Self::Text
        } else if has(&["BLOB"]) || declared.is_empty() {
            Self::None
        } else if has(&["REAL", "FLOA", "DOUB"]) {
            Self::Real
        } else {
            Self::Number
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(columns: &[(&str, &str)]) -> Vec<TypedColumn> {
        let column = |(name, data_type): &(&str, &str)| TypedColumn {
            name: (*name).to_owned(),
            data_type: (*data_type).to_owned(),
        };
        columns.iter().map(column).collect()
    }

    fn one(from: &str, to: &str) -> Conversion {
        Conversion { column: "c".to_owned(), from: from.to_owned(), to: to.to_owned() }
    }

    #[test]
    fn columns_of_other_types_are_converted_and_no_others() {
        let rows = typed(&[("id", "bigint"), ("n", "double precision")]);
        let table = typed(&[("n", "integer"), ("id", "bigint"), ("mine", "text")]);
        let expected = Conversion { column: "n".to_owned(), ..one("double precision", "integer") };
        assert_eq!(conversions(&rows, &table), [expected]);
    }

    #[test]
    fn values_are_converted_and_back() {
        let cases = [
            ("double precision", "integer", "\"c\" IS DISTINCT FROM CAST(CAST(\"c\" AS integer) AS double precision)"),
            ("text", "jsonb", "\"c\" IS NOT NULL AND CAST(\"c\" AS jsonb) IS NULL"),
            (
                "text",
                "numeric(9,2)",
                "CAST(\"c\" AS numeric) IS DISTINCT FROM CAST(CAST(\"c\" AS numeric(9,2)) AS numeric)",
            ),
            (
                "bytea",
                "uuid",
                "\"c\" IS DISTINCT FROM decode(replace(CAST(CAST(encode(\"c\", 'hex') AS uuid) AS text), '-', ''), 'hex')",
            ),
            ("timestamp with time zone", "timestamp without time zone", "\"c\" IS NOT NULL"),
        ];
        for (from, to, condition) in cases {
            let expected = format!("SELECT CAST(\"c\" AS text) FROM rows WHERE {condition} LIMIT 1");
            assert_eq!(one(from, to).changed_value(&Vendor::PostgreSql, "rows"), Some(expected), "{from} {to}");
        }
    }

    #[test]
    fn sqlite_converts_by_affinity() {
        let condition = |from: &str, to: &str| {
            let query = one(from, to).changed_value(&Vendor::Sqlite, "rows")?;
            Some(query.split("WHERE ").nth(1)?.trim_end_matches(" LIMIT 1").to_owned())
        };
        assert_eq!(condition("TEXT", "DATE").unwrap(), "\"c\" = CAST(\"c\" AS NUMERIC)");
        assert_eq!(condition("INTEGER", "VARCHAR(9)").unwrap(), "\"c\" IS NOT NULL");
        assert_eq!(condition("INTEGER", "DOUBLE").unwrap(), "CAST(\"c\" AS REAL) <> \"c\"");
        for (from, to) in [("TEXT", "CLOB"), ("INTEGER", "DECIMAL"), ("REAL", ""), ("BLOB", "TEXT"), ("TEXT", "BLOB")] {
            assert_eq!(condition(from, to), None, "{from} {to}");
        }
    }
}
