//! Answers the planner from components, source files, the lock, and what is remembered of earlier answers.

use std::collections::BTreeMap;

use arrow_schema::SchemaRef;
use flowc_code::Evidence;
use flowc_planner::Lock;
use flowc_planner::catalogue::{Catalogue, Description, OwnFiles, Problem, Question, Signature};
use flowc_planner::key::{KeyHasher, StageDigest, canonical_json};
use flowc_planner::plan::{Code, Format, Isolate, SourceSpec, Target};
use flowc_runner::Located;
use flowc_sources::{Polled, SourceError};
use flowc_store::{Memo, Store};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::plan::locating::Locating;
use crate::remembered::{DESCRIPTION, SIGNATURE};

/// The planner's view of the world, for one planning.
pub(crate) struct StageCatalogue<'a> {
    store: &'a Store,
    locating: Locating<'a>,
    lock: &'a Lock,
    locked: bool,
    /// What was found: the digest behind each code reference. Goes into the lock.
    pub codes: BTreeMap<Code, StageDigest>,
    /// The image behind each reference that does not pin one. Goes into the lock.
    pub images: BTreeMap<String, String>,
    /// The columns of each source that does not declare them. Goes into the lock.
    pub schemas: BTreeMap<String, SchemaRef>,
    /// Names of the sources whose columns come from the lock.
    pinned: Vec<String>,
    /// By what a later run sees that all code is the same.
    pub evidence: Evidence,
    /// The names of what was built for the code.
    pub builds: Vec<String>,
}

impl<'a> StageCatalogue<'a> {
    /// A catalogue that has not been asked yet. `lock` holds nothing when it is to be made again.
    pub(crate) fn new(store: &'a Store, locating: Locating<'a>, lock: &'a Lock, locked: bool) -> Self {
        let (codes, images, schemas, pinned, evidence, builds) = Default::default();
        Self { store, locating, lock, locked, codes, images, schemas, pinned, evidence, builds }
    }

    fn signature(&mut self, code: &Code) -> Result<Signature, Problem> {
        let Located { digest, evidence, parts, builds, pin } = self.locating.locate(code)?;
        if let Some(parts) = parts {
            self.locating.code.remember(&digest, &parts);
        }
        self.check_lock(code, &digest)?;
        self.images.extend(pin);
        self.evidence.extend(evidence);
        self.builds.extend(builds);
        self.codes.insert(code.clone(), digest);
        let (store, runners) = (self.store, self.locating.runners);
        let signature: Signature = match recall(store, SIGNATURE, &signature_key(&digest)) {
            Some(known) => known,
            None => {
                let signature = runners.signature(code, &digest)?;
                remember(store, SIGNATURE, &signature_key(&digest), &signature);
                signature
            }
        };
        Ok(runners.on_machine(code).add_to(signature))
    }

    fn check_lock(&self, code: &Code, digest: &StageDigest) -> Result<(), Problem> {
        match self.lock.components.get(&code.to_string()) {
            _ if !self.locked => Ok(()),
            Some(pinned) if pinned == digest => Ok(()),
            Some(pinned) => Err(Problem::against_lock(format!(
                "it has changed: the lock pins {}, and now it is {}",
                pinned.short(),
                digest.short()
            ))
            .with_help("bring the pinned component back, or run once without --locked to pin this one")),
            None => Err(Problem::against_lock("it is not in the lock")
                .with_help("run once without --locked to pin it, and commit the lock")),
        }
    }

    fn describe_one(&self, question: &Question) -> Result<Description, Problem> {
        let key = question_key(question);
        let store = self.store;
        if let Some(known) = recall(store, DESCRIPTION, &key) {
            return Ok(known);
        }
        let described = self.locating.runners.describe(question);
        let description = described.map_err(|problem| self.with_pins(problem, question))?;
        remember(store, DESCRIPTION, &key, &description);
        Ok(description)
    }

