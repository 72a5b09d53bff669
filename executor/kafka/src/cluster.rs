//! What readers and writers ask of a cluster, and what they get.

use std::ops::Range;
use std::path::PathBuf;

use zeroize::Zeroizing;

use crate::error::ClusterError;

/// How a cluster is reached.
#[derive(Clone)]
pub struct Access {
    /// `host:port` of brokers to ask first.
    pub brokers: Vec<String>,
    /// Whether records of transactions are read that are not committed.
    pub uncommitted: bool,
    /// Who is to be told to brokers, if anybody.
    pub login: Option<Login>,
    /// Whether connections are encrypted.
    pub encrypted: bool,
    /// A file of certificates to trust instead of the system's.
    pub authorities: Option<PathBuf>,
}

/// Who reads or writes.
#[derive(Clone)]
pub struct Login {
    /// SASL's name of the mechanism: `PLAIN`.
    pub mechanism: String,
    /// The user's name.
    pub user: String,
    /// The user's password.
    pub password: Zeroizing<String>,
}

/// A topic, as the cluster has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// The cluster's id.
    pub cluster: String,
    /// The topic's id: another one if the topic was deleted and created again. Clusters of old versions have none.
    pub id: Option<String>,
    /// Numbers of its partitions, ascending.
    pub partitions: Vec<i32>,
}

/// How a topic is configured. What the cluster does not tell this user is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TopicSettings {
    /// Whether records leave its middle when later ones have their keys.
    pub compacted: Option<bool>,
    /// Whether records have the times at which the broker appended them, rather than those that producers gave them.
    pub append_time: Option<bool>,
}

/// A record of a partition.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    /// Its place in the partition.
    pub offset: i64,
    /// Milliseconds since 1970, unless the record has no time.
    pub timestamp: Option<i64>,
    /// The key's bytes.
    pub key: Option<&'a [u8]>,
    /// The value's bytes; none in a tombstone.
    pub value: Option<&'a [u8]>,
    /// The headers.
    pub headers: &'a dyn Headers,
}

/// The headers of a record, in order.
pub trait Headers {
    /// Calls `take` with name and value of each.
    fn each(&self, take: &mut dyn FnMut(&str, Option<&[u8]>));
}

/// No headers.
impl Headers for () {
    fn each(&self, _take: &mut dyn FnMut(&str, Option<&[u8]>)) {}
}

/// A record that is to be appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRecord<'a> {
    /// The partition; by the key where there is none.
    pub partition: Option<i32>,
    /// Milliseconds since 1970; the time of now where there is none.
    pub timestamp: Option<i64>,
    /// The key's bytes.
    pub key: Option<&'a [u8]>,
    /// The value's bytes; none in a tombstone.
    pub value: Option<&'a [u8]>,
    /// Names and values of its headers, in order.
    pub headers: Vec<(&'a str, Option<&'a [u8]>)>,
}

/// Appends records to topics within transactions. Another writer of the same id ends this one's transactions.
///
/// After an error the writer is of no more use: whether the transaction was committed is seen by what a new writer finds.
pub trait Writer: Send + Sync {
    /// Begins a transaction.
    ///
    /// # Errors
    /// If another writer has taken the id, or no broker answers.
    fn begin(&self) -> Result<(), ClusterError>;

    /// Hands over a record; waits while too many are on their way.
    ///
    /// # Errors
    /// If the record is too large, or brokers take none.
    fn append(&self, topic: &str, record: NewRecord<'_>) -> Result<(), ClusterError>;

    /// Makes all records of the transaction appear at once.
    ///
    /// # Errors
    /// If they do not appear, or it is not known whether they do.
    fn commit(&self) -> Result<(), ClusterError>;
}

/// A cluster with topics.
pub trait Cluster: Send + Sync {
    /// Finds a topic.
    ///
    /// # Errors
    /// If no broker answers, refuses the login, or knows the topic.
    fn topic(&self, name: &str) -> Result<Topic, ClusterError>;

    /// Asks how a topic is configured now.
    ///
    /// # Errors
    /// If the cluster can't be asked.
    fn settings(&self, topic: &str) -> Result<TopicSettings, ClusterError>;

    /// The offsets that a partition has: from its first record to behind the last one that may be read. Records of open
    /// transactions may be read only where uncommitted ones are.
    ///
    /// # Errors
    /// If no broker answers.
    fn offsets(&self, topic: &str, partition: i32) -> Result<Range<i64>, ClusterError>;

    /// Where a partition ends, records of open transactions among what it has.
    ///
    /// # Errors
    /// If no broker answers.
    fn high_watermark(&self, topic: &str, partition: i32) -> Result<i64, ClusterError>;

    /// The offset of the first record with this time (milliseconds since 1970) or a later one; none if there is none.
    ///
    /// # Errors
    /// If no broker answers.
    fn offset_at(&self, topic: &str, partition: i32, time: i64) -> Result<Option<i64>, ClusterError>;

    /// Calls `take` with each record of a range of offsets that the partition has, in order. An error of `take` ends the
    /// reading, and is the outer error.
    ///
    /// # Errors
    /// The inner error: if brokers stop answering, or do not have the range any more.
    fn read(
        &self,
        topic: &str,
        partition: i32,
        offsets: Range<i64>,
        take: &mut dyn FnMut(&Record<'_>) -> std::io::Result<()>,
    ) -> std::io::Result<Result<(), ClusterError>>;
}

/// A cluster whose topics are written to.
pub trait WritableCluster: Cluster {
    /// Makes a writer whose transactions have this id. What an earlier writer of the id has begun is ended first: committed if
    /// its commit had reached the brokers, else undone.
    ///
    /// # Errors
    /// If no broker answers, or the user may not use the id.
    fn writer(&self, id: &str) -> Result<Box<dyn Writer>, ClusterError>;

    /// Creates a topic of one partition, of which the newest record of each key stays.
    ///
    /// # Errors
    /// If the cluster refuses.
    fn create_compacted(&self, topic: &str) -> Result<(), ClusterError>;
}
