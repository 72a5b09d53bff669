//! Bytes as a pipeline's text, and as what its stages say of themselves: planning ends with a plan or with problems.
//!
//! Parts are divided by lines that begin with `---`: the pipeline, the JSON Schema of the config of `given@1`, its
//! answer to `describe`, `common.kdl`.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};
use flowc_planner::catalogue::{Catalogue, Description, Problem, Question, Signature};
use flowc_planner::key::StageDigest;
use flowc_planner::plan::{Code, Plan, Purity, Serialization, SourceSpec};
use flowc_planner::render::{Format, graph, plan_text};
use flowc_planner::{Settings, Texts, units};

pub(crate) fn plan(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut parts = text.split("\n---").map(|part| part.split_once('\n').map_or(part, |(_, rest)| rest));
    let pipeline = text.split("\n---").next().unwrap_or_default();
    let (schema, answer, common) = (parts.nth(1), parts.next(), parts.next());
    let mut given = Given { schema: schema.and_then(json), answer: answer.and_then(json) };
    let mut texts = Texts::new("case.kdl", pipeline.to_owned());
    while let Some(request) = texts.missing_includes().pop() {
        match common {
            Some(text) if request.path == "common.kdl" => texts.add("common.kdl", text.to_owned()),
            _ => texts.add_unreadable(&request.path, "no such file"),
        }
    }
    let outcome = flowc_planner::plan(&texts, &Settings::default(), &mut given);
    assert!(outcome.value.is_some() == outcome.problems.is_empty());
    if let Some(plan) = outcome.value {
        let json = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&json).unwrap(), plan);
        assert!(!plan_text(&plan, &units(&plan)).is_empty());
        for format in [Format::Mermaid, Format::Dot, Format::Svg] {
            assert!(!graph(&plan, format).is_empty());
        }
    }
}

fn json<T: serde::de::DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_str(text).ok()
}

/// Stages whose config schema and answer are given.
struct Given {
    schema: Option<serde_json::Value>,
    answer: Option<Description>,
}

impl Catalogue for Given {
    fn signatures(&mut self, codes: &[Code]) -> Vec<Result<Signature, Problem>> {
        let signature = |code: &Code| {
            let Code::Std(name) = code else { return Err(Problem::new("there is no such stage")) };
            let inputs: &[&str] = match name.as_str() {
                "given@1" => &["rows"],
                "two@1" => &["rows", "table"],
                "none@1" => &[],
                _ => return Err(Problem::new("there is no such stage")),
            };
            Ok(Signature {
                unenforced: None,
                chains: false,
                serializations: Serialization::ALL.to_vec(),
                digest: StageDigest::new([1; 32]),
                doc: String::new(),
                inputs: inputs.iter().map(|name| (*name).to_owned()).collect(),
                outputs: vec!["rows".to_owned()],
                config_schema: self.schema.clone().unwrap_or(serde_json::Value::Bool(true)),
                purity: Purity::Proven,
                runner: Default::default(),
            })
        };
        codes.iter().map(signature).collect()
    }

    fn describe(&mut self, questions: &[Question]) -> Vec<Result<Description, Problem>> {
        let problem = || Problem { config_path: Some("/a/0".to_owned()), ..Problem::new("no") };
        questions.iter().map(|_| self.answer.clone().ok_or_else(problem)).collect()
    }

    fn source_schemas(&mut self, sources: &[(String, SourceSpec)]) -> Vec<Result<SchemaRef, Problem>> {
        let field = |name: &str, data_type| Field::new(name, data_type, true);
        let schema = Arc::new(Schema::new(vec![field("id", DataType::Int64), field("name", DataType::Utf8)]));
        sources.iter().map(|_| Ok(schema.clone())).collect()
    }
}
