//! Text from data, from files' names and from stages, for people to look at: a terminal obeys control characters, and
//! some characters change the order in which others are shown.

use std::borrow::Cow;

/// A text within a line, or in a table's cell: line ends and tabs are escaped too.
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, is_hidden)
}

/// A text of several lines, with its line ends and tabs.
pub fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| is_hidden(c) && c != '\n' && c != '\t')
}

/// Control characters, and marks of direction and of lines.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

fn escaped(text: &str, is_hidden: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_hidden(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        assert_eq!(line("a\x1b[31mb\tc\r\n\u{7f}\u{9b}2J"), "a\\u{1b}[31mb\\tc\\r\\n\\u{7f}\\u{9b}2J");
        assert_eq!(lines("a\x1b]0;t\x07\tb\r\n"), "a\\u{1b}]0;t\\u{7}\tb\\r\n");
        assert_eq!(line("\u{202e}txt.exe"), "\\u{202e}txt.exe");
    }

    #[test]
    fn other_text_stays_as_it_is() {
        let text = "\"é\" C:\\new \u{1f468}\u{200d}\u{1f469} \u{a0}";
        assert!(matches!(line(text), Cow::Borrowed(same) if same == text));
    }
}
