//! Ctrl-C and termination signals: the first asks the run to stop, the second stops at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flowc_executor::{Cancel, Session};

use crate::exit;
use crate::progress::Progress;

const STOPPING: &str = "stopping: what is finished is being saved (press Ctrl-C again to stop at once)";

/// A stage that does not return by itself within this time is abandoned.
const PATIENCE: Duration = Duration::from_secs(2);

/// Lets signals stop a run of this session.
pub(crate) fn install(session: Arc<Session>, cancel: Cancel, progress: Arc<Progress>) {
    let asked = AtomicBool::new(false);
    let handler = move || {
        if asked.swap(true, Ordering::SeqCst) {
            stop();
        }
        cancel.cancel();
        progress.say(STOPPING);
        let session = Arc::clone(&session);
        std::thread::spawn(move || {
            std::thread::sleep(PATIENCE);
            if let Err(error) = session.flush() {
                tracing::warn!(%error, "what was finished last could not be saved");
            }
            stop();
        });
    };
    if let Err(error) = ctrlc::set_handler(handler) {
        tracing::warn!(%error, "signals cannot be caught: Ctrl-C will stop at once");
    }
}

fn stop() {
    std::process::exit(i32::from(exit::STOPPED.number));
}
