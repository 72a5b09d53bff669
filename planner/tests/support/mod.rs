//! A catalogue of a few stages, as a table; and tests that are text files.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use flowc_planner::catalogue::{
    Catalogue, Description, InputDescription, OutputDescription, Problem, Question, Signature,
};
use flowc_planner::key::{KeyHasher, StageDigest};
use flowc_planner::plan::{Class, Code, Format, Isolate, OutputColumn, Purity, Rows, Serialization, SourceSpec};
use flowc_planner::{Outcome, Settings, Texts, statement_path};
use serde_json::{Value, json};

/// Stages `tokenize`, `count`, `first`, `keep`, `lookup`, `split`, `generate`, `options`, `times`, `marked` and the
/// faulty `liar`. Components, crates, projects, folders and images of these names are such a stage too.
pub(crate) struct Table {
    /// A way to isolate stages that it lacks.
    lacks: Option<Isolate>,
}

/// What a stage is known by, whatever kind of code it has.
fn name(code: &Code) -> &str {
    match code {
        Code::Std(name) | Code::Wasm(name) | Code::Rust(name) => name,
        Code::Python { dir: name, .. } | Code::Container { dir: name, .. } | Code::Image { reference: name, .. } => {
            name
        }
        Code::Sql { .. } => "sql",
        Code::Wgsl { path, .. } => path,
        Code::LateRows | Code::Marks => "",
    }
}

/// A statement reads a column of the first table; `oops` in it is a mistake. An output reads the tables whose names are in its statement.
fn sql(statement: &str, tables: &[String], is_output: bool) -> Result<Signature, Problem> {
    if let Some(start) = statement.find("oops") {
        let config_path = Some(statement_path(start..start + 4));
        return Err(Problem { message: "not SQL".to_owned(), config_path, ..Problem::default() });
    }
    let known = signature("keep@1").unwrap();
    let config_schema = json!({"type": "object", "properties": {}, "required": []});
    let is_read = |table: &&String| !is_output || statement.split_whitespace().any(|word| word == table.as_str());
    Ok(Signature { inputs: tables.iter().filter(is_read).cloned().collect(), config_schema, ..known })
}

fn describe_sql(statement: &str, inputs: &[SchemaRef]) -> Result<Description, Problem> {
    if let Some(start) = statement.find("lost") {
        let config_path = Some(statement_path(start..start + 4));
        return Err(Problem { message: "there is no column `lost`".to_owned(), config_path, ..Problem::default() });
    }
    let inputs: Vec<_> = inputs.iter().map(|_| input(Class::Whole, vec![0])).collect();
    let outputs = vec![new_rows(vec![Field::new("total", DataType::Int64, true)])];
    Ok(Description {
        inputs,
        outputs,
        partial: None,
        parts: 1,
        runner: BTreeMap::new(),
        explanation: Default::default(),
    })
}

fn signature(name: &str) -> Option<Signature> {
    let object =
        |properties: Value, required: Value| json!({"type": "object", "properties": properties, "required": required});
    let columns = json!({"type": "array", "items": {"type": "string"}});
    let text = json!({"type": "string"});
    let (inputs, outputs, config_schema): (&[&str], &[&str], Value) = match name {
        "tokenize@1" => {
            let column = json!({"type": "string", "description": "The column of text."});
            let lowercase = json!({"type": "boolean", "default": true});
            (&["rows"], &["words"], object(json!({"column": column, "lowercase": lowercase}), json!(["column"])))
        }
        "count@1" => (&["rows"], &["counts"], object(json!({"by": columns}), json!([]))),
        "first@1" => (&["rows"], &["rows"], object(json!({"by": columns}), json!(["by"]))),
        "keep@1" => (&["rows"], &["rows"], object(json!({"columns": columns}), json!(["columns"]))),
        "lookup@1" => (&["rows", "table"], &["rows"], object(json!({"on": text}), json!(["on"]))),
        "split@1" => (&["rows"], &["yes", "no"], object(json!({}), json!([]))),
        "generate@1" => {
            let rows = json!({"type": "integer", "format": "uint64", "minimum": 0});
            (&[], &["rows"], object(json!({"rows": rows, "parts": {"type": "integer", "minimum": 1}}), json!(["rows"])))
        }
        "options@1" => (&["rows"], &["rows"], options()),
        "times@1" | "marked@1" => (&["rows"], &["rows"], object(json!({}), json!([]))),
        "liar@1" => (&["rows"], &["rows"], json!({"type": "object"})),
        _ => return None,
    };
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Some(Signature {
        unenforced: None,
        chains: false,
        serializations: vec![Serialization::Arrow, Serialization::Json],
        digest: StageDigest::new(KeyHasher::new(name).finish()),
        doc: String::new(),
        inputs: owned(inputs),
        outputs: owned(outputs),
        config_schema,
        purity: Purity::Proven,
        runner: BTreeMap::new(),
    })
}

