//! How deep blocks are nested, and whether their braces balance. Strings and comments are passed over; in text that is
//! not KDL the count may be off, but never so that a deep nest of blocks alone passes.

/// Deeper blocks are refused: the parser is recursive, and no pipeline needs them.
pub(super) const DEEPEST: usize = 64;

/// Something that nests.
enum Mark {
    Open,
    Close,
    /// A block comment that holds too many others, or too many `/-` in a row: each of them nests in the one before.
    TooDeep,
}

/// Where blocks or block comments become too deep.
pub(super) fn too_deep(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    marks(text).find_map(|(at, mark)| {
        match mark {
            Mark::Open => depth += 1,
            Mark::Close => depth = depth.saturating_sub(1),
            Mark::TooDeep => return Some(at),
        }
        (depth > DEEPEST).then_some(at)
    })
}

/// Whether every brace that opens is closed by one that follows.
pub(super) fn balances(text: &str) -> bool {
    let mut depth = 0isize;
    let never_below = marks(text).all(|(_, mark)| {
        match mark {
            Mark::Open => depth += 1,
            Mark::Close => depth -= 1,
            Mark::TooDeep => {}
        }
        depth >= 0
    });
    never_below && depth == 0
}

/// The marks of a text with their places.
fn marks(text: &str) -> impl Iterator<Item = (usize, Mark)> {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        while let Some(&byte) = bytes.get(at) {
            let (start, rest) = (at, &bytes[at..]);
            at += 1;
            match byte {
                b'{' => return Some((start, Mark::Open)),
                b'}' => return Some((start, Mark::Close)),
                b'"' | b'#' => at = start + string_length(rest).max(1),
                b'/' if rest.starts_with(b"//") => at = start + line_length(rest),
                b'/' if rest.starts_with(b"/*") => match comment_length(rest) {
                    Some(length) => at = start + length,
                    None => return Some((start, Mark::TooDeep)),
                },
                b'/' if rest.starts_with(b"/-") => {
                    let (length, many) = slashdashes(rest);
                    at = start + length;
                    if many > DEEPEST {
                        return Some((start, Mark::TooDeep));
                    }
                }
                _ => {}
            }
        }
        None
    })
}

/// Length and number of the `/-` that the bytes start with, and of the blanks between them.
fn slashdashes(bytes: &[u8]) -> (usize, usize) {
    let (mut at, mut many) = (0, 0);
    while bytes[at..].starts_with(b"/-") {
        at += 2;
        many += 1;
        at += bytes[at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    }
    (at, many)
}

fn line_length(bytes: &[u8]) -> usize {
    bytes.iter().position(|&byte| byte == b'\n').unwrap_or(bytes.len())
}

/// Length of the string that the bytes start with: quoted, multi-line or raw; 0 if there is none that ends.
fn string_length(bytes: &[u8]) -> usize {
    let hashes = bytes.iter().take_while(|&&byte| byte == b'#').count();
    let quotes = if bytes[hashes..].starts_with(b"\"\"\"") { 3 } else { 1 };
    if bytes.get(hashes) != Some(&b'"') {
        return 0;
    }
    let mut at = hashes + quotes;
    while at < bytes.len() {
        let closes = bytes[at..].len() >= quotes + hashes
            && bytes[at..at + quotes].iter().all(|&byte| byte == b'"')
            && bytes[at + quotes..at + quotes + hashes].iter().all(|&byte| byte == b'#');
        match bytes[at] {
            _ if closes => return at + quotes + hashes,
            b'\\' if hashes == 0 => at += 2,
            b'\n' if quotes == 1 => return 0,
            _ => at += 1,
        }
    }
    0
}

/// Length of a block comment; none when comments in it are too deep.
fn comment_length(bytes: &[u8]) -> Option<usize> {
    let (mut at, mut depth) = (0, 0usize);
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
        } else {
            at += 1;
        }
        match depth {
            0 => return Some(at),
            _ if depth > DEEPEST => return None,
            _ => {}
        }
    }
    Some(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_in_strings_and_comments_do_not_nest() {
        let many = "{".repeat(200);
        for text in [
            format!("a \"{many}\""),
            format!("a #\"{many}\"#"),
            format!("a \"\"\"\n{many}\n\"\"\""),
            format!("// {many}\na"),
            format!("/* {many} */ a"),
            format!("a \"\\\"{many}\""),
        ] {
            assert_eq!(too_deep(&text), None, "{text}");
            assert!(balances(&text), "{text}");
        }
    }

    #[test]
    fn what_would_overflow_the_parser_is_found() {
        for text in [
            "a {".repeat(100_000),
            "/*".repeat(100_000),
            "a { /- b {".repeat(100_000),
            "/-".repeat(100),
            format!("a {}", "/-\n".repeat(100)),
        ] {
            assert!(too_deep(&text).is_some());
        }
    }

    #[test]
    fn braces_balance_or_not() {
        assert!(balances("a { b { } }\nc {}") && balances("a { b \"open }"));
        assert!(!balances("a { b { }") && !balances("} a {") && !balances("a } {"));
    }
}
