//! `parse-json@1`: reads columns from a column of JSON.
#![cfg_attr(test, allow(clippy::unwrap_used))]

use flowc_sdk::prelude::*;
use flowc_sdk::serde_json::{self, Value as Json};
use serde::Deserialize;
use stage_parts::{Mistakes, Reader, Value, Writer, converts, plain, plain_type};

/// What `parse-json@1` is told.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The column of JSON: text or binary.
    column: String,
    /// The columns to read from it.
    field: Vec<JsonField>,
    /// What becomes of text that is no JSON, and of values that are none of their column's type.
    #[serde(default)]
    on_error: OnError,
}

/// A column to read from JSON.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JsonField {
    /// Its name.
    name: String,
    /// Its type, such as `Int64`, `Utf8` or `Timestamp(us, "UTC")`.
    #[serde(rename = "type")]
    data_type: String,
    /// Where it lies, as a JSON pointer such as `/user/id`; under its name if left out.
    at: Option<String>,
}

/// What becomes of what can't be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnError {
    /// The run fails.
    #[default]
    Fail,
    /// It is null.
    Null,
}

/// An open `parse-json@1`.
pub struct ParseJson {
    column: String,
    on_error: OnError,
    fields: Vec<Target>,
}

/// A column that is read.
struct Target {
    name: String,
    data_type: DataType,
    pointer: String,
}

impl Stage for ParseJson {
    type Config = Config;
    const DOC: &'static str =
        "Reads columns of given types from a column of JSON. What is not there, or null there, is null.";

    fn describe(config: &Config, inputs: &[Columns]) -> Result<Description> {
        let [input] = inputs else { return Err(Problem::new("parse-json takes one input")) };
        let mut mistakes = Mistakes::new();
        let is_json = |data_type: &DataType| converts(data_type, &DataType::Utf8) && is_bytes(plain_type(data_type));
        let column = input.find("/column", &config.column).and_then(|column| column.expect("text or binary", is_json));
        let column = mistakes.take(column);
        if config.field.is_empty() {
            mistakes.add(Problem::at("/field", "there is nothing to read"));
        }
        let mut written = Vec::new();
        for (at, json) in config.field.iter().enumerate() {
            let path = format!("/field/{at}");
            let is_there = input.find("", &json.name).is_ok();
            if is_there || config.field[..at].iter().any(|other| other.name == json.name) {
                let message = format!("the output would have two columns `{}`", json.name);
                mistakes.add(Problem::at(format!("{path}/name"), message));
            }
            if let Some(target) = mistakes.take(json.target(&path)) {
                written.push(field(&target.name, target.data_type, true));
            }
        }
        mistakes.check()?;
        let output = Output::same(input).pass_all(&input.all()).write_all(written);
        Ok(Description::new([Input::new(Class::RowWise, &column)], [output]))
    }

    fn open(config: Config, _: Opening) -> Result<Self> {
        let fields = config.field.iter().map(|json| json.target("/field")).collect::<Result<_>>()?;
        Ok(Self { column: config.column, on_error: config.on_error, fields })
    }

    fn push(&mut self, _: usize, batch: Batch, outputs: &mut Outputs) -> Result<()> {
        let column = plain(&batch.column(0)?)?;
        let reader = Reader::new(&column)?;
        let nulls = column.logical_nulls();
        let writers = self.fields.iter().map(|target| Writer::new(&target.data_type, false));
        let mut writers = writers.collect::<Result<Vec<_>>>()?;
        for row in 0..column.len() {
            let is_null = nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
            let json = if is_null { Json::Null } else { self.parsed(reader.value(row))? };
            for (target, writer) in self.fields.iter().zip(&mut writers) {
                self.read(json.pointer(&target.pointer), target, writer)?;
            }
        }
        let columns = writers.iter_mut().map(Writer::finish).collect::<Result<Vec<_>>>()?;
        outputs.emit(0, batch.derive(0, &columns)?)
    }
}

impl ParseJson {
    fn parsed(&self, value: Value<'_>) -> Result<Json> {
        let bytes = match value {
            Value::Text(text) => text.as_bytes(),
            Value::Bytes(bytes) => bytes,
            _ => &[],
        };
        match serde_json::from_slice(bytes) {
            Ok(json) => Ok(json),
            Err(_) if self.on_error == OnError::Null => Ok(Json::Null),
            Err(error) => {
                let start: String = String::from_utf8_lossy(bytes).chars().take(80).collect();
                Err(self.failed(format!("column `{}` has `{start}`, which is no JSON: {error}", self.column)))
            }
        }
    }

