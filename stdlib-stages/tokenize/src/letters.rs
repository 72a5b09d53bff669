//! Which characters are letters or digits. Unicode's tables take long to search, so what was found is remembered.

/// Characters that are remembered, a power of two. A text has mostly characters of few scripts.
const KNOWN: usize = 1024;

/// What is known of characters.
pub(crate) struct Letters(Box<[(char, bool)]>);

impl Letters {
    pub(crate) fn new() -> Self {
        Self(vec![('\0', false); KNOWN].into())
    }

    /// Whether a character is of a word.
    pub(crate) fn has(&mut self, c: char) -> bool {
        let known = &mut self.0[c as usize % KNOWN];
        if known.0 != c {
            *known = (c, c.is_alphanumeric());
        }
        known.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_what_they_are_also_when_met_again() {
        let mut letters = Letters::new();
        for c in ('\0'..='\u{3000}').chain('\0'..='\u{3000}') {
            assert_eq!(letters.has(c), c.is_alphanumeric(), "{c:?}");
        }
    }
}
