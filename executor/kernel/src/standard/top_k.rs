//! `top-k@1`: of each row's vector, the nearest ones of a table.

use std::collections::BTreeMap;

use arrow_schema::{DataType, Schema};
use flowc_planner::catalogue::{Problem, Signature};
use flowc_planner::key::StageDigest;
use flowc_planner::plan::{KernelColumns, Purity};
use serde_json::{Value, json};

use super::{Standard, WrittenOut, at, column};

/// Iterations that an invocation may take: fewer than drivers end loops after.
const ITERATIONS: usize = 54_000;

/// The most neighbours.
const MOST: usize = 128;

/// The longest vectors.
const LONGEST: usize = 16 << 10;

/// The stage.
pub(super) struct TopK;

/// What vectors are made of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Item {
    Float,
    Int8,
}

impl Standard for TopK {
    fn name(&self) -> &'static str {
        "top-k@1"
    }

    fn signature(&self, digest: StageDigest) -> Signature {
        Signature {
            digest,
            doc: "For each row, the rows of a table whose vectors are nearest to the row's: their numbers in the table, and their \
                  scores, best first."
                .to_owned(),
            inputs: vec!["rows".to_owned(), "table".to_owned()],
            outputs: vec!["rows".to_owned()],
            config_schema: json!({
                "type": "object",
                "properties": {
                    "k": {"type": "integer", "minimum": 1, "maximum": MOST, "description": "How many rows of the table."},
                    "by": {
                        "type": "string", "enum": ["cosine", "dot", "l2"], "default": "cosine",
                        "description": "What makes vectors near: the cosine of their angle, their dot product, or a small distance.",
                    },
                    "vector": {
                        "type": "string", "default": "vector",
                        "description": "The column of vectors of the rows, and of the table if `table` does not say otherwise.",
                    },
                    "table": {"type": "string", "description": "The column of vectors of the table."},
                },
                "required": ["k"],
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
        let text = |name: &str, otherwise: &str| config[name].as_str().unwrap_or(otherwise).to_owned();
        let (by, vector) = (text("by", "cosine"), text("vector", "vector"));
        let table = text("table", &vector);
        let k = config["k"].as_u64().and_then(|k| usize::try_from(k).ok()).unwrap_or(1).clamp(1, MOST);
        let of_table = if config["table"].is_null() { "/vector" } else { "/table" };
        let (item, count) = vectors(inputs[0], &vector, "rows", "/vector")?;
        let (other, other_count) = vectors(inputs[1], &table, "table", of_table)?;
        if item != other {
            return Err(at(Problem::new("the vectors of the rows and of the table are of different types"), of_table));
        }
        if count != other_count {
            let message = format!("the vectors of the rows have {count} values, and those of the table {other_count}");
            return Err(at(Problem::new(message), of_table));
        }
        let bind = [("vector".to_owned(), vector), ("table_vector".to_owned(), table)].into();
        let columns = KernelColumns { bind, ..KernelColumns::default() };
        Ok(WrittenOut {
            text: format!("{}{}", head(item, count, &by, k)?, self.template()),
            columns,
            least: k,
            labels: None,
        })
    }

    fn template(&self) -> &'static str {
        include_str!("top_k.wgsl")
    }
}

/// What the vectors of a column are made of, and how many values they have.
fn vectors(schema: &Schema, name: &str, input: &str, path: &str) -> Result<(Item, usize), Problem> {
    let field = column(schema, name, input, path)?;
    let found = match field.data_type() {
        DataType::FixedSizeList(item, count) => {
            let count = usize::try_from(*count).unwrap_or(0);
            match item.data_type() {
                DataType::Float32 if (1..=LONGEST).contains(&count) => Some((Item::Float, count)),
                DataType::Int8 if (1..=LONGEST).contains(&count) && count % 4 == 0 => Some((Item::Int8, count)),
                _ => None,
            }
        }
        _ => None,
    };
    found.ok_or_else(|| {
        let message = format!("the column `{name}` of the input `{input}` is {}, and no vectors", field.data_type());
        let help = format!(
            "vectors are `FixedSizeList` of 1 to {LONGEST} `Float32`, or of `Int8` whose number is a multiple of 4"
        );
        at(Problem::new(message).with_help(help), path)
    })
}

/// The constants of a kernel, and what is done with parts of vectors: four values at once where their number allows it.
fn head(item: Item, count: usize, by: &str, k: usize) -> Result<String, Problem> {
    let wide = count.is_multiple_of(4);
    let lanes = if wide { count / 4 } else { count };
    let rounds = (ITERATIONS.saturating_sub(lanes + k) / (lanes + 4 * (k + 1) + 1)).max(1);
    let constants = format!("const K = {k}u;\nconst LANES = {lanes}u;\nconst PIECE = {}u;\n", 4 * rounds);
    let types = match (item, wide) {
        (Item::Int8, _) => INT8.to_owned(),
        (Item::Float, true) => format!("{FLOAT_BY_FOUR}{OF_FLOATS}"),
        (Item::Float, false) => format!("{FLOAT}{OF_FLOATS}"),
    };
    let nothing = "fn length_of(one: Lanes) -> Sum { return ZERO; }\n";
    let product = "fn of_two(one: Lanes, other: Lanes) -> Sum { return product(one, other); }\n";
    let as_it_is = "fn score_of(sum: Score, own: Score, other: Score) -> Score { return sum; }\n";
    let greatest = "fn rank(score: Score) -> u32 { return order(score); }\n";
    let by = match (by, item) {
        ("l2", _) => format!("{DISTANCE}{nothing}{as_it_is}{LEAST}"),
        ("dot", _) => format!("{product}{nothing}{as_it_is}{greatest}"),
        (_, Item::Float) => format!("{product}{COSINE}{greatest}"),
        (_, Item::Int8) => {
            let problem = Problem::new("the cosine of vectors of `Int8` is no integer");
            return Err(at(
                problem.with_help("say `by \"dot\"` or `by \"l2\"`, or cast the vectors to `Float32`"),
                "/by",
            ));
        }
    };
    Ok(format!("{constants}{types}{by}"))
}

const FLOAT_BY_FOUR: &str = "alias Lanes = vec4<f32>;
alias Sum = vec4<f32>;
const ZERO = vec4<f32>(0.0, 0.0, 0.0, 0.0);
fn total(sum: Sum) -> f32 { return (sum.x + sum.y) + (sum.z + sum.w); }
";

const FLOAT: &str = "alias Lanes = f32;
alias Sum = f32;
const ZERO = 0.0f;
fn total(sum: Sum) -> f32 { return sum; }
";

/// Numbers that are ordered as floats are. What is no number is 0.
const OF_FLOATS: &str = "alias Score = f32;
fn product(one: Lanes, other: Lanes) -> Sum { return one * other; }
fn distance_of(one: Lanes, other: Lanes) -> Sum { return (one - other) * (one - other); }
fn order(score: f32) -> u32 {
    let bits = bitcast<u32>(score);
    if (bits & 0x7fffffffu) > 0x7f800000u { return 0u; }
    if (bits & 0x7fffffffu) == 0u { return 0x80000000u; }
    return select(bits | 0x80000000u, ~bits, bits >= 0x80000000u);
}
";

const INT8: &str = "alias Lanes = u32;
alias Sum = i32;
const ZERO = 0i;
fn total(sum: Sum) -> i32 { return sum; }
alias Score = i32;
fn product(one: Lanes, other: Lanes) -> Sum { return dot4I8Packed(one, other); }
fn distance_of(one: Lanes, other: Lanes) -> Sum {
    return dot4I8Packed(one, one) + dot4I8Packed(other, other) - 2i * dot4I8Packed(one, other);
}
fn order(score: i32) -> u32 { return bitcast<u32>(score) ^ 0x80000000u; }
";

const DISTANCE: &str = "fn of_two(one: Lanes, other: Lanes) -> Sum { return distance_of(one, other); }\n";

/// A small distance is a high rank. What is no number is below all.
const LEAST: &str = "fn rank(score: Score) -> u32 {
    let order = order(score);
    return select(~order, 0u, order == 0u);
}
";