/// A schema with all that `schemars` makes of Rust types.
fn options() -> Value {
    json!({
        "type": "object",
        "properties": {
            "mode": {"oneOf": [{"type": "string", "const": "fast"}, {"type": "string", "const": "exact"}]},
            "shape": {"$ref": "#/$defs/Shape"},
            "where": {"$ref": "#/$defs/Condition"},
            "limit": {"type": ["integer", "null"], "format": "uint8", "minimum": 0, "maximum": 255},
            "ratio": {"type": "number", "exclusiveMinimum": 0},
            "names": {"type": "object", "additionalProperties": {"type": "string"}},
            "points": {"type": "array", "items": {"type": "array", "items": {"type": "number"}}, "maxItems": 3},
            "columns": {"type": "array", "items": {"type": "object", "required": ["name"], "properties": {
                "name": {"type": "string"}, "width": {"type": "integer"}}}},
            "free": true
        },
        "$defs": {
            "Shape": {"oneOf": [
                {"type": "object", "properties": {"kind": {"const": "circle"}, "radius": {"type": "number"}},
                 "required": ["kind", "radius"]},
                {"type": "object", "properties": {"kind": {"const": "box"}, "width": {"type": "number"}},
                 "required": ["kind", "width"]}]},
            "Condition": {"anyOf": [
                {"type": "object", "properties": {"all": {"type": "array", "items": {"$ref": "#/$defs/Condition"}}},
                 "required": ["all"], "additionalProperties": false},
                {"type": "object", "properties": {"column": {"type": "string"}, "value": true},
                 "required": ["column", "value"], "additionalProperties": false}]}
        }
    })
}

fn input(class: Class, reads: Vec<usize>) -> InputDescription {
    InputDescription { class, reads, keys: vec![] }
}

fn new_rows(fields: Vec<Field>) -> OutputDescription {
    let columns = vec![OutputColumn::Written; fields.len()];
    OutputDescription { schema: Arc::new(Schema::new(fields)), rows: Rows::New, columns }
}

fn passed(schema: &SchemaRef, kept: &[usize], rows: Rows) -> OutputDescription {
    let columns = kept.iter().map(|&column| OutputColumn::Passed { column }).collect();
    OutputDescription { schema: Arc::new(schema.project(kept).unwrap()), rows, columns }
}

fn column(schema: &Schema, name: &str, path: &str) -> Result<usize, Problem> {
    schema.index_of(name).map_err(|_| Problem {
        message: format!("there is no column `{name}`"),
        config_path: Some(path.to_owned()),
        ..Problem::default()
    })
}

fn columns(schema: &Schema, names: Option<&Value>, path: &str) -> Result<Vec<usize>, Problem> {
    let names = names.and_then(Value::as_array).cloned().unwrap_or_default();
    let found =
        names.iter().enumerate().map(|(i, name)| column(schema, name.as_str().unwrap(), &format!("{path}/{i}")));
    let (found, missing): (Vec<_>, Vec<_>) = found.partition(Result::is_ok);
    let mut missing = missing.into_iter().filter_map(Result::err);
    match missing.next() {
        Some(first) => Err(Problem { also: missing.collect(), ..first }),
        None => found.into_iter().collect(),
    }
}

fn describe(question: &Question) -> Result<Description, Problem> {
    if let Code::Sql { statement, .. } = &question.code {
        return describe_sql(statement, &question.inputs);
    }
    let name = name(&question.code);
    let (config, inputs) = (&question.config, &question.inputs);
    let field = |name: &str, data_type| Field::new(name, data_type, false);
    let mut description = Description {
        inputs: vec![],
        outputs: vec![],
        partial: None,
        parts: 1,
        runner: BTreeMap::new(),
        explanation: Default::default(),
    };
    match name {
        "tokenize@1" => {
            let read = column(&inputs[0], config["column"].as_str().unwrap(), "/column")?;
            description.inputs = vec![input(Class::RowWise, vec![read])];
            description.outputs = vec![new_rows(vec![field("word", DataType::Utf8)])];
        }
        "count@1" => {
            let mut by = columns(&inputs[0], config.get("by"), "/by")?;
            by.sort_unstable();
            let mut fields: Vec<Field> = by.iter().map(|&i| inputs[0].field(i).clone()).collect();
            fields.push(field("count", DataType::Int64));
            description.partial = Some(Arc::new(Schema::new(fields.clone())));
            description.inputs = vec![input(Class::Combining, by)];
            description.outputs = vec![new_rows(fields)];
        }
        "first@1" => {
            let mut by = columns(&inputs[0], config.get("by"), "/by")?;
            by.sort_unstable();
            let all: Vec<usize> = (0..inputs[0].fields().len()).collect();
            description.inputs = vec![InputDescription { class: Class::Keyed, reads: by.clone(), keys: by }];
            description.outputs = vec![passed(&inputs[0], &all, Rows::Subset { input: 0 })];
        }
        "keep@1" => {
            let kept = columns(&inputs[0], config.get("columns"), "/columns")?;
            description.inputs = vec![input(Class::RowWise, vec![])];
            description.outputs = vec![passed(&inputs[0], &kept, Rows::Same { input: 0 })];
        }
        "lookup@1" => {
            let on = config["on"].as_str().unwrap();
            let (left, right) = (column(&inputs[0], on, "/on")?, column(&inputs[1], on, "/on")?);
            description.inputs = vec![input(Class::RowWise, vec![left]), input(Class::Whole, vec![right])];
            let all: Vec<usize> = (0..inputs[0].fields().len()).collect();
            description.outputs = vec![passed(&inputs[0], &all, Rows::Subset { input: 0 })];
        }
        "split@1" => {
            let all: Vec<usize> = (0..inputs[0].fields().len()).collect();
            description.inputs = vec![input(Class::RowWise, vec![0])];
            description.outputs = vec![passed(&inputs[0], &all, Rows::Subset { input: 0 }); 2];
        }
        "generate@1" => {
            description.parts = config.get("parts").and_then(Value::as_u64).unwrap_or(1);
            description.outputs = vec![new_rows(vec![field("id", DataType::Int64)])];
        }
        "options@1" => {
            description.inputs = vec![input(Class::PerSegment, vec![0])];
            description.outputs = vec![new_rows(vec![field("x", DataType::Float64)])];
        }
        "times@1" => {
            description.inputs = vec![input(Class::RowWise, vec![0])];
            let time = DataType::Timestamp(TimeUnit::Microsecond, None);
            description.outputs = vec![new_rows(vec![field("time", time)])];
        }
        "marked@1" => {
            description.inputs = vec![input(Class::RowWise, vec![0])];
            let (schema, columns) =
                (Arc::new(Schema::new(vec![field("row", DataType::Utf8)])), vec![OutputColumn::Written]);
            description.outputs = vec![OutputDescription { schema, rows: Rows::Subset { input: 0 }, columns }];
        }
        _ => {
            description.inputs = vec![input(Class::RowWise, vec![99])];
            description.outputs = vec![new_rows(vec![field("x", DataType::Int64)])];
        }
    }
    Ok(description)
}

