//! An object, or a folder of objects, as a sink.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use flowc_objects::{Bucket, ObjectError};
use flowc_planner::plan::{ObjectSink, SinkSpec, Target};

use super::buckets::Buckets;
use super::folder::{FolderTransaction, Found, list};
use super::manifest;
use super::place::{Place, failed, stamp};
use super::single::SingleTransaction;
use crate::error::SinkError;
use crate::files::manifest::MANIFEST;
use crate::formats::check::check;
use crate::sink::{Dataset, Remembered, Sink, Transaction};
use crate::state::{Intact, SinkState, result_digest};

/// A sink that writes objects.
pub(crate) struct ObjectsSink {
    spec: SinkSpec,
    objects: ObjectSink,
    buckets: Arc<Buckets>,
}

impl ObjectsSink {
    /// Asks no service yet.
    pub(crate) fn new(spec: &SinkSpec, objects: &ObjectSink, buckets: Arc<Buckets>) -> Self {
        Self { spec: spec.clone(), objects: objects.clone(), buckets }
    }

    fn place(&self) -> Result<Place, ObjectError> {
        Ok(Place { bucket: self.buckets.of(&self.objects)?, objects: self.objects.clone() })
    }

    /// The first thing that is not as a state says.
    fn difference(&self, state: &SinkState) -> Result<Intact, ObjectError> {
        let place = self.place()?;
        if !self.objects.is_folder {
            let Some(file) = state.files.first() else { return Ok(Intact::Missing(place.shown(""))) };
            let same = stamp(&place.bucket.find(&self.objects.address.key)?) == file.stamp;
            return Ok(if same { Intact::Yes } else { Intact::Altered(place.shown("")) });
        }
        let found = list(&place)?;
        let differs = |path: &str, expected| match found.get(path).map(stamp) {
            Some(stamp) if Some(stamp) == expected => None,
            Some(_) => Some(Intact::Altered(place.shown(path))),
            None => Some(Intact::Missing(place.shown(path))),
        };
        let mut files = state.files.iter().map(|file| (file.path.as_str(), Some(file.stamp)));
        let difference = files.find_map(|(path, expected)| differs(path, expected));
        match difference.or_else(|| differs(MANIFEST, state.manifest)) {
            Some(difference) => Ok(difference),
            None => leftover(&place, &found, state),
        }
    }
}

/// An object that has left the folder, and is still there. Others may put objects there that are theirs: the manifest knows.
fn leftover(place: &Place, found: &Found, state: &SinkState) -> Result<Intact, ObjectError> {
    let listed: BTreeSet<&str> = state.files.iter().map(|file| file.path.as_str()).chain([MANIFEST]).collect();
    if found.keys().all(|path| listed.contains(path.as_str())) {
        return Ok(Intact::Yes);
    }
    let manifest = manifest::read(place)?.and_then(|(_, manifest)| manifest).unwrap_or_default();
    let left = manifest.leaving.iter().find(|path| found.contains_key(*path));
    Ok(left.map_or(Intact::Yes, |path| Intact::Altered(place.shown(path))))
}

impl Sink for ObjectsSink {
    fn place(&self) -> Vec<u8> {
        let ObjectSink { address, is_folder, endpoint, .. } = &self.objects;
        format!("objects//{is_folder}/{}/{address}", endpoint.as_deref().unwrap_or_default()).into_bytes()
    }

    fn result(&self, dataset: &Dataset<'_>) -> [u8; 32] {
        result_digest(&shaping(&self.spec), &dataset.schema, dataset.segments)
    }

    /// By one request for an object, and one per thousand objects of a folder; one more where there are objects that are not the folder's.
    /// What does not answer is asked again when it is written.
    fn is_intact(&self, state: &SinkState) -> Intact {
        self.difference(state).unwrap_or_else(|_| Intact::Missing(PathBuf::from(self.objects.address.to_string())))
    }

    fn open(&self, dataset: &Dataset<'_>, earlier: Remembered<'_>) -> Result<Box<dyn Transaction>, SinkError> {
        check(&self.spec, &dataset.schema)?;
        let place = self.place().map_err(|error| failed(&self.objects, &error))?;
        let shaping = shaping(&self.spec);
        Ok(match self.objects.is_folder {
            true => Box::new(FolderTransaction::new(&place, &shaping, dataset, earlier.finalized)?),
            false => Box::new(SingleTransaction::new(&place, &shaping, dataset, earlier.finalized)?),
        })
    }
}

/// What of a specification shapes objects: not how their store is reached.
fn shaping(spec: &SinkSpec) -> SinkSpec {
    let Target::Objects(objects) = &spec.target else { return spec.clone() };
    let objects = ObjectSink { region: None, endpoint: None, anonymous: false, ..objects.as_ref().clone() };
    SinkSpec { target: Target::Objects(Box::new(objects)), ..spec.clone() }
}
