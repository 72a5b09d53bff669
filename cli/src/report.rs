//! Failures as text for people and as JSON lines for programs, with their exit codes.

use flowc_executor::{Error, MissingSecret, Part, Place, RunFailure};
use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme};
use serde_json::{Value, json};

use crate::exit::{self, Exit};
use crate::settings::SettingsError;
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
    /// A file that the command writes could not be written.
    #[error("{message}")]
    Command {
        /// Place, reason, and what to do.
        message: String,
    },
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

    /// The exit code.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Failure::Settings(_) | Failure::Command { .. } => exit::MISTAKE,
            Failure::Engine(error) => exit::of_error(error),
            Failure::Run(errors) => exit::of_errors(errors),
            Failure::Output(_) => exit::FAILED,
        }
    }

    /// What people read.
    pub(crate) fn text(&self, paint: Paint) -> String {
        match self {
            Failure::Engine(error) => error_text(error, paint),
            Failure::Run(errors) => errors.iter().map(|error| error_text(error, paint)).collect(),
            other => labelled(&other.to_string(), paint),
        }
    }

    /// What programs read: one `error` event a line.
    pub(crate) fn events(&self) -> Vec<Value> {
        match self {
            Failure::Engine(error) => error_events(error),
            Failure::Run(errors) => errors.iter().flat_map(error_events).collect(),
            other => vec![event(other.code(), &other.to_string())],
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Failure::Settings(_) => "flowc::settings",
            Failure::Engine(_) | Failure::Run(_) => "flowc::run",
            Failure::Output(_) => "flowc::output",
            Failure::Command { .. } => "flowc::command",
        }
    }
}

/// Shows a failure on standard error.
pub(crate) fn show(failure: &Failure) -> Exit {
    terminal::eprint(&failure.text(terminal::stderr_paint()));
    failure.exit()
}

/// A warning as people read it.
pub(crate) fn warning(message: &str, paint: Paint) -> String {
    format!("{} {}\n", paint.yellow("warning:"), terminal::harmless(message))
}

fn labelled(message: &str, paint: Paint) -> String {
    format!("{} {}\n", paint.red("error:"), terminal::harmless(message.trim_end()))
}

fn error_text(error: &Error, paint: Paint) -> String {
    match error {
        Error::Pipeline(problems) | Error::Locked { problems, .. } => {
            let handler = handler(paint);
            let mut text: String = problems.iter().map(|one| rendered(&handler, one)).collect();
            text.push_str(&labelled(&error.to_string(), paint));
            text
        }
        Error::Cancelled => format!("{}\n", paint.yellow(&error.to_string())),
        other => labelled(&other.to_string(), paint),
    }
}

