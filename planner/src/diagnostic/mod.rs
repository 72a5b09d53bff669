//! What is wrong with a pipeline, as data: a closed enum of kinds, one file per group, each with a place in the text.

mod config;
mod expansion;
mod places;
mod shape;
mod stage;
mod syntax;
mod window;
mod wiring;

use std::sync::Arc;

use miette::{LabeledSpan, NamedSource, SourceCode};

pub use config::ConfigProblem;
pub use expansion::ExpansionProblem;
pub use places::PlaceProblem;
pub use shape::ShapeProblem;
pub use stage::StageProblem;
pub use syntax::SyntaxProblem;
pub use window::WindowProblem;
pub use wiring::WiringProblem;

use crate::place::Place;

/// Everything that can be wrong with a pipeline.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
#[error(transparent)]
#[diagnostic(transparent)]
pub enum Kind {
    /// The text is not KDL.
    Syntax(#[from] SyntaxProblem),
    /// Parameters, includes and loops.
    Expansion(#[from] ExpansionProblem),
    /// Nodes, arguments and properties that do not belong, or are missing.
    Shape(#[from] ShapeProblem),
    /// Names and how streams are joined.
    Wiring(#[from] WiringProblem),
    /// A stage's code, and what it says of its inputs.
    Stage(#[from] StageProblem),
    /// Event time and windows.
    Window(#[from] WindowProblem),
    /// A config that does not fit its JSON Schema.
    Config(#[from] ConfigProblem),
    /// Sources and sinks.
    Places(#[from] PlaceProblem),
}

/// One problem with its place.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    kind: Kind,
    labels: Vec<LabeledSpan>,
    source: Option<Source>,
    /// A second place that is in another text, in words.
    elsewhere: Option<String>,
}

impl Diagnostic {
    /// What is wrong.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Whether it is only that the lock says something else.
    pub fn is_against_lock(&self) -> bool {
        matches!(
            self.kind,
            Kind::Stage(StageProblem::AgainstLock { .. }) | Kind::Places(PlaceProblem::AgainstLock { .. })
        )
    }

    /// Whether it is only that the machine lacks or refuses something.
    pub fn is_of_machine(&self) -> bool {
        matches!(
            self.kind,
            Kind::Stage(StageProblem::Machine { .. }) | Kind::Places(PlaceProblem::SourceUnreached { .. })
        )
    }
}

/// A place in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextPlace {
    /// The text's name.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1.
    pub column: usize,
}

impl Diagnostic {
    /// The name of its kind.
    pub fn code_name(&self) -> Option<String> {
        miette::Diagnostic::code(self).map(|code| code.to_string())
    }

    /// What to do.
    pub fn help_text(&self) -> Option<String> {
        miette::Diagnostic::help(self).map(|help| help.to_string())
    }

    /// The place that it is about.
    pub fn first_place(&self) -> Option<TextPlace> {
        let contents = self.source.as_deref()?.read_span(self.labels.first()?.inner(), 0, 0).ok()?;
        Some(TextPlace { file: contents.name()?.to_owned(), line: contents.line() + 1, column: contents.column() + 1 })
    }
}

impl std::fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.kind.fmt(f)
    }
}

impl std::error::Error for Diagnostic {}

impl miette::Diagnostic for Diagnostic {
    fn code<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        self.kind.code()
    }

    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        let Some(elsewhere) = &self.elsewhere else { return self.kind.help() };
        let help = self.kind.help().map_or_else(String::new, |help| format!("; {help}"));
        Some(Box::new(format!("{elsewhere}{help}")))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_deref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.labels.iter().cloned()))
    }
}

/// Collects problems while a step of the planner goes on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Problems(Vec<Found>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    place: Option<Place>,
    kind: Kind,
    also: Option<(Place, &'static str)>,
}

impl Problems {
    /// A problem at a place.
    pub(crate) fn at(&mut self, place: Place, kind: impl Into<Kind>) {
        self.0.push(Found { place: Some(place), kind: kind.into(), also: None });
    }

    /// A problem at a place that has to do with a second one.
    pub(crate) fn with(&mut self, place: Place, kind: impl Into<Kind>, second: Place, label: &'static str) {
        self.0.push(Found { place: Some(place), kind: kind.into(), also: Some((second, label)) });
    }

    /// A problem that is not in the text.
    pub(crate) fn anywhere(&mut self, kind: impl Into<Kind>) {
        self.0.push(Found { place: None, kind: kind.into(), also: None });
    }

    pub(crate) fn extend(&mut self, others: &Problems) {
        self.0.extend(others.0.iter().cloned());
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In the order of the texts, which are given by the numbers of their files; what a loop repeats is said once.
    pub(crate) fn into_diagnostics(self, texts: impl Iterator<Item = Source>) -> Vec<Diagnostic> {
        let mut found = self.0;
        found.sort_by_key(|found| found.place);
        found.dedup();
        let sources: Vec<_> = texts.collect();
        found.into_iter().map(|found| diagnostic(found, &sources)).collect()
    }
}

/// A text as a diagnostic shows it.
pub(crate) type Source = Arc<NamedSource<Arc<str>>>;

fn diagnostic(found: Found, sources: &[Source]) -> Diagnostic {
    let span = |place: Place| (place.start as usize, (place.end - place.start) as usize);
    let source = found.place.and_then(|place| sources.get(place.file as usize).cloned());
    let mut labels: Vec<_> = found.place.iter().map(|&p| LabeledSpan::new_with_span(None, span(p))).collect();
    // A diagnostic shows one text.
    let here = |second: Place| Some(second.file) == found.place.map(|p| p.file);
    let second = found.also.filter(|(second, _)| here(*second));
    labels.extend(second.map(|(place, label)| LabeledSpan::new_with_span(Some(label.to_owned()), span(place))));
    let other = found.also.filter(|(second, _)| !here(*second));
    let elsewhere = other.and_then(|(place, label)| {
        let source = sources.get(place.file as usize)?;
        let line = source.inner().get(..place.start as usize)?.matches('\n').count() + 1;
        Some(format!("{}:{line}: {label}", source.name()))
    });
    Diagnostic { kind: found.kind, labels, source, elsewhere }
}

/// "did you mean ...", or the list of what there is.
pub fn suggest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let known: Vec<&str> = known.into_iter().collect();
    match nearest(wrong, known.iter().copied()) {
        Some(name) => Some(format!("did you mean `{name}`?")),
        None if known.is_empty() => None,
        None if known.len() <= 16 => Some(format!("expected one of {}", list(known))),
        None => None,
    }
}

/// The known name that was meant, if one is near enough. The case of letters does not count.
pub fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wrong = wrong.to_lowercase();
    let near = known.into_iter().map(|name| (strsim::jaro_winkler(&wrong, &name.to_lowercase()), name));
    let best = near.filter(|(score, _)| *score > 0.8).max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(a.1)));
    best.map(|(_, name)| name)
}

/// `a`, `b` and `c`.
pub(crate) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    joined(names, "and")
}

/// `a`, `b` or `c`.
pub(crate) fn either<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    joined(names, "or")
}

fn joined<'a>(names: impl IntoIterator<Item = &'a str>, last_by: &str) -> String {
    let quoted: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} {last_by} {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}
