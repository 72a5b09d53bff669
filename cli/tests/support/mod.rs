//! What the tests of the binary share.

#![allow(dead_code, reason = "not every test uses all")]

pub(crate) mod components;
pub(crate) mod crates;
pub(crate) mod cuts;
pub(crate) mod databases;
pub(crate) mod edits;
pub(crate) mod engine;
pub(crate) mod hosts;
pub(crate) mod http_gate;
pub(crate) mod kafka;
pub(crate) mod objects;
pub(crate) mod oracle;
pub(crate) mod processes;
pub(crate) mod project;
pub(crate) mod records;
pub(crate) mod registry;
pub(crate) mod results;
pub(crate) mod server;
pub(crate) mod transcript;
pub(crate) mod worked;
