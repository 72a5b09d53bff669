//! How many statements a database's query has: drivers run the first or the last one of several, and drop the others without a word.
//! Pure.

/// What differs between databases in what hides a semicolon.
#[derive(Clone, Copy, Debug)]
struct Lexis {
    /// `[a;b]` is a name.
    brackets: bool,
    /// `$$a;b$$` and `$x$a;b$x$` are texts.
    dollars: bool,
    /// `/* /* */ ; */` is one comment.
    nested: bool,
    /// `'a\';b'` is one text.
    backslashes: bool,
}

const SQLITE: Lexis = Lexis { brackets: true, dollars: false, nested: false, backslashes: false };
const POSTGRESQL: Lexis = Lexis { brackets: false, dollars: true, nested: true, backslashes: false };
/// What databases that flowc does not know may do: of these a query is refused that has several statements by all.
const OTHERS: [Lexis; 4] =
    [POSTGRESQL, SQLITE, Lexis { brackets: false, ..SQLITE }, Lexis { brackets: false, backslashes: true, ..SQLITE }];

/// The second statement of a query for a driver, if there is one. White space, comments and semicolons are none.
pub(super) fn second_statement<'q>(driver: &str, query: &'q str) -> Option<&'q str> {
    let name = driver.rsplit('/').next().unwrap_or(driver).to_ascii_lowercase();
    let lexes: &[Lexis] = match () {
        () if name.contains("sqlite") => &[SQLITE],
        // DuckDB has the lexer of PostgreSQL.
        () if name.contains("postgresql") || name.contains("duckdb") => &[POSTGRESQL],
        () => &OTHERS,
    };
    let found: Option<Vec<&str>> = lexes.iter().map(|lexis| lexis.second(query)).collect();
    found?.first().copied()
}

impl Lexis {
    /// What follows the first semicolon that ends a statement, if it has a token.
    fn second(self, query: &str) -> Option<&str> {
        let (mut rest, mut has_token, mut has_ended) = (query, false, false);
        while let Some(first) = rest.chars().next() {
            let length = self.token(rest);
            match first {
                ';' => has_ended |= has_token,
                _ if first.is_whitespace() || self.is_comment(rest) => {}
                _ if has_ended => return Some(rest.trim_end()),
                _ => has_token = true,
            }
            rest = rest.get(length..)?;
        }
        None
    }

    fn is_comment(self, text: &str) -> bool {
        text.starts_with("--") || text.starts_with("/*")
    }

    /// Bytes of the first token, or of a part of it that hides no semicolon.
    fn token(self, text: &str) -> usize {
        let Some(first) = text.chars().next() else { return 0 };
        match first {
            '-' if text.starts_with("--") => text.find('\n').map_or(text.len(), |end| end + 1),
            '/' if text.starts_with("/*") => self.comment(text),
            'e' | 'E' if text[1..].starts_with('\'') && self.dollars => 1 + within(&text[1..], '\'', true),
            '\'' => within(text, '\'', self.backslashes),
            '"' => within(text, '"', self.backslashes),
            '`' => within(text, '`', false),
            '[' if self.brackets => text.find(']').map_or(text.len(), |end| end + 1),
            '$' if self.dollars => dollars(text).unwrap_or(1),
            _ if is_word(first) => text.find(|letter| !is_word(letter) && letter != '$').unwrap_or(text.len()),
            _ => first.len_utf8(),
        }
    }

    fn comment(self, text: &str) -> usize {
        let (mut depth, mut at) = (0_usize, 0);
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            if rest.starts_with("/*") && (self.nested || depth == 0) {
                depth += 1;
                at += 2;
            } else if rest.starts_with("*/") {
                depth = depth.saturating_sub(1);
                at += 2;
                if depth == 0 {
                    return at;
                }
            } else {
                at += rest.chars().next().map_or(1, char::len_utf8);
            }
        }
        text.len()
    }
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// Bytes of a text that begins with a quote. One that is written twice is a part of it.
fn within(text: &str, quote: char, backslashes: bool) -> usize {
    let mut letters = text.char_indices().skip(1).peekable();
    while let Some((at, letter)) = letters.next() {
        if letter == '\\' && backslashes {
            letters.next();
        } else if letter == quote && letters.next_if(|(_, next)| *next == quote).is_none() {
            return at + quote.len_utf8();
        }
    }
    text.len()
}

