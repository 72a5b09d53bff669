//! The plan held against store and sources: what is cached, what is to run, and why.

use serde::{Deserialize, Serialize};

/// What a run would do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    /// One per source.
    pub sources: Vec<SourceStatus>,
    /// One per stage, in the plan's order.
    pub stages: Vec<StageOutlook>,
    /// One per sink.
    pub sinks: Vec<SinkStatus>,
}

/// A source's files against what is remembered of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SourceStatus {
    /// The source.
    pub name: String,
    /// What its parts are called: files, or what stands for them in the source.
    pub part: &'static str,
    /// Parts that it has.
    pub files: usize,
    /// The version of a table that they are of; none of what has no versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// Parts that are new or were changed: they must be read before more is known.
    pub to_read: Vec<String>,
    /// Segments known so far.
    pub segments: usize,
}

/// What a run would do with a stage.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StageOutlook {
    /// The stage.
    pub name: String,
    /// Segments that would run, as far as is known.
    pub to_run: usize,
    /// Whether what its segments gave would be combined anew.
    pub merges: bool,
    /// Segments whose results are there.
    pub cached: usize,
    /// Whether all that is needed of it are rows and columns of its inputs: then it does not run, and nothing of it is stored.
    pub passthrough: bool,
    /// Whether more may be to run, once changed source files have been read.
    pub unknown: bool,
    /// Why segments would run, most telling first. Empty when nothing would.
    pub reasons: Vec<Reason>,
}

/// Why a stage runs or would run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum Reason {
    /// The pipeline has not run in this store, or the stage is new in it.
    NeverRan,
    /// Its code is another than in the last run.
    Code {
        /// The digest then.
        before: String,
        /// The digest now.
        now: String,
        /// The files that differ, and what else does; none where that is not known.
        #[serde(default)]
        parts: Vec<String>,
    },
    /// The device that decides the last bits of its numbers is another than in the last run, or its driver is.
    Device {
        /// The device then, with its driver.
        before: String,
        /// The device now.
        now: String,
    },
    /// What its runner adds to its keys is another than in the last run: a version, a part of flowc, what the text claims of its numbers.
    Runner {
        /// What that is called.
        name: String,
        /// What it was then; none if it is new.
        before: Option<String>,
        /// What it is now; none if it is gone.
        now: Option<String>,
    },
    /// A value of its config is another than in the last run.
    Config {
        /// JSON pointer to the value.
        path: String,
        /// The value then; none if it is new.
        before: Option<String>,
        /// The value now; none if it is gone.
        now: Option<String>,
    },
    /// The windows of an input are others than in the last run, or the delay of its event time is.
    Window {
        /// The input port.
        input: String,
        /// The windows then, in words; none if there were none.
        before: Option<String>,
        /// The windows now.
        now: Option<String>,
    },
    /// It is given other secrets than in the last run, by their names and places.
    Secrets {
        /// Those then, as in the text.
        before: Vec<String>,
        /// Those now.
        now: Vec<String>,
    },
    /// Its results are `open`, and the pipeline does not say that they may be taken again.
    Open {
        /// What of isolation is missing, by names.
        without: String,
    },
    /// A column that it reads is another than in the last run.
    Column {
        /// The input port.
        input: String,
        /// The column's name.
        column: String,
        /// Segments in which it differs, by the names of their files where they have one.
        segments: Vec<String>,
    },
    /// The rows of an input of which it reads no column are others than in the last run.
    Rows {
        /// The input port.
        input: String,
        /// Segments in which they differ, by the names of their files where they have one.
        segments: Vec<String>,
    },
    /// Segments came or went.
    Segments {
        /// The input port.
        input: String,
        /// How many are new.
        added: usize,
        /// How many are gone.
        removed: usize,
        /// The new ones, by the names of their files where they have one.
        #[serde(default)]
        new: Vec<String>,
        /// The ones that are gone.
        #[serde(default)]
        gone: Vec<String>,
    },
    /// Files of a source are new or were changed, and must be read first.
    UnreadFiles {
        /// The source.
        source: String,
        /// The files.
        files: Vec<String>,
    },
    /// The result was there and has been removed by `store gc`.
    Evicted,
    /// The stage above it runs too, and what it takes from there has other keys than in the last run.
    Upstream {
        /// The stage above.
        stage: String,
    },
    /// It is as in the last run, but its rows are passed on to a stage that runs, and are not kept.
    NotKept {
        /// The stage that takes them.
        stage: String,
    },
    /// `--force`.
    Forced,
    /// `--verify`: its results are there, and are compared with what it gives now.
    Verified,
    /// No sink needs it: it does not run.
    Unneeded,
}

