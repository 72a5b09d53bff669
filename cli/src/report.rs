//! Failures as text for people and as JSON lines for programs, with their exit codes.

use std::borrow::Cow;
use std::collections::BTreeMap;

use clap::error::{ContextKind, ContextValue};
use flowc_executor::{Cause, Error, ErrorClass, ErrorReport, Event, RunFailure};
use flowc_planner::nearest;
use flowc_planner::quantity::count;
use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme};

use crate::exit::{self, Exit};
use crate::json_form::JsonForm;
use crate::settings::SettingsError;
use crate::shorten::shorten;
use crate::terminal::{self, Paint};

/// Why a command did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The settings are wrong.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] Error),
    /// Several parts of a run failed.
    #[error("the run failed")]
    Run(Vec<Error>),
    /// Standard output could not be written.
    #[error("standard output cannot be written: {0}")]
    Output(#[from] std::io::Error),
    /// The command asks for what cannot be.
    #[error("{message}")]
    Command {
        /// Place, reason, and what to do.
        message: String,
    },
    /// The machine refused something that the command needs.
    #[error("{message}: {cause}")]
    System {
        /// What was tried.
        message: String,
        /// The machine's answer.
        #[source]
        cause: Cause,
    },
    /// flowc panicked. The panic's own lines are on standard error.
    #[error("this is a bug in flowc: please report it with the lines above and what you ran")]
    Bug,
}

impl From<RunFailure> for Failure {
    fn from(failure: RunFailure) -> Self {
        Self::Run(failure.errors)
    }
}

impl Failure {
    /// A mistake in what was asked for.
    pub(crate) fn command(message: impl Into<String>) -> Self {
        Self::Command { message: message.into() }
    }

    /// The machine refused what the message says.
    pub(crate) fn system<E: Into<Cause>>(message: impl Into<String>) -> impl FnOnce(E) -> Self {
        move |cause| Self::System { message: message.into(), cause: cause.into() }
    }

    /// The exit code.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Failure::Run(errors) => exit::of_errors(errors),
            other => exit::of_class(other.class()),
        }
    }

    fn class(&self) -> ErrorClass {
        match self {
            Failure::Settings(_) | Failure::Command { .. } => ErrorClass::User,
            Failure::Engine(error) => error.class(),
            Failure::Run(errors) => errors.first().map_or(ErrorClass::Internal, Error::class),
            Failure::Output(_) | Failure::System { .. } => ErrorClass::Environment,
            Failure::Bug => ErrorClass::Internal,
        }
    }

    /// What people read.
    pub(crate) fn text(&self, paint: Paint) -> String {
        match self {
            Failure::Engine(error) => error_text(error, paint),
            Failure::Run(errors) => run_text(errors, paint),
            other => labelled(&other.to_string(), paint),
        }
    }

    /// What programs read: one `error` event each.
    pub(crate) fn reports(&self) -> Vec<ErrorReport> {
        match self {
            Failure::Engine(error) => error.reports(),
            Failure::Run(errors) => errors.iter().flat_map(Error::reports).collect(),
            other => vec![ErrorReport::new(other.code(), other.class(), other.to_string())],
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Failure::Settings(_) => "flowc::settings",
            Failure::Engine(_) | Failure::Run(_) => "flowc::run",
            Failure::Output(_) => "flowc::output",
            Failure::Command { .. } => "flowc::command",
            Failure::System { .. } => "flowc::system",
            Failure::Bug => "flowc::internal",
        }
    }
}

/// Shows a failure on standard error.
pub(crate) fn show(failure: &Failure) -> Exit {
    terminal::eprint(failure.text(terminal::stderr_paint()));
    failure.exit()
}

/// Tells a failure to people, and to programs in the form of JSON that they asked for.
pub(crate) fn tell(failure: &Failure, json: Option<JsonForm>) -> Exit {
    // Where standard output can't be written, there is no telling programs.
    let json = json.filter(|_| !matches!(failure, Failure::Output(_)));
    if let Some(form) = json {
        print_reports(failure.reports(), form);
    }
    show(failure)
}

fn print_reports(reports: Vec<ErrorReport>, form: JsonForm) {
    let printed = match form {
        JsonForm::Document => terminal::print_json(&serde_json::json!({ "errors": reports })),
        JsonForm::Lines => {
            let mut events = reports.into_iter().map(Box::new).map(Event::Error);
            events.try_for_each(|event| terminal::print_json(&event))
        }
    };
    if let Err(error) = printed {
        show(&Failure::Output(error));
    }
}

