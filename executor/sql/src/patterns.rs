//! `LIKE ... ESCAPE` and `SIMILAR TO`, whose patterns the engine has other forms for: `LIKE` escapes by a backslash alone, and what is
//! similar is found by a regular expression, which matches a part of a text.

use datafusion::common::Result;
use datafusion::sql::sqlparser::ast::{Expr, Spanned, Value, ValueWithSpan};

use crate::problems::wrong;

/// Gives the engine a pattern as it reads it.
///
/// # Errors
/// Where a pattern is not written in the statement, or is none.
pub(crate) fn rewrite(expr: &mut Expr) -> Result<()> {
    let span = expr.span();
    match expr {
        Expr::Like { pattern, escape_char, .. } | Expr::ILike { pattern, escape_char, .. } => {
            let escape = match escape_char.take() {
                None => return Ok(()),
                Some(escape) => escape_of(Some(&escape))?,
            };
            if escape == Some('\\') {
                return Ok(());
            }
            let instead = "without `ESCAPE` a backslash escapes";
            let Some(written) = text_of(pattern) else {
                return Err(wrong(
                    format!("`LIKE ... ESCAPE` takes a pattern that the statement has as text; {instead}"),
                    span,
                ));
            };
            match like(written, escape) {
                Some(text) => **pattern = with_text(pattern, text),
                None => return Err(wrong("the pattern ends with its escape character".to_owned(), span)),
            }
        }
        Expr::SimilarTo { pattern, escape_char, .. } => {
            let escape = escape_of(escape_char.take().as_ref())?;
            let Some(written) = text_of(pattern) else {
                let message =
                    "`SIMILAR TO` takes a pattern that the statement has as text; use `~` with a regular expression";
                return Err(wrong(message.to_owned(), span));
            };
            match similar(written, escape) {
                Some(text) => **pattern = with_text(pattern, text),
                None => {
                    let message = "the pattern ends within brackets, or with its escape character";
                    return Err(wrong(message.to_owned(), span));
                }
            }
        }
        _ => {}
    }
    Ok(())
}

/// The character that escapes, if one does: a backslash where nothing is said.
fn escape_of(said: Option<&ValueWithSpan>) -> Result<Option<char>> {
    let Some(said) = said else { return Ok(Some('\\')) };
    let text = said.value.clone().into_string().unwrap_or_default();
    let mut letters = text.chars();
    match (&said.value, letters.next(), letters.next()) {
        (Value::SingleQuotedString(_) | Value::EscapedStringLiteral(_), first, None) => Ok(first),
        _ => Err(wrong("`ESCAPE` takes one character in single quotes, or none".to_owned(), said.span)),
    }
}

/// The text of a pattern that stands in the statement.
fn text_of(pattern: &Expr) -> Option<&str> {
    match pattern {
        Expr::Nested(pattern) => text_of(pattern),
        Expr::Value(ValueWithSpan {
            value:
                Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) | Value::UnicodeStringLiteral(text),
            ..
        }) => Some(text),
        Expr::Value(ValueWithSpan { value: Value::DollarQuotedString(text), .. }) => Some(&text.value),
        _ => None,
    }
}

fn with_text(pattern: &Expr, text: String) -> Expr {
    Expr::Value(Value::SingleQuotedString(text).with_span(pattern.span()))
}

/// A pattern of `LIKE` in which a backslash escapes. None if it ends with its escape character.
fn like(pattern: &str, escape: Option<char>) -> Option<String> {
    let mut out = String::new();
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        match letter {
            letter if Some(letter) == escape => out.extend(['\\', letters.next()?]),
            '\\' => out.push_str("\\\\"),
            letter => out.push(letter),
        }
    }
    Some(out)
}

/// The regular expression for a pattern of `SIMILAR TO`, which the whole of a text has to match. None if the pattern ends too soon.
fn similar(pattern: &str, escape: Option<char>) -> Option<String> {
    let mut out = String::from("^(?s:");
    let mut letters = pattern.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            letter if Some(letter) == escape => literal(&mut out, letters.next()?),
            '%' => out.push_str(".*"),
            '_' => out.push('.'),
            '(' => out.push_str("(?:"),
            '|' | ')' | '*' | '+' | '?' | '{' | '}' => out.push(letter),
            '[' => bracket(&mut out, &mut letters, escape)?,
            letter => literal(&mut out, letter),
        }
    }
    out.push_str(")$");
    Some(out)
}

/// A set of characters, without what the engine's regular expressions have more in them.
fn bracket(
    out: &mut String,
    letters: &mut std::iter::Peekable<std::str::Chars<'_>>,
    escape: Option<char>,
) -> Option<()> {
    out.push('[');
    if letters.next_if_eq(&'^').is_some() {
        out.push('^');
    }
    if letters.next_if_eq(&']').is_some() {
        out.push_str("\\]");
    }
    loop {
        match letters.next()? {
            letter if Some(letter) == escape => literal(out, letters.next()?),
            ']' => break,
            // A class such as `[:digit:]`.
            '[' if letters.next_if_eq(&':').is_some() => {
                out.push_str("[:");
                loop {
                    match letters.next()? {
                        ']' => break,
                        letter => out.push(letter),
                    }
                }
                out.push(']');
            }
            '-' => out.push('-'),
            letter => literal(out, letter),
        }
    }
    out.push(']');
    Some(())
}

/// A character that stands for itself.
fn literal(out: &mut String, letter: char) {
    if "\\.+*?()|[]{}^$#&-~".contains(letter) {
        out.push('\\');
    }
    out.push(letter);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_the_whole_of_a_text() {
        for (pattern, escape, is) in [
            ("abc", Some('\\'), "abc"),
            ("a%_", Some('\\'), "a.*."),
            ("a|b", Some('\\'), "a|b"),
            ("(a|b)+", Some('\\'), "(?:a|b)+"),
            ("a.b^$", Some('\\'), "a\\.b\\^\\$"),
            ("a\\%\\_\\.", Some('\\'), "a%_\\."),
            ("a!%\\", Some('!'), "a%\\\\"),
            ("a\\%", None, "a\\\\.*"),
            ("[a-c]{2,3}x?", Some('\\'), "[a-c]{2,3}x?"),
            ("[^%_.]*", Some('\\'), "[^%_\\.]*"),
            ("[]a]", Some('\\'), "[\\]a]"),
            ("[[:digit:]&&x]", Some('\\'), "[[:digit:]\\&\\&x]"),
        ] {
            assert_eq!(similar(pattern, escape), Some(format!("^(?s:{is})$")), "{pattern}");
        }
        for pattern in ["[a", "a\\", "[[:digit:"] {
            assert_eq!(similar(pattern, Some('\\')), None, "{pattern}");
        }
    }

    #[test]
    fn a_pattern_of_like_is_escaped_by_backslashes() {
        assert_eq!(like("10!%%", Some('!')).as_deref(), Some("10\\%%"));
        assert_eq!(like("a\\b_", Some('!')).as_deref(), Some("a\\\\b_"));
        assert_eq!(like("a\\%", None).as_deref(), Some("a\\\\%"));
        assert_eq!(like("a!", Some('!')), None);
    }
}
