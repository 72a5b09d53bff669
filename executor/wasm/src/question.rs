//! Questions at plan time. A stage that does not answer is given up: its thread is abandoned, for interruptible code
//! would have to be compiled beside the code that runs.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use flowc_planner::catalogue::{Description, Problem, Question, Signature};
use flowc_planner::key::StageDigest;

use crate::component::Loaded;
use crate::contract::{WireDescription, WireProblem, WireSignature};
use crate::describe;
use crate::engine::STACK_PER_INSTANCE;
use crate::host::Host;
use crate::instance::Guest;
use flowc_runner::schema;

/// How long a stage may think about a question.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a component is.
pub(crate) fn signature(loaded: Arc<Loaded>, digest: StageDigest) -> Result<Signature, Problem> {
    let uses_wasi = loaded.uses_wasi;
    let wire = patiently(move || {
        let mut guest = guest(&loaded);
        guest.call(|store| {
            let instance = loaded.pre.instantiate(&mut *store)?;
            let signature = instance.get_typed_func::<(), (WireSignature,)>(&mut *store, &loaded.exports.signature)?;
            Ok(signature.call(store, ())?.0)
        })
    })?;
    describe::signature(wire, digest, uses_wasi)
}

/// What a component makes of a config and schemas.
pub(crate) fn describe(
    loaded: Arc<Loaded>,
    signature: &Signature,
    question: &Question,
) -> Result<Description, Problem> {
    let (due, found) = (signature.inputs.len(), question.inputs.len());
    if due != found {
        return Err(Problem::new(format!("the stage has {due} inputs, not {found}")));
    }
    let failed = |error| Problem::new(format!("the schema of an input can't be handed over: {error}"));
    let schemas = question.inputs.iter().map(|input| schema::encode(input)).collect::<Result<_, _>>();
    let (schemas, config) = (schemas.map_err(failed)?, question.config.to_string());
    let answer = patiently(move || ask(&loaded, &config, schemas))?;
    describe::description(answer.map_err(describe::problem)?, signature, question)
}

type Answer = Result<WireDescription, WireProblem>;

fn ask(loaded: &Loaded, config: &str, schemas: Vec<Vec<u8>>) -> Result<Answer, flowc_runner::StageError> {
    guest(loaded).call(|store| {
        let instance = loaded.pre.instantiate(&mut *store)?;
        let describe = &loaded.exports.describe;
        let describe = instance.get_typed_func::<(&str, &[Vec<u8>]), (Answer,)>(&mut *store, describe)?;
        Ok(describe.call(store, (config, &schemas))?.0)
    })
}

fn guest(loaded: &Loaded) -> Guest {
    Guest::new(loaded, Host::at_plan_time(), "".into())
}

/// Waits for an answer, in a thread of its own.
fn patiently<T: Send + 'static>(
    ask: impl FnOnce() -> Result<T, flowc_runner::StageError> + Send + 'static,
) -> Result<T, Problem> {
    let (send, receive) = sync_channel(1);
    // Twice: an instance's stack, and as much again for what is around it.
    let thread = std::thread::Builder::new().name("flowc-wasm-question".to_owned()).stack_size(2 * STACK_PER_INSTANCE);
    let spawned = thread.spawn(move || {
        // Nobody listens any more if the stage took too long.
        let _ = send.send(ask());
    });
    spawned.map_err(|error| Problem::new(format!("no thread for a stage: {error}")))?;
    match receive.recv_timeout(PATIENCE) {
        Ok(answer) => answer.map_err(|error| Problem::new(error.fault.to_string())),
        Err(RecvTimeoutError::Timeout) => {
            let seconds = PATIENCE.as_secs();
            Err(Problem::new(format!("the stage gave no description within {seconds} seconds")))
        }
        Err(RecvTimeoutError::Disconnected) => Err(Problem::new("the stage could not be asked")),
    }
}
