//! Errors as events: what programs read of them.

use flowc_planner::Diagnostic;
use serde::Serialize;

use super::{Error, ErrorClass, FailureSite, MissingSecret, WorkItem};

/// One thing that went wrong. Fields that are not known are left out.
#[derive(Clone, Debug, Serialize)]
pub struct ErrorReport {
    /// The name of its kind.
    pub code: String,
    /// Whose fault it is.
    pub class: ErrorClass,
    /// What happened.
    pub message: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// The errors that it comes from, nearest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// The file: of the pipeline's text, or of a source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line in it, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The column in the line, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// The source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The stage, or the assert.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// The segment that it ran over: its number in the file, or else in the stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segment: Option<u64>,
    /// The rows that it was given last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<RowsReport>,
    /// The secret that has no value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// The sink.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sink: Option<String>,
}

/// Rows of an input.
#[derive(Clone, Debug, Serialize)]
pub struct RowsReport {
    /// The input's stream.
    pub input: String,
    /// The first of them, from 1.
    pub first: u64,
    /// The last of them.
    pub last: u64,
}

impl ErrorReport {
    /// A report without a place.
    pub fn new(code: &str, class: ErrorClass, message: String) -> Self {
        Self {
            code: code.to_owned(),
            class,
            message,
            help: None,
            causes: Vec::new(),
            file: None,
            line: None,
            column: None,
            source: None,
            stage: None,
            segment: None,
            rows: None,
            secret: None,
            sink: None,
        }
    }

    fn of_diagnostic(diagnostic: &Diagnostic, class: ErrorClass) -> Self {
        let place = diagnostic.first_place();
        let code = diagnostic.code_name().unwrap_or_else(|| "flowc::pipeline".to_owned());
        Self {
            help: diagnostic.help_text(),
            file: place.as_ref().map(|place| place.file.clone()),
            line: place.as_ref().map(|place| place.line),
            column: place.as_ref().map(|place| place.column),
            ..Self::new(&code, class, diagnostic.to_string())
        }
    }

    fn of_secret(missing: &MissingSecret, class: ErrorClass) -> Self {
        Self {
            stage: Some(missing.stage.clone()),
            secret: Some(missing.secret.clone()),
            ..Self::new("flowc::secret", class, missing.to_string())
        }
    }

    fn at(self, place: &FailureSite) -> Self {
        let (segment, file) = match &place.item {
            Some(WorkItem::OfFile { segment, file, .. }) => (Some(u64::from(*segment)), Some(file.clone())),
            Some(WorkItem::OfStream { segment: number, .. } | WorkItem::Group(number) | WorkItem::Part(number)) => {
                (Some(*number as u64), None)
            }
            Some(WorkItem::Window(_)) | None => (None, None),
        };
        let rows = place.rows.as_ref().map(|(input, rows)| RowsReport {
            input: input.clone(),
            first: rows.start + 1,
            last: rows.end,
        });
        Self { segment, file, rows, ..self }
    }
}

impl Error {
    /// What programs read of it: one report for each thing that is wrong.
    pub fn reports(&self) -> Vec<ErrorReport> {
        let class = self.class();
        let all = |problems: &[Diagnostic]| problems.iter().map(|one| ErrorReport::of_diagnostic(one, class)).collect();
        let report = ErrorReport { causes: causes(self), ..ErrorReport::new(self.code(), class, self.to_string()) };
        let report = match self {
            Error::Pipeline(problems) | Error::Machine(problems) => return all(problems),
            Error::Locked { problems, .. } if !problems.is_empty() => return all(problems),
            Error::Secrets(missing) => return missing.iter().map(|one| ErrorReport::of_secret(one, class)).collect(),
            Error::Source { source_name, .. } => ErrorReport { source: Some(source_name.clone()), ..report },
            Error::Stage { stage, place, .. } => ErrorReport { stage: Some(stage.clone()), ..report }.at(place),
            Error::Assert { assert, .. } => ErrorReport { stage: Some(assert.clone()), ..report },
            Error::Sink { sink, .. } => ErrorReport { sink: Some(sink.clone()), ..report },
            Error::File { path, .. } => ErrorReport { file: Some(path.display().to_string()), ..report },
            Error::Locked { .. }
            | Error::Store(_)
            | Error::Isolation { .. }
            | Error::Request(_)
            | Error::Columns { .. }
            | Error::System { .. }
            | Error::Changed(_)
            | Error::Lost(_)
            | Error::Internal { .. }
            | Error::Cancelled => report,
        };
        vec![report]
    }
}

/// The texts of the errors that an error comes from, each once.
fn causes(error: &Error) -> Vec<String> {
    let chain = std::iter::successors(std::error::Error::source(error), |error| error.source());
    let mut causes: Vec<String> = chain.map(ToString::to_string).collect();
    causes.dedup();
    causes
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_stage_failure_names_stage_segment_file_and_rows() {
        let item = WorkItem::OfFile { segment: 2, stream: "lines".into(), file: "a.txt".into() };
        let place = Box::new(FailureSite { item: Some(item), rows: Some(("lines".into(), 0..10)) });
        let error = Error::Stage { stage: "words".into(), place, message: "out of memory".into() };
        let expected = json!({
            "code": "flowc::stage",
            "class": "run",
            "message": "stage `words`, segment 2 of a.txt, rows 1 to 10: out of memory",
            "stage": "words",
            "segment": 2,
            "file": "a.txt",
            "rows": { "input": "lines", "first": 1, "last": 10 }
        });
        let reports: Vec<_> = error.reports().iter().map(|report| serde_json::to_value(report).unwrap()).collect();
        assert_eq!(reports, [expected]);
    }

    #[test]
    fn causes_are_told_from_the_nearest() {
        let error = Error::File { path: "flow.kdl".into(), cause: std::io::Error::other("refused") };
        let [report] = &error.reports()[..] else { panic!("one report") };
        assert_eq!((report.file.as_deref(), &report.causes[..]), (Some("flow.kdl"), &["refused".to_owned()][..]));
    }
}
