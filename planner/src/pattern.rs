//! Globs over paths: what the patterns of a source match, by their text alone.
//!
//! `*`, `?`, `[..]` and `{..}` stay within a name, `**` spans folders; names that start with a dot are matched only where
//! the pattern has the dot.

use globset::{GlobBuilder, GlobMatcher};

/// A part of a pattern, between slashes.
pub enum Part {
    /// `**`: any number of folders.
    Deep,
    /// Exactly this name.
    Name(String),
    /// Names that match.
    Glob {
        /// Tells which names match.
        matcher: GlobMatcher,
        /// Whether names that start with a dot may match.
        hidden: bool,
    },
}

/// Whether a text has glob characters.
pub fn is_glob(text: &str) -> bool {
    text.contains(['*', '?', '[', '{'])
}

impl Part {
    /// Reads one part.
    ///
    /// # Errors
    /// Why it is no glob.
    pub fn new(part: &str) -> Result<Self, String> {
        if part == "**" {
            return Ok(Part::Deep);
        }
        if !is_glob(part) {
            return Ok(Part::Name(part.to_owned()));
        }
        let glob = GlobBuilder::new(part).literal_separator(true).build().map_err(|error| error.kind().to_string())?;
        Ok(Part::Glob { matcher: glob.compile_matcher(), hidden: part.starts_with('.') })
    }

    /// Whether one name of a path matches.
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Part::Deep => !name.starts_with('.'),
            Part::Name(own) => own == name,
            Part::Glob { matcher, hidden } => (*hidden || !name.starts_with('.')) && matcher.is_match(name),
        }
    }
}

/// A pattern's folder, up to the first name that is a glob, and the rest of it.
pub fn folder_and_rest(pattern: &str) -> (&str, &str) {
    let names = pattern.split_inclusive('/').take_while(|name| name.ends_with('/') && !is_glob(name));
    pattern.split_at(names.map(str::len).sum())
}

/// A path without what does not change it: doubled slashes, `.`, and `..` behind a folder.
pub fn normal(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        match parts.last() {
            Some(&last) if part == ".." && last != ".." => drop(parts.pop()),
            None if part == ".." && rooted => {}
            _ => parts.push(part),
        }
    }
    format!("{}{}", if rooted { "/" } else { "" }, parts.join("/"))
}

/// A whole pattern.
pub struct Pattern {
    rooted: bool,
    parts: Vec<Part>,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// Why it is no glob.
    pub fn new(text: &str) -> Result<Self, String> {
        let parts = normal(text).trim_start_matches('/').split('/').map(Part::new).collect::<Result<_, _>>()?;
        Ok(Self { rooted: text.starts_with('/'), parts })
    }

    /// Whether it matches a path, whose names are separated by slashes.
    pub fn matches(&self, path: &str) -> bool {
        let steps: Vec<Step<'_>> = path.trim_start_matches('/').split('/').map(Step::Known).collect();
        self.may_match(path.starts_with('/'), &steps)
    }

    /// The name that all paths start with which it matches, if there is one.
    pub(crate) fn first_name(&self) -> Option<&str> {
        match self.parts.first() {
            Some(Part::Name(name)) => Some(name),
            _ => None,
        }
    }

    /// Whether it matches a path of these steps, or may match one. Whether an absolute and a relative path meet cannot be
    /// told here: they count as apart.
    pub(crate) fn may_match(&self, rooted: bool, path: &[Step<'_>]) -> bool {
        self.rooted == rooted && may_match(&self.parts, path)
    }
}

/// A name in a path, as far as it is known.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step<'a> {
    Known(&'a str),
    /// Some name, or several, that start and end so.
    Like {
        start: &'a str,
        end: &'a str,
    },
}

fn may_match(parts: &[Part], path: &[Step<'_>]) -> bool {
    let (Some((part, later_parts)), Some((step, later))) = (parts.split_first(), path.split_first()) else {
        return parts.is_empty() && path.is_empty();
    };
    let here = part.may_match(*step);
    match part {
        Part::Deep if later_parts.is_empty() => here && (later.is_empty() || may_match(parts, later)),
        Part::Deep => may_match(later_parts, path) || (here && may_match(parts, later)),
        _ => here && may_match(later_parts, later),
    }
}

impl Part {
    fn may_match(&self, step: Step<'_>) -> bool {
        match (step, self) {
            (Step::Known(name), part) => part.matches(name),
            (Step::Like { .. }, Part::Deep) => true,
            (Step::Like { start, end }, Part::Name(own)) => own.starts_with(start) && own.ends_with(end),
            (Step::Like { start, end }, Part::Glob { matcher, .. }) => {
                let text = matcher.glob().glob();
                let head = text.split(['*', '?', '[', '{']).next().unwrap_or_default();
                let tail = text.rsplit(['*', '?', ']', '}']).next().unwrap_or_default();
                (head.starts_with(start) || start.starts_with(head)) && (tail.ends_with(end) || end.ends_with(tail))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reaches(pattern: &str, path: &str) -> bool {
        Pattern::new(pattern).unwrap().matches(&normal(path))
    }

    #[test]
    fn a_pattern_has_a_folder() {
        let cases = [("a/b/*.csv", ("a/b/", "*.csv")), ("a.csv", ("", "a.csv")), ("/a/{b,c}/d", ("/a/", "{b,c}/d"))];
        for (pattern, due) in cases.into_iter().chain([("**", ("", "**")), ("a//b/c.csv", ("a//b/", "c.csv"))]) {
            assert_eq!(folder_and_rest(pattern), due);
        }
    }

    #[test]
    fn patterns_match_as_sources_list() {
        for (pattern, path) in [
            ("a.csv", "./a.csv"),
            ("out/*.csv", "out/x/../a.csv"),
            ("*/c.{csv,tsv}", "x/c.tsv"),
            ("**/*.csv", "a.csv"),
            ("**/*.csv", "x/y/a.csv"),
            ("x/**", "x/y/a.csv"),
            ("/abs/*.csv", "/abs/a.csv"),
            ("x/.git/*", "x/.git/e"),
        ] {
            assert!(reaches(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in [
            ("*.csv", "out/a.csv"),
            ("out/*.csv", "out/a.txt"),
            ("**/*.csv", "x/.git/a.csv"),
            ("*.csv", ".a.csv"),
            ("/abs/*.csv", "abs/a.csv"),
            ("x/**", "x"),
        ] {
            assert!(!reaches(pattern, path), "{pattern} {path}");
        }
        assert!(Pattern::new("[a").is_err());
    }

    #[test]
    fn files_that_are_not_named_yet_may_be_matched() {
        let file = [Step::Known("out"), Step::Like { start: "day=", end: "" }, Step::Like { start: "", end: ".csv" }];
        let may = |pattern: &str| Pattern::new(pattern).unwrap().may_match(false, &file);
        assert!(
            may("out/*/*.csv") && may("out/**") && may("out/day=[0-9]/a*") && may("**/x.csv") && may("*/*/p-?.csv")
        );
        assert!(!may("out/*.csv") && !may("out/*/*.json") && !may("out/month=*/*") && !may("in/**"));
    }
}
