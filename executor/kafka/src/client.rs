//! A cluster that is asked through librdkafka.

use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use crate::cluster::{Access, Cluster, Record, Topic, TopicSettings, WritableCluster, Writer};
use crate::describe::{topic_id, topic_setting};
use crate::error::ClusterError;
use crate::fetched::Fetched;
use crate::heard::{DOWN, Heard, PATIENCE, Reader, TURN};
use crate::writer::{Transactions, create_compacted};

/// Whether connections can be encrypted, and passwords be proven instead of sent.
pub const HAS_TLS: bool = cfg!(feature = "tls");

/// How long records are waited for before what was heard meanwhile is looked at.
const WAIT: Duration = Duration::from_millis(100);

/// A cluster that is asked through librdkafka. Connections are made when they are needed, and kept.
pub struct Client {
    access: Access,
    heard: Heard,
    /// Consumers that read nothing now.
    idle: Mutex<Vec<Reader>>,
}

impl Client {
    /// The cluster that is reached so. Nothing is connected yet.
    pub fn new(access: Access) -> Self {
        Self { access, heard: Heard::default(), idle: Mutex::default() }
    }

    /// What readers are configured with.
    fn reading(&self, uncommitted: bool) -> Result<ClientConfig, ClusterError> {
        let mut config = self.config()?;
        config
            // librdkafka assigns partitions only to a member of a group. The group is never joined.
            .set("group.id", "flowc")
            .set("isolation.level", if uncommitted { "read_uncommitted" } else { "read_committed" })
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "true")
            .set("allow.auto.create.topics", "false")
            .set("auto.offset.reset", "error")
            .set("check.crcs", "true")
            // Memory that is used again costs less than new pages do. What is full is looked at again soon, not after a second.
            .set("queued.max.messages.kbytes", "8192")
            .set("fetch.queue.backoff.ms", "5")
            .set("fetch.wait.max.ms", "100");
        Ok(config)
    }

    /// What all clients are configured with.
    pub(crate) fn config(&self) -> Result<ClientConfig, ClusterError> {
        let Access { brokers, uncommitted: _, login, encrypted, authorities } = &self.access;
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", brokers.join(","))
            .set("client.id", "flowc")
            .set("socket.keepalive.enable", "true")
            .set("reconnect.backoff.max.ms", "1000")
            .set_log_level(RDKafkaLogLevel::Info);
        let protocol = match (login.is_some(), *encrypted) {
            (false, false) => "plaintext",
            (false, true) => "ssl",
            (true, false) => "sasl_plaintext",
            (true, true) => "sasl_ssl",
        };
        config.set("security.protocol", protocol);
        if let Some(login) = login {
            config.set("sasl.mechanism", &login.mechanism).set("sasl.username", &login.user);
            config.set("sasl.password", login.password.as_str());
        }
        if let Some(path) = authorities {
            config.set("ssl.ca.pem", certificates(path)?);
        }
        Ok(config)
    }

    fn connect(&self, uncommitted: bool) -> Result<Reader, ClusterError> {
        let made = self.reading(uncommitted)?.create_with_context(self.heard.clone());
        made.map_err(|error| ClusterError::Other { reason: error.to_string() })
    }

    /// Lends a consumer, and keeps it afterwards unless the work failed.
    fn with_reader<T>(&self, work: impl FnOnce(&Reader) -> Result<T, ClusterError>) -> Result<T, ClusterError> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle().pop();
        let reader = match kept {
            Some(reader) => reader,
            None => self.connect(self.access.uncommitted)?,
        };
        let done = work(&reader)?;
        idle().push(reader);
        Ok(done)
    }

    /// Asks until there is an answer, or it is known that there will be none.
    fn ask<T>(
        &self,
        reader: &Reader,
        question: impl Fn(&Reader, Duration) -> Result<T, KafkaError>,
    ) -> Result<T, ClusterError> {
        let begin = Instant::now();
        loop {
            let error = match question(reader, TURN) {
                Ok(answer) => {
                    self.heard.answered();
                    return Ok(answer);
                }
                Err(error) => error,
            };
            // What connections have been told of waits in the queue.
            while reader.poll(Duration::ZERO).is_some() {}
            if let Some(grave) = self.heard.grave() {
                return Err(grave);
            }
            if !is_passing(&error) {
                return Err(ClusterError::Other { reason: error.to_string() });
            }
            if begin.elapsed() > DOWN && self.heard.is_closed() {
                return Err(ClusterError::Encryption {
                    reason: "the broker closes connections at once".to_owned(),
                    remedy: "its listener may expect encryption, say `tls`; or a login, say `sasl`",
                });
            }
            if begin.elapsed() > DOWN {
                let (brokers, reason) = (self.access.brokers.join(" "), self.heard.last());
                return Err(ClusterError::Unreachable { brokers, reason });
            }
        }
    }

    fn partitions(&self, reader: &Reader, name: &str) -> Result<Vec<i32>, ClusterError> {
        let metadata = self.ask(reader, |reader, timeout| reader.fetch_metadata(Some(name), timeout))?;
        let no_topic = || ClusterError::NoTopic { topic: name.to_owned() };
        let topic = metadata.topics().first().ok_or_else(no_topic)?;
        match topic.error().map(RDKafkaErrorCode::from) {
            None => {}
            Some(RDKafkaErrorCode::TopicAuthorizationFailed) => {
                return Err(ClusterError::Denied { topic: name.to_owned() });
            }
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => return Err(no_topic()),
            Some(other) => return Err(ClusterError::Other { reason: format!("the topic `{name}`: {other}") }),
        }
        let mut partitions: Vec<i32> = topic.partitions().iter().map(|partition| partition.id()).collect();
        partitions.sort_unstable();
        if partitions.is_empty() { Err(no_topic()) } else { Ok(partitions) }
    }

    /// Reads from a consumer that is assigned to one partition.
    fn drain(
        &self,
        reader: &Reader,
        mut fetched: Fetched<'_>,
        partition: i32,
        offsets: &Range<i64>,
        take: &mut dyn FnMut(&Record<'_>) -> std::io::Result<()>,
    ) -> std::io::Result<Result<(), ClusterError>> {
        let (mut next, mut heard_at) = (offsets.start, Instant::now());
        self.heard.up();
        while next < offsets.end {
            let before = next;
            fetched.take(WAIT);
            for message in fetched.messages() {
                match message {
                    Ok(message) if message.offset() >= offsets.end => return Ok(Ok(())),
                    // The first records after an assignment may be what was fetched for an earlier one.
                    Ok(message) if message.offset() < next => {}
                    Ok(message) => {
                        next = message.offset() + 1;
                        message.with(&mut *take)?;
                    }
                    Err(RDKafkaErrorCode::PartitionEOF) => return Ok(Ok(())),
                    Err(code) => {
                        let error = KafkaError::MessageConsumption(code);
                        if let Some(failed) = self.failure(reader, &error, partition, next) {
                            return Ok(Err(failed));
                        }
                    }
                }
            }
            // What connections have been told of waits in the queue of the reader.
            while let Some(told) = reader.poll(Duration::ZERO) {
                let failed = told.err().and_then(|error| self.failure(reader, &error, partition, next));
                if let Some(failed) = failed {
                    return Ok(Err(failed));
                }
            }
            let now = Instant::now();
            if next > before {
                if now - heard_at > TURN {
                    self.heard.up();
                }
                heard_at = now;
            }
            if now - heard_at > if self.heard.is_down() { DOWN } else { PATIENCE } {
                return Ok(Err(ClusterError::Lost { partition, offset: next, reason: self.heard.last() }));
            }
        }
        Ok(Ok(()))
    }

    /// What an error while reading means; none if it may pass.
    fn failure(&self, reader: &Reader, error: &KafkaError, partition: i32, next: i64) -> Option<ClusterError> {
        if let Some(grave) = self.heard.grave() {
            return Some(grave);
        }
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::OffsetOutOfRange | RDKafkaErrorCode::AutoOffsetReset) => {
                let assigned = reader.assignment().ok();
                let topic = assigned.as_ref().and_then(|all| all.elements().first().map(|one| one.topic().to_owned()));
                let low = topic.and_then(|topic| reader.fetch_watermarks(&topic, partition, TURN).ok());
                Some(ClusterError::Forgotten { partition, from: next, earliest: low.map_or(next, |(low, _)| low) })
            }
            _ if is_passing(error) => None,
            _ => Some(ClusterError::Other { reason: format!("partition {partition}, offset {next}: {error}") }),
        }
    }
}

