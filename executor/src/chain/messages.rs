//! What is shown of a stage's failure, and what of it is kept in the stage's log.

use flowc_runner::{LONGEST_LINE, shortened, shortened_lines};

/// Bytes of the first line, which says what happened.
const FIRST: usize = 2000;
/// Bytes of each line after that, and how many there are: those of a traceback.
const REST: (usize, usize) = (500, 24);

/// The failure of a stage, in its log.
pub(crate) fn logged(message: &str) -> impl Iterator<Item = String> {
    message.lines().map(|line| shortened(line.to_owned(), LONGEST_LINE))
}

/// The same as it is shown. Where it is cut, it says where there is more of it.
pub(crate) fn shown(message: &str, stage: &str) -> String {
    let (first, rest) = message.split_once('\n').unwrap_or((message, ""));
    let (bytes, lines) = REST;
    let mut shown = shortened(first.to_owned(), FIRST);
    if !rest.trim_end().is_empty() {
        shown = format!("{shown}\n{}", shortened_lines(rest.trim_end(), bytes, lines));
    }
    if shown != message.trim_end() {
        shown.push_str(&format!("\n(`flowc log {stage}` shows more of it)"));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_short_is_shown_whole() {
        assert_eq!(shown("no", "s"), "no");
        assert_eq!(shown("no\nTraceback\n  line 1\n", "s"), "no\nTraceback\n  line 1");
    }

    #[test]
    fn what_is_long_is_cut_and_says_where_there_is_more() {
        let long = format!("ValueError: {}", "x".repeat(5_000_000));
        let message = format!("{long}\n{}{long}\n", "  a line\n".repeat(1000));
        let shown = shown(&message, "score");
        assert!(shown.len() < 4000, "{}", shown.len());
        assert!(shown.starts_with("ValueError: xxx") && shown.ends_with("\n(`flowc log score` shows more of it)"));
        assert!(logged(&message).all(|line| line.len() < LONGEST_LINE + 100));
        assert_eq!(logged(&message).count(), 1002);
    }
}