/// A sink's files against what is remembered of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SinkStatus {
    /// The sink.
    pub name: String,
    /// What would happen to it.
    pub outlook: SinkOutlook,
}

/// What would happen to a sink.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SinkOutlook {
    /// It stands as it should.
    UpToDate,
    /// It would be written, since its rows are new or have changed.
    Write,
    /// It was deleted or altered, and would be written again from the store.
    Restore,
    /// Standard output is always written.
    Print,
}

/// What became of a stage when it last ran, and why it ran.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageRan {
    /// When the run ended, in seconds since 1970.
    pub finished: u64,
    /// Segments that it ran over.
    pub segments: u64,
    /// Whether it failed.
    pub failed: bool,
    /// Why it ran, most telling first.
    #[serde(with = "reasons")]
    pub reasons: Vec<Reason>,
}

/// Why a stage would run, and why it last did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Why {
    /// What the next run would do with it.
    #[serde(flatten)]
    pub next: StageOutlook,
    /// What became of it when it last ran; none if it never did here.
    pub ran: Option<StageRan>,
    /// The devices that made those of its results whose keys name none, though numbers of a kernel are in them.
    pub made_on: Vec<MadeOn>,
}

/// A device, and how many results it made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MadeOn {
    /// The device, with its driver.
    pub device: String,
    /// Segments of the stage's output.
    pub segments: usize,
}

/// Reasons in a compact form that says nothing of itself: as their JSON. What tells them apart is a field of each.
pub(crate) mod reasons {
    use serde::de::Error as _;
    use serde::ser::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Reason;

    pub(crate) fn serialize<S: Serializer>(reasons: &[Reason], to: S) -> Result<S::Ok, S::Error> {
        match (to.is_human_readable(), reasons) {
            (true, _) => reasons.serialize(to),
            (false, []) => to.serialize_str(""),
            (false, _) => to.serialize_str(&serde_json::to_string(reasons).map_err(S::Error::custom)?),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Reason>, D::Error> {
        if from.is_human_readable() {
            return Vec::deserialize(from);
        }
        match String::deserialize(from)?.as_str() {
            "" => Ok(Vec::new()),
            text => serde_json::from_str(text).map_err(D::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_remembered_as_they_were() {
        let names = || vec!["a.csv".to_owned()];
        let all = vec![
            Reason::NeverRan,
            Reason::Code { before: "a".into(), now: "b".into(), parts: names() },
            Reason::Device { before: "a".into(), now: "b".into() },
            Reason::Config { path: "/a".into(), before: None, now: Some("1".into()) },
            Reason::Window { input: "in".into(), before: None, now: Some("tumbling 1m by at".into()) },
            Reason::Secrets { before: vec![], now: names() },
            Reason::Open { without: "filter".into() },
            Reason::Column { input: "in".into(), column: "x".into(), segments: names() },
            Reason::Rows { input: "in".into(), segments: names() },
            Reason::Segments { input: "in".into(), added: 1, removed: 0, new: names(), gone: vec![] },
            Reason::UnreadFiles { source: "s".into(), files: names() },
            Reason::Evicted,
            Reason::Upstream { stage: "a".into() },
            Reason::NotKept { stage: "a".into() },
            Reason::Forced,
            Reason::Verified,
            Reason::Unneeded,
        ];
        for reasons in [Vec::new(), all] {
            let ran = StageRan { finished: 7, segments: 3, failed: false, reasons };
            let bytes = postcard::to_stdvec(&ran).unwrap();
            assert_eq!(postcard::from_bytes::<StageRan>(&bytes).unwrap(), ran);
            let text = serde_json::to_string(&ran).unwrap();
            assert_eq!(serde_json::from_str::<StageRan>(&text).unwrap(), ran);
        }
    }
}
