//! The declared columns of a source: `schema { column "id" "Int64" nullable=#false }`, `schema rest="infer" { ... }`.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema};

use crate::diagnostic::{PlaceProblem, Problems, ShapeProblem};
use crate::plan::{Declared, Rest};
use crate::read::form::{self, Children, Form, Takes};
use crate::syntax::{Arg, Node};

const COLUMN: &str = "column \"id\" \"Int64\" nullable=#false";

/// Simple types by their Arrow names and by the names that people use, in lower case.
const SIMPLE: &[(&str, DataType)] = &[
    ("null", DataType::Null),
    ("boolean", DataType::Boolean),
    ("bool", DataType::Boolean),
    ("int8", DataType::Int8),
    ("int16", DataType::Int16),
    ("int32", DataType::Int32),
    ("int", DataType::Int64),
    ("int64", DataType::Int64),
    ("uint8", DataType::UInt8),
    ("uint16", DataType::UInt16),
    ("uint32", DataType::UInt32),
    ("uint64", DataType::UInt64),
    ("float16", DataType::Float16),
    ("float32", DataType::Float32),
    ("float", DataType::Float64),
    ("float64", DataType::Float64),
    ("double", DataType::Float64),
    ("utf8", DataType::Utf8),
    ("string", DataType::Utf8),
    ("text", DataType::Utf8),
    ("largeutf8", DataType::LargeUtf8),
    ("utf8view", DataType::Utf8View),
    ("binary", DataType::Binary),
    ("bytes", DataType::Binary),
    ("largebinary", DataType::LargeBinary),
    ("binaryview", DataType::BinaryView),
    ("date", DataType::Date32),
    ("date32", DataType::Date32),
    ("date64", DataType::Date64),
];

/// The columns that a source declares. The outer option says whether it does.
pub(super) fn declared(node: &Node, problems: &mut Problems) -> Option<Option<Declared>> {
    let child = node.child("schema")?;
    let form = Form { props: &["rest"], children: Children::Many(&["column"]), ..Form::LEAF };
    form.check(child, "a schema", problems);
    let before = problems.len();
    let rest = child.prop("rest").map_or(Some(Rest::Unsaid), |arg| rest(arg, problems));
    let fields: Vec<Field> = child.all("column").filter_map(|column| field(column, problems)).collect();
    if child.all("column").next().is_none() {
        let within = "a schema".to_owned();
        problems.at(child.place, ShapeProblem::MissingNode { within, node: "column", example: COLUMN });
    }
    let mut seen = HashMap::new();
    for column in child.all("column") {
        let Some(arg) = column.args.first() else { continue };
        if let Some(first) = seen.insert(arg.value.to_string(), arg.place) {
            let problem = PlaceProblem::RepeatedColumn { column: arg.value.to_string() };
            problems.with(arg.place, problem, first, "first declared here");
        }
    }
    let columns = Arc::new(Schema::new(fields));
    Some(rest.filter(|_| problems.len() == before).map(|rest| Declared { columns, rest }))
}

/// What is to become of the columns that the schema does not name.
fn rest(arg: &Arg, problems: &mut Problems) -> Option<Rest> {
    match form::string("rest", arg, problems)? {
        "infer" => Some(Rest::Infer),
        "drop" => Some(Rest::Drop),
        _ => {
            let help = "`infer` infers the columns that the schema does not name, `drop` leaves them out";
            form::bad_value("way to treat other columns", arg, help, problems);
            None
        }
    }
}

fn field(node: &Node, problems: &mut Problems) -> Option<Field> {
    Form { takes: Takes::Any, props: &["nullable"], ..Form::LEAF }.check(node, "a column", problems);
    let [name, data_type, extra @ ..] = node.args.as_slice() else {
        let needs = "a name and a type".to_owned();
        problems.at(node.place, ShapeProblem::MissingArgument { node: node.name.clone(), needs, example: COLUMN });
        return None;
    };
    if let Some(extra) = extra.first() {
        let takes = "a name and a type".to_owned();
        problems.at(extra.place, form::extra_argument(node, extra, takes));
    }
    let nullable = node.prop("nullable").map_or(Some(true), |arg| form::boolean("nullable", arg, problems));
    let text = form::string("column", data_type, problems)?;
    let parsed = parse_type(text);
    if parsed.is_none() {
        let help = "an Arrow type: Int64, Float64, Utf8, Boolean, Date32, Timestamp(us, \"UTC\"), Decimal128(10, 2), \
                    List(Int64), ...";
        form::bad_value("type of a column", data_type, help, problems);
    }
    if let Some(zone) = parsed.as_ref().and_then(unknown_zone) {
        problems.at(data_type.place, PlaceProblem::UnknownZone { zone: zone.to_owned() });
        return None;
    }
    Some(Field::new(form::string("column", name, problems)?, parsed?, nullable?))
}

/// A time zone in a type that is neither in the tz database nor an offset. UTC is known in any case.
fn unknown_zone(data_type: &DataType) -> Option<&str> {
    match data_type {
        DataType::Timestamp(_, Some(zone)) => (!is_zone(zone)).then_some(&**zone),
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            unknown_zone(item.data_type())
        }
        DataType::Struct(fields) => fields.iter().find_map(|field| unknown_zone(field.data_type())),
        _ => None,
    }
}

fn is_zone(zone: &str) -> bool {
    zone.eq_ignore_ascii_case("utc") || is_offset(zone) || zone.parse::<chrono_tz::Tz>().is_ok()
}

/// `+01:00`, `+0100` or `+01`, less than a day.
fn is_offset(zone: &str) -> bool {
    let digits = match *zone.as_bytes() {
        [b'+' | b'-', a, b] => [a, b, b'0', b'0'],
        [b'+' | b'-', a, b, c, d] | [b'+' | b'-', a, b, b':', c, d] => [a, b, c, d],
        _ => return false,
    };
    digits.iter().all(u8::is_ascii_digit) && (digits[0], digits[1]) < (b'2', b'4')
}

/// A type by its Arrow text, simple ones in any case.
fn parse_type(text: &str) -> Option<DataType> {
    let lower = text.trim().to_ascii_lowercase();
    let simple = SIMPLE.iter().find(|(name, _)| *name == lower).map(|(_, data_type)| data_type.clone());
    // The parser recurses into brackets; no column needs many.
    let nested = text.matches('(').count();
    simple.or_else(|| (nested <= 32).then(|| text.parse().ok()).flatten())
}
