//! Reads everything and compares it with its digests.

use crate::segment::Segment;
use crate::{Store, StoreError, StoredColumn};

/// A result whose bytes are not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The stored column.
    pub column: StoredColumn,
    /// How the bytes differ from what was written.
    pub reason: String,
}

impl Store {
    /// Reads every column and compares it with its content digest. With `repair`, damaged results are forgotten, so that
    /// the next run that needs them computes them again.
    ///
    /// # Errors
    /// If the index or an object can't be read. Damage is no error.
    pub fn verify(&self, repair: bool) -> Result<Vec<Damage>, StoreError> {
        let look_up = || Ok(self.shared.with_index(|index| index.all_places())?.unwrap_or_default());
        let needs = |all: &Vec<StoredColumn>| all.iter().map(StoredColumn::need).collect::<Vec<_>>();
        let columns = self.shared.lease.look_up(look_up, needs)?;
        self.shared.objects.forget();
        let mut damages = Vec::new();
        let mut open: Option<(StoredColumn, Result<Segment, String>)> = None;
        for column in &columns {
            let (_, segment) = match open.take().filter(|(before, _)| is_same_file(before, column)) {
                Some(same) => open.insert(same),
                None => open.insert((*column, self.open_anew(column)?)),
            };
            let checked = segment.as_ref().map_err(String::clone).and_then(|segment| check(segment, column));
            if let Err(reason) = checked {
                damages.push(Damage { column: *column, reason });
            }
        }
        if repair {
            damages.iter().try_for_each(|damage| self.discard(&damage.column))?;
        }
        Ok(damages)
    }

    /// Opens a segment file whatever was checked in it before. The inner error is damage.
    fn open_anew(&self, column: &StoredColumn) -> Result<Result<Segment, String>, StoreError> {
        match self.shared.objects.bytes(&column.location) {
            Ok(bytes) => Ok(Segment::open(bytes, column.location.check)),
            Err(StoreError::Damaged { reason, .. }) => Ok(Err(reason)),
            Err(error) => Err(error),
        }
    }
}

fn is_same_file(a: &StoredColumn, b: &StoredColumn) -> bool {
    let file = |column: &StoredColumn| (column.location.object, column.location.offset, column.location.check);
    file(a) == file(b)
}

fn check(segment: &Segment, column: &StoredColumn) -> Result<(), String> {
    let place = column.location.column as usize;
    if segment.content(place) != Some(&column.content) || segment.rows() != column.rows {
        return Err("its digests are not what was written".into());
    }
    (0..segment.chunks()).try_for_each(|chunk| segment.chunk(chunk, &[place]).map(|_| ()))
}
