//! Messages that are longer than anybody reads: libraries put data into theirs.

use std::borrow::Cow;

/// Bytes of a line that are shown: the start says what it is about.
const LINE: usize = 2 << 10;
/// Bytes of a message that are shown of its start, and of its end.
const PART: usize = 4 << 10;

/// A message with long lines cut, and then what lies in the middle left out: a traceback's last lines say most.
pub(crate) fn shorten(message: &str) -> Cow<'_, str> {
    let lines = match message.lines().any(|line| line.len() > LINE) {
        true => Cow::Owned(message.lines().map(cut).collect::<Vec<_>>().join("\n")),
        false => Cow::Borrowed(message),
    };
    if lines.len() <= 2 * PART {
        return lines;
    }
    let (start, end) = (lines.floor_char_boundary(PART), lines.ceil_char_boundary(lines.len() - PART));
    Cow::Owned(format!("{}\n... and {} bytes more ...\n{}", &lines[..start], end - start, &lines[end..]))
}

fn cut(line: &str) -> Cow<'_, str> {
    if line.len() <= LINE {
        return Cow::Borrowed(line);
    }
    let end = line.floor_char_boundary(LINE);
    Cow::Owned(format!("{}... and {} bytes more", &line[..end], line.len() - end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_read_stays_as_it_is() {
        let message = "a line\n".repeat(1000);
        assert!(matches!(shorten(&message), Cow::Borrowed(same) if same == message));
    }

    #[test]
    fn a_line_of_data_is_cut_and_the_lines_around_it_stay() {
        let message = format!("Traceback:\n  line 5, in t\nValueError: {}\nend", "é".repeat(1_000_000));
        let short = shorten(&message);
        assert!(short.len() < 3000 && short.starts_with("Traceback:\n  line 5, in t\nValueError: éé"), "{short}");
        assert!(short.ends_with("... and 1997964 bytes more\nend"), "{}", &short[short.len() - 40..]);
    }

    #[test]
    fn of_many_lines_the_first_and_the_last_stay() {
        let message: String = (0..100_000).map(|number| format!("{number}\n")).collect();
        let short = shorten(&message);
        assert!(short.len() < 9000 && short.starts_with("0\n1\n") && short.ends_with("\n99999\n"));
        assert!(short.contains(" bytes more ...\n"));
    }
}
