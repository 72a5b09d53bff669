//! What every runner must do, done in a process behind the stage protocol.

mod support;

use flowc_runner::conformance::failures;
use support::Python;

#[test]
fn the_runner_does_what_every_runner_must() {
    assert_eq!(failures(&Python::of("subject", "server.py")), [""; 0]);
}
