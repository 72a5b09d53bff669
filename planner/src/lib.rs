//! KDL text to a canonical, content-hashed plan: a function of values. No files, no processes, no runtimes.
//!
//! The way from text to plan, each step a type: texts -> [`syntax`] `Document` -> `Pipeline` -> `Resolved` ->
//! [`plan::Plan`]. What the planner has to know of the world it asks through [`catalogue::Catalogue`].

pub mod catalogue;
pub mod key;
pub mod plan;
