//! What librdkafka says of its connections, and what it means.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::error::ClusterError;

/// How long brokers may take to answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// How long all of them may be down, as they are while a cluster of one broker starts again.
pub(crate) const DOWN: Duration = Duration::from_secs(10);
/// How long one question waits before what was heard meanwhile is looked at.
pub(crate) const TURN: Duration = Duration::from_secs(1);

/// A consumer that belongs to no group.
pub(crate) type Reader = BaseConsumer<Heard>;

/// What connections have been told of, by all clients of a cluster.
#[derive(Clone, Default)]
pub(crate) struct Heard(Arc<Mutex<Said>>);

#[derive(Default)]
struct Said {
    /// An error that trying again does not help.
    grave: Option<ClusterError>,
    /// What was said last of a connection that failed.
    last: Option<String>,
    /// Whether no connection was up when connections were last told of.
    down: bool,
    /// Whether a broker has closed a connection.
    closed: bool,
    /// Whether a question was answered.
    answered: bool,
}

impl Heard {
    /// An error that trying again does not help.
    pub(crate) fn grave(&self) -> Option<ClusterError> {
        self.with(|said| said.grave.clone())
    }

    /// Whether all brokers are down, as far as it is known since the last call of [`up`](Self::up).
    pub(crate) fn is_down(&self) -> bool {
        self.with(|said| said.down)
    }

    /// Takes in that a broker answered.
    pub(crate) fn up(&self) {
        self.with(|said| said.down = false);
    }

    /// Whether brokers have closed connections and answered nothing.
    pub(crate) fn is_closed(&self) -> bool {
        self.with(|said| said.closed && !said.answered)
    }

    /// Takes in that a question was answered.
    pub(crate) fn answered(&self) {
        self.with(|said| said.answered = true);
    }

    /// What was said last of a connection that failed.
    pub(crate) fn last(&self) -> String {
        self.with(|said| said.last.clone()).unwrap_or_else(|| "timed out".to_owned())
    }

    fn with<T>(&self, act: impl FnOnce(&mut Said) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn take_in(&self, code: RDKafkaErrorCode, reason: &str) {
        if code == RDKafkaErrorCode::AllBrokersDown {
            return self.with(|said| said.down = true);
        }
        let reason = shortened(reason);
        let grave = grave(code, reason);
        self.with(|said| {
            said.last = Some(reason.to_owned());
            said.closed |= reason.starts_with("Disconnected");
            if grave.is_some() {
                said.grave = grave;
            }
        });
    }
}

/// The error that librdkafka's words stand for, where trying again does not help.
fn grave(code: RDKafkaErrorCode, reason: &str) -> Option<ClusterError> {
    let (code, reason) = (told(code, reason), || reason.to_owned());
    match code {
        RDKafkaErrorCode::Resolve => Some(ClusterError::UnknownHost { reason: reason() }),
        RDKafkaErrorCode::Authentication => Some(ClusterError::Login { reason: reason() }),
        RDKafkaErrorCode::SSL => Some(ClusterError::Encryption {
            reason: reason(),
            remedy: "check that the broker's listener is encrypted, that its certificate names this host, and that `ca` of `tls` names the authority of its certificate",
        }),
        _ => None,
    }
}

/// What a failure is about. Of some, librdkafka gives the words alone.
fn told(code: RDKafkaErrorCode, reason: &str) -> RDKafkaErrorCode {
    let starts = [
        ("SSL handshake failed", RDKafkaErrorCode::SSL),
        ("SASL authentication error", RDKafkaErrorCode::Authentication),
        ("Failed to resolve", RDKafkaErrorCode::Resolve),
    ];
    starts.into_iter().find(|(start, _)| reason.starts_with(start)).map_or(code, |(_, told)| told)
}

/// What librdkafka says, without the names of its threads and options, and the time that it took.
fn shortened(reason: &str) -> &str {
    let reason = reason.split_once(", verify that ssl.ca.location").map_or(reason, |(head, _)| head);
    let reason = reason.split_once("/bootstrap: ").map_or(reason, |(_, rest)| rest);
    reason.rsplit_once(" (after ").map_or(reason, |(head, _)| head)
}

impl ClientContext for Heard {
    /// Some failures of connections are only logged.
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, message: &str) {
        if facility == "FAIL" {
            self.take_in(RDKafkaErrorCode::BrokerTransportFailure, message);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if let Some(code) = error.rdkafka_error_code() {
            self.take_in(code, reason);
        }
    }
}

impl ConsumerContext for Heard {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_change_by_itself_is_grave() {
        let heard = Heard::default();
        heard.take_in(
            RDKafkaErrorCode::BrokerTransportFailure,
            "localhost:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused (after 0ms in state CONNECT)",
        );
        assert_eq!(heard.grave(), None);
        assert_eq!(heard.last(), "Connect to ipv4#127.0.0.1:1 failed: Connection refused");
        heard.take_in(RDKafkaErrorCode::Authentication, "SASL authentication error: Invalid user");
        assert!(matches!(heard.grave(), Some(ClusterError::Login { .. })));
        heard.take_in(RDKafkaErrorCode::AllBrokersDown, "1/1 brokers are down");
        assert_eq!(heard.last(), "SASL authentication error: Invalid user");
    }

    #[test]
    fn what_is_only_logged_is_grave_by_its_words() {
        for (words, grave) in [
            ("SSL handshake failed: certificate verify failed, verify that ssl.ca.location is set", "Encryption"),
            ("SASL authentication error: Invalid user (after 3ms in state AUTH_REQ)", "Login"),
            ("Failed to resolve 'nowhere:1': Name or service not known", "UnknownHost"),
        ] {
            let heard = Heard::default();
            heard.log(RDKafkaLogLevel::Info, "FAIL", &format!("[thrd:b:1/bootstrap]: b:1/bootstrap: {words}"));
            assert!(format!("{:?}", heard.grave()).starts_with(&format!("Some({grave}")), "{:?}", heard.grave());
            assert!(!heard.last().contains("ssl.ca.location") && !heard.last().contains("after"));
        }
    }

    #[test]
    fn connections_that_are_closed_before_any_answer_are_told() {
        let heard = Heard::default();
        heard.log(
            RDKafkaLogLevel::Info,
            "FAIL",
            "[thrd:b:1/bootstrap]: b:1/bootstrap: Disconnected: connection closed by peer",
        );
        heard.log(RDKafkaLogLevel::Info, "OTHER", "b:1/bootstrap: Disconnected");
        assert!(heard.is_closed());
        heard.answered();
        assert!(!heard.is_closed());
    }
}
