//! A writer of transactions through librdkafka.
//!
//! Of librdkafka's rules two shape this: the delivery of records is only told while somebody polls, and a transactional call that
//! timed out may be made again, while one that failed in another way leaves a producer of no use.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};

use crate::cluster::{NewRecord, Writer};
use crate::error::ClusterError;
use crate::heard::{DOWN, Heard, PATIENCE, TURN};

/// How long a transaction may last: what brokers allow unless they are told otherwise.
const LONGEST: Duration = Duration::from_secs(15 * 60);
/// How long one poll takes.
const POLL: Duration = Duration::from_millis(10);

/// A producer of transactions.
pub(crate) struct Transactions {
    producer: BaseProducer<Told>,
    told: Told,
    id: String,
    brokers: String,
    /// Whether a transaction has begun and no call of it has failed.
    is_open: AtomicBool,
}

impl Transactions {
    /// Ends what an earlier writer of the id has begun.
    pub(crate) fn new(mut config: ClientConfig, id: &str, brokers: &[String]) -> Result<Self, ClusterError> {
        config
            .set("transactional.id", id)
            .set("transaction.timeout.ms", LONGEST.as_millis().to_string())
            // As Java's clients distribute keys.
            .set("partitioner", "murmur2_random")
            // The broker says what is too large.
            .set("message.max.bytes", "1000000000")
            .set("queue.buffering.max.kbytes", "65536");
        let told = Told::default();
        let made = config.create_with_context(told.clone());
        let producer = made.map_err(|error| ClusterError::Other { reason: error.to_string() })?;
        let (id, brokers) = (id.to_owned(), brokers.join(","));
        let made = Self { producer, told, id, brokers, is_open: AtomicBool::new(false) };
        made.insist(|producer| producer.init_transactions(TURN))?;
        Ok(made)
    }

    /// Makes a call until it is answered.
    fn insist(&self, call: impl Fn(&BaseProducer<Told>) -> Result<(), KafkaError>) -> Result<(), ClusterError> {
        let begin = Instant::now();
        loop {
            let Err(error) = call(&self.producer) else { return Ok(()) };
            self.producer.poll(Duration::ZERO);
            let may_pass = matches!(&error, KafkaError::Transaction(error) if error.is_retriable());
            if let Some(failure) = self.told.heard.grave() {
                return Err(failure);
            }
            if !may_pass {
                return Err(self.failure(&error));
            }
            self.give_up_after(begin)?;
        }
    }

    /// Fails once nothing has been answered since `begin` for too long.
    fn give_up_after(&self, begin: Instant) -> Result<(), ClusterError> {
        let patience = if self.told.heard.is_down() { DOWN } else { PATIENCE };
        match begin.elapsed() > patience {
            true => {
                let (brokers, reason) = (self.brokers.clone(), self.told.heard.last());
                Err(ClusterError::Unreachable { brokers, reason })
            }
            false => Ok(()),
        }
    }

    /// Polls until `is_done`, as long as records are delivered.
    fn wait(&self, mut is_done: impl FnMut() -> bool) -> Result<(), ClusterError> {
        let mut progress = (self.told.delivered.load(Ordering::Relaxed), Instant::now());
        while !is_done() {
            self.producer.poll(POLL);
            self.told.check(self)?;
            let delivered = self.told.delivered.load(Ordering::Relaxed);
            if delivered != progress.0 {
                progress = (delivered, Instant::now());
                self.told.heard.up();
            }
            self.give_up_after(progress.1)?;
        }
        Ok(())
    }

    /// What an error means that does not pass by itself.
    fn failure(&self, error: &KafkaError) -> ClusterError {
        use RDKafkaErrorCode as Code;
        let (code, reason) = match error {
            KafkaError::Transaction(error) => (Some(error.code()), error.string()),
            other => (other.rdkafka_error_code(), other.to_string()),
        };
        let fatal = self.producer.client().fatal_error().map(|(code, _)| code);
        let denied = |grant: String| ClusterError::WriteDenied { reason: reason.clone(), grant };
        match fatal.or(code) {
            Some(Code::ProducerFenced | Code::Fenced | Code::InvalidProducerEpoch) => {
                ClusterError::Fenced { id: self.id.clone() }
            }
            Some(Code::TransactionalIdAuthorizationFailed) => {
                denied(format!("WRITE and DESCRIBE on the transactional id `{}`", self.id))
            }
            Some(Code::TopicAuthorizationFailed) => denied("WRITE and DESCRIBE on the topic".to_owned()),
            Some(Code::ClusterAuthorizationFailed) => denied("IDEMPOTENT_WRITE on the cluster".to_owned()),
            Some(Code::InvalidTransactionTimeout) => ClusterError::TransactionTime { limit: LONGEST },
            _ => ClusterError::Transaction { reason },
        }
    }

