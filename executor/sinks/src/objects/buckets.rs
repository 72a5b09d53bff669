//! The buckets that the sinks of a run write to, each opened once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use flowc_objects::{Client, ObjectError, access};
use flowc_planner::plan::ObjectSink;
use flowc_platform::lock;

/// Buckets, by how they are reached.
#[derive(Default)]
pub(crate) struct Buckets(Mutex<HashMap<String, Arc<Client>>>);

impl Buckets {
    /// The bucket of a sink.
    pub(super) fn of(&self, objects: &ObjectSink) -> Result<Arc<Client>, ObjectError> {
        let ObjectSink { address, is_folder: _, region, endpoint, anonymous } = objects;
        let access = access(address, region.as_deref(), endpoint.as_deref(), *anonymous);
        let name = format!("{access:?}");
        let mut buckets = lock(&self.0);
        if let Some(bucket) = buckets.get(&name) {
            return Ok(bucket.clone());
        }
        let opened = Arc::new(Client::open(&access)?);
        buckets.insert(name, opened.clone());
        Ok(opened)
    }
}