    fn read(&self, json: Option<&Json>, target: &Target, writer: &mut Writer) -> Result<()> {
        let text;
        let value = match json {
            None | Some(Json::Null) => {
                writer.push_null();
                return Ok(());
            }
            Some(Json::String(text)) => Value::Text(text),
            Some(Json::Bool(truth)) if !flowc_sdk::is_text(&target.data_type) => Value::Bool(*truth),
            Some(Json::Number(number)) if !flowc_sdk::is_text(&target.data_type) => {
                let whole = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
                whole.map_or_else(|| Value::Float(number.as_f64().unwrap_or(f64::NAN)), |whole| Value::Number(whole, 0))
            }
            Some(other) => {
                text = other.to_string();
                Value::Text(&text)
            }
        };
        match writer.push(value) {
            Ok(()) => Ok(()),
            Err(_) if self.on_error == OnError::Null => {
                writer.push_null();
                Ok(())
            }
            Err(misfit) => {
                let all = json.map(Json::to_string).unwrap_or_default();
                let start: String = all.chars().take(80).collect();
                Err(self.failed(format!("`{}`: {}", target.name, misfit.told(&start, &target.data_type))))
            }
        }
    }

    fn failed(&self, message: String) -> Problem {
        Problem::new(message).help("`on-error \"null\"` makes such values null")
    }
}

impl JsonField {
    fn target(&self, path: &str) -> Result<Target> {
        let problem = |key: &str, message: String| Problem::at(format!("{path}/{key}"), message);
        let known = "one of Arrow's types: Boolean, Int64, Float64, Utf8, Date32, Timestamp(us, \"UTC\"), ...";
        let data_type: DataType = self
            .data_type
            .parse()
            .map_err(|_| problem("type", format!("`{}` is no type", self.data_type)).help(known))?;
        if !converts(&DataType::Utf8, &data_type) {
            return Err(problem("type", format!("a column of {data_type} can't be read from JSON")));
        }
        let escaped = || format!("/{}", self.name.replace('~', "~0").replace('/', "~1"));
        let pointer = self.at.clone().unwrap_or_else(escaped);
        if !pointer.is_empty() && !pointer.starts_with('/') {
            return Err(problem("at", format!("`{pointer}` is no JSON pointer")).help(format!("write \"/{pointer}\"")));
        }
        Ok(Target { name: self.name.clone(), data_type, pointer })
    }
}

fn is_bytes(data_type: &DataType) -> bool {
    let binary = matches!(data_type, DataType::Binary | DataType::LargeBinary | DataType::BinaryView);
    binary || flowc_sdk::is_text(data_type)
}

flowc_sdk::export!(ParseJson);

#[cfg(test)]
mod tests {
    use flowc_sdk::arrow::array::{BinaryArray, Int64Array, StringViewArray};
    use flowc_sdk::arrow::datatypes::{Decimal128Type, Float64Type, Int64Type, TimestampMillisecondType};
    use flowc_sdk::serde_json::json;
    use flowc_sdk::testing;

    use super::*;

    fn run(texts: &[Option<&str>], mut config: Json) -> Result<RecordBatch> {
        config["column"] = json!("raw");
        let views: ArrayRef = Arc::new(StringViewArray::from(texts.to_vec()));
        let bytes = texts.iter().map(|text| text.map(str::as_bytes)).collect::<BinaryArray>();
        let of = |column: ArrayRef| {
            let batch = RecordBatch::try_from_iter_with_nullable([("raw", column, true)]).unwrap();
            Ok::<_, Problem>(testing::run::<ParseJson>(&config, &[vec![batch]])?.remove(0))
        };
        let parsed = of(Arc::new(bytes))?;
        assert_eq!(parsed.columns()[1..], of(views)?.columns()[1..]);
        Ok(parsed)
    }

