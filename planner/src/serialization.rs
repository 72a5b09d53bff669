//! Whether a stage's batches can travel as its text says.

use arrow_schema::FieldRef;

use crate::catalogue::{Description, OutputDescription, Signature};
use crate::describe::Descriptions;
use crate::diagnostic::{Problems, StageProblem};
use crate::expand::Settings;
use crate::place::Place;
use crate::plan::{Code, Isolate, OutputColumn, Rows, Serialization};
use crate::read::StageDecl;
use crate::wiring::Resolved;

/// The name under which the numbers of picked rows travel.
const ROW: &str = "row";

/// Says which stages' batches do not travel, or not as they should.
pub(crate) fn check(resolved: &Resolved, known: &Descriptions, settings: &Settings, problems: &mut Problems) {
    for (number, stage) in resolved.pipeline.stages.iter().enumerate() {
        let Some(place) = stage.serialization else { continue };
        let problem = match (&stage.code, &resolved.signatures[number]) {
            (Some((code, _)), _) if !travels(stage, code, settings) => {
                Some(StageProblem::NotSerialised { stage: stage.name.text.clone() })
            }
            (_, Some(signature)) => unoffered(stage, signature),
            _ => None,
        };
        match problem {
            Some(problem) => problems.at(place, problem),
            None => check_columns(number, place, resolved, known, problems),
        }
    }
}

/// Whether batches leave flowc's process on their way to the stage.
fn travels(stage: &StageDecl, code: &Code, settings: &Settings) -> bool {
    code.program().is_some() || stage.limits.isolate >= Isolate::Process || (settings.remote && code.is_component())
}

fn unoffered(stage: &StageDecl, signature: &Signature) -> Option<StageProblem> {
    let serialization = stage.limits.serialization;
    let offered = || signature.serializations.iter().map(|offered| offered.name()).collect::<Vec<_>>().join(", ");
    (!signature.serializations.contains(&serialization)).then(|| StageProblem::NotOffered {
        stage: stage.name.text.clone(),
        serialization,
        offered: offered(),
    })
}

fn check_columns(number: usize, place: Place, resolved: &Resolved, known: &Descriptions, problems: &mut Problems) {
    let stage = &resolved.pipeline.stages[number];
    let (Some(described), Some(origins)) = (known.stages.get(&number), &resolved.inputs[number]) else { return };
    let mut read = described.description.inputs.iter().zip(origins).flat_map(|(input, origin)| {
        let fields = known.schemas.get(origin).map(|schema| schema.fields());
        input.reads.iter().filter_map(move |&column| fields?.get(column))
    });
    let serialization = stage.limits.serialization;
    let found = read.find_map(|field| Some(("reads", unfit(field, serialization)?)));
    let written = || written(&described.description).find_map(|field| unfit(field, serialization));
    let clash = || clash(&described.description, serialization);
    let found = found.or_else(|| Some(("writes", written().or_else(clash)?)));
    if let Some((does, Unfit { column, why, help })) = found {
        let (stage, help) = (stage.name.text.clone(), help.to_owned());
        problems.at(place, StageProblem::NotCarried { stage, does, column, why, help });
    }
}

/// A column that does not travel, and why.
struct Unfit {
    column: String,
    why: String,
    help: &'static str,
}

/// Why a column's type does not travel, if it does not.
fn unfit(field: &FieldRef, serialization: Serialization) -> Option<Unfit> {
    let (column, data_type) = (field.name().clone(), field.data_type());
    let why = format!("{data_type} does not travel as {serialization} without a change");
    let help = match serialization {
        Serialization::Json => "name another serialization: parquet has more types, arrow has all",
        Serialization::Arrow | Serialization::Parquet => "leave `serialization` out: arrow has all types",
    };
    (!serialization.carries(data_type)).then_some(Unfit { column, why, help })
}

/// The columns that are written, those of partials included.
fn written(description: &Description) -> impl Iterator<Item = &FieldRef> {
    let partial = description.partial.iter().flat_map(|partial| partial.fields());
    description.outputs.iter().flat_map(written_of).chain(partial)
}

fn written_of(output: &OutputDescription) -> impl Iterator<Item = &FieldRef> {
    let columns = output.columns.iter().zip(output.schema.fields());
    columns.filter(|(origin, _)| **origin == OutputColumn::Written).map(|(_, field)| field)
}

/// A written column that has the name of the numbers of rows, beside which it would travel.
fn clash(description: &Description, serialization: Serialization) -> Option<Unfit> {
    let picking = description.outputs.iter().filter(|output| matches!(output.rows, Rows::Subset { .. }));
    let field = picking.flat_map(written_of).find(|field| field.name() == ROW && !serialization.is_default())?;
    let why = format!("in {serialization} the numbers of the rows that it picks travel under this name");
    Some(Unfit {
        column: field.name().clone(),
        why,
        help: "leave `serialization` out, or give the column another name",
    })
}
