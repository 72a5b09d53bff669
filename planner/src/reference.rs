//! Whether the stage that a kernel is compared with is one that it can be compared with.

use arrow_schema::{FieldRef, SchemaRef};

use crate::catalogue::OutputDescription;
use crate::describe::Descriptions;
use crate::diagnostic::{Problems, StageProblem, suggest};
use crate::plan::OutputColumn;
use crate::wiring::{Origin, Resolved};

/// Says which stages name a reference that is no stage, or that has not the columns that they write.
pub(crate) fn check(resolved: &Resolved, known: &Descriptions, problems: &mut Problems) {
    let stages = &resolved.pipeline.stages;
    for (number, stage) in stages.iter().enumerate() {
        let Some((name, place)) = &stage.numbers.reference else { continue };
        let found = stages.iter().position(|other| other.name.text == *name).filter(|found| *found != number);
        let Some(found) = found else {
            let others = stages.iter().map(|other| other.name.text.as_str()).filter(|other| *other != stage.name.text);
            let help = suggest(name, others);
            problems.at(*place, StageProblem::NoReference { name: name.clone(), help });
            continue;
        };
        // What is wrong with either was said.
        let Some(described) = known.stages.get(&number) else { continue };
        let Some(schema) = known.schemas.get(&Origin::Stage { stage: found, port: 0 }) else { continue };
        let Some(output) = described.description.outputs.first() else { continue };
        let (stage, name) = (stage.name.text.clone(), name.clone());
        if let Some((column, why)) = unlike(output, schema) {
            problems.at(*place, StageProblem::UnlikeReference { stage, name, column, why });
        } else if is_blind(output, schema) {
            problems.at(*place, StageProblem::BlindReference { stage, name });
        }
    }
}

/// Whether nothing can be compared: an output has no columns but those that it passes on, and the reference has none of them.
fn is_blind(output: &OutputDescription, reference: &SchemaRef) -> bool {
    let mut fields = output.columns.iter().zip(output.schema.fields());
    let is_there = |field: &FieldRef| {
        reference.field_with_name(field.name()).is_ok_and(|other| other.data_type() == field.data_type())
    };
    !fields.any(|(origin, field)| *origin == OutputColumn::Written || is_there(field))
}

/// A column that an output writes and that a reference has not, and why not.
fn unlike(output: &OutputDescription, reference: &SchemaRef) -> Option<(String, String)> {
    let columns = output.columns.iter().zip(output.schema.fields());
    let written = columns.filter(|(origin, _)| **origin == OutputColumn::Written).map(|(_, field)| field);
    written.into_iter().find_map(|field| {
        let why = match reference.field_with_name(field.name()) {
            Err(_) => "has no such column".to_owned(),
            Ok(other) if other.data_type() != field.data_type() => {
                format!("has it as {}, not as {}", other.data_type(), field.data_type())
            }
            Ok(_) => return None,
        };
        Some((field.name().clone(), why))
    })
}