/// Bytes of a text between two equal tags; none if this is no tag.
fn dollars(text: &str) -> Option<usize> {
    let tag = &text[..1 + text[1..].find('$')? + 1];
    let name = &tag[1..tag.len() - 1];
    let is_tag = name.chars().all(is_word) && !name.starts_with(|letter: char| letter.is_ascii_digit());
    let end = text[tag.len()..].find(tag).map_or(text.len(), |end| tag.len() + end + tag.len());
    is_tag.then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_statement_is_one_whatever_hides_a_semicolon() {
        let everywhere = [
            "",
            ";",
            "SELECT 1",
            "SELECT 1;",
            " SELECT 1 ; ; -- SELECT 2; SELECT 3",
            "SELECT 1; /* SELECT 2; */",
            "-- a; b\nSELECT ';', 'it''s; x', \"a;b\", \"a\"\";b\" FROM t",
            "SELECT '\u{e9};' -- ;",
            "SELECT 'never ended; SELECT 2",
        ];
        for query in everywhere {
            for driver in ["sqlite", "postgresql", "lib/libduckdb.so", "flightsql"] {
                assert_eq!(second_statement(driver, query), None, "{driver}: {query}");
            }
        }
        for (drivers, query) in [
            (&["sqlite"][..], "SELECT [a;b] FROM `c;d`"),
            (&["sqlite"], "SELECT 1 /* /* */ ; -- */"),
            (&["postgresql", "duckdb", "other"], "SELECT $$a;b$$, $x$ $$;$$ ; $x$, $1"),
            (&["postgresql", "duckdb", "other"], "SELECT E'\\'; ', 1 /* /* ; */ ; */"),
            (&["mysql"], "SELECT 'it\\'s; so'"),
        ] {
            for driver in drivers {
                assert_eq!(second_statement(driver, query), None, "{driver}: {query}");
            }
        }
    }

    #[test]
    fn a_second_statement_is_found_behind_what_may_hide_it() {
        for (query, second) in [
            ("SELECT 1; SELECT 2", "SELECT 2"),
            ("SELECT * FROM t;\nDELETE FROM t; ", "DELETE FROM t;"),
            (";; SELECT ';' ;-- x\n/* y */ VALUES (1)", "VALUES (1)"),
            ("SELECT 'a'';'; x", "x"),
            ("SELECT \"a\"; SELECT 'b;'", "SELECT 'b;'"),
        ] {
            for driver in ["sqlite", "/opt/libadbc_driver_postgresql.so", "libduckdb.so", "snowflake"] {
                assert_eq!(second_statement(driver, query), Some(second), "{driver}: {query}");
            }
        }
        for (driver, query) in [
            ("sqlite", "SELECT 1 /* /* */ ; SELECT 2 -- */"),
            ("sqlite", "SELECT $$ ; SELECT 2 $$"),
            ("sqlite", "SELECT 'a\\'; SELECT ' '"),
            ("duckdb", "SELECT [1, 2]; SELECT 3"),
            ("postgresql", "SELECT $1; SELECT $2"),
            ("postgresql", "SELECT 'a\\'; SELECT ' '"),
        ] {
            assert!(second_statement(driver, query).is_some(), "{driver}: {query}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_has_an_end(query in "[-;'\"`\\[\\]$/*eE\\\\ \n a\u{e9}]{0,40}") {
            for driver in ["sqlite", "postgresql", "other"] {
                second_statement(driver, &query);
            }
        }
    }
}
