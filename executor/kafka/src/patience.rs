//! How long clusters are waited for.

use std::time::Duration;

/// How long brokers may take to answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// How long all of them may be down, as they are while a cluster of one broker starts again.
pub(crate) const DOWN: Duration = Duration::from_secs(10);
/// How long one question waits before what was heard meanwhile is looked at.
pub(crate) const TURN: Duration = Duration::from_secs(1);