    /// Notes that a call has failed: the transaction is not to be ended by this producer.
    fn closing<T>(&self, result: Result<T, ClusterError>) -> Result<T, ClusterError> {
        if result.is_err() {
            self.is_open.store(false, Ordering::Relaxed);
        }
        result
    }
}

impl Writer for Transactions {
    fn begin(&self) -> Result<(), ClusterError> {
        self.producer.begin_transaction().map_err(|error| self.failure(&error))?;
        self.is_open.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn append(&self, topic: &str, record: NewRecord<'_>) -> Result<(), ClusterError> {
        let mut next = Some(native(topic, record));
        let mut refused = None;
        let waited = self.wait(|| {
            let Some(record) = next.take() else { return true };
            let Err((error, record)) = self.producer.send(record) else { return true };
            let is_full = error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull);
            match is_full {
                true => next = Some(record),
                false => refused = Some(self.failure(&error)),
            }
            !is_full
        });
        self.closing(waited.and(refused.map_or(Ok(()), Err)))
    }

    fn commit(&self) -> Result<(), ClusterError> {
        let delivered = self.wait(|| self.producer.in_flight_count() == 0).and_then(|()| self.told.check(self));
        self.closing(delivered)?;
        let committed = self.insist(|producer| producer.commit_transaction(TURN));
        self.is_open.store(false, Ordering::Relaxed);
        committed
    }
}

impl Drop for Transactions {
    fn drop(&mut self) {
        if self.is_open.load(Ordering::Relaxed) {
            // Else it stays open until it has lasted too long, and keeps readers from going on.
            let _ = self.producer.abort_transaction(DOWN);
        }
    }
}

fn native<'a>(topic: &'a str, record: NewRecord<'a>) -> BaseRecord<'a, [u8], [u8]> {
    let mut native = BaseRecord::to(topic);
    native.partition = record.partition;
    native.timestamp = record.timestamp;
    native.key = record.key;
    native.payload = record.value;
    if !record.headers.is_empty() {
        let headers = OwnedHeaders::new_with_capacity(record.headers.len());
        let all = record.headers.iter().fold(headers, |all, (key, value)| all.insert(Header { key, value: *value }));
        native.headers = Some(all);
    }
    native
}

/// What a producer is told of: its connections, and what became of records.
#[derive(Clone, Default)]
struct Told {
    heard: Heard,
    /// The first record that was not taken.
    failed: Arc<Mutex<Option<KafkaError>>>,
    delivered: Arc<AtomicU64>,
}

impl Told {
    fn check(&self, of: &Transactions) -> Result<(), ClusterError> {
        if let Some(grave) = self.heard.grave() {
            return Err(grave);
        }
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.as_ref().map_or(Ok(()), |error| Err(of.failure(error)))
    }
}

impl ClientContext for Told {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.heard.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.heard.error(error, reason);
    }
}

impl ProducerContext for Told {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => drop(self.delivered.fetch_add(1, Ordering::Relaxed)),
            Err((error, _)) => {
                self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| error.clone());
            }
        }
    }
}

/// Creates a topic of one partition, of which the newest record of each key stays.
pub(crate) fn create_compacted(config: &ClientConfig, topic: &str) -> Result<(), ClusterError> {
    let other = |error: KafkaError| ClusterError::Other { reason: error.to_string() };
    let admin: AdminClient<_> = config.create().map_err(other)?;
    let new = NewTopic::new(topic, 1, TopicReplication::Fixed(-1));
    // What was written before is removed soon, so that a reader has little to read.
    let new = new.set("cleanup.policy", "compact").set("segment.bytes", "16777216");
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE)).request_timeout(Some(PATIENCE));
    let refused = |code: RDKafkaErrorCode| match code {
        RDKafkaErrorCode::TopicAlreadyExists => Ok(()),
        RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::ClusterAuthorizationFailed => {
            let reason = format!("the topic `{topic}`, which says what was written, is not there");
            let grant = "CREATE on it, or create it with `cleanup.policy=compact` and one partition".to_owned();
            Err(ClusterError::WriteDenied { reason, grant })
        }
        code => Err(ClusterError::Other { reason: format!("the topic `{topic}` can't be created: {code}") }),
    };
    let created = block_on(admin.create_topics([&new], &options)).map_err(other)?;
    created.into_iter().try_for_each(|result| result.map_or_else(|(_, code)| refused(code), |_| Ok(())))
}

/// Waits for a future that another thread wakes.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let (mut context, mut future) = (Context::from_waker(&waker), pin!(future));
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}
