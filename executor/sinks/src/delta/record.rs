//! What a table has of a sink: a note in the table's folder, which a number in the table's log makes count.

use bytes::Bytes;
use flowc_delta::Head;
use serde::{Deserialize, Serialize};

use super::place::Place;
use crate::error::SinkError;
use crate::matching::Appended;

/// The version of the form.
const VERSION: u8 = 1;
/// The folder of notes. Tools that clean up tables leave folders alone that begin so.
const FOLDER: &str = "_flowc";

/// What a table has of a sink.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    version: u8,
    /// Identity of the dataset, and of what is made of it.
    #[serde(with = "flowc_planner::digest_form")]
    pub(super) result: [u8; 32],
    /// The version of the table that came of it, if nobody came first.
    pub(super) table_version: u64,
    /// What tells this change from all others.
    token: String,
    /// The segments that it has, in the order of the dataset.
    pub(super) segments: Vec<Appended>,
}

/// What is there.
pub(super) struct Found {
    /// The newest version; none where there is no table.
    pub(super) head: Option<Head>,
    /// What the table has of the sink.
    pub(super) record: Option<Record>,
}

impl Found {
    /// Looks at a table.
    pub(super) fn look(place: &Place) -> Result<Self, SinkError> {
        let head = place.table.head(&place.app()).map_err(|error| place.failed(error))?;
        let record = match head.as_ref().and_then(|head| head.applied) {
            None => None,
            Some(number) => Some(Record::read(place, number)?),
        };
        Ok(Self { head, record })
    }
}

impl Record {
    pub(super) fn new(result: [u8; 32], table_version: u64, token: &str, segments: Vec<Appended>) -> Self {
        Self { version: VERSION, result, table_version, token: token.to_owned(), segments }
    }

    /// The number of rows that the sink has written.
    pub(super) fn rows(&self) -> u64 {
        self.segments.iter().map(|segment| segment.rows).sum()
    }

    /// The note of a change that is in the table.
    pub(super) fn read(place: &Place, number: i64) -> Result<Self, SinkError> {
        let path = path(place, number);
        let bytes = place.table.read_note(&path).map_err(|error| place.failed(error))?;
        let lost = |why: &str| {
            place.refused(format!(
                "what flowc has written there was noted in `{path}`, which {why}; without it rows could be written twice. Restore it, or give the \
                 sink another `id` and a table without its rows"
            ))
        };
        let bytes = bytes.ok_or_else(|| lost("is not there"))?;
        let record: Self = serde_json::from_slice(&bytes).map_err(|_| lost("is damaged"))?;
        if record.version == VERSION { Ok(record) } else { Err(lost("another version of flowc wrote")) }
    }

    /// Writes the note under the first number from `number` on that is free: killed runs left those that do not count. Gives the number.
    pub(super) fn write(&self, place: &Place, number: i64) -> Result<i64, SinkError> {
        let bytes = Bytes::from(serde_json::to_vec(self).unwrap_or_default());
        for number in number.. {
            let written = place.table.write_note(&path(place, number), bytes.clone());
            if written.map_err(|error| place.failed(error))? {
                return Ok(number);
            }
        }
        Err(place.refused("there are no numbers left for notes".to_owned()))
    }

    /// Removes the notes of changes up to this one, which do not count any more.
    pub(super) fn forget(place: &Place, numbers: std::ops::Range<i64>) {
        place.table.remove(&numbers.map(|number| path(place, number)).collect::<Vec<_>>());
    }
}

fn path(place: &Place, number: i64) -> String {
    format!("{FOLDER}/{}/{number:020}.json", place.sink.id)
}
