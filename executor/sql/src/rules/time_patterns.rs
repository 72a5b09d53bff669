//! Patterns of times, `YYYY-MM-DD`, as PostgreSQL has them. The engine takes `%Y-%m-%d` alone, and gives others back as they are.

use arrow_schema::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, plan_err};
use datafusion::functions::expr_fn::{lower, rpad, to_char, upper};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator, lit};

/// The letters that names of months and days have room for.
const NAME: i64 = 9;

/// What a piece of a text is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Made {
    AsIs,
    Upper,
    Lower,
}

/// A word of a pattern, what the engine has for it, and whether blanks follow up to the longest name.
struct Word {
    word: &'static str,
    engine: &'static str,
    /// Without zeros or blanks before and after it.
    bare: &'static str,
    made: Made,
    is_padded: bool,
    /// Whether texts are read by it, too.
    is_read: bool,
}

const fn word(word: &'static str, engine: &'static str, bare: &'static str, is_read: bool) -> Word {
    Word { word, engine, bare, made: Made::AsIs, is_padded: false, is_read }
}

const fn name(word: &'static str, engine: &'static str, made: Made, is_padded: bool) -> Word {
    Word { word, engine, bare: engine, made, is_padded, is_read: !is_padded }
}

/// Longer words come before those that they begin with. Words without names mean the same in small letters.
const WORDS: &[Word] = &[
    word("YYYY", "%Y", "%-Y", true),
    word("IYYY", "%G", "%-G", false),
    name("MONTH", "%B", Made::Upper, true),
    name("Month", "%B", Made::AsIs, true),
    name("month", "%B", Made::Lower, true),
    name("MON", "%b", Made::Upper, false),
    name("Mon", "%b", Made::AsIs, false),
    name("mon", "%b", Made::Lower, false),
    word("HH24", "%H", "%-H", true),
    word("HH12", "%I", "%-I", true),
    name("DAY", "%A", Made::Upper, true),
    name("Day", "%A", Made::AsIs, true),
    name("day", "%A", Made::Lower, true),
    word("DDD", "%j", "%-j", true),
    name("DY", "%a", Made::Upper, false),
    name("Dy", "%a", Made::AsIs, false),
    name("dy", "%a", Made::Lower, false),
    word("YY", "%y", "%-y", true),
    word("MM", "%m", "%-m", true),
    word("MI", "%M", "%-M", true),
    word("MS", "%3f", "%3f", true),
    word("US", "%6f", "%6f", true),
    word("DD", "%d", "%-d", true),
    word("HH", "%I", "%-I", true),
    word("SS", "%S", "%-S", true),
    word("IW", "%V", "%-V", false),
    word("ID", "%u", "%u", false),
    word("AM", "%p", "%p", true),
    word("PM", "%p", "%p", true),
    word("Q", "%q", "%q", false),
];

/// Words of which their small letters are others.
const SMALL: [(&str, &str); 2] = [("am", "%P"), ("pm", "%P")];

/// A word that begins as another does, and is not known here: seconds of the day.
const ABSENT: &str = "SSSS";

/// What is said of the words there are.
const KNOWN: &str = "YYYY, YY, MM, Mon, FMMonth, DD, DDD, Dy, FMDay, HH24, HH12, MI, SS, MS, US, AM, Q, IYYY, IW and ID; a text is in double quotes";

/// A part of a text, in the engine's pattern.
#[derive(Debug, PartialEq, Eq)]
struct Piece {
    pattern: String,
    made: Made,
    is_padded: bool,
}

