//! Stands in for stages that are not called, since all that they do is pass columns on.

use flowc_demand::Passthrough;
use flowc_runner::{Batch, Outlet, PerBatch, StageError};

/// In the place of a stage: what each of its ports passes on.
pub(crate) struct StandIn(pub Vec<Passthrough>);

/// What a port gives of a batch.
fn passed_on(port: &Passthrough, batch: &Batch) -> Batch {
    match port {
        Passthrough::Whole => batch.clone(),
        Passthrough::Columns(columns) => {
            let column = |column: &Option<usize>| column.and_then(|column| batch.column(column)).cloned();
            Batch::new(batch.rows(), columns.iter().map(column).collect::<Vec<_>>())
        }
    }
}

impl PerBatch for StandIn {
    fn push(&mut self, _: usize, batch: Batch, outlet: &mut dyn Outlet) -> Result<(), StageError> {
        self.0.iter().enumerate().try_for_each(|(number, port)| outlet.emit(number, passed_on(port, &batch)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use arrow_array::{ArrayRef, Int64Array};

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
    fn pass(port: Passthrough) -> Vec<Option<i64>> {
        let kept = Kept::default();
        let mut pass = StandIn(vec![port]).before(Box::new(kept.clone()));
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
        assert_eq!(pass(Passthrough::Whole), [Some(0), Some(1), Some(2)]);
        assert_eq!(pass(Passthrough::Columns(vec![Some(2), Some(0)])), [Some(2), Some(0)]);
        assert_eq!(pass(Passthrough::Columns(vec![Some(2), None])), [Some(2), None]);
    }
}
