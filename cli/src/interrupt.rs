//! Ctrl-C and termination signals: the first asks the run to stop, the second stops at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flowc_executor::Cancel;

use crate::exit;
use crate::progress::Progress;

const STOPPING: &str = "stopping: what is finished is being saved (press Ctrl-C again to stop at once)";

/// A stage that does not return by itself within two seconds is abandoned; what is finished is saved in groups as a run
/// goes on, and another three seconds are for the last of them.
const PATIENCE: Duration = Duration::from_secs(5);

/// Lets signals stop a run.
pub(crate) fn install(cancel: Cancel, progress: Arc<Progress>) {
    let asked = AtomicBool::new(false);
    let handler = move || {
        if asked.swap(true, Ordering::SeqCst) {
            stop();
        }
        cancel.cancel();
        progress.say(STOPPING);
        std::thread::spawn(|| {
            std::thread::sleep(PATIENCE);
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