/// A call of `to_char`, `to_date`, `to_timestamp` and their like, with patterns of the engine.
///
/// # Errors
/// If a pattern is none, or may mean two things.
pub(super) fn translated(mut call: ScalarFunction, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let writes = call.name() == "to_char";
    if call.args.len() < 2 {
        return Ok(Transformed::no(Expr::ScalarFunction(call)));
    }
    let kind = call.args[0].get_type(schema)?;
    if writes && matches!(kind, DataType::Duration(_) | DataType::Interval(_)) {
        return plan_err!("`to_char` takes a time, not an interval; write its parts: `extract(hour FROM ...)`");
    }
    if !writes && !matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View) {
        return Ok(Transformed::no(Expr::ScalarFunction(call)));
    }
    let mut is_changed = false;
    for at in 1..call.args.len() {
        let written = match &call.args[at] {
            Expr::Literal(value, _) if value.is_null() => continue,
            Expr::Literal(value, _) => value.try_as_str().flatten(),
            _ => None,
        };
        let Some(written) = written else {
            return plan_err!("the pattern of `{}` is a text of the statement, such as 'YYYY-MM-DD'", call.name());
        };
        if written.contains('%') {
            check_engine(written)?;
            continue;
        }
        let pieces = pieces(written, writes)?;
        is_changed = true;
        if writes {
            let time = std::mem::take(&mut call.args[0]);
            return Ok(Transformed::yes(text(&time, pieces)));
        }
        call.args[at] = lit(pieces.into_iter().map(|piece| piece.pattern).collect::<String>());
    }
    Ok(if is_changed {
        Transformed::yes(Expr::ScalarFunction(call))
    } else {
        Transformed::no(Expr::ScalarFunction(call))
    })
}

/// The text that pieces make of a time.
fn text(time: &Expr, pieces: Vec<Piece>) -> Expr {
    let piece = |piece: Piece| {
        let text = to_char(time.clone(), lit(piece.pattern));
        let text = match piece.made {
            Made::AsIs => text,
            Made::Upper => upper(text),
            Made::Lower => lower(text),
        };
        if piece.is_padded { rpad(vec![text, lit(NAME)]) } else { text }
    };
    let texts = pieces.into_iter().map(piece);
    let joined = |left, right| {
        Expr::BinaryExpr(BinaryExpr { left: Box::new(left), op: Operator::StringConcat, right: Box::new(right) })
    };
    texts.reduce(joined).unwrap_or_else(|| to_char(time.clone(), lit("")))
}

/// A pattern of the engine, `%Y-%m-%d`, has no words of the others.
fn check_engine(pattern: &str) -> Result<()> {
    let mut rest = pattern;
    while let Some(letter) = rest.chars().next() {
        if letter == '%' {
            let after = rest[1..].trim_start_matches(|sign: char| "-_0.:#".contains(sign) || sign.is_ascii_digit());
            rest = after.char_indices().nth(1).map_or("", |(at, _)| &after[at..]);
            continue;
        }
        let found = WORDS.iter().find(|word| word.word.len() > 1 && rest.starts_with(word.word));
        if let Some(word) = found
            && word.word.chars().all(|letter| !letter.is_lowercase())
        {
            return plan_err!(
                "the pattern `{pattern}` has both `%` and `{}`; write one kind: `%Y-%m-%d`, or `YYYY-MM-DD`",
                word.word
            );
        }
        rest = &rest[letter.len_utf8()..];
    }
    Ok(())
}

