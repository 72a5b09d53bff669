//! What a sink has written, as its records in the anchor topic tell. They are appended in the transaction that appends the rows: so either
//! both are there or neither, whatever becomes of flowc or of its store.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use flowc_kafka::{Cluster, ClusterError, NewRecord, Record, WritableCluster, Writer};
use serde::{Deserialize, Serialize};

use crate::matching::Appended;

/// Bytes of a state that one record holds: brokers take a megabyte unless they are told otherwise.
const PAGE: usize = 900_000;
/// How long brokers may take to know a topic that was created.
const PATIENCE: Duration = Duration::from_secs(10);
/// The partition that has the records.
const PARTITION: i32 = 0;
/// The version of the form.
const VERSION: u8 = 1;

/// What a sink has written to a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Anchor {
    /// The id of the topic. Another topic of the name has none of it.
    pub(super) topic_id: Option<String>,
    /// The segments that it has, in the order of the dataset.
    pub(super) segments: Vec<Appended>,
}

/// Where the state of a sink lies.
pub(super) struct AnchorPlace<'a> {
    /// The anchor topic.
    pub(super) anchor: &'a str,
    /// What tells the sink from others: the id of its transactions, and the topic.
    pub(super) name: String,
}

impl AnchorPlace<'_> {
    /// What was committed last; none if nothing was. The outer error is that of damaged records. The topic must be there: a broker that
    /// does not know it says nothing of what was committed.
    pub(super) fn read(&self, cluster: &dyn Cluster) -> io::Result<Result<Option<Anchor>, ClusterError>> {
        let mut pages: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
        let mut take = |record: &Record<'_>| {
            if let Some(page) = record.key.and_then(|key| self.page(key)) {
                pages.insert(page, record.value.unwrap_or_default().to_vec());
            }
            Ok(())
        };
        let offsets = match cluster.offsets(self.anchor, PARTITION) {
            Ok(offsets) => offsets,
            Err(error) => return Ok(Err(error)),
        };
        if let Err(error) = cluster.read(self.anchor, PARTITION, offsets, &mut take)? {
            return Ok(Err(error));
        }
        join(&pages).map(Ok)
    }

    /// Appends a state, within a transaction.
    pub(super) fn append(&self, writer: &dyn Writer, state: &Anchor) -> Result<(), ClusterError> {
        for (page, value) in split(state).iter().enumerate() {
            let key = format!("{}/{page}", self.name);
            let (key, value) = (Some(key.as_bytes()), Some(value.as_slice()));
            let partition = Some(PARTITION);
            writer.append(self.anchor, NewRecord { partition, timestamp: None, key, value, headers: Vec::new() })?;
        }
        Ok(())
    }

    /// Creates the anchor topic if it is not there, and waits until brokers know it.
    pub(super) fn create(&self, cluster: &dyn WritableCluster) -> Result<(), ClusterError> {
        let is_known = || match cluster.topic(self.anchor) {
            Err(ClusterError::NoTopic { .. }) => Ok(false),
            found => found.map(|_| true),
        };
        if is_known()? {
            return Ok(());
        }
        cluster.create_compacted(self.anchor)?;
        let begin = Instant::now();
        while !is_known()? && begin.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// The number of a page by its key, if it is one of this sink.
    fn page(&self, key: &[u8]) -> Option<u32> {
        std::str::from_utf8(key).ok()?.strip_prefix(&self.name)?.strip_prefix('/')?.parse().ok()
    }
}

/// A state as pages. Each begins with the version and the number of pages.
fn split(state: &Anchor) -> Vec<Vec<u8>> {
    let bytes = postcard::to_allocvec(state).unwrap_or_default();
    let chunks: Vec<&[u8]> = bytes.chunks(PAGE).collect();
    let head = [&[VERSION][..], &(chunks.len() as u32).to_le_bytes()].concat();
    chunks.into_iter().map(|chunk| [&head, chunk].concat()).collect()
}

/// The state of the newest pages. Those of one transaction were committed together, and it had the first page.
fn join(pages: &BTreeMap<u32, Vec<u8>>) -> io::Result<Option<Anchor>> {
    let damaged =
        || io::Error::new(io::ErrorKind::InvalidData, "its records are damaged, or of a later version of flowc");
    let Some(first) = pages.get(&0) else { return Ok(None) };
    let count = match first.split_first() {
        Some((&VERSION, rest)) => rest.first_chunk().map(|count| u32::from_le_bytes(*count)),
        _ => None,
    };
    let mut bytes = Vec::new();
    for page in 0..count.ok_or_else(damaged)? {
        bytes.extend_from_slice(pages.get(&page).and_then(|page| page.get(5..)).ok_or_else(damaged)?);
    }
    postcard::from_bytes(&bytes).map(Some).map_err(|_| damaged())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anchor(segments: u64) -> Anchor {
        let segment = |rows| Appended { digest: [1; 32], rows, records: [2; 32] };
        Anchor { topic_id: Some("id".to_owned()), segments: (0..segments).map(segment).collect() }
    }

    #[test]
    fn a_state_of_many_segments_has_several_pages_and_a_smaller_one_leaves_old_pages_behind() {
        let mut pages: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
        for (segments, count) in [(30_000, 3), (3, 1)] {
            let written = split(&anchor(segments));
            assert_eq!(written.len(), count);
            pages.extend((0..).zip(written));
            assert_eq!(join(&pages).unwrap(), Some(anchor(segments)));
        }
        pages.insert(0, vec![9]);
        assert!(join(&pages).is_err());
    }

    #[test]
    fn pages_are_found_by_the_name_of_the_sink() {
        let place = AnchorPlace { anchor: "a", name: "flowc.t/t".to_owned() };
        let pages = ["flowc.t/t/0", "flowc.t/t/12", "flowc.t/t2/0", "flowc.t", "flowc.t/t/x"];
        assert_eq!(pages.map(|key| place.page(key.as_bytes())), [Some(0), Some(12), None, None, None]);
    }
}
