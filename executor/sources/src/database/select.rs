//! The SQL that asks for a source's rows. Values are bound, names are quoted. Pure.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Schema};
use flowc_adbc::{Vendor, parameters, quoted};
use flowc_planner::plan::{DatabaseRows, TableName};

use super::cursor::Range;

/// A query, and the values of its parameters.
pub(super) struct Select {
    pub(super) sql: String,
    pub(super) parameters: Option<RecordBatch>,
}

/// A table's name within SQL.
pub(super) fn table(name: &TableName) -> String {
    let schema = name.schema.as_ref().map_or_else(String::new, |schema| format!("{}.", quoted(schema)));
    format!("{schema}{}", quoted(&name.table))
}

/// What rows are called within SQL.
const ROWS: &str = "flowc_rows";

/// A column of the rows. With their name before it: SQLite takes a name in quotes that no column has for a text.
fn column_of_rows(column: &str) -> String {
    format!("{ROWS}.{}", quoted(column))
}

/// Makes the statement that gives all rows.
pub(super) fn all(rows: &DatabaseRows) -> Select {
    match rows {
        DatabaseRows::Table { table: name, order_by } => {
            let order: Vec<String> = order_by.iter().map(|column| column_of_rows(column)).collect();
            let order = if order.is_empty() { String::new() } else { format!(" ORDER BY {}", order.join(", ")) };
            Select { sql: format!("SELECT * FROM {} AS {ROWS}{order}", table(name)), parameters: None }
        }
        DatabaseRows::Query { sql, params } => {
            Select { sql: sql.trim().trim_end_matches(';').to_owned(), parameters: parameters(params) }
        }
    }
}

/// What makes a query of rows: a name of theirs, and conditions.
fn within(rows: &DatabaseRows) -> String {
    match rows {
        DatabaseRows::Table { table: name, .. } => format!("{} AS {ROWS}", table(name)),
        // A comment at the query's end must not reach further.
        DatabaseRows::Query { .. } => format!("({}\n) AS {ROWS}", all(rows).sql),
    }
}

/// How many parameters a query has of its own.
fn own(rows: &DatabaseRows) -> usize {
    match rows {
        DatabaseRows::Table { .. } => 0,
        DatabaseRows::Query { params, .. } => params.len(),
    }
}

/// The largest value of the cursor, of rows beyond `after`.
pub(super) fn largest(rows: &DatabaseRows, cursor: &str, after: Option<&Range>, vendor: &Vendor) -> Option<Select> {
    let column = column_of_rows(cursor);
    let beyond = after.map_or_else(String::new, |_| format!(" WHERE {column} > {}", vendor.placeholder(own(rows) + 1)));
    let sql = format!("SELECT max({column}) FROM {}{beyond}", within(rows));
    let values = after.map_or(Some(Vec::new()), |range| Some(vec![range.upto()?]))?;
    Some(Select { sql, parameters: Range::parameters(all(rows).parameters, values) })
}

/// The least and the largest value of a column.
pub(super) fn bounds(rows: &DatabaseRows, column: &str) -> Select {
    let column = column_of_rows(column);
    let sql = format!("SELECT min({column}), max({column}) FROM {}", within(rows));
    Select { sql, parameters: all(rows).parameters }
}

/// A row whose cursor, or other column that ranges are of, is null, if there is one.
pub(super) fn without_cursor(rows: &DatabaseRows, cursor: &str) -> Select {
    let sql = format!("SELECT 1 FROM {} WHERE {} IS NULL LIMIT 1", within(rows), column_of_rows(cursor));
    Select { sql, parameters: all(rows).parameters }
}

/// The rows of a range of the cursor, in its order.
pub(super) fn range(rows: &DatabaseRows, cursor: &str, range: &Range, vendor: &Vendor) -> Option<Select> {
    let (column, first) = (column_of_rows(cursor), own(rows) + 1);
    let mut values = Vec::new();
    let mut conditions = Vec::new();
    if range.after.is_some() {
        conditions.push(format!("{column} > {}", vendor.placeholder(first)));
        values.push(range.after()?);
    }
    conditions.push(format!("{column} <= {}", vendor.placeholder(first + values.len())));
    values.push(range.upto()?);
    let sql = format!("SELECT * FROM {} WHERE {} ORDER BY {column}", within(rows), conditions.join(" AND "));
    Some(Select { sql, parameters: Range::parameters(all(rows).parameters, values) })
}

/// The largest whole number below which floats have all of them.
const WHOLE: i64 = 1 << 53;

