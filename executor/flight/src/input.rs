//! Inputs of an invocation, on their way to the stage.

use arrow_flight::FlightDescriptor;
use arrow_schema::{ArrowError, SchemaRef};
use flowc_runner::{InputIdentity, InputPort, Invocation, StageError, StageFault};

use crate::call::Messages;
use crate::connection::CREDIT;
use crate::credit::Credit;
use crate::encode::Encoder;
use crate::output::Output;
use crate::stored::StoredRun;
use crate::transport::Transport;
use crate::wire::put_path;

/// An input of an invocation.
pub(crate) struct Input {
    pub(crate) encoder: Encoder,
    pub(crate) messages: Option<Messages>,
    pub(crate) credit: Credit,
    /// Whether an output passes on columns of its rows, or picks them.
    pub(crate) is_kept: bool,
    /// What its rows are, where the stage may do without being sent them again.
    pub(crate) identity: Option<InputIdentity>,
    /// Batches of a stored file that wait for those that follow them.
    pub(crate) stored: Option<StoredRun>,
}

impl Input {
    /// All inputs. `name` is that of the invocation.
    pub(crate) fn all(
        invocation: &Invocation,
        outputs: &[Output],
        name: &str,
        transport: &Transport,
    ) -> Result<Vec<Self>, StageError> {
        let input = |(port, input): (usize, &InputPort)| {
            let schema = input.schema.project(&input.reads).map(SchemaRef::from)?;
            let path = || FlightDescriptor::new_path(put_path(name, port));
            let is_main = Some(port) == invocation.main_input;
            let descriptor = (!is_main).then(path);
            let is_kept = outputs.iter().any(|output| output.rows().input() == Some(port));
            let encoder = Encoder::new(schema, descriptor, transport);
            let identity = input.identity.filter(|_| !is_main && !is_kept);
            let credit = Credit::new(CREDIT.into());
            Ok(Self { encoder, messages: None, credit, is_kept, identity, stored: None })
        };
        let inputs = invocation.inputs.iter().enumerate().map(input).collect::<Result<_, ArrowError>>();
        let failed = |error| StageError::new(&*invocation.stage, StageFault::Contract(format!("its input: {error}")));
        inputs.map_err(failed)
    }
}