impl Cluster for Client {
    fn topic(&self, name: &str) -> Result<Topic, ClusterError> {
        self.with_reader(|reader| {
            let partitions = self.partitions(reader, name)?;
            let no_id = || ClusterError::Other { reason: "the cluster does not tell its id".to_owned() };
            let cluster = reader.client().fetch_cluster_id(PATIENCE).ok_or_else(no_id)?;
            let ask = |reader: &Reader, timeout| topic_id(reader.client().native_ptr(), name, timeout);
            let id = self.ask(reader, |reader, timeout| ask(reader, timeout).map_err(KafkaError::MetadataFetch))?;
            Ok(Topic { cluster, id, partitions })
        })
    }

    fn settings(&self, topic: &str) -> Result<TopicSettings, ClusterError> {
        self.with_reader(|reader| {
            let setting = |name| topic_setting(reader.client().native_ptr(), topic, name, PATIENCE);
            Ok(TopicSettings {
                compacted: setting("cleanup.policy").map(|policy| policy.contains("compact")),
                append_time: setting("message.timestamp.type").map(|kind| kind == "LogAppendTime"),
            })
        })
    }

    fn offsets(&self, topic: &str, partition: i32) -> Result<Range<i64>, ClusterError> {
        self.with_reader(|reader| {
            let ask = |reader: &Reader, timeout| reader.fetch_watermarks(topic, partition, timeout);
            self.ask(reader, ask).map(|(low, high)| low..high)
        })
    }

