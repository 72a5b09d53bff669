//! Stages that are not called: all that they do is pass columns on, and their description says which.

use flowc_planner::plan::{Class, Code, Output, OutputColumn, Plan, Rows, Stage};
use flowc_runner::{Batch, Instance, Outlet, StageError};

use crate::task::Link;

/// In the place of a stage's instance.
pub(crate) struct Pass {
    ports: Vec<Port>,
    outlet: Box<dyn Outlet>,
}

/// What becomes of a batch at an output port.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Port {
    /// It goes on as it is.
    Whole,
    /// Per column of the output: the input's column; none where nobody needs it.
    Columns(Vec<Option<usize>>),
}

/// The ports of a stage that need not be called, because every row and column that it gives is settled beforehand.
///
/// Only of a standard stage: another one may count its rows, say something in its log, or find that it cannot go on.
pub(crate) fn settled(plan: &Plan, link: &Link) -> Option<Vec<Port>> {
    let stage = &plan.stages[link.stage];
    ports(stage, &link.needed, width(plan, stage))
}

/// How many columns the input of a stage has.
fn width(plan: &Plan, stage: &Stage) -> usize {
    stage.inputs.first().map_or(0, |input| plan.stream(input.stream).schema.fields().len())
}

/// `needed` says per output port and column what is needed; the input has `width` columns.
fn ports(stage: &Stage, needed: &[Vec<bool>], width: usize) -> Option<Vec<Port>> {
    let [input] = stage.inputs.as_slice() else { return None };
    if !matches!(stage.code, Code::Std(_)) || input.class != Class::RowWise || !input.reads.is_empty() {
        return None;
    }
    stage.outputs.iter().zip(needed).map(|(output, needed)| port(output, needed, width)).collect()
}

/// Whether a stage is never called, whatever is needed of what it gives.
pub(crate) fn passes_all(plan: &Plan, stage: usize) -> bool {
    let stage = &plan.stages[stage];
    let needed: Vec<Vec<bool>> = stage.outputs.iter().map(|output| vec![true; output.columns.len()]).collect();
    ports(stage, &needed, width(plan, stage)).is_some()
}

fn port(output: &Output, needed: &[bool], width: usize) -> Option<Port> {
    if output.rows != (Rows::Same { input: 0 }) {
        return None;
    }
    let column = |(origin, needed): (&OutputColumn, &bool)| match origin {
        OutputColumn::Passed { column } => Some(needed.then_some(*column)),
        OutputColumn::Written => None,
    };
    let columns = output.columns.iter().zip(needed).map(column).collect::<Option<Vec<_>>>()?;
    let is_whole = columns.iter().copied().eq((0..width).map(Some));
    Some(if is_whole { Port::Whole } else { Port::Columns(columns) })
}

impl Pass {
    pub(crate) fn new(ports: Vec<Port>, outlet: Box<dyn Outlet>) -> Self {
        Self { ports, outlet }
    }
}

impl Port {
    fn of(&self, batch: &Batch) -> Batch {
        match self {
            Port::Whole => batch.clone(),
            Port::Columns(columns) => {
                let column = |column: &Option<usize>| column.and_then(|column| batch.column(column)).cloned();
                Batch::new(batch.rows(), columns.iter().map(column).collect::<Vec<_>>())
            }
        }
    }
}

impl Instance for Pass {
    fn push(&mut self, _: usize, batch: Batch) -> Result<(), StageError> {
        let outlet = &mut self.outlet;
        self.ports.iter().enumerate().try_for_each(|(number, port)| outlet.emit(number, port.of(&batch)))
    }

    fn end_of_input(&mut self, _: usize) -> Result<(), StageError> {
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<(), StageError> {
        self.outlet.close()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use arrow_array::{ArrayRef, Int64Array};
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
            inputs: vec![Input { port, stream: StreamId(0), class: Class::RowWise, reads, key: None }],
            outputs: vec![Output { port: "out".to_owned(), stream: StreamId(1), rows, columns }],
            partial: None,
            parts: 1,
            limits: Limits::default(),
            secrets: [].into(),
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
    fn only_a_standard_stage_that_does_nothing_else_is_settled() {
        let is_settled = |stage: Stage| ports(&stage, &[vec![true; stage.outputs[0].columns.len()]], 3).is_some();
        assert!(is_settled(stage(select(), vec![], SAME, passed(&[2, 0]))));
        assert!(!is_settled(stage(Code::Wasm("own.wasm".to_owned()), vec![], SAME, passed(&[2, 0]))));
        assert!(!is_settled(stage(select(), vec![1], SAME, passed(&[2, 0]))));
        assert!(!is_settled(stage(select(), vec![], Rows::Subset { input: 0 }, passed(&[2, 0]))));
        assert!(!is_settled(stage(select(), vec![], SAME, vec![OutputColumn::Written])));
    }

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<Option<Batch>>>>);

    impl Outlet for Kept {
        fn emit(&mut self, _: usize, batch: Batch) -> Result<(), StageError> {
            self.0.lock().unwrap().push(Some(batch));
            Ok(())
        }

        fn close(self: Box<Self>) -> Result<(), StageError> {
            self.0.lock().unwrap().push(None);
            Ok(())
        }

        fn log(&mut self, _: &str, _: &str) {}
    }

    /// The columns that come out of three, as their only values, and whether the end came too.
    fn pass(columns: &[usize], needed: &[bool]) -> Vec<Option<i64>> {
        let ports = ports(&stage(select(), vec![], SAME, passed(columns)), &[needed.to_vec()], 3).unwrap();
        let kept = Kept::default();
        let mut pass = Box::new(Pass::new(ports, Box::new(kept.clone())));
        let column = |value: i64| Some(Arc::new(Int64Array::from(vec![value])) as ArrayRef);
        pass.push(0, Batch::new(1, vec![column(0), column(1), column(2)])).unwrap();
        pass.end_of_input(0).unwrap();
        pass.finish().unwrap();
        let kept = kept.0.lock().unwrap();
        let [Some(batch), None] = kept.as_slice() else { panic!("a batch and the end") };
        let value = |column: &ArrayRef| column.to_data().buffers()[0].typed_data::<i64>()[0];
        batch.columns().iter().map(|column| column.as_ref().map(value)).collect()
    }

    #[test]
    fn columns_are_passed_on_in_their_order_and_what_nobody_needs_is_left_out() {
        assert_eq!(pass(&[0, 1, 2], &[true; 3]), [Some(0), Some(1), Some(2)]);
        assert_eq!(pass(&[2, 0], &[true; 2]), [Some(2), Some(0)]);
        assert_eq!(pass(&[2, 0], &[true, false]), [Some(2), None]);
        assert_eq!(pass(&[0, 1, 2], &[true, false, true]), [Some(0), None, Some(2)]);
    }
}
