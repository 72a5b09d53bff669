//! How values are spelled and converted. Formats of text and inference share it.

pub(crate) mod strict;
pub(crate) mod texts;
pub(crate) mod times;
