//! What the hostile stage says of itself, and how it lies.

use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteOptions, write_message};
use flowc_sdk::arrow::datatypes::{DataType, Field, Schema};
use flowc_sdk::bindings::exports::flowc::stage::stage as wit;
use flowc_sdk::bindings::flowc::stage::data::{Level, log};
use flowc_sdk::serde_json::{Value, from_str};

pub(crate) fn signature() -> wit::StageSignature {
    wit::StageSignature {
        doc: "Breaks the contract.".to_owned(),
        inputs: vec!["in".to_owned()],
        outputs: vec!["out".to_owned(), "words".to_owned()],
        config_schema: "{\"type\":\"object\"}".to_owned(),
    }
}

pub(crate) fn problem(message: &str) -> wit::Problem {
    wit::Problem {
        message: message.to_owned(),
        config_path: Some("/do".to_owned()),
        help: Some("choose another".to_owned()),
    }
}

pub(crate) fn describe(config: &str) -> Result<wit::Description, wit::Problem> {
    let config: Value = from_str(config).map_err(|error| problem(&error.to_string()))?;
    let lie = config["describe"].as_str().unwrap_or("");
    match lie {
        "panic" => {
            log(Level::Error, "no wish to describe");
            core::arch::wasm32::unreachable()
        }
        "problem" => return Err(problem("I do not like this config")),
        _ => {}
    }
    Ok(bend(lie, truth(&config)))
}

fn truth(config: &Value) -> wit::Description {
    if config["class"] == "combining" {
        return combining();
    }
    let rows = match config["rows"].as_str() {
        Some("subset") => wit::RowsRelation::Subset(0),
        _ => wit::RowsRelation::Same(0),
    };
    let passed = Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("text", DataType::Utf8, true),
        Field::new("extra", DataType::Int64, false),
    ]);
    let words = Schema::new(vec![Field::new("word", DataType::Utf8, false)]);
    let origins = [wit::ColumnOrigin::Passed(0), wit::ColumnOrigin::Passed(1), wit::ColumnOrigin::Written];
    let out = wit::OutputDescription { schema: message(&passed), rows, columns: origins.into() };
    let new = wit::RowsRelation::New;
    let words =
        wit::OutputDescription { schema: message(&words), rows: new, columns: vec![wit::ColumnOrigin::Written] };
    let input = wit::InputDescription { class: wit::Class::RowWise, reads: vec![0], keys: vec![] };
    wit::Description { inputs: vec![input], outputs: vec![out, words], partial: None, parts: 1 }
}

fn combining() -> wit::Description {
    let sums = message(&Schema::new(vec![Field::new("sum", DataType::Int64, false)]));
    let words = message(&Schema::new(vec![Field::new("word", DataType::Utf8, false)]));
    let input = wit::InputDescription { class: wit::Class::Combining, reads: vec![0], keys: vec![] };
    let output = |schema| wit::OutputDescription {
        schema,
        rows: wit::RowsRelation::New,
        columns: vec![wit::ColumnOrigin::Written],
    };
    let outputs = vec![output(sums.clone()), output(words)];
    wit::Description { inputs: vec![input], outputs, partial: Some(sums), parts: 1 }
}

fn bend(lie: &str, mut truth: wit::Description) -> wit::Description {
    match lie {
        "reads-range" => truth.inputs[0].reads = vec![3],
        "reads-order" => truth.inputs[0].reads = vec![1, 0],
        "keys" => truth.inputs[0].keys = vec![0],
        "no-inputs" => truth.inputs.clear(),
        "no-outputs" => truth.outputs.clear(),
        "garbage-schema" => truth.outputs[0].schema = vec![7; 99],
        "few-origins" => truth.outputs[0].columns.truncate(2),
        "passed-range" => truth.outputs[0].columns[0] = wit::ColumnOrigin::Passed(7),
        "passed-type" => truth.outputs[0].columns[0] = wit::ColumnOrigin::Passed(1),
        "passed-null" => truth.outputs[0].columns[0] = wit::ColumnOrigin::Passed(2),
        "passed-new" => truth.outputs[1].columns[0] = wit::ColumnOrigin::Passed(1),
        "rows-range" => truth.outputs[0].rows = wit::RowsRelation::Same(3),
        "combining" => truth.inputs[0].class = wit::Class::Combining,
        "partial" => truth.partial = Some(truth.outputs[1].schema.clone()),
        "no-parts" => truth.parts = 0,
        "parts" => truth.parts = 2,
        _ => {}
    }
    truth
}

/// The statement of one column's type.
pub(crate) fn column_type(data_type: DataType) -> Vec<u8> {
    message(&Schema::new(vec![Field::new("", data_type, true)]))
}

pub(crate) fn message(schema: &Schema) -> Vec<u8> {
    let (options, mut tracker) = (IpcWriteOptions::default(), DictionaryTracker::new(false));
    let encoded = IpcDataGenerator::default().schema_to_bytes_with_dictionary_tracker(schema, &mut tracker, &options);
    let mut bytes = Vec::new();
    let _ = write_message(&mut bytes, encoded, &options);
    bytes
}
