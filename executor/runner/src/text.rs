//! Texts of others, no longer than somebody wants to read.

/// Bytes of a line of a log.
pub const LONGEST_LINE: usize = 8 << 10;

/// The text, of a long one its beginning and how long it is.
pub fn shortened(text: String, most: usize) -> String {
    if text.len() <= most {
        return text;
    }
    let end = (0..=most).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    format!("{}… ({} in all)", &text[..end], flowc_planner::quantity::size(text.len() as u64))
}

/// The text with its long lines shortened, and without those in the middle of many.
pub fn shortened_lines(text: &str, most_bytes: usize, most_lines: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let (first, last) = (most_lines / 2, most_lines - most_lines / 2);
    let line = |line: &&str| shortened((*line).to_owned(), most_bytes);
    if lines.len() <= most_lines {
        return lines.iter().map(line).collect::<Vec<_>>().join("\n");
    }
    let left_out = format!("… {} lines …", lines.len() - most_lines);
    let begins = lines[..first].iter().map(line);
    begins.chain([left_out]).chain(lines[lines.len() - last..].iter().map(line)).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(shortened("short".to_owned(), 5), "short");
        assert_eq!(shortened("ä".repeat(1024), 3), "ä… (2KiB in all)");
        assert_eq!(shortened_lines("a\nbb\n", 5, 2), "a\nbb");
        let many = (0..100).map(|n| n.to_string()).collect::<Vec<_>>().join("\n");
        assert_eq!(shortened_lines(&many, 5, 5), "0\n1\n… 95 lines …\n97\n98\n99");
        assert!(shortened_lines(&format!("{}\nb", "x".repeat(1000)), 10, 5).starts_with("xxxxxxxxxx… ("));
    }
}
