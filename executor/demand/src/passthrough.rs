//! Stages that need not be called: all that they do is pass columns on, and their description says which.

use flowc_planner::plan::{Class, Code, Output, OutputColumn, Plan, Rows, Stage};

use crate::task::ChainStage;

/// What becomes of a batch at an output port of a stage that is not called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Passthrough {
    /// It goes on as it is.
    Whole,
    /// Per column of the output: the input's column; none where nobody needs it.
    Columns(Vec<Option<usize>>),
}

/// The ports of a stage of a chain that need not be called, because every row and column that it gives is known beforehand.
///
/// Only of a standard stage: another one may count its rows, write to its log, or refuse.
pub fn passthrough(plan: &Plan, stage: &ChainStage) -> Option<Vec<Passthrough>> {
    let of = &plan.stages[stage.stage];
    ports(of, &stage.needed, input_width(plan, of))
}

/// Whether a stage is never called, whatever is needed of what it gives.
pub fn is_never_called(plan: &Plan, stage: usize) -> bool {
    let stage = &plan.stages[stage];
    let needed: Vec<Vec<bool>> = stage.outputs.iter().map(|output| vec![true; output.columns.len()]).collect();
    ports(stage, &needed, input_width(plan, stage)).is_some()
}

fn input_width(plan: &Plan, stage: &Stage) -> usize {
    stage.inputs.first().map_or(0, |input| plan.stream(input.stream).schema.fields().len())
}

/// `needed` says per output port and column whether it is needed; the input has `width` columns.
fn ports(stage: &Stage, needed: &[Vec<bool>], width: usize) -> Option<Vec<Passthrough>> {
    let [input] = stage.inputs.as_slice() else { return None };
    if !matches!(stage.code, Code::Std(_)) || input.class != Class::RowWise || !input.reads.is_empty() {
        return None;
    }
    stage.outputs.iter().zip(needed).map(|(output, needed)| port(output, needed, width)).collect()
}

fn port(output: &Output, needed: &[bool], width: usize) -> Option<Passthrough> {
    if output.rows != (Rows::Same { input: 0 }) {
        return None;
    }
    let column = |(origin, needed): (&OutputColumn, &bool)| match origin {
        OutputColumn::Passed { column } => Some(needed.then_some(*column)),
        OutputColumn::Written => None,
    };
    let columns = output.columns.iter().zip(needed).map(column).collect::<Option<Vec<_>>>()?;
    let is_whole = columns.iter().copied().eq((0..width).map(Some));
    Some(if is_whole { Passthrough::Whole } else { Passthrough::Columns(columns) })
}

#[cfg(test)]
mod tests {
    use flowc_planner::key::StageDigest;
    use flowc_planner::plan::{Input, Limits, Purity, StreamId};

    use super::*;

    /// A stage with an input of three columns and this output.
    fn stage(code: Code, reads: Vec<usize>, rows: Rows, columns: Vec<OutputColumn>) -> Stage {
        let port = "in".to_owned();
        Stage {
            chains: false,
            name: "pick".to_owned(),
            code,
            digest: StageDigest::new([0; 32]),
            config: serde_json::Value::Null,
            runner: [].into(),
            purity: Purity::Proven,
            inputs: vec![Input {
                port,
                stream: StreamId(0),
                class: Class::RowWise,
                reads,
                key: None,
                window: None,
                because: None,
            }],
            outputs: vec![Output { port: "out".to_owned(), stream: StreamId(1), rows, columns }],
            partial: None,
            parts: 1,
            limits: Limits::default(),
            secrets: [].into(),
            asserts: None,
            claim: None,
            reference: None,
        }
    }

    fn passed(columns: &[usize]) -> Vec<OutputColumn> {
        columns.iter().map(|&column| OutputColumn::Passed { column }).collect()
    }

    fn select() -> Code {
        Code::Std("select@1".to_owned())
    }

    const SAME: Rows = Rows::Same { input: 0 };

    #[test]
    fn only_a_standard_stage_that_does_nothing_else_is_passing() {
        let is_passing = |stage: Stage| ports(&stage, &[vec![true; stage.outputs[0].columns.len()]], 3).is_some();
        assert!(is_passing(stage(select(), vec![], SAME, passed(&[2, 0]))));
        assert!(!is_passing(stage(Code::Wasm("own.wasm".to_owned()), vec![], SAME, passed(&[2, 0]))));
        assert!(!is_passing(stage(select(), vec![1], SAME, passed(&[2, 0]))));
        assert!(!is_passing(stage(select(), vec![], Rows::Subset { input: 0 }, passed(&[2, 0]))));
        assert!(!is_passing(stage(select(), vec![], SAME, vec![OutputColumn::Written])));
    }

    /// What becomes of three columns of which these are passed on.
    fn passes(columns: &[usize], needed: &[bool]) -> Passthrough {
        let stage = stage(select(), vec![], SAME, passed(columns));
        ports(&stage, &[needed.to_vec()], 3).unwrap().remove(0)
    }

    #[test]
    fn columns_keep_their_order_and_what_nobody_needs_is_left_out() {
        assert_eq!(passes(&[0, 1, 2], &[true; 3]), Passthrough::Whole);
        assert_eq!(passes(&[2, 0], &[true; 2]), Passthrough::Columns(vec![Some(2), Some(0)]));
        assert_eq!(passes(&[2, 0], &[true, false]), Passthrough::Columns(vec![Some(2), None]));
        assert_eq!(passes(&[0, 1, 2], &[true, false, true]), Passthrough::Columns(vec![Some(0), None, Some(2)]));
    }
}
