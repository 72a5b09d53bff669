//! Why a cluster can't be read or written: the reason and what to do.

/// What went wrong between flowc and a cluster. No variant holds a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClusterError {
    /// No name of a broker leads to a machine.
    #[error("the broker's name is unknown: {reason}; check the name, and that this machine can resolve it")]
    UnknownHost {
        /// What librdkafka says.
        reason: String,
    },
    /// No broker answers.
    #[error("no broker answers at {brokers}: {reason}; check the address, and that the broker runs")]
    Unreachable {
        /// As in the text.
        brokers: String,
        /// What librdkafka says.
        reason: String,
    },
    /// The login was refused.
    #[error("the broker refuses the login: {reason}; check `user`, `secret` and the mechanism in `sasl`")]
    Login {
        /// What the broker says.
        reason: String,
    },
    /// The connection is encrypted on one side alone, or certificates are not trusted.
    #[error("{reason}; {remedy}")]
    Encryption {
        /// What librdkafka says.
        reason: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The certificates that a broker is trusted by are not there.
    #[error("the certificates `{path}` can't be read: {reason}; `ca` of `tls` names a file of certificates in PEM")]
    Authorities {
        /// Their file.
        path: String,
        /// As in the text.
        reason: String,
    },
    /// The cluster does not let this user read.
    #[error("not authorized to read the topic `{topic}`; grant the user READ and DESCRIBE on it")]
    Denied {
        /// The topic.
        topic: String,
    },
    /// The cluster has no such topic.
    #[error("the cluster has no topic `{topic}`")]
    NoTopic {
        /// The topic.
        topic: String,
    },
    /// Offsets that the partition does not have any more.
    #[error(
        "partition {partition} does not have the offsets from {from} any more: retention removed those before {earliest}; \
         start at a later place"
    )]
    Forgotten {
        /// The partition.
        partition: i32,
        /// The first offset that was wanted.
        from: i64,
        /// The first offset that is there.
        earliest: i64,
    },
    /// A broker stopped answering in the middle.
    #[error("partition {partition}: no broker answers any more, at offset {offset}: {reason}; run again when they do")]
    Lost {
        /// The partition.
        partition: i32,
        /// The next offset.
        offset: i64,
        /// What librdkafka says.
        reason: String,
    },
    /// A password that can't be had.
    #[error("the secret `{secret}` is missing: {reason}")]
    Secret {
        /// Its name.
        secret: String,
        /// Why, and what to do.
        reason: String,
    },
    /// The cluster does not let this user write.
    #[error("not authorized to write: {reason}; grant the user {grant}")]
    WriteDenied {
        /// What the broker says.
        reason: String,
        /// What is missing.
        grant: String,
    },
    /// Another writer has taken the id of the transactions.
    #[error(
        "another run writes with the id `{id}` at the same time, and has ended the transaction of this one; run again when it is done"
    )]
    Fenced {
        /// The id of the transactions.
        id: String,
    },
    /// The brokers allow no transaction to last as long.
    #[error("the brokers allow no transaction of {} minutes; raise `transaction.max.timeout.ms` on them", limit.as_secs() / 60)]
    TransactionTime {
        /// How long one may last.
        limit: std::time::Duration,
    },
    /// A transaction was not committed, as far as is known.
    #[error("the transaction was not committed: {reason}")]
    Transaction {
        /// What librdkafka says.
        reason: String,
    },
    /// Anything else.
    #[error("{reason}")]
    Other {
        /// What librdkafka says.
        reason: String,
    },
}