impl Catalogue for Table {
    fn isolation(&mut self, isolate: Isolate) -> Result<(), Problem> {
        match self.lacks == Some(isolate) {
            true => Err(Problem::of_machine("nothing here does that").with_help("use another machine")),
            false => Ok(()),
        }
    }

    fn signatures(&mut self, codes: &[Code]) -> Vec<Result<Signature, Problem>> {
        let unknown = || Problem::new("there is no such stage").with_help("see `flowc stages`");
        let signature = |code: &Code| match code {
            Code::Sql { statement, tables, is_output } => sql(statement, tables, *is_output),
            code => signature(name(code)).ok_or_else(unknown),
        };
        codes.iter().map(signature).collect()
    }

    fn describe(&mut self, questions: &[Question]) -> Vec<Result<Description, Problem>> {
        questions.iter().map(describe).collect()
    }

    fn source_schemas(&mut self, sources: &[(String, SourceSpec)]) -> Vec<Result<SchemaRef, Problem>> {
        let schema = |(name, spec): &(String, SourceSpec)| match &spec.format {
            _ if name == "missing" => Err(Problem::new("no file matches").with_help("check the path")),
            Format::Lines => Ok(Arc::new(Schema::new(vec![Field::new("line", DataType::Utf8, false)]))),
            _ => Ok(Arc::new(Schema::new(vec![
                Field::new("id", DataType::Int64, true),
                Field::new("name", DataType::Utf8, true),
                Field::new("price", DataType::Float64, true),
            ]))),
        };
        sources.iter().map(schema).collect()
    }
}

/// Plans a text by itself. `include` finds `common.kdl`, `sql` the files `totals.sql` and `totals-of-c.sql`, and formats the schemas
/// `bid.avsc` and `bid.desc`. Lines `// --param NAME=VALUE` set parameters, `// lacks NAME` takes away
/// a way to isolate stages.
pub(crate) fn planned(text: &str) -> Outcome<flowc_planner::plan::Plan> {
    let mut texts = Texts::new("case.kdl", text.to_owned());
    while let Some(request) = texts.missing_includes().pop() {
        match request.path.as_str() {
            "common.kdl" => texts.add("common.kdl", "source \"shared\" { files \"shared.csv\" }\n".into()),
            "totals-of-c.sql" => texts.add("totals-of-c.sql", "SELECT count(*) AS total\nFROM c\n".into()),
            "totals.sql" => texts.add("totals.sql", "SELECT\n  lost\nFROM s -- {\n".into()),
            "bid.avsc" => texts.add("bid.avsc", "{\"type\": \"record\"}".into()),
            "bid.desc" => texts.add("bid.desc", "Cg==".into()),
            "round.kdl" => texts.add("round.kdl", "include \"case.kdl\"\n".into()),
            path => texts.add_unreadable(path, "no such file"),
        }
    }
    let mut settings = Settings::default();
    for line in text.lines().filter_map(|line| line.strip_prefix("// --param ")) {
        let (name, value) = line.split_once('=').unwrap();
        settings.params.insert(name.to_owned(), value.to_owned());
    }
    let lacks = text.lines().find_map(|line| Isolate::named(line.strip_prefix("// lacks ")?));
    flowc_planner::plan(&texts, &settings, &mut Table { lacks })
}
