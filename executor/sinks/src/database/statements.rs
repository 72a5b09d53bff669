//! The SQL of a sink. Names are quoted, values are bound. Pure.

use flowc_adbc::{Vendor, quoted};
use flowc_planner::plan::{BoundValue, TableName};

use super::conversions::Conversion;

/// The table that says what sinks have written.
const RECORDS: &str = "flowc_sinks";
/// The table where rows wait that are to be added, for the time of a transaction.
pub(super) const STAGED: &str = "flowc_staged_rows";
/// Where they wait once they have the types of the table.
pub(super) const FITTED: &str = "flowc_fitted_rows";

/// The statements for one table.
pub(super) struct Statements<'a> {
    pub(super) table: &'a TableName,
    pub(super) columns: Vec<&'a str>,
    pub(super) key: &'a [String],
    pub(super) vendor: &'a Vendor,
}

fn qualified(schema: Option<&str>, table: &str) -> String {
    let schema = schema.map_or_else(String::new, |schema| format!("{}.", quoted(schema)));
    format!("{schema}{}", quoted(table))
}

impl Statements<'_> {
    fn records(&self) -> String {
        qualified(self.table.schema.as_deref(), RECORDS)
    }

    /// The table's name.
    pub(super) fn name(&self) -> String {
        qualified(self.table.schema.as_deref(), &self.table.table)
    }

    fn list(&self) -> String {
        self.columns.iter().map(|column| quoted(column)).collect::<Vec<_>>().join(", ")
    }

    /// Whether the row of one table has the key of that of another one.
    fn same_key(&self, one: &str, other: &str) -> String {
        let equal = |column: &String| format!("{one}.{name} = {other}.{name}", name = quoted(column));
        self.key.iter().map(equal).collect::<Vec<_>>().join(" AND ")
    }

    /// No rows, with the table's columns.
    pub(super) fn no_rows(&self) -> String {
        format!("SELECT * FROM {} WHERE 1 = 0", self.name())
    }

    pub(super) fn make_records(&self) -> String {
        format!("CREATE TABLE IF NOT EXISTS {} (sink TEXT PRIMARY KEY, state TEXT NOT NULL)", self.records())
    }

    /// Bound: the sink.
    pub(super) fn read_record(&self) -> String {
        format!("SELECT state FROM {} WHERE sink = {}", self.records(), self.vendor.placeholder(1))
    }

    /// Changes nothing, but nobody else can change it from then on. Bound: the sink.
    pub(super) fn hold_record(&self) -> String {
        format!("UPDATE {} SET state = state WHERE sink = {}", self.records(), self.vendor.placeholder(1))
    }

    /// Bound: the state, the sink.
    pub(super) fn change_record(&self) -> String {
        let [state, sink] = [1, 2].map(|number| self.vendor.placeholder(number));
        format!("UPDATE {} SET state = {state} WHERE sink = {sink}", self.records())
    }

    /// Bound: the state, the sink.
    pub(super) fn add_record(&self) -> String {
        let [state, sink] = [1, 2].map(|number| self.vendor.placeholder(number));
        format!("INSERT INTO {} (state, sink) VALUES ({state}, {sink})", self.records())
    }

    pub(super) fn drop_table(&self) -> String {
        format!("DROP TABLE {}", self.name())
    }

    pub(super) fn empty_table(&self) -> String {
        format!("DELETE FROM {}", self.name())
    }

    /// The names and types of the table's columns, or of staged rows, with the values that are bound.
    pub(super) fn types(&self, is_staged: bool) -> (String, Vec<BoundValue>) {
        let name = if is_staged { quoted(STAGED) } else { self.name() };
        let text = |text: &str| BoundValue::Text(text.to_owned());
        match self.vendor {
            Vendor::PostgreSql => {
                let sql = "SELECT CAST(attname AS text), format_type(atttypid, atttypmod) FROM pg_attribute \
                           WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped";
                (sql.to_owned(), vec![text(&name)])
            }
            Vendor::Sqlite => {
                let (table, schema) = match is_staged {
                    true => (STAGED, Some("temp")),
                    false => (self.table.table.as_str(), self.table.schema.as_deref()),
                };
                let bound: Vec<_> = [Some(table), schema].into_iter().flatten().map(text).collect();
                let marks = vec!["?"; bound.len()].join(", ");
                (format!("SELECT name, type FROM pragma_table_info({marks})"), bound)
            }
            Vendor::DuckDb | Vendor::Other(_) => {
                (format!("SELECT column_name, column_type FROM (DESCRIBE {name})"), Vec::new())
            }
        }
    }

    /// Gives staged rows the types of the table.
    pub(super) fn fit(&self, conversions: &[Conversion]) -> String {
        let value = |column: &&str| {
            let name = quoted(column);
            let conversion = conversions.iter().find(|conversion| conversion.column == *column);
            conversion.map_or_else(|| name.clone(), |conversion| format!("{} AS {name}", conversion.value()))
        };
        let values: Vec<String> = self.columns.iter().map(value).collect();
        format!("CREATE TEMPORARY TABLE {} AS SELECT {} FROM {}", quoted(FITTED), values.join(", "), quoted(STAGED))
    }

    /// Adds all waiting rows.
    pub(super) fn add_rows(&self, waiting: &str) -> String {
        let columns = self.list();
        format!("INSERT INTO {} ({columns}) SELECT {columns} FROM {}", self.name(), quoted(waiting))
    }

    /// Writes waiting rows over those of their key; none where rows have no other columns.
    pub(super) fn change_by_key(&self, waiting: &str) -> Option<String> {
        let others = self.columns.iter().filter(|column| !self.key.iter().any(|key| key == *column));
        let set: Vec<String> = others.map(|column| format!("{name} = new_row.{name}", name = quoted(column))).collect();
        let (table, waiting) = (self.name(), quoted(waiting));
        let same = self.same_key("old_row", "new_row");
        (!set.is_empty())
            .then(|| format!("UPDATE {table} AS old_row SET {} FROM {waiting} AS new_row WHERE {same}", set.join(", ")))
    }

    /// Adds waiting rows whose key no row has.
    pub(super) fn add_by_key(&self, waiting: &str) -> String {
        let (table, waiting, columns) = (self.name(), quoted(waiting), self.list());
        let of_new: Vec<String> = self.columns.iter().map(|column| format!("new_row.{}", quoted(column))).collect();
        let same = self.same_key("old_row", "new_row");
        format!(
            "INSERT INTO {table} ({columns}) SELECT {} FROM {waiting} AS new_row WHERE NOT EXISTS (SELECT 1 FROM {table} AS old_row \
             WHERE {same})",
            of_new.join(", ")
        )
    }

    /// A row, if the table has any.
    pub(super) fn any_row(&self) -> String {
        format!("SELECT 1 FROM {} LIMIT 1", self.name())
    }

    /// Gives a row if several rows of a table have one key, where the database finds that sooner than the key.
    pub(super) fn has_repeated_key(&self, table: &str) -> Option<String> {
        let [key] = self.key else { return None };
        let key = quoted(key);
        (*self.vendor == Vendor::PostgreSql)
            .then(|| format!("SELECT 1 FROM {table} HAVING count(*) > count(DISTINCT {key})"))
    }

    /// The columns of each index that lets no two rows of the table be equal in them, with the index, where the database has a table of
    /// those. Bound: the table.
    pub(super) fn unique_columns(&self) -> Option<(&'static str, BoundValue)> {
        const INDEXES: &str = "SELECT CAST(indexrelid AS text), CAST(attname AS text) FROM pg_index JOIN pg_attribute \
                               ON attrelid = indrelid AND attnum = ANY ((CAST(indkey AS int2[]))[0:indnkeyatts - 1]) \
                               WHERE indrelid = to_regclass($1) AND indisunique AND indimmediate AND indisvalid AND indpred IS NULL \
                               AND indexprs IS NULL";
        (*self.vendor == Vendor::PostgreSql).then(|| (INDEXES, BoundValue::Text(self.name())))
    }

    /// A key that several rows of a table have.
    pub(super) fn repeated_key(&self, table: &str) -> String {
        let key: Vec<String> = self.key.iter().map(|column| quoted(column)).collect();
        let key = key.join(", ");
        format!("SELECT {key} FROM {table} GROUP BY {key} HAVING count(*) > 1 LIMIT 1")
    }

    /// Has the table find rows by their key, each once.
    pub(super) fn index(&self) -> String {
        let key: Vec<String> = self.key.iter().map(|column| quoted(column)).collect();
        let name = quoted(&format!("{}_flowc_key", self.table.table));
        format!("CREATE UNIQUE INDEX {name} ON {} ({})", self.name(), key.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_wherever_they_stand() {
        let table = TableName { schema: Some("s\"".to_owned()), table: "t; --".to_owned() };
        let key = ["k\"".to_owned()];
        let columns = vec!["k\"", "v"];
        let of = Statements { table: &table, columns, key: &key, vendor: &Vendor::PostgreSql };
        let quoted_name = "\"s\"\"\".\"t; --\"";
        assert_eq!(of.name(), quoted_name);
        for text in
            [of.no_rows(), of.drop_table(), of.empty_table(), of.add_rows(STAGED), of.add_by_key(STAGED), of.index()]
        {
            assert!(text.contains(quoted_name), "{text}");
        }
        assert_eq!(
            of.change_by_key(STAGED).unwrap(),
            "UPDATE \"s\"\"\".\"t; --\" AS old_row SET \"v\" = new_row.\"v\" FROM \"flowc_staged_rows\" AS new_row WHERE \
             old_row.\"k\"\"\" = new_row.\"k\"\"\""
        );
        assert_eq!(of.read_record(), "SELECT state FROM \"s\"\"\".\"flowc_sinks\" WHERE sink = $1");
    }

    #[test]
    fn rows_are_given_the_types_of_their_table() {
        let table = TableName { schema: Some("s".to_owned()), table: "t".to_owned() };
        let of = |vendor| Statements { table: &table, columns: vec!["a", "b"], key: &[], vendor };
        let [column, from, to] = ["b", "bytea", "uuid"].map(str::to_owned);
        assert_eq!(
            of(&Vendor::PostgreSql).fit(&[Conversion { column, from, to }]),
            "CREATE TEMPORARY TABLE \"flowc_fitted_rows\" AS SELECT \"a\", CAST(encode(\"b\", 'hex') AS uuid) AS \"b\" FROM \
             \"flowc_staged_rows\""
        );
        let (sql, bound) = of(&Vendor::Sqlite).types(false);
        assert_eq!((sql.as_str(), bound.len()), ("SELECT name, type FROM pragma_table_info(?, ?)", 2));
        assert_eq!(of(&Vendor::PostgreSql).types(false).1, [BoundValue::Text("\"s\".\"t\"".to_owned())]);
    }

    #[test]
    fn rows_that_are_keys_alone_are_never_changed() {
        let table = TableName { schema: None, table: "t".to_owned() };
        let key = ["k".to_owned()];
        let of = Statements { table: &table, columns: vec!["k"], key: &key, vendor: &Vendor::Sqlite };
        assert_eq!(of.change_by_key(STAGED), None);
        assert_eq!(of.change_record(), "UPDATE \"flowc_sinks\" SET state = ? WHERE sink = ?");
    }
}
