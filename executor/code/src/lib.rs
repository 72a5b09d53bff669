//! The code of stages, whatever it is written in.
//!
//! A [`Tree`] is what a build, an import or a run may read of some folders: files, links and folders by their paths, named by
//! one digest. [`Snapshots`] keep trees: what runs is the copy that was hashed, not what lies in the author's folder by then.
//! [`Tools`] run the programs that build code. [`Evidence`] says by what a later run can see that a tree would still be the same.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod error;
mod evidence;
mod exact;
mod own;
mod parts;
mod reader;
mod rules;
mod snapshot;
mod tools;
mod tree;
mod walk;

pub use error::CodeError;
pub use evidence::{Evidence, variables_beginning};
pub use exact::{exact_digest, exact_stamps};
pub use own::PipelineFiles;
pub use parts::Parts;
pub use reader::{Digests, Reader};
pub use rules::Rules;
pub use snapshot::{FILES, Snapshots};
pub use tools::{FETCHING, Ran, ToolError, Tools};
pub use tree::{Entry, Tree, normal, relative};
pub use walk::Root;
