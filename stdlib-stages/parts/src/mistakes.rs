//! Mistakes of a config, told together.

use flowc_sdk::prelude::*;

/// Mistakes found so far.
#[derive(Debug, Default)]
pub struct Mistakes(Vec<Problem>);

impl Mistakes {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a mistake.
    pub fn add(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    /// The value, or nothing and one mistake more.
    pub fn take<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|problem| self.add(problem)).ok()
    }

    /// Fails if there are mistakes. The problem lies at the place of the first one; the others follow in its message, each
    /// with its place.
    ///
    /// # Errors
    /// All mistakes, as one problem.
    pub fn check(self) -> Result<()> {
        let mut mistakes = self.0.into_iter();
        let Some(mut first) = mistakes.next() else { return Ok(()) };
        for other in mistakes {
            let place = other.config_path.map(|path| format!(" at `{path}`")).unwrap_or_default();
            let help = other.help.map(|help| format!(" ({help})")).unwrap_or_default();
            first.message.push_str(&format!("\nalso{place}: {}{help}", other.message));
        }
        Err(first)
    }
}
