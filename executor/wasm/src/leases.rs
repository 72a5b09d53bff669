//! Pushed batches that a guest keeps beyond the call that brought them. Each counts as its memory, once, for as long as
//! there is a handle to any rows of it.

use std::collections::HashMap;

use flowc_runner::Batch;

use crate::budget::Budget;
use crate::fault::Stop;
use crate::picks::size;

/// The number of a pushed batch in its invocation, from 1 on.
pub(crate) type Lease = u64;

/// How many handles keep which batch alive.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    /// The batch that was pushed last, and its handles. The host holds it itself until the call returns.
    current: Lease,
    handles: usize,
    /// Batches that came with earlier calls.
    kept: HashMap<Lease, Kept>,
}

#[derive(Debug)]
struct Kept {
    handles: usize,
    charged: usize,
}

impl Leases {
    /// A batch is pushed.
    pub(crate) fn start(&mut self) -> Lease {
        self.current += 1;
        self.handles = 0;
        self.current
    }

    /// There is a handle more to rows of this batch.
    pub(crate) fn add(&mut self, lease: Lease) {
        if lease == self.current {
            self.handles += 1;
        } else if let Some(kept) = self.kept.get_mut(&lease) {
            kept.handles += 1;
        }
    }

    /// There is a handle less.
    pub(crate) fn remove(&mut self, lease: Lease, budget: &mut Budget) {
        if lease == self.current {
            self.handles -= 1;
        } else if let Some(kept) = self.kept.get_mut(&lease) {
            kept.handles -= 1;
            if kept.handles == 0 {
                budget.release(kept.charged);
                self.kept.remove(&lease);
            }
        }
    }

    /// The call that pushed `batch` is over: it is charged to a guest that still has handles to rows of it.
    pub(crate) fn end(&mut self, batch: &Batch, budget: &mut Budget) -> Result<(), Stop> {
        if self.handles > 0 {
            let charged = batch.columns().iter().flatten().map(size).sum();
            budget.charge(charged)?;
            self.kept.insert(self.current, Kept { handles: self.handles, charged });
        }
        self.current += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::Int64Array;

    use super::*;

    #[test]
    fn a_kept_batch_is_charged_once_until_its_last_handle_is_gone() {
        let batch = Batch::new(4, vec![Some(Arc::new(Int64Array::from(vec![1, 2, 3, 4])) as _)]);
        let (mut leases, mut budget) = (Leases::default(), Budget::new(Some(100)));
        let lease = leases.start();
        leases.add(lease);
        leases.add(lease);
        assert_eq!(budget.room(), 100, "the host holds it itself");
        leases.end(&batch, &mut budget).unwrap();
        assert_eq!(budget.room(), 68);
        leases.add(lease);
        (0..2).for_each(|_| leases.remove(lease, &mut budget));
        assert_eq!(budget.room(), 68);
        leases.remove(lease, &mut budget);
        assert_eq!(budget.room(), 100);
    }

    #[test]
    fn what_is_given_back_in_the_call_costs_nothing() {
        let batch = Batch::new(4, vec![Some(Arc::new(Int64Array::from(vec![1, 2, 3, 4])) as _)]);
        let (mut leases, mut budget) = (Leases::default(), Budget::new(Some(0)));
        let lease = leases.start();
        leases.add(lease);
        leases.remove(lease, &mut budget);
        leases.end(&batch, &mut budget).unwrap();
        assert!(leases.kept.is_empty());
    }
}
