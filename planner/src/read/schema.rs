//! The declared columns of a source: `schema { column "id" "Int64" nullable=#false }`, `schema rest="infer" { ... }`.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{Field, Schema};

use crate::diagnostic::{PlaceProblem, Problems, ShapeProblem};
use crate::plan::{Declared, Rest};
use crate::read::form::{self, Children, Form, Takes};
use crate::read::types;
use crate::syntax::{Arg, Node};

const COLUMN: &str = "column \"id\" \"Int64\" nullable=#false";

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
    let parsed = types::parsed(text);
    if parsed.is_none() {
        form::bad_value("type of a column", data_type, types::advice(text), problems);
    }
    if let Some(zone) = parsed.as_ref().and_then(types::unknown_zone) {
        problems.at(data_type.place, PlaceProblem::UnknownZone { zone: zone.to_owned() });
        return None;
    }
    Some(Field::new(form::string("column", name, problems)?, parsed?, nullable?))
}