    fn source_schema(&mut self, name: &str, spec: &SourceSpec) -> Result<SchemaRef, Problem> {
        if let Some(stated) = flowc_sources::stated_columns(spec) {
            return stated.map_err(|error| Problem::new(error.to_string()));
        }
        let pinned = self.lock.sources.get(name).filter(|pinned| flowc_sources::is_pinned_for(spec, pinned));
        let schema = match pinned {
            Some(pinned) => {
                self.pinned.push(name.to_owned());
                pinned.clone()
            }
            None if self.locked => {
                return Err(Problem::against_lock("its columns are not in the lock")
                    .with_help("run once without --locked to pin them, and commit the lock"));
            }
            None => self.infer(spec)?,
        };
        self.schemas.insert(name.to_owned(), schema.clone());
        Ok(schema)
    }

    /// A stage's problem, which says of a column that is not there that the lock pins the columns that are.
    fn with_pins(&self, problem: Problem, question: &Question) -> Problem {
        let is_taken = |name: &&String| self.schemas.get(*name).is_some_and(|pinned| question.inputs.contains(pinned));
        let source = self.pinned.iter().find(is_taken).filter(|_| problem.message.contains("there is no column"));
        // A name that is nearly one of them was misspelt.
        let is_near = problem.help.as_ref().is_some_and(|help| help.starts_with("did you mean"));
        let Some(source) = source.filter(|_| !is_near) else { return problem };
        let pinned = format!(
            "the lock pins the columns of source `{source}`: where its files have others now, `flowc run --update` infers them again"
        );
        let help = problem.help.as_ref().map_or(pinned.clone(), |help| format!("{help}; {pinned}"));
        problem.with_help(help)
    }

    fn infer(&self, spec: &SourceSpec) -> Result<SchemaRef, Problem> {
        let source = flowc_sources::source(spec, self.locating.code.base());
        let problem = |error: SourceError| match error.is_of_machine() {
            true => Problem::of_machine(error.to_string()),
            false => Problem::new(error.to_string()),
        };
        let parts = source.poll(&Polled::default()).map_err(problem)?.parts;
        source.infer_schema(&parts).map_err(|error| {
            if let SourceError::ReadOnce { .. } = error {
                return problem(error).with_help("declare them: schema { column \"id\" \"Int64\"; ... }");
            }
            let doubt = parts.iter().find_map(|part| source.doubt(part));
            let has_header = matches!(&spec.format, Format::Csv(dialect) if dialect.header);
            let is_repeated = has_header && matches!(error, SourceError::RepeatedColumn { .. });
            let repeated = is_repeated.then(|| {
                "if the first line is a row and names no columns, say `format \"csv\" header=#false`".to_owned()
            });
            match doubt.or(repeated) {
                Some(help) => problem(error).with_help(help),
                None => problem(error),
            }
        })
    }
}

impl Catalogue for StageCatalogue<'_> {
    fn leave_out(&mut self, own: &OwnFiles) {
        self.locating.code.leave_out(own);
    }

    fn isolation(&mut self, isolate: Isolate) -> Result<(), Problem> {
        self.locating.runners.check_isolation(isolate)
    }

    fn source(&mut self, spec: &SourceSpec) -> Result<(), Problem> {
        if let Some(feature) = flowc_sources::missing_for(&spec.location) {
            return Err(unbuilt(feature, "reading from this place"));
        }
        let missing = flowc_sources::missing_for_format(&spec.format);
        missing.map_or(Ok(()), |feature| Err(unbuilt(feature, "reading this format")))
    }

    fn target(&mut self, target: &Target) -> Result<(), Problem> {
        flowc_sinks::missing_for(target).map_or(Ok(()), |feature| Err(unbuilt(feature, "writing to this place")))
    }

    fn signatures(&mut self, codes: &[Code]) -> Vec<Result<Signature, Problem>> {
        codes.iter().map(|code| self.signature(code)).collect()
    }

    fn describe(&mut self, questions: &[Question]) -> Vec<Result<Description, Problem>> {
        questions.iter().map(|question| self.describe_one(question)).collect()
    }

    fn source_schemas(&mut self, sources: &[(String, SourceSpec)]) -> Vec<Result<SchemaRef, Problem>> {
        sources.iter().map(|(name, spec)| self.source_schema(name, spec)).collect()
    }
}

