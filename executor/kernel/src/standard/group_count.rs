//! `group-count@1`: how many rows each value of a column has.

use std::collections::BTreeMap;

use arrow_schema::{DataType, Schema};
use flowc_planner::catalogue::{Problem, Signature};
use flowc_planner::key::StageDigest;
use flowc_planner::plan::{KernelColumns, Purity};
use serde_json::{Value, json};

use super::{Standard, WrittenOut, at, column};
use crate::Labels;
use crate::layout::{Kind, Storage};

/// `group-count@1`: how often each value of a column occurs.
pub(super) struct GroupCount;

impl Standard for GroupCount {
    fn name(&self) -> &'static str {
        "group-count@1"
    }

    fn signature(&self, digest: StageDigest) -> Signature {
        Signature {
            digest,
            doc:
                "For each value of a column of integers, how many rows have it, ordered by the value; null comes first."
                    .to_owned(),
            inputs: vec!["rows".to_owned()],
            outputs: vec!["groups".to_owned()],
            config_schema: json!({
                "type": "object",
                "properties": {
                    "key": {"type": "string", "default": "key", "description": "The column whose values are counted."},
                },
                "additionalProperties": false,
            }),
            purity: Purity::Proven,
            runner: BTreeMap::new(),
            unenforced: None,
            chains: false,
            serializations: Vec::new(),
        }
    }

    fn written(&self, config: &Value, inputs: &[&Schema]) -> Result<WrittenOut, Problem> {
        let key = config["key"].as_str().unwrap_or("key");
        let field = column(inputs[0], key, "rows", "/key")?;
        let is_key =
            |of: Storage| of.count == 1 && of.bits <= 64 && matches!(of.kind, Kind::Bool | Kind::Sint | Kind::Uint);
        if !Storage::of(field.data_type()).is_some_and(is_key) {
            let problem = Problem::new(format!("the column `{key}` is {}, and no integers", field.data_type()));
            let help = "integers, booleans, dates, times, timestamps, durations and decimals of up to 64 bits can be counted; \
                        `aggregate@1` counts others";
            return Err(at(problem.with_help(help), "/key"));
        }
        if key == "count" {
            let problem = Problem::new("the column `count` would be there twice: as key, and as how often that is");
            return Err(at(problem.with_help("give the key another name by `select@1` before"), "/key"));
        }
        let columns = KernelColumns {
            gives: [("count".to_owned(), DataType::UInt64)].into(),
            groups: Some(key.to_owned()),
            ..KernelColumns::default()
        };
        Ok(WrittenOut { text: self.template().to_owned(), columns, least: 0, labels: Some(Labels::Plain) })
    }

    fn template(&self) -> &'static str {
        include_str!("group_count.wgsl")
    }
}

#[cfg(test)]
mod tests {
    use arrow_schema::Field;
    use flowc_planner::plan::Class;

    use super::*;
    use crate::{BinsOf, Counter, Kernel, Numeric, Operation, Source};

    /// What an author's kernel of this form would be proven to be.
    #[test]
    fn it_is_proven_to_be_combining_and_exact() {
        let schema =
            Schema::new(vec![Field::new("id", DataType::Utf8, true), Field::new("key", DataType::Int64, true)]);
        let made = GroupCount.written(&json!({}), &[&schema]).unwrap();
        let kernel = Kernel::parse(Source::new("group-count@1", &made.text)).map_err(crate::problem).unwrap();
        let bound = kernel.bind(&[&schema], &made.columns).map_err(crate::problem).unwrap();
        assert_eq!((bound.class, &bound.numeric, &bound.reads[..]), (Class::Combining, &Numeric::Exact, &[1][..]));
        let bins = bound.bins.as_ref().unwrap();
        assert!(matches!(&bins.of, BinsOf::Groups { column: 1, .. }));
        assert_eq!(bins.counters, [Counter { operation: Operation::Sum, is_signed: false, is_wide: true }]);
        let names: Vec<String> = bound.schema.fields().iter().map(|field| field.to_string()).collect();
        assert_eq!(names.len(), 2, "{names:?}");
        kernel.build(&bound, 60_000);
    }

    #[test]
    fn columns_that_make_no_groups_are_told() {
        let schema = Schema::new(vec![
            Field::new("text", DataType::Utf8, true),
            Field::new("price", DataType::Float32, true),
            Field::new("count", DataType::Int32, true),
        ]);
        let told = |key: &str| {
            let problem = GroupCount.written(&json!({"key": key}), &[&schema]).unwrap_err();
            assert_eq!(problem.config_path.as_deref(), Some("/key"));
            problem.message
        };
        assert_eq!(told("text"), "the column `text` is Utf8, and no integers");
        assert_eq!(told("price"), "the column `price` is Float32, and no integers");
        assert_eq!(told("pricy"), "the input `rows` has no column `pricy`");
        assert!(told("count").contains("twice"));
    }
}
