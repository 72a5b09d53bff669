//! Damage: bytes that are not what was written. Whatever lies there is forgotten at once, all of it, so that one run
//! computes it again.

use crate::Location;

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