    fn high_watermark(&self, topic: &str, partition: i32) -> Result<i64, ClusterError> {
        let reader = self.connect(true)?;
        self.ask(&reader, |reader, timeout| reader.fetch_watermarks(topic, partition, timeout)).map(|(_, high)| high)
    }

    fn offset_at(&self, topic: &str, partition: i32, time: i64) -> Result<Option<i64>, ClusterError> {
        let of_time = |reader: &Reader, timeout| {
            let mut times = TopicPartitionList::new();
            times.add_partition_offset(topic, partition, Offset::Offset(time))?;
            reader.offsets_for_times(times, timeout)
        };
        let found = self.with_reader(|reader| self.ask(reader, of_time))?;
        let found = found.find_partition(topic, partition).map(|found| found.offset());
        Ok(match found {
            Some(Offset::Offset(offset)) => Some(offset),
            _ => None,
        })
    }

    fn read(
        &self,
        topic: &str,
        partition: i32,
        offsets: Range<i64>,
        take: &mut dyn FnMut(&Record<'_>) -> std::io::Result<()>,
    ) -> std::io::Result<Result<(), ClusterError>> {
        let mut outcome = Ok(());
        let read = self.with_reader(|reader| {
            let refused = |error: KafkaError| ClusterError::Other { reason: error.to_string() };
            let mut assigned = TopicPartitionList::new();
            assigned.add_partition_offset(topic, partition, Offset::Offset(offsets.start)).map_err(refused)?;
            let no_partition = || ClusterError::Other { reason: format!("the topic has no partition {partition}") };
            let fetched = Fetched::of(reader, topic, partition).ok_or_else(no_partition)?;
            reader.assign(&assigned).map_err(refused)?;
            let done = self.drain(reader, fetched, partition, &offsets, take);
            let _ = reader.unassign();
            match done {
                Ok(read) => read,
                Err(error) => {
                    outcome = Err(error);
                    Ok(())
                }
            }
        });
        outcome.map(|()| read)
    }
}

impl WritableCluster for Client {
    fn writer(&self, id: &str) -> Result<Box<dyn Writer>, ClusterError> {
        Ok(Box::new(Transactions::new(self.config()?, id, &self.access.brokers)?))
    }

    fn create_compacted(&self, topic: &str) -> Result<(), ClusterError> {
        create_compacted(&self.config()?, topic)
    }
}

/// The certificates of a file, in PEM.
fn certificates(path: &Path) -> Result<String, ClusterError> {
    let unread = |reason: String| ClusterError::Authorities { path: path.display().to_string(), reason };
    let text = std::fs::read_to_string(path).map_err(|error| unread(error.to_string()))?;
    match text.contains("-----BEGIN CERTIFICATE-----") {
        true => Ok(text),
        false => Err(unread("it holds no certificate".to_owned())),
    }
}

/// Whether a failure may pass by itself.
fn is_passing(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    match error.rdkafka_error_code() {
        Some(code) => matches!(
            code,
            Code::BrokerTransportFailure
                | Code::AllBrokersDown
                | Code::OperationTimedOut
                | Code::TimedOutQueue
                | Code::RequestTimedOut
                | Code::LeaderNotAvailable
                | Code::NotLeaderForPartition
                | Code::NetworkException
                | Code::BrokerNotAvailable
                | Code::Resolve
                | Code::Authentication
                | Code::SSL
                | Code::GroupAuthorizationFailed
                | Code::CoordinatorNotAvailable
                | Code::CoordinatorLoadInProgress
                | Code::NotCoordinator
        ),
        None => false,
    }
}
