//! The invocations that are open, by name, with the streams that calls of their own are still to take.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use flowc_platform::lock;
use tokio::sync::oneshot;
use tonic::Status;

use super::feed::Put;
use super::replies::Sent;

/// All of them. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Invocations(Arc<Mutex<HashMap<String, Streams>>>);

/// Streams of an invocation that nobody has asked for yet, by their port.
#[derive(Default)]
pub(super) struct Streams {
    pub(super) inputs: HashMap<usize, oneshot::Sender<Put>>,
    pub(super) outputs: HashMap<usize, Output>,
}

/// An output beside the first one.
pub(super) struct Output {
    pub(super) sent: Sent,
    /// Dropped when the client has read it to the end, or does not any more.
    pub(super) taken: oneshot::Sender<()>,
}

/// An open invocation. Dropping it closes it: whoever waits for one of its streams waits no more.
pub(super) struct Open {
    name: String,
    all: Invocations,
}

impl Invocations {
    /// Opens one.
    pub(super) fn open(&self, name: &str, streams: Streams) -> Result<Open, Status> {
        let mut all = self.lock();
        if all.contains_key(name) {
            return Err(Status::already_exists(format!("the invocation `{name}` is open already")));
        }
        all.insert(name.to_owned(), streams);
        Ok(Open { name: name.to_owned(), all: self.clone() })
    }

    /// Hands over an input.
    pub(super) fn put(&self, name: &str, port: usize, put: Put) -> Result<(), Status> {
        let input = self.streams(name, |streams| streams.inputs.remove(&port))?;
        let input = input.ok_or_else(|| Status::not_found(format!("input {port} is none that is to be put")))?;
        input.send(put).map_err(|_| Status::cancelled("the invocation is over"))
    }

    /// Takes an output.
    pub(super) fn take(&self, name: &str, port: usize) -> Result<Output, Status> {
        let output = self.streams(name, |streams| streams.outputs.remove(&port))?;
        output.ok_or_else(|| Status::not_found(format!("output {port} is none that can be asked for")))
    }

    fn streams<T>(&self, name: &str, act: impl FnOnce(&mut Streams) -> T) -> Result<T, Status> {
        let none = || Status::not_found(format!("no invocation `{name}` is open"));
        self.lock().get_mut(name).map(act).ok_or_else(none)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Streams>> {
        lock(&self.0)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // Its streams are dropped after the lock is released.
        let streams = self.all.lock().remove(&self.name);
        drop(streams);
    }
}
