//! The grade of a stage's results, and what its runner adds to their keys.

use std::collections::BTreeMap;

use crate::catalogue::Signature;
use crate::plan::{Code, Isolate, Limits, Purity};

/// How sure it is that results depend on nothing but their keys, and what its runner adds to these. Two stages whose runners differ in
/// that have different keys: what was made with less isolation, or on more processors, is never taken for the other.
pub(crate) fn graded(signature: &Signature, code: &Code, limits: &Limits) -> (Purity, BTreeMap<String, String>) {
    let mut runner = signature.runner.clone();
    if code.program().is_some() {
        runner.insert("cpus".to_owned(), limits.processors().to_string());
    }
    // A container brings its own isolation.
    let missing = signature.unenforced.as_ref().filter(|_| limits.isolate != Isolate::Container);
    match missing {
        Some(missing) if signature.purity == Purity::Sandboxed => {
            runner.insert("without".to_owned(), missing.clone());
            (Purity::Open, runner)
        }
        _ => (signature.purity, runner),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::*;
    use crate::key::{StageDigest, StageKey};
    use crate::plan::{Cache, PLAN_VERSION, Plan, Serialization, Stage};

    fn python() -> Code {
        Code::Python { dir: "p".to_owned(), entry: String::new() }
    }

    fn signature() -> Signature {
        Signature {
            digest: StageDigest::new([1; 32]),
            doc: String::new(),
            inputs: Vec::new(),
            outputs: vec!["out".to_owned()],
            config_schema: json!({}),
            purity: Purity::Sandboxed,
            runner: [("python".to_owned(), "3.11".to_owned())].into(),
            unenforced: None,
            chains: true,
            serializations: Serialization::ALL.to_vec(),
        }
    }

    fn stage(signature: &Signature, code: Code, limits: Limits) -> Stage {
        let (purity, runner) = graded(signature, &code, &limits);
        Stage {
            name: "s".to_owned(),
            code,
            digest: signature.digest,
            config: json!({"a": 1}),
            runner,
            chains: signature.chains,
            purity,
            inputs: Vec::new(),
            outputs: Vec::new(),
            partial: None,
            parts: 1,
            limits,
            secrets: BTreeMap::new(),
            asserts: None,
            claim: None,
            reference: None,
        }
    }

    fn key(stage: Stage) -> StageKey {
        let (pipeline, sources, sinks, streams) = Default::default();
        Plan { version: PLAN_VERSION, pipeline, sources, stages: vec![stage], sinks, streams }.stage_key(0)
    }

    fn with(field: &str, value: Value) -> Stage {
        let mut stage = serde_json::to_value(stage(&signature(), python(), Limits::default())).unwrap();
        stage[field] = value;
        serde_json::from_value(stage).unwrap()
    }

    /// Fields of a stage with another value. Those that are not in its key: why.
    fn fields() -> Vec<(&'static str, Value, Option<&'static str>)> {
        let digest = json!(StageDigest::new([2; 32]));
        vec![
            ("name", json!("t"), Some("a name changes no row")),
            ("code", json!(Code::Std("count@1".to_owned())), Some("its digest stands for it")),
            ("digest", digest, None),
            ("config", json!({"a": 2}), None),
            ("runner", json!({"python": "3.12"}), None),
            ("chains", json!(false), Some("how it is run")),
            ("purity", json!("open"), Some("what it is that is missing is in the runner")),
            (
                "inputs",
                json!([]),
                Some("what is read of them is in the key, and their segments' keys in the invocation's"),
            ),
            ("outputs", json!([]), Some("ports and fields are in the keys of columns")),
            ("partial", json!(null), Some("fields are in the keys of columns")),
            ("parts", json!(2), Some("the number of a part is in the invocation's key")),
            ("limits", json!(Limits { memory: Some(1), ..Limits::default() }), Some("see the limits one by one")),
            ("secrets", json!({"a": {"env": "A"}}), None),
            ("claim", json!("exact"), Some("what it says of numbers is in the runner")),
            ("reference", json!("b"), Some("to be compared changes no row")),
        ]
    }

    #[test]
    fn each_field_of_a_stage_is_in_its_key_or_is_left_out_for_a_reason() {
        let plain = stage(&signature(), python(), Limits::default());
        let mut there: BTreeSet<String> =
            serde_json::to_value(&plain).unwrap().as_object().unwrap().keys().cloned().collect();
        // Left out of the text where there are none.
        there.extend(["secrets", "claim", "reference"].map(str::to_owned));
        let listed: BTreeSet<String> = fields().into_iter().map(|(field, ..)| field.to_owned()).collect();
        assert_eq!(there, listed);
        for (field, value, left_out) in fields() {
            let differs = key(with(field, value)) != key(plain.clone());
            assert_eq!(differs, left_out.is_none(), "{field}: {left_out:?}");
        }
    }

    #[test]
    fn each_limit_is_in_the_key_or_is_left_out_for_a_reason() {
        let key = |limits| key(stage(&signature(), python(), limits));
        let plain = Limits::default();
        // Whoever adds one adds it below.
        let Limits { isolate: _, cache: _, timeout_ms: _, memory: _, cpus: _, serialization: _ } = plain;
        let left_out = [
            ("where it runs", Limits { isolate: Isolate::Container, ..Limits::default() }),
            ("how long results are kept", Limits { cache: Cache::For { ttl_ms: 1 }, ..Limits::default() }),
            ("too little is an error", Limits { timeout_ms: Some(1), ..Limits::default() }),
            ("too little is an error", Limits { memory: Some(1), ..Limits::default() }),
            ("what comes is the same", Limits { serialization: Serialization::Json, ..Limits::default() }),
            ("what is left out is one", Limits { cpus: Some(1), ..Limits::default() }),
        ];
        for (why, limits) in left_out {
            assert_eq!(key(limits), key(plain.clone()), "{why}");
        }
        assert_ne!(key(Limits { cpus: Some(2), ..Limits::default() }), key(plain), "sums depend on it");
    }

    #[test]
    fn less_isolation_is_another_grade_and_another_key() {
        let full = stage(&signature(), python(), Limits::default());
        let weak = |missing: &str, limits| {
            let signature = Signature { unenforced: Some(missing.to_owned()), ..signature() };
            stage(&signature, python(), limits)
        };
        assert_eq!(full.purity, Purity::Sandboxed);
        let [no_filter, no_landlock] = ["syscall-filter", "landlock"].map(|missing| weak(missing, Limits::default()));
        assert_eq!((no_filter.purity, no_landlock.purity), (Purity::Open, Purity::Open));
        let keys = [full.clone(), no_filter, no_landlock].map(key);
        assert!(keys[0] != keys[1] && keys[1] != keys[2] && keys[0] != keys[2]);
        // A container brings its own.
        let contained = weak("landlock", Limits { isolate: Isolate::Container, ..Limits::default() });
        assert_eq!((contained.purity, key(contained)), (Purity::Sandboxed, keys[0]));
    }

    #[test]
    fn components_are_the_same_on_every_machine() {
        let component = Signature { purity: Purity::Proven, runner: BTreeMap::new(), ..signature() };
        let (purity, runner) = graded(&component, &Code::Std("count@1".to_owned()), &Limits::default());
        assert_eq!((purity, runner), (Purity::Proven, BTreeMap::new()));
    }
}
