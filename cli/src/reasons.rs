//! Reasons in words: why a stage would run, or ran.

use flowc_executor::Reason;
use flowc_planner::quantity::count;

use crate::terminal::harmless;

/// So many names are listed before "and n more".
const LISTED: usize = 5;

/// A reason as the end of "it would run because ..." or "it ran because ...".
pub(crate) fn because(reason: &Reason) -> String {
    match reason {
        Reason::NeverRan => "this store has no results of it".to_owned(),
        Reason::Code { before, now, parts } if parts.is_empty() => format!("its code changed: {before} -> {now}"),
        Reason::Code { parts, .. } => format!("its code changed: {}", some_of(parts)),
        Reason::Device { before, now } => format!("the GPU or its driver changed: {before} -> {now}"),
        Reason::Runner { name, before, now } if name == "kernels" => {
            format!("this flowc makes kernels otherwise: {} -> {}", short(before), short(now))
        }
        Reason::Runner { name, before, now } => format!("its `{name}` changed: {} -> {}", value(before), value(now)),
        Reason::Config { path, before, now } => {
            let key = path.trim_start_matches('/').replace('/', ".");
            format!("config `{key}` changed: {} -> {}", value(before), value(now))
        }
        Reason::Window { input, before, now } => {
            format!("the windows of input `{input}` changed: {} -> {}", windows(before), windows(now))
        }
        Reason::Secrets { before, now } => format!("its secrets changed: {} -> {}", all(before), all(now)),
        Reason::Open { without } => {
            format!("its results are open (without {without}), and `cache` does not say that they may be taken again")
        }
        Reason::Column { input, column, segments } => {
            let many = count(segments.len(), "segment");
            format!("column `{column}` of input `{input}` differs in {many}: {}", some_of(segments))
        }
        Reason::Rows { input, segments } => {
            format!("the rows of input `{input}` differ in {}: {}", count(segments.len(), "segment"), some_of(segments))
        }
        Reason::Segments { input, added, removed, new, gone } => {
            let names: Vec<String> = new.iter().chain(gone).cloned().collect();
            let named = if names.is_empty() { String::new() } else { format!(": {}", some_of(&names)) };
            format!("{}{named}", segments(input, *added, *removed))
        }
        Reason::UnreadFiles { source, files } => {
            format!("source `{source}` must be read first: {}", some_of(files))
        }
        Reason::Evicted => "`flowc store gc` removed its results".to_owned(),
        Reason::Upstream { stage } => format!("of what upstream stage `{stage}` gives it when that runs"),
        Reason::NotKept { stage } => format!(
            "stage `{stage}` takes its rows at once and they are not kept: it runs when that does (`cache #true` keeps them)"
        ),
        Reason::Forced => "of --force".to_owned(),
        Reason::Verified => "of --verify".to_owned(),
        Reason::Unneeded => "no sink needs it; `flowc run --only` with its name runs it".to_owned(),
    }
}

fn windows(words: &Option<String>) -> &str {
    words.as_deref().unwrap_or("none")
}

/// A digest, for people.
fn short(digest: &Option<String>) -> &str {
    let digest = value(digest);
    digest.get(..12).unwrap_or(digest)
}

fn value(value: &Option<String>) -> &str {
    value.as_deref().unwrap_or("not set")
}