fn pieces(pattern: &str, writes: bool) -> Result<Vec<Piece>> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut add = |pattern: &str, made: Made, is_padded: bool| match pieces.last_mut() {
        Some(last) if last.made == made && made == Made::AsIs && !is_padded && !last.is_padded => {
            last.pattern.push_str(pattern);
        }
        _ => pieces.push(Piece { pattern: pattern.to_owned(), made, is_padded }),
    };
    let mut rest = pattern;
    while let Some(letter) = rest.chars().next() {
        if letter == '"' {
            let Some((quoted, after)) = rest[1..].split_once('"') else {
                return plan_err!("a text in the pattern `{pattern}` has no end; close it with a double quote");
            };
            add(quoted, Made::AsIs, false);
            rest = after;
            continue;
        }
        if !letter.is_alphanumeric() {
            add(&rest[..letter.len_utf8()], Made::AsIs, false);
            rest = &rest[letter.len_utf8()..];
            continue;
        }
        let bare = rest.strip_prefix("FM").or_else(|| rest.strip_prefix("fm"));
        let of = bare.unwrap_or(rest);
        if let Some((small, engine)) = SMALL.iter().find(|(small, _)| of.starts_with(small)) {
            add(engine, Made::AsIs, false);
            rest = &of[small.len()..];
        } else if let Some(word) = found(of).filter(|_| !of.to_uppercase().starts_with(ABSENT)) {
            let is_padded = word.is_padded && bare.is_none() && writes;
            if !writes && !word.is_read {
                let is_name = word.is_padded;
                if !is_name {
                    return plan_err!("`{}` in the pattern `{pattern}` is for writing times alone", word.word);
                }
            }
            let engine = if bare.is_some() { word.bare } else { word.engine };
            add(engine, if writes { word.made } else { Made::AsIs }, is_padded);
            rest = &of[word.word.len()..];
        } else {
            let unknown: String = of.chars().take_while(|letter| letter.is_alphanumeric()).collect();
            return plan_err!("the pattern `{pattern}` has `{unknown}`, which is not known here; there are {KNOWN}");
        }
        // PostgreSQL has endings such as `DDth`.
        if rest.starts_with("th") || rest.starts_with("TH") {
            return plan_err!("`th` in the pattern `{pattern}` is not offered; there are {KNOWN}");
        }
    }
    Ok(pieces)
}

fn found(of: &str) -> Option<&'static Word> {
    let is_so = |word: &&Word| {
        let is_name = word.engine == "%B" || word.engine == "%b" || word.engine == "%A" || word.engine == "%a";
        match of.get(..word.word.len()) {
            Some(start) if is_name => start == word.word,
            Some(start) => start == word.word || start == word.word.to_lowercase(),
            None => false,
        }
    };
    WORDS.iter().find(is_so)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine(pattern: &str) -> String {
        let pieces = pieces(pattern, true).unwrap();
        let piece = |piece: &Piece| match (piece.made, piece.is_padded) {
            (Made::AsIs, false) => piece.pattern.clone(),
            (made, padded) => format!("<{} {made:?} {padded}>", piece.pattern),
        };
        pieces.iter().map(piece).collect()
    }

    #[test]
    fn words_are_the_engines() {
        for (pattern, is) in [
            ("YYYY-MM-DD HH24:MI:SS.US", "%Y-%m-%d %H:%M:%S.%6f"),
            ("yyyy/mm/dd", "%Y/%m/%d"),
            ("FMDD Mon YY", "%-d %b %y"),
            ("FMMonth", "%B"),
            ("Month", "<%B AsIs true>"),
            ("MON DY", "<%b Upper false> <%a Upper false>"),
            ("IYYY\"-W\"IW-ID", "%G-W%V-%u"),
            ("\"Q\"Q DDD", "Q%q %j"),
            ("HH12:MI AM", "%I:%M %p"),
            ("HH:MI am", "%I:%M %P"),
        ] {
            assert_eq!(engine(pattern), is, "{pattern}");
        }
        assert_eq!(pieces("Mon DD", false).unwrap()[0].pattern, "%b %d");
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for pattern in ["WW", "J", "SSSS", "HH24:ssss", "YYYYBC", "DDth", "hello", "YYYY\"x", "TZ", "OF", "D"] {
            assert!(pieces(pattern, true).is_err(), "{pattern}");
        }
        for pattern in ["%Y-MM", "%d HH24"] {
            assert!(check_engine(pattern).is_err(), "{pattern}");
        }
        for pattern in ["%Y-%m-%dT%H:%M:%S%.3f", "day %-d", "%A the %d"] {
            assert!(check_engine(pattern).is_ok(), "{pattern}");
        }
    }
}
