//! All that flowc remembers beside results, and the versions under which it is trusted.
//!
//! Results need no such version: their keys hold those of the readers, writers and kernels that shape bytes. What is remembered
//! here is either a record, which every flowc trusts that knows its form, or what this flowc made of something: a plan, a
//! description, the judgement that nothing has changed. No number says what of flowc's code shaped that, so it is
//! trusted by the same build alone ([`BUILD`]).
//!
//! Whoever changes the form of a record gives it a new version here. Runners keep files of their own (machine code, which
//! interpreter was picked, which image was made): sealed, and named by all that decides what is in them.

use flowc_store::{Area, Memo, Place};

/// The sources and the compiler that this flowc was built from.
pub(crate) const BUILD: &str = env!("FLOWC_BUILD");

/// What reading a segment of a source found. Its key holds the reader's version.
pub(crate) const SEGMENT: Memo = record(2, 2, Place::Index);
/// What a stage is, by its code.
pub(crate) const SIGNATURE: Memo = made(3, Place::Index);
/// What a stage makes of a config and schemas.
pub(crate) const DESCRIPTION: Memo = made(4, Place::Index);
/// A plan, by the texts and the lock.
pub(crate) const PLAN: Memo = made(5, Place::Index);
/// A pipeline's last good run, whose datasets lie in pages.
pub(crate) const RUN: Memo = record(7, 2, Place::Index);
/// A pipeline's last good run with all that it names, as earlier versions kept it.
pub(crate) const WHOLE_RUN: Memo = record(7, 1, Place::Index);
/// A page of a dataset of a pipeline's last good run.
pub(crate) const PAGE: Memo = record(19, 1, Place::Index);
/// What a sink holds. The state says which writer wrote it.
pub(crate) const SINK: Memo = record(8, 1, Place::IndexOrFile);
/// What is being put into a sink: runs that were killed meanwhile may have left it there.
pub(crate) const ANNOUNCED: Memo = record(32, 1, Place::Index);
/// What a stage logged.
pub(crate) const LOG: Memo = record(9, 1, Place::Index);
/// The content digest of a column that is known by its stored bytes.
pub(crate) const CONTENT: Memo = record(10, 1, Place::Index);
/// A run that is kept under a name.
pub(crate) const PIN: Memo = record(11, 1, Place::Index);
/// The files of a source, and what reading them found. Its key holds the reader's version.
pub(crate) const FILES: Memo = record(12, 3, Place::IndexOrFile);
/// What files of code hold, by their stamps; what a stage's code consists of.
pub(crate) const CODE: Memo = made(13, Place::IndexOrFile);
/// That nothing has changed since a pipeline's last run, and what that run said.
pub(crate) const UP_TO_DATE: Memo = made(16, Place::File(Area::Noop));
/// Results that a pipeline's last run found in the index.
pub(crate) const FOUND: Memo = made(14, Place::File(Area::Found));
/// What tells the results of an open stage from those of its other runs.
pub(crate) const MARK: Memo = record(15, 1, Place::Index);
/// What became of a stage when it last ran, and why it ran.
pub(crate) const RAN: Memo = record(17, 1, Place::Index);
/// What tells the results of stages of a pipeline that were forced from those before.
pub(crate) const FORCED: Memo = record(18, 1, Place::Index);
/// The adapters of this machine, by their drivers.
#[cfg(feature = "gpu")]
pub(crate) const ADAPTERS: Memo = made(20, Place::Index);
/// The identity of the adapter that kernels ran on last, which is in the keys of results.
#[cfg(feature = "gpu")]
pub(crate) const ADAPTER: Memo = record(21, 1, Place::Index);
/// The times of a segment's rows, by their content and the kind of windows.
pub(crate) const TIMES: Memo = record(24, 2, Place::Index);
/// How many rows of a segment are late, by their content, their windows and where the segment begins in time.
pub(crate) const LATE: Memo = record(31, 1, Place::Index);
/// Under which circumstances a trial found all means by which programs are isolated.
pub(crate) const TRIAL: Memo = made(41, Place::Index);
/// The device that made results whose keys name none.
pub(crate) const MADE_ON: Memo = record(40, 1, Place::Index);

/// A record.
const fn record(number: u8, version: u32, place: Place) -> Memo {
    Memo { number, version, build: None, place }
}

/// What this build of flowc made of something.
const fn made(number: u8, place: Place) -> Memo {
    Memo { number, version: 0, build: Some(BUILD), place }
}

#[cfg(test)]
mod tests;