/// Lines are not broken: a path stays whole, and the terminal knows its width.
fn handler(paint: Paint) -> GraphicalReportHandler {
    let theme = if paint.is_on() { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    GraphicalReportHandler::new_themed(theme).with_links(false).with_wrap_lines(false)
}

fn rendered(handler: &GraphicalReportHandler, diagnostic: &dyn Diagnostic) -> String {
    let mut text = String::new();
    if handler.render_report(&mut text, diagnostic).is_err() {
        text = format!("{diagnostic}\n");
    }
    text.push('\n');
    text
}

fn event(code: &str, message: &str) -> Value {
    json!({ "event": "error", "code": code, "message": message })
}

fn add_place(event: &mut Value, place: &Place) {
    match &place.part {
        Some(Part::OfFile { segment, file, .. }) => {
            event["segment"] = json!(segment);
            event["file"] = json!(file);
        }
        Some(Part::OfStream { segment: number, .. } | Part::Group(number) | Part::Part(number)) => {
            event["segment"] = json!(number);
        }
        None => {}
    }
    if let Some((input, rows)) = &place.rows {
        event["rows"] = json!({ "input": input, "first": rows.start + 1, "last": rows.end });
    }
}

fn error_events(error: &Error) -> Vec<Value> {
    let message = error.to_string();
    let mut one = event(error_code(error), &message);
    match error {
        Error::Pipeline(problems) => return problems.iter().map(|one| diagnostic_event(one)).collect(),
        Error::Locked { problems, .. } if !problems.is_empty() => {
            return problems.iter().map(|one| diagnostic_event(one)).collect();
        }
        Error::Secrets(missing) => return missing.iter().map(missing_event).collect(),
        Error::Source { source_name, .. } => one["source"] = json!(source_name),
        Error::Stage { stage, place, .. } => {
            one["stage"] = json!(stage);
            add_place(&mut one, place);
        }
        Error::Sink { sink, .. } => one["sink"] = json!(sink),
        Error::File { path, .. } => one["file"] = json!(path.display().to_string()),
        Error::Locked { .. } | Error::Store(_) | Error::Request(_) | Error::Cancelled => {}
    }
    vec![one]
}

fn missing_event(missing: &MissingSecret) -> Value {
    let mut one = event("flowc::secret", &missing.to_string());
    one["stage"] = json!(missing.stage);
    one["secret"] = json!(missing.secret);
    one
}

fn error_code(error: &Error) -> &'static str {
    match error {
        Error::Pipeline(_) => "flowc::pipeline",
        Error::Locked { .. } => "flowc::locked",
        Error::Source { .. } => "flowc::source",
        Error::Stage { .. } => "flowc::stage",
        Error::Secrets(_) => "flowc::secret",
        Error::Sink { .. } => "flowc::sink",
        Error::Store(_) => "flowc::store",
        Error::File { .. } => "flowc::file",
        Error::Request(_) => "flowc::request",
        Error::Cancelled => "flowc::stopped",
    }
}

/// A diagnostic with its first place: file, and line and column from 1.
fn diagnostic_event(diagnostic: &dyn Diagnostic) -> Value {
    let code = diagnostic.code().map_or_else(|| "flowc::pipeline".to_owned(), |code| code.to_string());
    let mut one = event(&code, &diagnostic.to_string());
    if let Some(help) = diagnostic.help() {
        one["help"] = json!(help.to_string());
    }
    if let Some((file, line, column)) = place(diagnostic) {
        one["file"] = json!(file);
        one["line"] = json!(line);
        one["column"] = json!(column);
    }
    one
}

fn place(diagnostic: &dyn Diagnostic) -> Option<(String, usize, usize)> {
    let label = diagnostic.labels()?.next()?;
    let contents = diagnostic.source_code()?.read_span(label.inner(), 0, 0).ok()?;
    Some((contents.name()?.to_owned(), contents.line() + 1, contents.column() + 1))
}

#[cfg(test)]
mod tests {
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
    fn a_diagnostic_gives_file_line_and_column() {
        let expected = json!({
            "event": "error", "code": "flowc::unknown_stream", "message": "unknown stream `b`",
            "help": "did you mean `a`?", "file": "flow.kdl", "line": 2, "column": 3,
        });
        assert_eq!(diagnostic_event(&sample()), expected);
    }

    #[test]
    fn a_diagnostic_shows_its_text_without_colour_when_piped() {
        let text = rendered(&handler(Paint::PLAIN), &sample());
        assert!(text.contains("did you mean `a`?") && text.contains("flow.kdl:2:3"), "{text}");
        assert!(!text.contains('\x1b'));
    }

    #[test]
    fn a_stage_failure_names_stage_segment_file_and_rows() {
        let part = Part::OfFile { segment: 2, stream: "lines".into(), file: "a.txt".into() };
        let place = Box::new(Place { part: Some(part), rows: Some(("lines".into(), 0..10)) });
        let error = Error::Stage { stage: "words".into(), place, message: "out of memory".into() };
        let expected = json!({
            "event": "error",
            "code": "flowc::stage",
            "message": "stage `words`, segment 2 of a.txt, rows 1 to 10: out of memory",
            "stage": "words",
            "segment": 2,
            "file": "a.txt",
            "rows": { "input": "lines", "first": 1, "last": 10 }
        });
        assert_eq!(error_events(&error), [expected]);
    }
}
