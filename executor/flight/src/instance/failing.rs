//! How an invocation fails, in words and with the rows that are to blame.

use flowc_planner::plan::Limits;
use flowc_planner::quantity::size;
use flowc_runner::{LONGEST_LINE, StageError, StageFault, shortened, shortened_lines};
use tonic::Status;

use crate::connection::CREDIT;
use crate::encode::EncodeError;
use crate::program::Ending;
use crate::question::{is_broken, is_too_large, reason};
use crate::wire::WireFailure;

use super::FlightInstance;

/// Lines of a traceback or the like that are kept.
const MOST_LINES: usize = 200;

impl FlightInstance {
    /// A stream broke.
    pub(super) fn broken(&mut self, status: &Status) -> StageError {
        if !is_too_large(status) {
            return self.lost(reason(status), is_broken(status));
        }
        let most = size(largest_message(&self.invocation.limits));
        let what = format!(
            "it sent a message larger than {most}, which is all that its `memory` allows; have it give fewer rows at a time, \
             or raise `memory` in the stage"
        );
        self.error(StageFault::Contract(what))
    }

    /// A batch of an input could not be sent.
    pub(super) fn unsent(&mut self, port: usize, rows: usize, error: &EncodeError) -> StageError {
        let first = self.inputs[port].credit.rows();
        StageError::new(&*self.stages[0].stage, error.fault("its input")).at(port, first..first + rows as u64)
    }

    /// The call is over: because the program ended, the connection broke, or the program raised an error in the call.
    pub(super) fn lost(&mut self, what: String, broken: bool) -> StageError {
        let memory = self.invocation.limits.memory;
        let fault = match (self.program.as_mut().and_then(|program| program.ended()), memory) {
            (Some(Ending::Memory), Some(bytes)) => StageFault::Memory { bytes },
            (Some(Ending::Memory), None) => StageFault::Crashed("it ran out of memory".to_owned()),
            (Some(Ending::Other(how)), _) => StageFault::Crashed(how),
            (Some(Ending::Unreachable(what)), _) => StageFault::Unreachable(what),
            (None, _) if broken => StageFault::Unreachable(format!("the connection to the stage broke: {what}")),
            (None, _) => StageFault::Trap(what),
        };
        self.error(fault)
    }

    /// Of the last stage.
    pub(super) fn error(&mut self, fault: StageFault) -> StageError {
        self.error_of(self.stages.len() - 1, fault, None)
    }

    /// Of one of the stages. What the first was being given is known here, of the others they say it themselves.
    pub(super) fn error_of(&mut self, step: usize, fault: StageFault, given: Option<[u64; 2]>) -> StageError {
        self.say_printed();
        let error = StageError::new(&*self.stages[step].stage, fault);
        let given = match (step, self.invocation.main_input) {
            (0, Some(main)) => self.inputs[main].credit.oldest().map(|rows| (main, rows)),
            (0, None) => None,
            _ => given.filter(|[first, end]| first < end).map(|[first, end]| (0, first..end)),
        };
        given.into_iter().fold(error, |error, (port, rows)| error.at(port, rows))
    }
}

/// The most bytes of a message that a stage may send: as many as it may hold, and as many as may be on their way anyhow.
pub(super) fn largest_message(limits: &Limits) -> u64 {
    limits.memory.unwrap_or(u64::MAX).max(CREDIT.into())
}

/// How a stage's own code failed. What it left behind in its process nobody knows.
pub(super) fn fault(failure: WireFailure, limits: &Limits) -> StageFault {
    let WireFailure { message, detail, memory, timeout, breach } = failure;
    let message = shortened(message, LONGEST_LINE);
    let detail = detail.map(|detail| shortened_lines(&detail, LONGEST_LINE, MOST_LINES));
    match (memory.then_some(limits.memory).flatten(), timeout.then_some(limits.timeout_ms).flatten()) {
        _ if breach => StageFault::Contract(message),
        (Some(bytes), _) => StageFault::Memory { bytes },
        (None, Some(milliseconds)) => StageFault::Timeout { milliseconds },
        (None, None) => StageFault::Trap(detail.map_or(message.clone(), |detail| format!("{message}\n{detail}"))),
    }
}