    #[test]
    fn columns_of_all_kinds_are_read() {
        let texts = [
            Some(
                r#"{"id": 7, "price": "1.50", "user": {"name": "ä\n"}, "at": "2024-02-29T12:00:00Z", "x": 1, "tags": ["a", 1]}"#,
            ),
            Some(r#"{"id": null, "user": {}, "x": 1e300, "tags": true, "price": 2}"#),
            None,
        ];
        let batch = run(&texts, json!({"field": [
            {"name": "id", "type": "Int64"}, {"name": "who", "type": "Utf8", "at": "/user/name"},
            {"name": "price", "type": "Decimal128(5, 2)"}, {"name": "at", "type": "Timestamp(ms, \"UTC\")"},
            {"name": "x", "type": "Float64"}, {"name": "tags", "type": "Utf8"}, {"name": "tag", "type": "Utf8", "at": "/tags/0"},
        ]}))
        .unwrap();
        let texts = |index: usize| {
            batch.column(index).as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect::<Vec<_>>()
        };
        assert_eq!(batch.column(1).as_primitive::<Int64Type>().iter().collect::<Vec<_>>(), [Some(7), None, None]);
        assert_eq!(texts(2), [Some("ä\n".to_owned()), None, None]);
        assert_eq!(
            batch.column(3).as_primitive::<Decimal128Type>().iter().collect::<Vec<_>>(),
            [Some(150), Some(200), None]
        );
        assert_eq!(batch.column(4).as_primitive::<TimestampMillisecondType>().value(0), 1_709_208_000_000);
        assert_eq!(
            batch.column(5).as_primitive::<Float64Type>().iter().collect::<Vec<_>>(),
            [Some(1.0), Some(1e300), None]
        );
        assert_eq!(texts(6), [Some(r#"["a",1]"#.to_owned()), Some("true".to_owned()), None]);
        assert_eq!(texts(7), [Some("a".to_owned()), None, None]);
    }

    #[test]
    fn floats_are_the_nearest_ones() {
        let mut bits = 1_u64;
        let mut float = || {
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            f64::from_bits(bits)
        };
        let floats: Vec<f64> = (0..2000).map(|_| float()).filter(|float| float.is_finite()).collect();
        let texts: Vec<String> = floats.iter().map(|float| format!("{{\"x\": {float:e}}}")).collect();
        let texts: Vec<Option<&str>> = texts.iter().map(|text| Some(text.as_str())).collect();
        let batch = run(&texts, json!({"field": [{"name": "x", "type": "Float64"}]})).unwrap();
        assert_eq!(batch.column(1).as_primitive::<Float64Type>().values().to_vec(), floats);
    }

    #[test]
    fn what_can_not_be_read_is_told_or_null() {
        let config = |on_error: &str| json!({"field": [{"name": "n", "type": "Int8"}], "on-error": on_error});
        let told = |text: &str| run(&[Some(text)], config("fail")).unwrap_err().message;
        assert!(told("{\"n\": 1").starts_with("column `raw` has `{\"n\": 1`, which is no JSON: EOF"));
        assert_eq!(told("{\"n\": 300}"), "`n`: 300 is out of the range of Int8");
        assert_eq!(told("{\"n\": [1]}"), "`n`: [1] is no Int8");
        let texts = [Some("{"), Some("{\"n\": 300}"), Some("{\"n\": 3}"), Some("5")];
        let batch = run(&texts, config("null")).unwrap();
        let numbers: Vec<_> = batch.column(1).as_primitive::<flowc_sdk::arrow::datatypes::Int8Type>().iter().collect();
        assert_eq!(numbers, [None, None, Some(3), None]);
    }

    #[test]
    fn all_mistakes_are_told() {
        let batch = RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]).unwrap();
        let config = json!({"column": "n", "field": [
            {"name": "n", "type": "Int64"}, {"name": "a", "type": "Int99"}, {"name": "b", "type": "List(Int64)"},
            {"name": "c", "type": "Utf8", "at": "user"},
        ]});
        let problem = testing::describe::<ParseJson>(&config, &[batch.schema()]).unwrap_err();
        assert_eq!(problem.config_path.as_deref(), Some("/column"));
        let places: Vec<_> = problem.message.lines().skip(1).filter_map(|line| line.split('`').nth(1)).collect();
        assert_eq!(places, ["/field/0/name", "/field/1/type", "/field/2/type", "/field/3/at"]);
    }
}
