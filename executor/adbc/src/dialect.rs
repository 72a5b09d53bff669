//! What differs between databases in the SQL that flowc writes itself.

/// The maker of a database, as its driver tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vendor {
    /// SQLite.
    Sqlite,
    /// PostgreSQL, and what says that it is.
    PostgreSql,
    /// DuckDB.
    DuckDb,
    /// Another one, by its name.
    Other(String),
}

impl Vendor {
    /// The vendor of this name.
    pub fn named(name: &str) -> Self {
        match name.to_ascii_lowercase().as_str() {
            "sqlite" => Self::Sqlite,
            "postgresql" => Self::PostgreSql,
            "duckdb" => Self::DuckDb,
            _ => Self::Other(name.to_owned()),
        }
    }

    /// The vendor that a driver is for, as far as its name or its file's name tells.
    pub fn of_driver(driver: &str) -> Option<Self> {
        let name = driver.rsplit('/').next().unwrap_or(driver).to_ascii_lowercase();
        let known = [("sqlite", Self::Sqlite), ("postgresql", Self::PostgreSql), ("duckdb", Self::DuckDb)];
        known.into_iter().find(|(part, _)| name.contains(part)).map(|(_, vendor)| vendor)
    }

    /// The name of the database, for messages.
    pub fn name(&self) -> &str {
        match self {
            Self::Sqlite => "SQLite",
            Self::PostgreSql => "PostgreSQL",
            Self::DuckDb => "DuckDB",
            Self::Other(name) => name,
        }
    }

    /// The placeholder of a query's parameter, by its number from 1.
    pub fn placeholder(&self, number: usize) -> String {
        match self {
            Self::PostgreSql | Self::DuckDb => format!("${number}"),
            Self::Sqlite | Self::Other(_) => "?".to_owned(),
        }
    }

    /// What makes bytes of a column of texts.
    pub(crate) fn bytes_of(&self, column: &str) -> String {
        match self {
            Self::Sqlite | Self::DuckDb => format!("CAST({column} AS BLOB)"),
            // A cast to `bytea` reads backslashes as escapes.
            Self::PostgreSql => format!("convert_to({column}, 'SQL_ASCII')"),
            Self::Other(_) => format!("CAST({column} AS BINARY)"),
        }
    }

    /// The statement after which a connection writes nothing, if the database has one.
    pub(crate) fn read_only(&self) -> Option<&'static str> {
        match self {
            Self::Sqlite => Some("PRAGMA query_only = on"),
            Self::PostgreSql => Some("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"),
            Self::DuckDb | Self::Other(_) => None,
        }
    }

    /// Whether tables are made, filled and dropped within a transaction, so that a sink's rows appear in one step.
    pub fn is_transactional(&self) -> bool {
        !matches!(self, Self::Other(_))
    }
}

/// A name of a table or column within SQL: whatever is in it, it is a name.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_a_name() {
        assert_eq!(quoted("day"), "\"day\"");
        assert_eq!(quoted("x\"; DROP TABLE t; --"), "\"x\"\"; DROP TABLE t; --\"");
    }

    #[test]
    fn vendors_are_found_by_the_names_that_drivers_tell() {
        for (name, vendor) in
            [("SQLite", Vendor::Sqlite), ("PostgreSQL", Vendor::PostgreSql), ("duckdb", Vendor::DuckDb)]
        {
            assert_eq!(Vendor::named(name), vendor);
        }
        assert_eq!(Vendor::named("Dremio").name(), "Dremio");
        assert_eq!(Vendor::of_driver("sqlite"), Some(Vendor::Sqlite));
        assert_eq!(Vendor::of_driver("/sqlite/libduckdb.so"), Some(Vendor::DuckDb));
        assert_eq!(Vendor::of_driver("flightsql"), None);
    }
}
