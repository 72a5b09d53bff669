//! Ctrl-C and termination signals: the first asks the run to stop, the second ends it as it is, the third ends the process.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use flowc_executor::{Cancel, Session};
#[cfg(any(feature = "serve", feature = "workers"))]
use tokio::sync::oneshot;

use crate::ending::Ending;
use crate::exit;
#[cfg(any(feature = "serve", feature = "workers"))]
use crate::report::Failure;

const STOPPING: &str = "stopping: what is finished is being saved (press Ctrl-C again to stop at once)";

/// A stage that does not return by itself within this time is abandoned.
const PATIENCE: Duration = Duration::from_secs(2);

/// Lets signals stop a run of this session. The handler lasts as long as the process, and the session does not: what it holds is
/// given back when the run has ended.
pub(crate) fn install(session: Weak<Session>, cancel: Cancel, ending: Arc<Ending>) {
    let signals = AtomicUsize::new(0);
    let handler = move || {
        let patience = match signals.fetch_add(1, Ordering::SeqCst) {
            0 => PATIENCE,
            1 => Duration::ZERO,
            _ => std::process::exit(i32::from(exit::STOPPED.number)),
        };
        cancel.cancel();
        if !patience.is_zero() {
            ending.progress().say(STOPPING);
        }
        let (session, ending) = (Weak::clone(&session), Arc::clone(&ending));
        // The next signal must find this handler free.
        std::thread::spawn(move || {
            std::thread::sleep(patience);
            // Of a run that has ended there is nothing to abandon.
            if let Some(session) = session.upgrade() {
                abandon(&session, &ending);
            }
        });
    };
    if let Err(error) = ctrlc::set_handler(handler) {
        tracing::warn!(%error, "signals cannot be caught: Ctrl-C will stop at once");
    }
}

/// Ends the process in the middle of a run, with the end that the run would have told.
fn abandon(session: &Session, ending: &Ending) {
    let exit = ending.abandon(session.abandon());
    std::process::exit(i32::from(exit.number));
}

/// Comes with Ctrl-C or a termination signal, for servers, which have nothing to save.
///
/// # Errors
/// If signals can't be caught.
#[cfg(any(feature = "serve", feature = "workers"))]
pub(crate) fn signal() -> Result<impl Future<Output = ()>, Failure> {
    let (send, receive) = oneshot::channel();
    let mut send = Some(send);
    let caught = ctrlc::set_handler(move || {
        // The server may have ended by itself.
        send.take().map(|send| send.send(()));
    });
    caught.map_err(Failure::system("signals cannot be caught"))?;
    Ok(async {
        let _ = receive.await;
    })
}