/// A feature that this build lacks, and what needs it.
fn unbuilt(feature: &str, need: &str) -> Problem {
    let message = format!("this flowc was built without `{feature}`, which {need} needs");
    Problem::of_machine(message).with_help(format!("build it with `--features {feature}`"))
}

/// How a stage that was described works, in lines; none where it does not say.
pub(crate) fn work(store: &Store, question: &Question) -> Option<String> {
    let known: Description = recall(store, DESCRIPTION, &question_key(question))?;
    Some(known.explanation.work).filter(|work| !work.is_empty())
}

/// An earlier answer. Answers are kept as JSON: the schema of a config is of no fixed form.
fn recall<T: DeserializeOwned>(store: &Store, kind: Memo, key: &[u8; 32]) -> Option<T> {
    let answer: String = store.memo(kind, key).ok()??;
    serde_json::from_str(&answer).ok()
}

/// Keeps an answer. One that can't be kept is asked for again next time.
fn remember(store: &Store, kind: Memo, key: &[u8; 32], answer: &impl Serialize) {
    if let Ok(answer) = serde_json::to_string(answer) {
        let _ = store.remember(kind, key, &answer);
    }
}

fn signature_key(digest: &StageDigest) -> [u8; 32] {
    KeyHasher::new("signature").digest(digest.as_bytes()).finish()
}

fn question_key(question: &Question) -> [u8; 32] {
    // The digest is of the code, however the text names it.
    let Question { code: _, digest, config, inputs } = question;
    let mut hasher = KeyHasher::new("describe");
    hasher.digest(digest.as_bytes()).bytes(canonical_json(config).as_bytes());
    for schema in inputs {
        hasher.number(schema.fields().len() as u64);
        for field in schema.fields() {
            hasher.field(field);
        }
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_schema::{DataType, Field, Schema};
    use flowc_planner::catalogue::{InputDescription, OutputDescription};
    use flowc_planner::plan::{Class, OutputColumn, Purity, Rows, Serialization};

    use super::*;

    #[test]
    fn answers_are_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let signature = Signature {
            digest: StageDigest::new([1; 32]),
            doc: "Does things.".to_owned(),
            inputs: vec!["in".to_owned()],
            outputs: vec!["out".to_owned()],
            config_schema: serde_json::json!({"type": "object", "properties": {"least": {"type": "integer"}}}),
            purity: Purity::Sandboxed,
            runner: [("python".to_owned(), "3.11".to_owned())].into(),
            unenforced: None,
            chains: true,
            serializations: vec![Serialization::Arrow, Serialization::Parquet],
        };
        let nested = DataType::new_list(DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8)), true);
        let description = Description {
            inputs: vec![InputDescription { class: Class::RowWise, reads: vec![0], keys: vec![] }],
            outputs: vec![OutputDescription {
                schema: Arc::new(Schema::new(vec![Field::new("a", nested, true)])),
                rows: Rows::Same { input: 0 },
                columns: vec![OutputColumn::Passed { column: 0 }],
            }],
            partial: None,
            parts: 1,
            runner: [("numbers".to_owned(), "exact".to_owned())].into(),
            explanation: Default::default(),
        };
        remember(&store, SIGNATURE, &[1; 32], &signature);
        remember(&store, DESCRIPTION, &[2; 32], &description);
        store.flush().unwrap();
        let store = Store::open(folder.path()).unwrap();
        assert_eq!(recall(&store, SIGNATURE, &[1; 32]), Some(signature));
        assert_eq!(recall(&store, DESCRIPTION, &[2; 32]), Some(description));
    }
}
