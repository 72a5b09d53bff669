//! A stage's log, bounded: a stage that logs without end fills neither the disk nor the screen.

use flowc_runner::Outlet;

/// Lines that are passed on of one invocation, from one boundary to the next.
pub const LOG_LINES: usize = 1000;
/// Bytes of a line that are passed on.
pub const LOG_LINE_BYTES: usize = 8 << 10;

/// What was logged so far.
#[derive(Debug, Default)]
pub(crate) struct Log {
    lines: usize,
    complaint: Option<String>,
}

impl Log {
    /// Passes a line on, unless there were too many.
    pub(crate) fn line(&mut self, outlet: Option<&mut Box<dyn Outlet>>, level: &str, message: &str) {
        let message = shorten(message);
        if level == "error" {
            self.complaint = Some(message.clone());
        }
        self.lines = self.lines.saturating_add(1);
        let Some(outlet) = outlet else { return };
        match self.lines.cmp(&(LOG_LINES + 1)) {
            std::cmp::Ordering::Less => outlet.log(level, &message),
            std::cmp::Ordering::Equal => {
                outlet.log("warn", &format!("log limit reached ({LOG_LINES} lines); further lines dropped"));
            }
            std::cmp::Ordering::Greater => {}
        }
    }

    /// Counts lines anew.
    pub(crate) fn restart(&mut self) {
        self.lines = 0;
    }

    /// The last line logged as an error since this was last asked.
    pub(crate) fn take_complaint(&mut self) -> Option<String> {
        self.complaint.take()
    }
}

fn shorten(message: &str) -> String {
    if message.len() <= LOG_LINE_BYTES {
        return message.to_owned();
    }
    let end = message.floor_char_boundary(LOG_LINE_BYTES);
    format!("{}... ({} bytes left out)", &message[..end], message.len() - end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_cut_at_a_character() {
        let line = format!("{}é{}", "x".repeat(LOG_LINE_BYTES - 1), "y".repeat(100));
        let short = shorten(&line);
        assert!(short.starts_with(&"x".repeat(LOG_LINE_BYTES - 1)));
        assert!(short.ends_with("(102 bytes left out)"), "{}", &short[short.len() - 40..]);
    }

    #[test]
    fn the_last_complaint_is_kept_once() {
        let mut log = Log::default();
        log.line(None, "error", "first");
        log.line(None, "error", "second");
        log.line(None, "info", "third");
        assert_eq!(log.take_complaint().as_deref(), Some("second"));
        assert_eq!(log.take_complaint(), None);
    }
}