/// A value of SQLite that has another type than its column: which column, and the type of the value. Values of SQLite have types of
/// their own.
pub(super) fn unlike(select: &Select, columns: &Schema) -> Option<Select> {
    first(select, columns, |data_type, name| match data_type {
        DataType::Int64 => Some(format!("typeof({name}) NOT IN ('integer', 'null')")),
        DataType::Float64 => Some(format!(
            "(typeof({name}) NOT IN ('real', 'integer', 'null') \
             OR typeof({name}) = 'integer' AND {name} NOT BETWEEN -{WHOLE} AND {WHOLE})"
        )),
        DataType::Utf8 => Some(format!("typeof({name}) NOT IN ('text', 'null')")),
        DataType::Binary => Some(format!("typeof({name}) NOT IN ('blob', 'null')")),
        _ => None,
    })
}

/// The same of the values alone that the driver gives as others without a word, where it tells the types of columns as they are expected.
/// Values are told by their order, which takes a third of the time of asking for their types: numbers come before texts, and those before bytes.
pub(super) fn changed(select: &Select, columns: &Schema) -> Option<Select> {
    first(select, columns, |data_type, name| match data_type {
        DataType::Float64 => Some(format!("({name} > {WHOLE} OR {name} < -{WHOLE}) AND typeof({name}) = 'integer'")),
        DataType::Utf8 => Some(format!("({name} COLLATE BINARY < '' OR {name} COLLATE BINARY >= x'')")),
        DataType::Binary => Some(format!("{name} COLLATE BINARY < x''")),
        _ => None,
    })
}

/// The first value of which a condition says that it is not one of its column, by types and names within SQL.
fn first(select: &Select, columns: &Schema, condition: impl Fn(&DataType, &str) -> Option<String>) -> Option<Select> {
    let of = |(place, column): (usize, &Arc<Field>)| {
        let name = column_of_rows(column.name());
        let is_unlike = condition(column.data_type(), &name)?;
        Some((place, name, is_unlike))
    };
    let conditions: Vec<_> = columns.fields().iter().enumerate().filter_map(of).collect();
    let any: Vec<&str> = conditions.iter().map(|(_, _, is_unlike)| is_unlike.as_str()).collect();
    let places = conditions.iter().map(|(place, _, is_unlike)| format!(" WHEN {is_unlike} THEN {place}"));
    let types = conditions.iter().map(|(_, name, is_unlike)| format!(" WHEN {is_unlike} THEN typeof({name})"));
    let (places, types) = (places.collect::<String>(), types.collect::<String>());
    let sql = format!(
        "SELECT CASE{places} END, CASE{types} END FROM ({}\n) AS {ROWS} WHERE {} LIMIT 1",
        select.sql,
        any.join(" OR ")
    );
    (!any.is_empty()).then(|| Select { sql, parameters: select.parameters.clone() })
}

#[cfg(test)]
mod tests {
    use flowc_planner::plan::BoundValue;

    use super::*;

    fn events() -> DatabaseRows {
        let table = TableName { schema: Some("main".to_owned()), table: "odd\"name".to_owned() };
        DatabaseRows::Table { table, order_by: vec!["id".to_owned()] }
    }

    fn query() -> DatabaseRows {
        let sql = "SELECT * FROM t WHERE region = $1 -- all;".to_owned();
        DatabaseRows::Query { sql, params: vec![BoundValue::Text("x'; DROP TABLE t; --".to_owned())] }
    }

    #[test]
    fn names_are_quoted_and_values_are_bound() {
        assert_eq!(
            all(&events()).sql,
            "SELECT * FROM \"main\".\"odd\"\"name\" AS flowc_rows ORDER BY flowc_rows.\"id\""
        );
        let select = all(&query());
        assert_eq!(select.sql, "SELECT * FROM t WHERE region = $1 -- all");
        assert_eq!(select.parameters.unwrap().num_columns(), 1);
    }

    #[test]
    fn a_range_comes_behind_the_querys_own_parameters() {
        let bounds = Range { after: Some("5".to_owned()), upto: "9".to_owned(), data_type: DataType::Int64 };
        let select = range(&query(), "id", &bounds, &Vendor::PostgreSql).unwrap();
        let expected = "SELECT * FROM (SELECT * FROM t WHERE region = $1 -- all\n) AS flowc_rows WHERE flowc_rows.\"id\" > $2 AND flowc_rows.\"id\" <= $3 \
                        ORDER BY flowc_rows.\"id\"";
        assert_eq!(select.sql, expected);
        assert_eq!(select.parameters.unwrap().num_columns(), 3);
        let first = Range { after: None, ..bounds.clone() };
        let select = range(&events(), "id", &first, &Vendor::Sqlite).unwrap();
        let expected = "SELECT * FROM \"main\".\"odd\"\"name\" AS flowc_rows WHERE flowc_rows.\"id\" <= ? ORDER BY flowc_rows.\"id\"";
        assert_eq!(select.sql, expected);
        let select = largest(&events(), "id", Some(&bounds), &Vendor::Sqlite).unwrap();
        let expected =
            "SELECT max(flowc_rows.\"id\") FROM \"main\".\"odd\"\"name\" AS flowc_rows WHERE flowc_rows.\"id\" > ?";
        assert_eq!(select.sql, expected);
    }
}
