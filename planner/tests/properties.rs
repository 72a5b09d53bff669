//! What holds for every pipeline and every text.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, TimeUnit};
use flowc_planner::key::StageDigest;
use flowc_planner::{Lock, units};
use proptest::prelude::*;

fn words() -> impl Strategy<Value = String> {
    const PARTS: &[&str] = &[
        "stage",
        "source",
        "sink",
        "param",
        "foreach",
        "include",
        "\"a\"",
        "\"b\"",
        "\"a.b\"",
        "{",
        "}",
        "\n",
        ";",
        " in ",
        " files ",
        "\"x.csv\"",
        "config",
        " column=",
        "\"${a}\"",
        " std ",
        "\"count@1\"",
        "\"keep@1\"",
        "#true",
        "1",
        "-",
        "\"common.kdl\"",
        "from=1",
        "to=3",
        "\"",
        "/-",
        "/*",
        "//",
        "#",
        "\\",
        "é",
        "(u8)",
        "default=",
    ];
    prop::collection::vec(prop::sample::select(PARTS), 0..60).prop_map(|parts| parts.join(" "))
}

fn data_type() -> impl Strategy<Value = DataType> {
    let leaf = prop_oneof![
        Just(DataType::Int64),
        Just(DataType::Utf8),
        Just(DataType::Boolean),
        Just(DataType::Decimal128(10, 2)),
        Just(DataType::Timestamp(TimeUnit::Microsecond, Some("Europe/Berlin \"x\"".into()))),
        Just(DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8))),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let field = (".{0,6}", inner, any::<bool>(), metadata()).prop_map(|(name, data_type, nullable, metadata)| {
            Arc::new(Field::new(name, data_type, nullable).with_metadata(metadata))
        });
        let field = field.boxed();
        prop_oneof![
            field.clone().prop_map(DataType::List),
            field.clone().prop_map(|field| DataType::FixedSizeList(field, 3)),
            prop::collection::vec(field, 0..3).prop_map(|fields| DataType::Struct(fields.into())),
        ]
    })
}

fn metadata() -> impl Strategy<Value = HashMap<String, String>> {
    prop::collection::hash_map(".{0,6}", ".{0,6}", 0..2)
}

fn locks() -> impl Strategy<Value = Lock> {
    let field = (".{0,8}", data_type(), any::<bool>(), metadata());
    let field = field.prop_map(|(name, ty, nullable, metadata)| Field::new(name, ty, nullable).with_metadata(metadata));
    let schema = (prop::collection::vec(field, 0..4), metadata())
        .prop_map(|(fields, metadata)| Arc::new(Schema::new_with_metadata(fields, metadata)));
    let sources = prop::collection::btree_map(".{0,8}", schema, 0..3);
    let components = prop::collection::btree_map(".{0,12}", any::<[u8; 32]>().prop_map(StageDigest::new), 0..3);
    (components, sources).prop_map(|(components, sources)| Lock { components, sources, ..Lock::default() })
}

/// Stages in a random acyclic net: each reads some earlier one, or the source.
fn pipelines() -> impl Strategy<Value = String> {
    prop::collection::vec(
        (any::<prop::sample::Index>(), 0..4usize, prop::sample::select(vec!["#false", "#true", "\"process\""])),
        1..12,
    )
    .prop_map(|stages| {
        let mut text = "source \"s0\" { files \"a.csv\" }\n".to_owned();
        for (i, (from, kind, isolate)) in stages.into_iter().enumerate() {
            let (from, table) = (from.index(i + 1), from.index(1.max(i)));
            let body = match kind {
                0 => format!("in \"s{from}\"; std \"keep@1\"; config {{ columns \"id\" }}"),
                1 => format!("in \"s{from}\"; std \"count@1\"; config {{ by \"id\" }}"),
                2 => format!("in rows=\"s{from}\" table=\"s{table}\"; std \"lookup@1\"; config {{ on \"id\" }}"),
                _ => "std \"generate@1\"; config { rows 5 }".to_owned(),
            };
            text.push_str(&format!("stage \"s{}\" {{ {body}; isolate {isolate} }}\n", i + 1));
        }
        text
    })
}

proptest! {
    #[test]
    fn no_text_makes_the_planner_panic(text in words()) {
        let outcome = support::planned(&text);
        prop_assert_eq!(outcome.value.is_some(), outcome.problems.is_empty());
    }

    #[test]
    fn no_characters_make_the_planner_panic(text in ".{0,200}") {
        support::planned(&text);
    }

    #[test]
    fn locks_round_trip(lock in locks()) {
        let text = lock.to_string();
        prop_assert_eq!(&Lock::parse(&text).map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?, &lock);
        prop_assert_eq!(Lock::parse(&text).unwrap().to_string(), text);
    }

    #[test]
    fn no_lock_text_panics(text in ".{0,100}") {
        let _ = Lock::parse(&text);
    }

    #[test]
    fn integers_stay_exact(number in any::<i128>()) {
        for number in [number, number >> 64, number >> 63] {
            let text = format!("source \"s\" {{ files \"a.csv\" }}\nstage \"o\" {{ in \"s\"; std \"options@1\"; config {{ free {number} }} }}");
            let outcome = support::planned(&text);
            let fits = i64::try_from(number).is_ok() || u64::try_from(number).is_ok();
            prop_assert_eq!(outcome.value.is_some(), fits);
            if let Some(plan) = outcome.value {
                prop_assert_eq!(plan.stages[0].config["free"].to_string(), number.to_string());
            }
        }
    }

    #[test]
    fn planning_is_deterministic_and_units_are_an_order(text in pipelines()) {
        let (one, two) = (support::planned(&text), support::planned(&text));
        // A stage that reads a column which is not there is a mistake, told the same way each time.
        let told = |outcome: &flowc_planner::Outcome<_>| format!("{:?}", outcome.problems);
        prop_assert_eq!(told(&one), told(&two));
        let (Some(plan), Some(again)) = (one.value, two.value) else { return Ok(()) };
        prop_assert_eq!(plan.hash(), again.hash());
        let mut seen = vec![false; plan.stages.len()];
        for unit in units(&plan) {
            for &stage in &unit.stages {
                for input in &plan.stages[stage].inputs {
                    let Some((producer, _)) = plan.producing_stage(input.stream) else { continue };
                    let is_handed_on = input.class.is_driving() && unit.stages.contains(&producer);
                    prop_assert!(is_handed_on || seen[producer], "a unit reads what is not there yet");
                }
            }
            unit.stages.iter().for_each(|&stage| seen[stage] = true);
        }
        prop_assert!(seen.into_iter().all(|seen| seen), "every stage is in a unit");
    }
}
