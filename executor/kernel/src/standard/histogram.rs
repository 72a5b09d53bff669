//! `histogram@1`: how many values of a column are in each of some ranges.

use std::collections::BTreeMap;

use arrow_schema::{DataType, Schema};
use flowc_planner::catalogue::{Problem, Signature};
use flowc_planner::key::StageDigest;
use flowc_planner::plan::{KernelColumns, Purity};
use serde_json::{Value, json};

use super::{Standard, WrittenOut, at, column};
use crate::layout::{Kind, Storage};
use crate::{Edges, Labels};

/// The most ranges.
const MOST: u32 = 1 << 16;

/// `histogram@1`: how many values of a column lie in each of several ranges of equal width.
pub(super) struct Histogram;

/// The ranges of a histogram, over a column.
struct Ranges {
    storage: Storage,
    edges: Edges,
    bins: u32,
}

impl Standard for Histogram {
    fn name(&self) -> &'static str {
        "histogram@1"
    }

    fn signature(&self, digest: StageDigest) -> Signature {
        Signature {
            digest,
            doc: "How many values of a column of integers are in each of some ranges of equal width; those that are below or above all \
                  ranges, and nulls, have rows of their own."
                .to_owned(),
            inputs: vec!["rows".to_owned()],
            outputs: vec!["bins".to_owned()],
            config_schema: json!({
                "type": "object",
                "properties": {
                    "value": {"type": "string", "default": "value", "description": "The column whose values are counted."},
                    "from": {"type": "integer", "default": 0, "description": "Where the first range begins."},
                    "width": {
                        "type": "integer", "minimum": 1,
                        "description": "How many values a range has, in the unit of the column: days of dates, microseconds of such timestamps.",
                    },
                    "bins": {"type": "integer", "minimum": 1, "maximum": MOST, "description": "How many ranges there are."},
                },
                "required": ["width", "bins"],
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
        let name = config["value"].as_str().unwrap_or("value");
        let ranges = Ranges::new(config, name, inputs[0])?;
        let text = format!("{}{}", ranges.head(), self.template().replace("VALUE", &ranges.value()));
        let columns = KernelColumns {
            bind: [("value".to_owned(), name.to_owned())].into(),
            gives: [("count".to_owned(), DataType::UInt64)].into(),
            ..KernelColumns::default()
        };
        Ok(WrittenOut { text, columns, least: 0, labels: Some(Labels::Edges(ranges.edges)) })
    }

    fn template(&self) -> &'static str {
        include_str!("histogram.wgsl")
    }
}

impl Ranges {
    fn new(config: &Value, name: &str, schema: &Schema) -> Result<Self, Problem> {
        let data_type = column(schema, name, "rows", "/value")?.data_type();
        let (storage, edge) = counted(data_type).ok_or_else(|| {
            let problem = Problem::new(format!("the column `{name}` is {data_type}, and no integers"));
            at(problem.with_help("integers, dates, timestamps and durations can be counted in ranges"), "/value")
        })?;
        let number = |name: &str, otherwise: i128| integer(&config[name]).unwrap_or(otherwise);
        let edges = Edges { data_type: edge.clone(), from: number("from", 0), width: number("width", 1).max(1) };
        let bins = u32::try_from(number("bins", 1)).unwrap_or(MOST).clamp(1, MOST);
        let (least, most) = range(storage);
        if !(least..=most).contains(&edges.from) {
            let problem = Problem::new(format!("the ranges begin at {}, which is no {data_type}", edges.from));
            return Err(at(problem.with_help(format!("its values are {least} to {most}")), "/from"));
        }
        let end = edges.width.saturating_mul(bins.into()).saturating_add(edges.from);
        let (_, last) = range(Storage::of(&edge).unwrap_or(storage));
        if end > last {
            let problem = Problem::new(format!("the ranges end at {end}, which is no {edge}"));
            return Err(at(
                problem.with_help(format!("take fewer or smaller ones: they end at {last} at most")),
                "/bins",
            ));
        }
        Ok(Self { storage, edges, bins })
    }

    /// What comes before the text of the kernel.
    fn head(&self) -> String {
        let Self { storage, edges, bins } = self;
        let (value, unsigned, suffix) = match (storage.bits, storage.kind) {
            (64, Kind::Sint) => ("i64", "u64", "lu"),
            (64, _) => ("u64", "u64", "lu"),
            (_, Kind::Sint) => ("i32", "u32", "u"),
            (_, _) => ("u32", "u32", "u"),
        };
        let word = if storage.bits < 32 { "u32" } else { value };
        let longest = if storage.bits == 64 { i128::from(u64::MAX) } else { i128::from(u32::MAX) };
        // Distances have no sign: they can be as long as all values are. The low bits of a negative number are those of its distance from 0.
        let begin = edges.from & longest;
        let number = match edges.width {
            width if width > longest => "0u".to_owned(),
            width => format!("u32(min(({unsigned}(value) - {begin}{suffix}) / {width}{suffix}, {bins}{suffix}))"),
        };
        let from = literal(edges.from, value);
        format!(
            "const BINS = {bins}u;\nalias Word = {word};\nfn bin_of(value: {value}) -> u32 {{\n    \
             if value < {from} {{ return 0u; }}\n    return 1u + {number};\n}}\n"
        )
    }

    /// The value of a row: several narrow ones share a word.
    fn value(&self) -> String {
        let Storage { bits, kind, .. } = self.storage;
        if bits >= 32 {
            return "value[row]".to_owned();
        }
        let (rows, mask, sign) = (32 / bits, (1u32 << bits) - 1, 1u32 << (bits - 1));
        let value = format!("((value[row / {rows}u] >> ({bits}u * (row % {rows}u))) & {mask}u)");
        if kind == Kind::Sint { format!("i32({value} ^ {sign}u) - {sign}i") } else { value }
    }
}

/// A number of a type, as WGSL writes it. The least one has no literal of its own.
fn literal(number: i128, of: &str) -> String {
    match of {
        "i64" if number == i64::MIN.into() => format!("(-{}li - 1li)", i64::MAX),
        "i32" if number == i32::MIN.into() => format!("(-{}i - 1i)", i32::MAX),
        "i64" => format!("{number}li"),
        "u64" => format!("{number}lu"),
        "i32" => format!("{number}i"),
        _ => format!("{number}u"),
    }
}

fn integer(value: &Value) -> Option<i128> {
    value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from))
}