fn all(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn segments(input: &str, added: usize, removed: usize) -> String {
    match (added, removed) {
        (0, 0) => format!("the segments of input `{input}` are in another order"),
        (0, removed) => format!("input `{input}` lost {}", count(removed, "segment")),
        (added, 0) => format!("input `{input}` has {}", count(added, "new segment")),
        (added, removed) => format!("input `{input}` has {} and lost {removed}", count(added, "new segment")),
    }
}

/// The first of these names, and how many more there are.
pub(crate) fn some_of(names: &[String]) -> String {
    let listed = names.iter().take(LISTED).map(|name| harmless(name)).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(LISTED) {
        0 => listed,
        more => format!("{listed} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_say_what_changed() {
        let (new, gone) = (vec![], vec![]);
        let text = |added, removed| {
            because(&Reason::Segments { input: "in".into(), added, removed, new: new.clone(), gone: gone.clone() })
        };
        assert_eq!(text(1, 0), "input `in` has 1 new segment");
        assert_eq!(text(0, 2), "input `in` lost 2 segments");
        assert_eq!(text(2, 1), "input `in` has 2 new segments and lost 1");
        let config = Reason::Config { path: "/where/0/op".into(), before: None, now: Some("\"<\"".into()) };
        assert_eq!(because(&config), "config `where.0.op` changed: not set -> \"<\"");
        let secrets = Reason::Secrets { before: vec![], now: vec!["KEY env=\"KEY\"".into()] };
        assert_eq!(because(&secrets), "its secrets changed: none -> KEY env=\"KEY\"");
    }

    /// Every reason as text and as JSON. One that is added must be listed: the match has no default.
    #[test]
    fn every_reason_has_its_text_and_its_name() {
        fn name(reason: &Reason) -> &'static str {
            match reason {
                Reason::NeverRan => "never-ran",
                Reason::Code { .. } => "code",
                Reason::Device { .. } => "device",
                Reason::Runner { .. } => "runner",
                Reason::Config { .. } => "config",
                Reason::Window { .. } => "window",
                Reason::Secrets { .. } => "secrets",
                Reason::Open { .. } => "open",
                Reason::Column { .. } => "column",
                Reason::Rows { .. } => "rows",
                Reason::Segments { .. } => "segments",
                Reason::UnreadFiles { .. } => "unread-files",
                Reason::Evicted => "evicted",
                Reason::Upstream { .. } => "upstream",
                Reason::NotKept { .. } => "not-kept",
                Reason::Forced => "forced",
                Reason::Verified => "verified",
                Reason::Unneeded => "unneeded",
            }
        }
        let files = || vec!["a.csv".to_owned()];
        let (stage, input) = (|| "words".to_owned(), || "in".to_owned());
        let all = [
            (Reason::NeverRan, "no results"),
            (Reason::Code { before: "aa".into(), now: "bb".into(), parts: vec![] }, "code changed: aa -> bb"),
            (Reason::Device { before: "aa".into(), now: "bb".into() }, "driver changed: aa -> bb"),
            (
                Reason::Runner { name: "kernels".into(), before: None, now: Some("0".repeat(64)) },
                "otherwise: not set -> 000000000000",
            ),
            (
                Reason::Runner { name: "python".into(), before: Some("3".into()), now: None },
                "its `python` changed: 3 -> not set",
            ),
            (Reason::Config { path: "/by".into(), before: None, now: Some("1".into()) }, "config `by` changed"),
            (
                Reason::Window { input: input(), before: None, now: Some("tumbling 1m by at".into()) },
                "none -> tumbling 1m by at",
            ),
            (Reason::Secrets { before: vec![], now: files() }, "secrets changed"),
            (Reason::Open { without: "filter".into() }, "open (without filter)"),
            (Reason::Column { input: input(), column: "x".into(), segments: files() }, "column `x`"),
            (Reason::Rows { input: input(), segments: files() }, "rows of input `in` differ"),
            (Reason::Segments { input: input(), added: 1, removed: 0, new: files(), gone: vec![] }, "1 new segment"),
            (Reason::UnreadFiles { source: "s".into(), files: files() }, "must be read first: a.csv"),
            (Reason::Evicted, "`flowc store gc`"),
            (Reason::Upstream { stage: stage() }, "upstream stage `words`"),
            (Reason::NotKept { stage: stage() }, "not kept"),
            (Reason::Forced, "of --force"),
            (Reason::Verified, "of --verify"),
            (Reason::Unneeded, "no sink needs it"),
        ];
        for (reason, words) in all {
            assert!(because(&reason).contains(words), "{}", because(&reason));
            assert_eq!(serde_json::to_value(&reason).unwrap()["reason"], name(&reason));
            let documented = include_str!("../templates/events.md").split("A reason has").nth(1).unwrap();
            assert!(documented.contains(&format!("`{}`", name(&reason))), "{}", name(&reason));
        }
    }
}
