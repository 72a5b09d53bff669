//! Secrets on their way to a stage.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

/// The shortest value that is looked for in texts, in characters: shorter ones would be found everywhere.
const SHORTEST: usize = 4;
/// Bytes of a text that may be a line which was cut at 8 KiB, in the middle of a value too.
const CUT: usize = (8 << 10) - 8;

/// The secrets of a stage: values by name. Clones share them; with the last one, their memory is wiped.
#[derive(Clone, Default)]
pub struct Secrets(Arc<BTreeMap<String, Zeroizing<String>>>);

impl Secrets {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// What must not be seen, with the name of the secret: each value, and each line of one that has several, since texts
    /// are shown line by line.
    fn hidden(&self) -> impl Iterator<Item = (&str, &str)> {
        let texts = self.iter().flat_map(|(name, value)| {
            std::iter::once(value).chain(value.lines().map(str::trim)).map(move |text| (text, name))
        });
        texts.filter(|(text, _)| text.chars().count() >= SHORTEST)
    }
}

impl FromIterator<(String, String)> for Secrets {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(values: I) -> Self {
        Self(Arc::new(values.into_iter().map(|(name, value)| (name, Zeroizing::new(value))).collect()))
    }
}

/// Names alone.
impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A text with `[secret NAME]` in the place of each value of these secrets.
pub fn mask<'a>(text: &str, secrets: impl IntoIterator<Item = &'a Secrets>) -> String {
    let hidden: Vec<(&str, &str)> = secrets.into_iter().flat_map(Secrets::hidden).collect();
    let (mut rest, mut shown) = (text, String::new());
    while let Some((at, length, name)) = first(rest, &hidden) {
        shown.push_str(&rest[..at]);
        shown.push_str(&format!("[secret {name}]"));
        rest = &rest[at + length..];
    }
    if text.len() < CUT { shown + rest } else { shown + &unfinished(rest, &hidden) }
}

/// The end of a text that may have been cut, without what a value begins with there.
fn unfinished(rest: &str, hidden: &[(&str, &str)]) -> String {
    let starts = |(value, name): &(&str, &'_ str)| {
        let ends = value.char_indices().map(|(at, _)| at).skip(SHORTEST);
        let longest = ends.filter(|&end| rest.ends_with(&value[..end])).max()?;
        Some((longest, (*name).to_owned()))
    };
    match hidden.iter().filter_map(starts).max() {
        Some((start, name)) => format!("{}[secret {name}]", &rest[..rest.len() - start]),
        None => rest.to_owned(),
    }
}

/// The first place where something hidden stands, its length and its name; the longest where several begin there.
fn first<'a>(text: &str, hidden: &[(&str, &'a str)]) -> Option<(usize, usize, &'a str)> {
    let found = hidden.iter().filter_map(|(value, name)| Some((text.find(value)?, value.len(), *name)));
    found.min_by_key(|&(at, length, _)| (at, std::cmp::Reverse(length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(values: &[(&str, &str)]) -> Secrets {
        values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn values_are_replaced_wherever_they_stand() {
        let some = [secrets(&[("TOKEN", "abcd1234")]), secrets(&[("KEY", "k\u{e9}y-5678"), ("PIN", "123")])];
        let text = "abcd1234: no entry with abcd1234abcd1234 or k\u{e9}y-5678; 123 tries";
        assert_eq!(
            mask(text, &some),
            "[secret TOKEN]: no entry with [secret TOKEN][secret TOKEN] or [secret KEY]; 123 tries",
            "what is as short as 123 is found everywhere"
        );
        assert_eq!(mask("nothing to hide", &some), "nothing to hide");
    }

    #[test]
    fn of_values_that_hold_each_other_the_longest_is_replaced() {
        let some = [secrets(&[("SHORT", "pass"), ("LONG", "passport")]), secrets(&[("WORD", "secret")])];
        assert_eq!(mask("passport, pass, secret", &some), "[secret LONG], [secret SHORT], [secret WORD]");
    }

    #[test]
    fn lines_of_a_value_are_replaced_one_by_one() {
        let some = [secrets(&[("KEY", "-----BEGIN-----\n  c2VjcmV0\n}\n")])];
        assert_eq!(mask("read c2VjcmV0 }", &some), "read [secret KEY] }");
    }

    #[test]
    fn only_names_are_shown() {
        let shown = format!("{:?}", secrets(&[("TOKEN", "abcd1234"), ("KEY", "efgh")]));
        assert_eq!(shown, r#"{"KEY", "TOKEN"}"#);
    }

    #[test]
    fn a_value_that_a_cut_line_ends_in_is_replaced() {
        let some = secrets(&[("TOKEN", "abcd1234abcd5678")]);
        let cut = format!("{}abcd1234ab", "x".repeat(8182));
        let shown = mask(&cut, [&some]);
        assert!(shown.ends_with("xx[secret TOKEN]"), "{}", &shown[8170..]);
        assert_eq!(mask("it is abcd1234ab", [&some]), "it is abcd1234ab", "a short line is whole");
    }
}
