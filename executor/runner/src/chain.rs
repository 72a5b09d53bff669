//! Chains of stages that have an instance each: what one emits is pushed into the next, at once and in the same thread.

use crate::{Batch, DeviceUse, Instance, Outlet, StageError, StageFault};

/// Hears of a stage whose batches go to the next one of its chain.
pub trait EdgeObserver: Send {
    /// The stage has given so many rows more. Of a stage whose batches go to the next one within a runner this is said once,
    /// when the instance has finished.
    fn gave(&mut self, rows: u64);

    /// Takes a line of its log, as [`Outlet::log`].
    fn log(&mut self, level: &str, message: &str);

    /// Takes what it had a device do, as [`Outlet::used`].
    fn used(&mut self, _device: DeviceUse) {}

    /// Takes a batch that is to go on, and gives what goes on of it. Only where batches come by.
    ///
    /// # Errors
    /// If the chain is to stop here.
    fn pass(&mut self, batch: Batch) -> Result<Batch, StageError> {
        Ok(batch)
    }
}

/// The way from a stage of a chain to the next.
pub struct Edge {
    /// The input of the next stage.
    pub port: usize,
    /// Hears of the stage before.
    pub observer: Box<dyn EdgeObserver>,
}

/// Opens the stages of a chain, the last one first, and gives the instance of the first: what is pushed into that goes through
/// all of them. `open` opens the stage of a number with its outlet; `edge` gives the way from the stage of a number to the next.
///
/// # Errors
/// Those of `open`.
pub fn open_stages<E>(
    count: usize,
    last: Box<dyn Outlet>,
    mut open: impl FnMut(usize, Box<dyn Outlet>) -> Result<Box<dyn Instance>, E>,
    mut edge: impl FnMut(usize) -> Edge,
) -> Result<Box<dyn Instance>, E> {
    let mut outlet = last;
    for number in (1..count).rev() {
        let next = open(number, outlet)?;
        let Edge { port, observer } = edge(number - 1);
        outlet = Box::new(Handover { next, port, given: 0, observer });
    }
    open(0, outlet)
}

/// Hands what a stage gives to the next one.
struct Handover {
    next: Box<dyn Instance>,
    port: usize,
    /// Rows that went on.
    given: u64,
    observer: Box<dyn EdgeObserver>,
}

impl Outlet for Handover {
    fn emit(&mut self, port: usize, batch: Batch) -> Result<(), StageError> {
        if port != 0 {
            let fault = StageFault::Contract(format!("there is no output port {port}"));
            return Err(StageError::new("", fault));
        }
        let (first, rows) = (self.given, batch.rows() as u64);
        self.given += rows;
        self.observer.gave(rows);
        let batch = self.observer.pass(batch)?;
        self.next.push(self.port, batch).map_err(|error| error.at(self.port, first..first + rows))
    }

    fn boundary(&mut self) -> Result<(), StageError> {
        self.next.boundary()
    }

    fn close(mut self: Box<Self>) -> Result<(), StageError> {
        self.next.end_of_input(self.port)?;
        self.next.finish()
    }

    fn log(&mut self, level: &str, message: &str) {
        self.observer.log(level, message);
    }

