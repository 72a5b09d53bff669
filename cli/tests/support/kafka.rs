//! A broker of Apache Kafka, as a test sees it.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

/// How long the broker may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The address of a listener of the broker that `cargo xtask test` starts.
pub(crate) fn broker(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} names a broker: run `cargo xtask test`, or `cargo xtask kafka cargo test --test kafka`")
    })
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// A topic of its own for each test.
pub(crate) struct TestTopic {
    pub(crate) name: String,
    admin: AdminClient<DefaultClientContext>,
    partitions: i32,
    settings: Vec<(&'static str, &'static str)>,
}

impl TestTopic {
    pub(crate) fn new(partitions: i32) -> Self {
        Self::with_settings(partitions, &[])
    }

    /// One that is configured so.
    pub(crate) fn with_settings(partitions: i32, settings: &[(&'static str, &'static str)]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Self::named(name, partitions, settings)
    }

    /// One that has this name.
    pub(crate) fn named(name: String, partitions: i32, settings: &[(&'static str, &'static str)]) -> Self {
        let admin = ClientConfig::new().set("bootstrap.servers", broker("FLOWC_KAFKA")).create().unwrap();
        let topic = Self { name, admin, partitions, settings: settings.to_vec() };
        topic.create();
        topic
    }

    pub(crate) fn create(&self) {
        let new = NewTopic::new(&self.name, self.partitions, TopicReplication::Fixed(1));
        let new = self.settings.iter().fold(new, |new, (name, value)| new.set(name, value));
        let created = wait(self.admin.create_topics([&new], &AdminOptions::new().operation_timeout(Some(PATIENCE))));
        created.unwrap().remove(0).unwrap();
    }

    pub(crate) fn delete(&self) {
        let deleted =
            wait(self.admin.delete_topics(&[&self.name], &AdminOptions::new().operation_timeout(Some(PATIENCE))));
        deleted.unwrap().remove(0).unwrap();
    }

    /// Removes records before an offset, as retention does.
    pub(crate) fn forget(&self, partition: i32, before: i64) {
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(&self.name, partition, Offset::Offset(before)).unwrap();
        wait(self.admin.delete_records(&offsets, &AdminOptions::new())).unwrap();
    }

    /// All records that were committed, by partitions.
    pub(crate) fn records(&self) -> Vec<Committed> {
        self.each(Committed::new)
    }

    /// The values of all records that were committed.
    pub(crate) fn values(&self) -> Vec<Vec<u8>> {
        self.each(|message| message.payload().unwrap_or_default().to_vec())
    }

    fn each<T>(&self, take: impl Fn(&BorrowedMessage<'_>) -> T) -> Vec<T> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", broker("FLOWC_KAFKA")).set("group.id", "test");
        config.set("enable.partition.eof", "true").set("fetch.wait.max.ms", "10");
        let consumer: BaseConsumer = config.create().unwrap();
        let mut assigned = TopicPartitionList::new();
        for partition in 0..self.partitions {
            assigned.add_partition_offset(&self.name, partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&assigned).unwrap();
        let (mut records, mut ended) = (Vec::new(), 0);
        while ended < self.partitions {
            match consumer.poll(PATIENCE).unwrap() {
                Ok(message) => records.push((message.partition(), take(&message))),
                Err(KafkaError::PartitionEOF(_)) => ended += 1,
                Err(error) => panic!("{error}"),
            }
        }
        records.sort_by_key(|(partition, _)| *partition);
        records.into_iter().map(|(_, record)| record).collect()
    }

    /// Appends records without keys.
    pub(crate) fn append(&self, partition: i32, values: impl IntoIterator<Item = String>) {
        let producer = producer(None);
        values.into_iter().for_each(|value| self.send(&producer, partition, &value));
        producer.flush(PATIENCE).unwrap();
    }

    /// Appends records of bytes to the first partition; without a value one is a tombstone.
    pub(crate) fn append_bytes<'a>(&self, values: impl IntoIterator<Item = Option<&'a [u8]>>) {
        let producer = producer(None);
        for value in values {
            let record = BaseRecord::<[u8], [u8]>::to(&self.name).partition(0).key(b"key").timestamp(1_700_000_000_000);
            let record = match value {
                Some(value) => record.payload(value),
                None => record,
            };
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(PATIENCE).unwrap();
    }

    /// Hands a record to a producer.
    pub(crate) fn send(&self, producer: &BaseProducer, partition: i32, value: &str) {
        let record =
            BaseRecord::<(), str>::to(&self.name).partition(partition).payload(value).timestamp(1_700_000_000_000);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }

    /// Appends a record with a key and a header; without a value it is a tombstone.
    pub(crate) fn append_with_key(&self, key: &[u8], value: Option<&str>, header: &str) {
        let producer = producer(None);
        let headers = OwnedHeaders::new().insert(Header { key: "trace", value: Some(header) });
        let record = BaseRecord::<[u8], str>::to(&self.name).partition(0).key(key).headers(headers);
        let record = record.timestamp(1_700_000_000_123);
        let record = match value {
            Some(value) => record.payload(value),
            None => record,
        };
        producer.send(record).map_err(|(error, _)| error).unwrap();
        producer.flush(PATIENCE).unwrap();
    }
}

/// A record that was committed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Committed {
    pub(crate) partition: i32,
    pub(crate) timestamp: i64,
    pub(crate) key: Option<String>,
    pub(crate) value: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
}

impl Committed {
    fn new(message: &BorrowedMessage<'_>) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let headers = message.headers().into_iter().flat_map(BorrowedHeaders::iter);
        Self {
            partition: message.partition(),
            timestamp: message.timestamp().to_millis().unwrap(),
            key: message.key().map(text),
            value: message.payload().map(text),
            headers: headers.map(|header| (header.key.to_owned(), text(header.value.unwrap_or_default()))).collect(),
        }
    }
}

/// A producer; of transactions, if they have an id.
pub(crate) fn producer(transactions: Option<&str>) -> BaseProducer {
    let producer = unready(transactions);
    if transactions.is_some() {
        producer.init_transactions(PATIENCE).unwrap();
    }
    producer
}

/// A producer of transactions, unless another one is quicker.
pub(crate) fn try_producer(transactions: &str) -> Option<BaseProducer> {
    let producer = unready(Some(transactions));
    producer.init_transactions(PATIENCE).ok().map(|()| producer)
}

fn unready(transactions: Option<&str>) -> BaseProducer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker("FLOWC_KAFKA")).set("linger.ms", "1");
    if let Some(id) = transactions {
        config.set("transactional.id", id);
    }
    config.create().unwrap()
}

