//! Standard output and standard error: colour, and readers that went away.

use std::io::{IsTerminal, Write};
use std::sync::OnceLock;

use flowc_planner::visible;

use crate::settings::ColorChoice;

static CHOICE: OnceLock<ColorChoice> = OnceLock::new();

/// Settles colour for the process. The first call counts.
pub(crate) fn choose_color(choice: ColorChoice) {
    let _ = CHOICE.set(choice);
}

fn colored(is_terminal: bool) -> bool {
    match CHOICE.get().copied().unwrap_or_default() {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
    }
}

/// How text on standard error is coloured.
pub(crate) fn stderr_paint() -> Paint {
    Paint { on: colored(std::io::stderr().is_terminal()) }
}

/// How text on standard output is coloured.
pub(crate) fn stdout_paint() -> Paint {
    Paint { on: colored(std::io::stdout().is_terminal()) }
}

/// Whether a person watches standard error.
pub(crate) fn is_watched() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Writes to standard output. A reader that has gone is no failure: it has what it wanted.
pub(crate) fn print(text: impl AsRef<[u8]>) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_ref()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

/// One JSON value on a line of standard output. A reader that has gone is no failure.
///
/// # Errors
/// If standard output can't be written.
pub(crate) fn print_json(value: &impl serde::Serialize) -> std::io::Result<()> {
    print(format!("{}\n", serde_json::to_string(value)?))
}

/// Whether standard output is read by a person.
pub(crate) fn prints_to_person() -> bool {
    std::io::stdout().is_terminal()
}

/// Writes to standard error. If that cannot be done, there is nobody to tell.
pub(crate) fn eprint(text: impl AsRef<[u8]>) {
    let _ = std::io::stderr().lock().write_all(text.as_ref());
}

/// Text from data or from guests with its control characters escaped, but for line ends and tabs.
pub(crate) fn harmless(text: &str) -> String {
    visible::lines(text).into_owned()
}

/// The same for text that is painted: sequences that colour stay.
pub(crate) fn harmless_painted(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let mut shown = harmless(parts.next().unwrap_or_default());
    for part in parts {
        let codes = part.find(|c: char| !c.is_ascii_digit() && c != ';').unwrap_or(part.len());
        shown.push_str(if part[codes..].starts_with('m') { "\x1b[" } else { "\\u{1b}[" });
        shown.push_str(&harmless(part));
    }
    shown
}

/// Colours text, or leaves it as it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint {
    on: bool,
}

impl Paint {
    /// Leaves all text as it is.
    #[cfg(test)]
    pub(crate) const PLAIN: Paint = Paint { on: false };

    /// Colours all text.
    #[cfg(test)]
    pub(crate) const BRIGHT: Paint = Paint { on: true };

    /// Whether it colours.
    pub(crate) fn is_on(self) -> bool {
        self.on
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// For headings and names.
    pub(crate) fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    /// For what matters less.
    pub(crate) fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    /// For failures.
    pub(crate) fn red(self, text: &str) -> String {
        self.wrap("1;31", text)
    }

    /// For work that is or was done.
    pub(crate) fn green(self, text: &str) -> String {
        self.wrap("32", text)
    }

    /// For warnings.
    pub(crate) fn yellow(self, text: &str) -> String {
        self.wrap("33", text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_in_data_do_not_reach_the_terminal() {
        assert_eq!(harmless("a\x1b[2Jb\tc\n"), "a\\u{1b}[2Jb\tc\n");
        let painted = "\x1b[1;31ma\x1b[0m \x1b[2Jb\x07\n";
        assert_eq!(harmless_painted(painted), "\x1b[1;31ma\x1b[0m \\u{1b}[2Jb\\u{7}\n");
    }
}
