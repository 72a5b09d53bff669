//! Damage: bytes that are not what was written. Whatever lies there is forgotten at once, all of it, so that one run
//! computes it again.

use std::{fs, io};

use crate::error::io_at;
use crate::segment::{Reason, Segment};
use crate::store::{Shared, lock};
use crate::{Area, Location, Store, StoreError, StoredColumn};

/// How far damage reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// A column of a segment file.
    Column,
    /// A segment file, whose structure can't be trusted.
    Segment,
    /// An object, which is gone or cut short.
    Object,
}

impl Extent {
    /// Whether damage that was met in one place is in another one too.
    pub(crate) fn covers(self, damaged: &Location, other: &Location) -> bool {
        let object = damaged.object == other.object;
        let segment = object && damaged.offset == other.offset;
        match self {
            Extent::Column => segment && damaged.column == other.column,
            Extent::Segment => segment,
            Extent::Object => object,
        }
    }
}

impl Shared {
    /// Checks that a segment file holds the column that the index promises.
    pub(crate) fn check_column(&self, segment: &Segment, column: &StoredColumn) -> Result<(), StoreError> {
        let place = &column.location;
        if segment.content(place.column as usize) == Some(&column.content) && segment.rows() == column.rows {
            return Ok(());
        }
        Err(self.damaged(Extent::Column, place, "its digests are not what was written".into()))
    }

    /// Forgets what is damaged, and makes the error.
    pub(crate) fn damaged(&self, extent: Extent, place: &Location, reason: Reason) -> StoreError {
        tracing::warn!(object = %place.object, column = place.column, reason, "damaged result");
        if let Err(error) = self.forget(extent, place) {
            tracing::warn!(%error, "a damaged result can't be forgotten");
        }
        StoreError::Damaged { location: *place, reason }
    }

    /// The same for some columns of one segment file.
    pub(crate) fn damaged_columns(&self, place: &Location, columns: &[usize], reason: Reason) -> StoreError {
        for &column in columns {
            self.damaged(Extent::Column, &Location { column: column as u32, ..*place }, reason.clone());
        }
        StoreError::Damaged { location: *place, reason }
    }

    /// Forgets the results that lie there.
    pub(crate) fn forget(&self, extent: Extent, place: &Location) -> Result<(), StoreError> {
        lock(&self.uncommitted).forget(extent, place);
        if self.read_only {
            return Ok(());
        }
        self.with_index(|index| index.forget(extent, place))?;
        self.forget_found()
    }

    /// Forgets what earlier runs found here, since some of it is gone, or is not what they took it for.
    pub(crate) fn forget_found(&self) -> Result<(), StoreError> {
        let found = Store::area(&self.dir, Area::Found);
        match fs::remove_dir_all(&found) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_at("remove", &found)(error)),
            _ => Ok(()),
        }
    }
}