/// A way to the broker that can be shut. There is one: who holds it is alone.
pub(crate) struct Gate {
    shared: Arc<Shared>,
    _alone: MutexGuard<'static, ()>,
}

struct Shared {
    open: AtomicBool,
    /// Bytes from the broker until the gate shuts by itself.
    left: AtomicU64,
    streams: Mutex<Vec<TcpStream>>,
}

impl Gate {
    /// Opens the gate.
    pub(crate) fn new() -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        static SHARED: Mutex<Option<Arc<Shared>>> = Mutex::new(None);
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = SHARED.lock().unwrap().get_or_insert_with(listen).clone();
        let gate = Self { shared, _alone: alone };
        gate.open();
        gate
    }

    /// The address of the broker, seen through the gate.
    pub(crate) fn address() -> String {
        broker("FLOWC_KAFKA_GATE").split_whitespace().next().unwrap().to_owned()
    }

    pub(crate) fn open(&self) {
        self.shared.left.store(u64::MAX, Ordering::SeqCst);
        self.shared.open.store(true, Ordering::SeqCst);
    }

    /// From now on there is no broker.
    pub(crate) fn shut(&self) {
        self.shared.shut();
    }

    /// The broker dies once it has sent this many bytes.
    pub(crate) fn shut_after(&self, bytes: u64) {
        self.shared.left.store(bytes, Ordering::SeqCst);
    }
}

impl Shared {
    fn shut(&self) {
        self.open.store(false, Ordering::SeqCst);
        self.streams.lock().unwrap().drain(..).for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
    }
}

fn listen() -> Arc<Shared> {
    let streams = Mutex::default();
    let shared = Arc::new(Shared { open: AtomicBool::new(true), left: AtomicU64::new(u64::MAX), streams });
    let listener = TcpListener::bind(Gate::address()).unwrap();
    let behind = broker("FLOWC_KAFKA_GATE").split_whitespace().nth(1).unwrap().to_owned();
    let accepted = shared.clone();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            if !accepted.open.load(Ordering::SeqCst) {
                let _ = client.shutdown(Shutdown::Both);
                continue;
            }
            let server = TcpStream::connect(&behind).unwrap();
            let both = [client.try_clone().unwrap(), server.try_clone().unwrap()];
            accepted.streams.lock().unwrap().extend(both);
            let (to_server, to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            std::thread::spawn(move || pass_on(client, to_server, None));
            let counted = accepted.clone();
            std::thread::spawn(move || pass_on(server, to_client, Some(&counted)));
        }
    });
    shared
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, counted: Option<&Shared>) {
    let mut bytes = vec![0; 1 << 16];
    while let Ok(length @ 1..) = from.read(&mut bytes) {
        if let Some(shared) = counted {
            let taken = |left: u64| Some(left.saturating_sub(if left == u64::MAX { 0 } else { length as u64 }));
            let _ = shared.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, taken);
            if shared.left.load(Ordering::SeqCst) == 0 {
                return shared.shut();
            }
        }
        if to.write_all(&bytes[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}