/// Tells what clap makes of a command line that is no command: help that was asked for, or a mistake.
pub(crate) fn command_line(mut told: clap::Error) -> Exit {
    if !told.use_stderr() {
        let help = told.render();
        let text = if terminal::stdout_paint().is_on() { help.ansi().to_string() } else { help.to_string() };
        return terminal::print(&text).map_or_else(|error| show(&Failure::Output(error)), |()| exit::OK);
    }
    if suggests_another(&told) {
        told.remove(ContextKind::SuggestedArg);
        told.remove(ContextKind::Usage);
    }
    if told.get(ContextKind::InvalidArg) == Some(&ContextValue::String("--dry-run".to_owned())) {
        told.remove(ContextKind::SuggestedArg);
        let tip = "`flowc plan` says what a run would do, and runs nothing".into();
        told.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip]));
    }
    let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    if let Some(form) = JsonForm::of_words(words) {
        let text = told.to_string();
        let (message, help) = text.split_once('\n').unwrap_or((&text, ""));
        let message = message.trim_start_matches("error: ").to_owned();
        let help = Some(help.trim().to_owned()).filter(|help| !help.is_empty());
        print_reports(vec![ErrorReport { help, ..ErrorReport::new("flowc::usage", ErrorClass::User, message) }], form);
    }
    // If that cannot be done, there is nobody to tell.
    let _ = told.print();
    exit::MISTAKE
}

/// Whether clap advises a flag that is not near to the one that was typed.
fn suggests_another(told: &clap::Error) -> bool {
    let text = |kind| match told.get(kind) {
        Some(ContextValue::String(text)) => text.trim_start_matches('-'),
        Some(ContextValue::Strings(texts)) => texts.first().map_or("", |text| text.trim_start_matches('-')),
        _ => "",
    };
    let (typed, advised) = (text(ContextKind::InvalidArg), text(ContextKind::SuggestedArg));
    !advised.is_empty() && nearest(typed, [advised]).is_none()
}

/// A warning as people read it.
pub(crate) fn warning(message: &str, paint: Paint) -> String {
    format!("{} {}\n", paint.yellow("warning:"), terminal::harmless(&shorten(message)))
}

fn labelled(message: &str, paint: Paint) -> String {
    format!("{} {}\n", paint.red("error:"), terminal::harmless(&shorten(message.trim_end())))
}

/// Failures of one stage that are told one by one.
const TOLD: usize = 10;

/// All that failed. Of several failures of a stage the first is told with its traceback, and of many the first ones are told.
fn run_text(errors: &[Error], paint: Paint) -> String {
    let (mut told, mut text) = (BTreeMap::<&str, usize>::new(), String::new());
    for error in errors {
        let Error::Stage { stage, .. } = error else {
            text.push_str(&error_text(error, paint));
            continue;
        };
        let number = told.entry(stage).or_default();
        *number += 1;
        match *number {
            1 => text.push_str(&error_text(error, paint)),
            2..=TOLD => text.push_str(&labelled(error.to_string().lines().next().unwrap_or_default(), paint)),
            _ => {}
        }
    }
    for (stage, number) in told.into_iter().filter(|(_, number)| *number > TOLD) {
        let more = count(number - TOLD, "more time");
        text.push_str(&labelled(&format!("stage `{stage}` failed {more}; `flowc log {stage}` tells of all"), paint));
    }
    text
}

fn error_text(error: &Error, paint: Paint) -> String {
    match error {
        Error::Pipeline(problems) | Error::Machine(problems) | Error::Locked { problems, .. } => {
            let handler = handler(paint);
            let mut text: String = problems.iter().map(|one| rendered(&handler, one)).collect();
            text.push_str(&labelled(&error.to_string(), paint));
            text
        }
        Error::Cancelled => format!("{}\n", paint.yellow(&error.to_string())),
        other => labelled(&told(other), paint),
    }
}

/// What an error says, cut to what people and programs read at once. All of what a stage says is in its log.
fn told(error: &Error) -> String {
    let said = error.to_string();
    match (shorten(&said), error) {
        (Cow::Borrowed(_), _) => said,
        (Cow::Owned(short), Error::Stage { stage, .. }) => {
            format!("{short}\nthis is cut: `flowc log {stage}` has more")
        }
        (Cow::Owned(short), _) => short,
    }
}

