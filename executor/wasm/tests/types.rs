//! Whatever type a stage declares, it can write no other.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::{Arc, LazyLock};

use arrow_array::{Array, ArrayRef, new_null_array};
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};
use flowc_columns::testing::{array, every_type};
use flowc_planner::key::Phase;
use flowc_planner::plan::{Limits, OutputColumn, Rows};
use flowc_runner::conformance::{self, Kept};
use flowc_runner::{Batch, InputPort, Invocation, OutputPort, Secrets, StageError, StageFault};
use support::Guest;

/// Writes the column that it reads.
static ECHO: LazyLock<Guest> = LazyLock::new(|| Guest::build("echo"));

/// Some values of a type; nulls where chance gives none that the type can have.
fn values(data_type: &DataType) -> ArrayRef {
    let values = array(data_type, 3, 1, 1);
    let is_good = flowc_arrays::check_values(&values.to_data()).is_ok();
    if is_good { values } else { new_null_array(data_type, 3) }
}

fn one_column(data_type: &DataType) -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("x", data_type.clone(), true)]))
}

/// An invocation of the stage: it is told that its input is of one type, and has declared to write another.
fn invocation(declared: &DataType, told: &DataType) -> Invocation {
    let output = OutputPort {
        schema: one_column(declared),
        rows: Rows::New,
        columns: vec![OutputColumn::Written],
        needed: vec![true],
    };
    Invocation {
        stage: "echo".into(),
        digest: ECHO.digest,
        config: "null".into(),
        phase: Phase::Run,
        part: 0,
        inputs: Arc::new([InputPort { schema: one_column(told), reads: vec![0], identity: None }]),
        main_input: Some(0),
        outputs: Arc::new([output]),
        limits: Limits::default(),
        secrets: Secrets::default(),
    }
}

/// Runs it over rows of a type.
fn run(invocation: &Invocation, given: &DataType) -> (Result<(), StageError>, Kept) {
    conformance::run(&ECHO.runner, invocation, [Batch::new(3, vec![Some(values(given))])])
}

/// Types that differ in nothing but a detail of a nested field.
fn near_misses() -> Vec<DataType> {
    let of = |field: Field| DataType::List(Arc::new(field));
    let item = || Field::new("item", DataType::Int64, true);
    let pair = |a: &str, b: &str| {
        let fields: Vec<FieldRef> = [a, b].map(|name| Arc::new(item().with_name(name))).to_vec();
        DataType::Struct(fields.into())
    };
    vec![
        of(item()),
        of(item().with_name("element")),
        of(item().with_nullable(false)),
        of(item().with_metadata([("unit".to_owned(), "m".to_owned())].into())),
        pair("a", "b"),
        pair("b", "a"),
        DataType::Decimal128(10, 2),
        DataType::Decimal128(10, 3),
        DataType::FixedSizeBinary(4),
        DataType::Timestamp(arrow_schema::TimeUnit::Second, Some("+00:00".into())),
    ]
}

#[test]
fn no_column_crosses_under_another_type_than_is_declared() {
    let types = [every_type(), near_misses()].concat();
    for declared in &types {
        for given in &types {
            let (outcome, kept) = run(&invocation(declared, given), given);
            match (declared == given, outcome) {
                (true, Ok(())) => assert_eq!(kept.batches[0].1.column(0).unwrap().data_type(), declared),
                (false, Err(StageError { fault: StageFault::Contract(said), .. })) => {
                    assert!(said.starts_with("output port 0: column `x"), "{said}");
                    assert!(said.contains("`: declared as ") && said.contains(", but given as "), "{said}");
                }
                (_, outcome) => panic!("{declared} declared, {given} given: {outcome:?}"),
            }
        }
    }
}

#[test]
fn a_column_of_the_host_is_of_the_type_that_the_stage_was_told() {
    let invocation = invocation(&DataType::Int64, &DataType::Int64);
    let fault = run(&invocation, &DataType::Float64).0.unwrap_err().fault;
    let expected = "input port 0: column `x`: declared as Int64, but given as Float64";
    assert_eq!(fault, StageFault::Contract(expected.to_owned()));
}
