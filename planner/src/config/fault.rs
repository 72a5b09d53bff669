//! What is wrong with a config, while it is still open which reading of it was meant.

use std::cmp::Reverse;

use crate::diagnostic::{ConfigProblem, either, nearest, suggest};
use crate::place::Place;

/// One thing that does not fit one reading.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub(super) place: Place,
    pub(super) problem: ConfigProblem,
    /// How many keys deep.
    pub(super) depth: usize,
    /// What would fit; joined over readings that fail alike.
    pub(super) choices: Vec<String>,
    /// The value names another variant, so that this reading was not meant.
    pub(super) other_variant: bool,
}

impl Fault {
    pub(super) fn new(place: Place, path: &str, problem: ConfigProblem) -> Self {
        let depth = path.matches('/').count();
        Self { place, problem, depth, choices: Vec::new(), other_variant: false }
    }

    pub(super) fn with_choices(mut self, choices: impl IntoIterator<Item = String>) -> Self {
        self.choices = choices.into_iter().collect();
        self.finished()
    }

    /// How much it tells: a reading that fails deep inside was meant more likely than one of another type.
    fn rank(&self) -> (bool, bool, usize) {
        let other_type = matches!(self.problem, ConfigProblem::WrongType { .. });
        (!self.other_variant, !(other_type && self.depth == 0), self.depth)
    }

    fn fails_like(&self, other: &Fault) -> bool {
        self.place == other.place && std::mem::discriminant(&self.problem) == std::mem::discriminant(&other.problem)
    }

    /// Writes the choices into the problem.
    fn finished(mut self) -> Self {
        let names = || self.choices.iter().map(String::as_str);
        match &mut self.problem {
            ConfigProblem::WrongType { expected, .. } => *expected = unquoted(&self.choices),
            ConfigProblem::UnknownKey { key, help } => {
                let last = key.rsplit('.').next().unwrap_or(key);
                *help = suggest(last, names());
            }
            ConfigProblem::NotOneOf { help, found, .. } => {
                let meant = meant(found.trim_matches('"'), &self.choices);
                let meant = meant.map_or_else(String::new, |meant| format!("did you mean `{meant}`? "));
                *help = Some(format!("{meant}it may be {}", either(names())));
            }
            _ => {}
        }
        self
    }
}

/// The choice that a word stands for: one that is spelled nearly so, or that others call so.
fn meant<'c>(word: &str, choices: &'c [String]) -> Option<&'c str> {
    const ELSEWHERE: [(&str, &str); 2] = [("avg", "mean"), ("average", "mean")];
    let called = ELSEWHERE.iter().find(|(elsewhere, _)| word.eq_ignore_ascii_case(elsewhere));
    let called = called.and_then(|(_, here)| choices.iter().find(|choice| choice == here));
    called.map(String::as_str).or_else(|| nearest(word, choices.iter().map(String::as_str)))
}

/// `a, b or c`.
fn unquoted(choices: &[String]) -> String {
    match choices.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => choices.concat(),
    }
}

/// The faults to report when no reading fits: those of the reading that was meant most likely. Readings that fail in
/// the same place for the same reason are reported as one, with the choices of all.
pub(super) fn likeliest(mut readings: Vec<Vec<Fault>>) -> Vec<Fault> {
    readings.retain(|faults| !faults.is_empty());
    // Among equals, the reading that the text misses by least.
    let rank = |faults: &Vec<Fault>| faults.iter().map(Fault::rank).max().zip(Some(Reverse(faults.len())));
    let Some(best) = readings.iter().map(rank).max().flatten() else { return Vec::new() };
    readings.retain(|faults| rank(faults) == Some(best));
    let rest = readings.split_off(1);
    let mut chosen = readings.remove(0);
    for other in rest.into_iter().flatten() {
        if let Some(alike) = chosen.iter_mut().find(|fault| fault.fails_like(&other)) {
            alike.choices.extend(other.choices);
            let mut seen = std::collections::HashSet::new();
            alike.choices.retain(|choice| seen.insert(choice.clone()));
        }
    }
    chosen.into_iter().map(Fault::finished).collect()
}