/// Lines are not broken: a path stays whole, and the terminal knows its width.
fn handler(paint: Paint) -> GraphicalReportHandler {
    let theme = if paint.is_on() { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    GraphicalReportHandler::new_themed(theme).with_links(false).with_wrap_lines(false)
}

/// Whether a place is so far to the right, or so long, that a line can't show it.
fn is_too_wide(diagnostic: &dyn Diagnostic) -> bool {
    const WIDEST: usize = 4000;
    let (Some(source), Some(labels)) = (diagnostic.source_code(), diagnostic.labels()) else { return false };
    labels.into_iter().any(|label| {
        let place = source.read_span(label.inner(), 0, 0);
        label.len() > WIDEST || place.is_ok_and(|place| place.column() > WIDEST)
    })
}

/// A diagnostic without a picture of its place.
fn plain(diagnostic: &dyn Diagnostic) -> String {
    let first = diagnostic.labels().and_then(|mut labels| labels.next());
    let contents = first.as_ref().zip(diagnostic.source_code());
    let contents = contents.and_then(|(label, source)| source.read_span(label.inner(), 0, 0).ok());
    let place = contents.and_then(|at| Some(format!("{}:{}:{}: ", at.name()?, at.line() + 1, at.column() + 1)));
    let help = diagnostic.help().map_or_else(String::new, |help| format!("  help: {help}\n"));
    format!("{}{diagnostic}\n{help}", place.unwrap_or_default())
}

fn rendered(handler: &GraphicalReportHandler, diagnostic: &dyn Diagnostic) -> String {
    let mut text = String::new();
    if is_too_wide(diagnostic) || handler.render_report(&mut text, diagnostic).is_err() {
        text = plain(diagnostic);
    }
    text.push('\n');
    terminal::harmless_painted(&text)
}

#[cfg(test)]
mod tests {
    use flowc_executor::{FailureSite, WorkItem};

    use super::*;

    #[derive(Debug, thiserror::Error, Diagnostic)]
    #[error("unknown stream `b`")]
    #[diagnostic(code(flowc::unknown_stream), help("did you mean `a`?"))]
    struct Sample {
        #[source_code]
        text: miette::NamedSource<String>,
        #[label]
        span: miette::SourceSpan,
    }

    fn sample() -> Sample {
        Sample { text: miette::NamedSource::new("flow.kdl", "one\n  b two".to_owned()), span: (6, 1).into() }
    }

    #[test]
    fn a_place_far_to_the_right_is_told_without_a_picture() {
        let far = Sample { text: miette::NamedSource::new("flow.kdl", "x".repeat(70_000)), span: (69_999, 1).into() };
        let long = Sample { text: miette::NamedSource::new("flow.kdl", "x".repeat(70_000)), span: (0, 70_000).into() };
        for (sample, column) in [(far, 70_000), (long, 1)] {
            let expected = format!("flow.kdl:1:{column}: unknown stream `b`\n  help: did you mean `a`?\n\n");
            assert_eq!(rendered(&handler(Paint::PLAIN), &sample), expected);
        }
    }

    #[test]
    fn a_diagnostic_shows_its_text_without_colour_when_piped() {
        let text = rendered(&handler(Paint::PLAIN), &sample());
        assert!(text.contains("did you mean `a`?") && text.contains("flow.kdl:2:3"), "{text}");
        assert!(!text.contains('\x1b'));
    }

    #[test]
    fn several_failures_of_a_stage_have_one_traceback() {
        let failure = |segment| {
            let item = WorkItem::OfFile { segment: 0, stream: "lines".into(), file: format!("{segment}.txt") };
            let place = Box::new(FailureSite { item: Some(item), rows: None });
            Error::Stage { stage: "words".into(), place, message: "it failed\nTraceback\n  line 1".into() }
        };
        let other = || Error::Request("other".to_owned());
        let errors: Vec<Error> = (0..13).map(failure).chain([other()]).collect();
        let text = Failure::Run(errors).text(Paint::PLAIN);
        assert_eq!(text.matches("Traceback").count(), 1, "{text}");
        assert_eq!(text.matches(".txt: it failed").count(), 10, "{text}");
        assert!(text.contains("error: other\n"), "{text}");
        assert!(text.ends_with("error: stage `words` failed 3 more times; `flowc log words` tells of all\n"), "{text}");
    }
}