/// How the values of a type lie, and the type of the edges of ranges of them, if they can be counted in ranges.
fn counted(data_type: &DataType) -> Option<(Storage, DataType)> {
    use DataType as D;
    let edge = match data_type {
        D::Int8 | D::Int16 | D::Int32 | D::Int64 | D::UInt8 | D::UInt16 | D::UInt32 => D::Int64,
        D::UInt64 | D::Date32 | D::Timestamp(..) | D::Duration(_) => data_type.clone(),
        _ => return None,
    };
    Some((Storage::of(data_type)?, edge))
}

/// The least and the greatest value of an integer.
fn range(storage: Storage) -> (i128, i128) {
    match storage.kind {
        Kind::Sint => (-(1 << (storage.bits - 1)), (1 << (storage.bits - 1)) - 1),
        _ => (0, (1 << storage.bits) - 1),
    }
}

#[cfg(test)]
mod tests {
    use arrow_schema::{Field, TimeUnit};
    use flowc_planner::plan::Class;

    use super::*;
    use crate::{BinsOf, Bound, Kernel, Numeric, Source};

    fn schema(data_type: DataType) -> Schema {
        Schema::new(vec![Field::new("id", DataType::Utf8, true), Field::new("value", data_type, true)])
    }

    fn bound(data_type: DataType, config: &Value) -> Result<Bound, Problem> {
        let schema = schema(data_type);
        let made = Histogram.written(config, &[&schema])?;
        let kernel = Kernel::parse(Source::new("histogram@1", &made.text)).map_err(crate::problem)?;
        let bound = kernel.bind(&[&schema], &made.columns).map_err(crate::problem)?;
        let bound = bound.labelled(made.labels.unwrap());
        kernel.build(&bound, 60_000);
        Ok(bound)
    }

    /// What an author's kernel of this form would be proven to be.
    #[test]
    fn it_is_proven_to_be_combining_and_exact_over_all_integers() {
        use DataType as D;
        let micro = D::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        for data_type in [
            D::Int8,
            D::Int16,
            D::Int32,
            D::Int64,
            D::UInt8,
            D::UInt16,
            D::UInt32,
            D::UInt64,
            D::Date32,
            micro,
            D::Duration(TimeUnit::Second),
        ] {
            let made = bound(data_type.clone(), &json!({"from": 3, "width": 10, "bins": 7}));
            let made = made.unwrap_or_else(|problem| panic!("{data_type}: {problem:?}"));
            assert_eq!((made.class, &made.numeric, &made.reads[..]), (Class::Combining, &Numeric::Exact, &[1][..]));
            assert_eq!(made.bins.unwrap().of, BinsOf::Number(10));
            assert_eq!(made.schema.fields().len(), 3);
        }
    }

    #[test]
    fn ranges_at_the_ends_of_types_are_text_that_is_valid() {
        use DataType as D;
        for (data_type, config) in [
            (D::Int64, json!({"from": i64::MIN, "width": u64::MAX, "bins": 1})),
            (D::Int32, json!({"from": i32::MIN, "width": 1i64 << 40, "bins": 3})),
            (D::UInt64, json!({"from": u64::MAX - 10, "width": 1, "bins": 10})),
            (D::Int8, json!({"from": -128, "width": 1, "bins": 65536})),
            (D::UInt32, json!({"from": u32::MAX, "width": u32::MAX, "bins": 1})),
        ] {
            bound(data_type.clone(), &config).unwrap_or_else(|problem| panic!("{data_type}: {problem:?}"));
        }
    }

    #[test]
    fn ranges_that_can_not_be_are_told() {
        use DataType as D;
        let told = |data_type: D, config: Value| {
            let problem = bound(data_type, &config).unwrap_err();
            (problem.message, problem.config_path.unwrap())
        };
        let (message, path) = told(D::Float32, json!({"width": 1, "bins": 1}));
        assert_eq!((message.as_str(), path.as_str()), ("the column `value` is Float32, and no integers", "/value"));
        let (message, path) = told(D::UInt8, json!({"from": -1, "width": 1, "bins": 1}));
        assert_eq!((message.as_str(), path.as_str()), ("the ranges begin at -1, which is no UInt8", "/from"));
        let (message, path) = told(D::Int64, json!({"from": i64::MAX - 5, "width": 2, "bins": 3}));
        assert_eq!(
            (message.as_str(), path.as_str()),
            ("the ranges end at 9223372036854775808, which is no Int64", "/bins")
        );
        let (message, path) = told(D::Int64, json!({"value": "valeu", "width": 2, "bins": 3}));
        assert_eq!((message.as_str(), path.as_str()), ("the input `rows` has no column `valeu`", "/value"));
    }
}
