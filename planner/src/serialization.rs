//! Whether a stage's batches can travel as its text says.

use arrow_schema::FieldRef;

use crate::catalogue::{Description, OutputDescription, Signature};
use crate::describe::Descriptions;
use crate::diagnostic::{Problems, StageProblem};
use crate::expand::Settings;
use crate::plan::{Code, Isolate, OutputColumn, Rows, Serialization};
use crate::read::StageDecl;
use crate::text::Place;
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
    !code.is_component() || stage.limits.isolate >= Isolate::Process || settings.remote
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
    let unfit = |field: &FieldRef| Some((field.name().clone(), unfit(field, serialization)?));
    let found = read.find_map(|field| Some(("reads", unfit(field)?)));
    let found = found.or_else(|| written(&described.description).find_map(|field| Some(("writes", unfit(field)?))));
    let found = found.or_else(|| Some(("writes", clash(&described.description, serialization)?)));
    if let Some((does, (column, why))) = found {
        let stage = stage.name.text.clone();
        problems.at(place, StageProblem::NotCarried { stage, does, column, why, serialization });
    }
}

/// Why a column does not travel, if it does not.
fn unfit(field: &FieldRef, serialization: Serialization) -> Option<String> {
    let data_type = field.data_type();
    let why = || format!("{data_type} does not travel as {serialization} without a change");
    (!serialization.carries(data_type)).then(why)
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

/// A written column that has the name of the numbers of rows, beside which it would travel; and what is wrong with that.
fn clash(description: &Description, serialization: Serialization) -> Option<(String, String)> {
    let picking = description.outputs.iter().filter(|output| matches!(output.rows, Rows::Subset { .. }));
    let field = picking.flat_map(written_of).find(|field| field.name() == ROW && !serialization.is_default())?;
    let why = format!("in {serialization} the numbers of the rows that it picks travel under this name");
    Some((field.name().clone(), why))
}