    fn used(&mut self, device: DeviceUse) {
        self.observer.used(device);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::InputRows;

    /// What happened, in order.
    type Told = Arc<Mutex<Vec<String>>>;

    fn tell(told: &Told, what: String) {
        told.lock().unwrap().push(what);
    }

    /// Emits what it is pushed on a port, and fails at its second batch if it is told to.
    struct Stage {
        number: usize,
        emits_on: usize,
        fails: bool,
        pushed: usize,
        outlet: Box<dyn Outlet>,
        told: Told,
    }

    impl Instance for Stage {
        fn push(&mut self, port: usize, batch: Batch) -> Result<(), StageError> {
            tell(&self.told, format!("{} takes {} on {port}", self.number, batch.rows()));
            self.pushed += 1;
            if self.fails && self.pushed == 2 {
                return Err(StageError::new(self.number.to_string(), StageFault::Trap("no".to_owned())));
            }
            self.outlet.log("info", "pushed");
            self.outlet.emit(self.emits_on, batch)
        }

        fn boundary(&mut self) -> Result<(), StageError> {
            tell(&self.told, format!("{} is at a boundary", self.number));
            self.outlet.boundary()
        }

        fn end_of_input(&mut self, port: usize) -> Result<(), StageError> {
            tell(&self.told, format!("{} ends {port}", self.number));
            Ok(())
        }

        fn finish(self: Box<Self>) -> Result<(), StageError> {
            tell(&self.told, format!("{} finishes", self.number));
            self.outlet.close()
        }
    }

    struct Observer(usize, Told);

    impl EdgeObserver for Observer {
        fn gave(&mut self, rows: u64) {
            tell(&self.1, format!("{} gave {rows}", self.0));
        }

        fn log(&mut self, _: &str, message: &str) {
            tell(&self.1, format!("{} said {message}", self.0));
        }
    }

    struct End(Told);

    impl Outlet for End {
        fn emit(&mut self, port: usize, batch: Batch) -> Result<(), StageError> {
            tell(&self.0, format!("{} came out of {port}", batch.rows()));
            Ok(())
        }

        fn boundary(&mut self) -> Result<(), StageError> {
            tell(&self.0, "all is out".to_owned());
            Ok(())
        }

        fn close(self: Box<Self>) -> Result<(), StageError> {
            tell(&self.0, "closed".to_owned());
            Ok(())
        }

        fn log(&mut self, _: &str, _: &str) {}
    }

    /// Stages with these output ports, each pushed into input 3 of the next. The one of number `failing` fails.
    fn chain(ports: &[usize], failing: usize, told: &Told) -> Box<dyn Instance> {
        let open = |number: usize, outlet: Box<dyn Outlet>| -> Result<Box<dyn Instance>, StageError> {
            tell(told, format!("{number} opens"));
            let (emits_on, fails, told) = (ports[number], number == failing, told.clone());
            Ok(Box::new(Stage { number, emits_on, fails, pushed: 0, outlet, told }))
        };
        let edge = |number| Edge { port: 3, observer: Box::new(Observer(number, told.clone())) };
        open_stages(ports.len(), Box::new(End(told.clone())), open, edge).unwrap()
    }

    fn rows(rows: usize) -> Batch {
        Batch::new(rows, [])
    }

    #[test]
    fn a_batch_is_through_all_stages_before_the_next_and_boundaries_and_the_end_follow_it() {
        let told = Told::default();
        let mut first = chain(&[0, 0], usize::MAX, &told);
        first.push(0, rows(5)).unwrap();
        first.boundary().unwrap();
        first.end_of_input(0).unwrap();
        first.finish().unwrap();
        let due = [
            "1 opens",
            "0 opens",
            "0 takes 5 on 0",
            "0 said pushed",
            "0 gave 5",
            "1 takes 5 on 3",
            "5 came out of 0",
            "0 is at a boundary",
            "1 is at a boundary",
            "all is out",
            "0 ends 0",
            "0 finishes",
            "1 ends 3",
            "1 finishes",
            "closed",
        ];
        assert_eq!(*told.lock().unwrap(), due);
    }

    #[test]
    fn a_stage_that_fails_is_told_with_the_rows_that_it_was_given() {
        let mut first = chain(&[0, 0], 1, &Told::default());
        first.push(0, rows(5)).unwrap();
        let error = first.push(0, rows(2)).unwrap_err();
        assert_eq!((&*error.stage, error.rows), ("1", Some(InputRows { port: 3, rows: 5..7 })));
    }

    #[test]
    fn a_stage_before_another_has_one_output() {
        let error = chain(&[1, 0], usize::MAX, &Told::default()).push(0, rows(1)).unwrap_err();
        assert_eq!(error.fault, StageFault::Contract("there is no output port 1".to_owned()));
    }
}
