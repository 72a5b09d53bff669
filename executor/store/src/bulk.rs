//! Looking up many keys of a table at once: starting a statement takes longer than finding a key.

use std::collections::HashMap;

use rusqlite::{Connection, Row, params_from_iter};

/// Keys that one statement looks up.
const AT_ONCE: usize = 64;

/// What a table holds under each key, in the order of the keys, all in one read transaction. `select` names a table and
/// what `read` makes a key and its value of.
pub(crate) fn find<V: Copy>(
    connection: &Connection,
    select: &str,
    keys: &[&[u8; 32]],
    read: impl Fn(&Row<'_>) -> rusqlite::Result<([u8; 32], V)>,
) -> rusqlite::Result<Vec<Option<V>>> {
    let transaction = connection.unchecked_transaction()?;
    let mut found = HashMap::with_capacity(keys.len());
    for keys in keys.chunks(AT_ONCE) {
        // There are statements for one key and for many. What is left over is filled up with a key that is there.
        let places = if keys.len() == 1 { 1 } else { AT_ONCE };
        let marks = vec!["?"; places].join(",");
        let mut statement = transaction.prepare_cached(&format!("{select} WHERE key IN ({marks})"))?;
        let filled = keys.iter().chain(std::iter::repeat(&keys[0])).take(places);
        let mut rows = statement.query(params_from_iter(filled))?;
        while let Some(row) = rows.next()? {
            found.extend([read(row)?]);
        }
    }
    transaction.commit()?;
    Ok(keys.iter().map(|key| found.get(*key).copied()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_keys_is_found_each_in_its_place() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE t (key BLOB PRIMARY KEY, n INTEGER) WITHOUT ROWID").unwrap();
        let key = |n: u8| [n; 32];
        for n in (0..200).filter(|n| n % 3 > 0) {
            connection.execute("INSERT INTO t VALUES (?, ?)", (key(n), n)).unwrap();
        }
        for count in [0, 1, 2, 63, 64, 65, 130, 200] {
            let keys: Vec<[u8; 32]> = (0..count).rev().map(key).collect();
            let asked: Vec<&[u8; 32]> = keys.iter().collect();
            let found =
                find(&connection, "SELECT n, key FROM t", &asked, |row| Ok((row.get(1)?, row.get::<_, u8>(0)?)));
            let expected: Vec<Option<u8>> = (0..count).rev().map(|n| Some(n).filter(|n| n % 3 > 0)).collect();
            assert_eq!(found.unwrap(), expected);
        }
        let twice =
            find(&connection, "SELECT n, key FROM t", &[&key(1), &key(1)], |row| Ok((row.get(1)?, row.get(0)?)));
        assert_eq!(twice.unwrap(), [Some(1u8), Some(1)]);
    }
}