const COSINE: &str = "fn length_of(one: Lanes) -> Sum { return product(one, one); }
fn score_of(sum: Score, own: Score, other: Score) -> Score {
    if own == 0.0 || other == 0.0 { return 0.0; }
    return sum / (sqrt(own) * sqrt(other));
}
";

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_schema::Field;
    use flowc_planner::plan::Class;

    use super::*;
    use crate::{Kernel, Numeric, Source};

    fn schema(item: DataType, count: i32) -> Schema {
        let list = DataType::FixedSizeList(Arc::new(Field::new_list_field(item, true)), count);
        Schema::new(vec![Field::new("id", DataType::Utf8, true), Field::new("vector", list, true)])
    }

    fn bound(item: &DataType, count: i32, config: Value) -> Result<crate::Bound, Problem> {
        let (rows, table) = (schema(item.clone(), count), schema(item.clone(), count));
        let made = TopK.written(&config, &[&rows, &table])?;
        let kernel = Kernel::parse(Source::new("top-k@1", &made.text)).map_err(crate::problem)?;
        let bound = kernel.bind(&[&rows, &table], &made.columns).map_err(crate::problem)?;
        kernel.build(&bound, 60_000);
        Ok(bound)
    }

    /// What an author's kernel of this form would be proven to be.
    #[test]
    fn it_is_proven_to_be_row_wise_and_exact_over_integers() {
        for by in ["cosine", "dot", "l2"] {
            for (item, count) in [(DataType::Float32, 384), (DataType::Float32, 3), (DataType::Int8, 32)] {
                let made = bound(&item, count, json!({"k": 10, "by": by}));
                if item == DataType::Int8 && by == "cosine" {
                    assert_eq!(made.unwrap_err().config_path.unwrap(), "/by");
                    continue;
                }
                let made = made.unwrap_or_else(|problem| panic!("{by} {item}: {problem:?}"));
                assert_eq!((made.class, made.because), (Class::RowWise, None), "{by} {item}");
                assert_eq!(made.numeric == Numeric::Exact, item == DataType::Int8, "{by} {item}");
                let table = made.table.unwrap();
                assert_eq!(table.reads, [1]);
                assert!(table.piece.is_some_and(|rows| rows > 100), "{table:?}");
            }
        }
    }

    #[test]
    fn columns_that_are_no_vectors_alike_are_told() {
        let told = |rows: &Schema, table: &Schema, config: Value| {
            let problem = TopK.written(&config, &[rows, table]).unwrap_err();
            (problem.message, problem.config_path.unwrap())
        };
        let floats = schema(DataType::Float32, 8);
        let (message, path) = told(&floats, &schema(DataType::Float32, 9), json!({"k": 1}));
        assert_eq!(message, "the vectors of the rows have 8 values, and those of the table 9");
        assert_eq!(path, "/vector");
        let (message, path) = told(&floats, &floats, json!({"k": 1, "table": "vektor"}));
        assert_eq!((message.as_str(), path.as_str()), ("the input `table` has no column `vektor`", "/table"));
        let (message, _) = told(&floats, &floats, json!({"k": 1, "vector": "id"}));
        assert_eq!(message, "the column `id` of the input `rows` is Utf8, and no vectors");
        assert!(told(&floats, &schema(DataType::Int8, 8), json!({"k": 1})).0.contains("different types"));
    }
}
