//! What the KDL parser says of a text that is not KDL, as one problem for each mistake.
//!
//! The parser goes on after a mistake, and so reports what follows from it too: a text without its closing quote swallows
//! the brace behind it, and the block then seems open. Such echoes are left out. Common slips are named.

use kdl::KdlDiagnostic;
use miette::SourceSpan;

use super::nesting;
use crate::diagnostic::SyntaxProblem;

/// So many mistakes are told: in what is no KDL at all, the parser finds one at every character.
const MOST: usize = 20;

/// The mistakes behind what the parser reports; at least one if it reports any.
pub(super) fn mistakes(text: &str, reports: Vec<KdlDiagnostic>) -> Vec<(SourceSpan, SyntaxProblem)> {
    let balances = nesting::balances(text);
    let found: Vec<_> = reports.into_iter().map(|report| placed(report.span, problem(text, report))).collect();
    let paths: Vec<(usize, usize)> = found.iter().filter_map(|(span, problem)| path(*span, problem)).collect();
    let is_within = |at: usize| paths.iter().any(|(start, end)| (start + 1..*end).contains(&at));
    // What is taken for a comment in a path hides the braces behind it.
    let balances = balances || !paths.is_empty();
    let is_echo =
        |(span, problem): &(SourceSpan, SyntaxProblem)| is_echo(problem, balances) || is_within(span.offset());
    let all_echo = found.iter().all(is_echo);
    let kept = found.into_iter().filter(|one| all_echo || !is_echo(one));
    let mut kept: Vec<_> = kept.collect();
    kept.truncate(if all_echo { 1 } else { MOST });
    kept
}

/// The parser points at the first character of what it does not expect.
fn placed(span: SourceSpan, problem: SyntaxProblem) -> (SourceSpan, SyntaxProblem) {
    match &problem {
        SyntaxProblem::RunOn { word } | SyntaxProblem::Unquoted { word } => {
            ((span.offset(), word.len()).into(), problem)
        }
        _ => (span, problem),
    }
}

/// Where a path stands without its quotes.
fn path(span: SourceSpan, problem: &SyntaxProblem) -> Option<(usize, usize)> {
    let SyntaxProblem::Unquoted { word } = problem else { return None };
    word.contains('/').then(|| (span.offset(), span.offset() + word.len()))
}

/// Whether the problem follows from another one. Braces that balance are not to blame for anything.
fn is_echo(problem: &SyntaxProblem, balances: bool) -> bool {
    match problem {
        SyntaxProblem::OpenBlock | SyntaxProblem::StrayBrace => balances,
        // Said of the same block as `OpenBlock`, with a second place.
        SyntaxProblem::Kdl { message, .. } => message.starts_with("closing '}' was not found"),
        _ => false,
    }
}

fn problem(text: &str, report: KdlDiagnostic) -> SyntaxProblem {
    let KdlDiagnostic { span, message, help, .. } = report;
    let message = message.unwrap_or_else(|| "this is not KDL".to_owned());
    let at = text.get(span.offset()..).unwrap_or_default();
    let word = at.get(..span.len()).unwrap_or_default().trim();
    let is_value = message.starts_with("Expected") && !message.contains("document");
    match (message.as_str(), word) {
        ("No closing '}' for child block", _) => SyntaxProblem::OpenBlock,
        ("Unexpected newline in single-line quoted string", _) => SyntaxProblem::OpenText,
        ("Expected end of document", _) if at.starts_with('}') => SyntaxProblem::StrayBrace,
        ("Expected end of document", _) if follows_block(text, span.offset()) => {
            SyntaxProblem::RunOn { word: at.chars().take_while(|c| is_name(*c)).collect() }
        }
        ("Expected end of document", _) if begins_path(at) => SyntaxProblem::Unquoted {
            word: at.split([' ', '\t', '\n', '\r', ';', '}']).next().unwrap_or(at).to_owned(),
        },
        ("Expected end of document", _) => SyntaxProblem::Stray { found: at.chars().take(1).collect() },
        (_, "true" | "false" | "null" | "inf" | "-inf" | "nan") => SyntaxProblem::Keyword { word: word.to_owned() },
        _ if is_value && word.len() > 1 && word.ends_with(',') => SyntaxProblem::Comma,
        _ if is_value && is_unquoted(word) => SyntaxProblem::Unquoted { word: word.to_owned() },
        _ => SyntaxProblem::Kdl { message: uncapitalised(&message), help },
    }
}

/// Whether a name follows a block on its line.
fn follows_block(text: &str, at: usize) -> bool {
    let (before, after) = text.split_at_checked(at).unwrap_or_default();
    before.trim_end_matches([' ', '\t']).ends_with('}') && after.starts_with(|c: char| c.is_ascii_alphabetic())
}

/// Whether an absolute path begins here.
fn begins_path(at: &str) -> bool {
    at.strip_prefix('/').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '.'))
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_'
}

/// Texts that begin like a number, and paths: `5s`, `64MiB`, `2024-01-01`, `out/a.csv`.
fn is_unquoted(word: &str) -> bool {
    let digits = word.trim_start_matches(['-', '+', '.']);
    let needs_quotes = digits.starts_with(|c: char| c.is_ascii_digit()) || word.contains('/');
    needs_quotes && word.chars().all(|c| !c.is_whitespace() && c != '"')
}

fn uncapitalised(message: &str) -> String {
    let mut chars = message.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}
