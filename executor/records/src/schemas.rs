//! The schemas in which records were written, by the ids with which they begin. An id means one schema for ever, so what a registry told once is kept.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use flowc_planner::plan::Registry;
use flowc_platform::lock;

use crate::registry::{RegistryClient, RegistryError};

/// What of a registry readers of records need.
pub trait SchemaById: Send + Sync {
    /// The schema of an id; none if there is no such id.
    ///
    /// # Errors
    /// If it can't be told.
    fn schema(&self, id: u32) -> Result<Option<Arc<str>>, RegistryError>;
}

/// The schemas of one registry. It is asked once for each id, in all runs together.
pub struct WriterSchemas {
    registry: Registry,
    base: PathBuf,
    /// Where schemas are kept.
    folder: PathBuf,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    schemas: HashMap<u32, Option<Arc<str>>>,
    client: Option<Arc<RegistryClient>>,
}

impl WriterSchemas {
    /// Asks nobody yet. What it is told is kept in `folder`. Paths start from `base`.
    pub fn new(registry: &Registry, base: &Path, folder: &Path) -> Self {
        let of_registry = blake3::hash(registry.url.as_bytes()).to_hex();
        let folder = folder.join(&of_registry[..16]);
        Self { registry: registry.clone(), base: base.to_owned(), folder, known: Mutex::default() }
    }

    fn ask(&self, known: &mut Known, id: u32) -> Result<Option<Arc<str>>, RegistryError> {
        let place = self.folder.join(format!("{id}.avsc"));
        if let Ok(kept) = std::fs::read_to_string(&place) {
            return Ok(Some(kept.into()));
        }
        let client = match &known.client {
            Some(client) => client.clone(),
            None => known.client.insert(Arc::new(RegistryClient::new(&self.registry, &self.base)?)).clone(),
        };
        match client.by_id(id) {
            Ok(schema) => {
                // One that can't be kept is asked for again.
                let _ = keep(&place, &schema);
                Ok(Some(schema.into()))
            }
            Err(RegistryError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl SchemaById for WriterSchemas {
    fn schema(&self, id: u32) -> Result<Option<Arc<str>>, RegistryError> {
        let mut known = lock(&self.known);
        if let Some(schema) = known.schemas.get(&id) {
            return Ok(schema.clone());
        }
        let schema = self.ask(&mut known, id)?;
        known.schemas.insert(id, schema.clone());
        Ok(schema)
    }
}

/// Written beside and renamed, so that a schema is whole or absent.
fn keep(place: &Path, schema: &str) -> std::io::Result<()> {
    let folder = place.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(schema.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(place).map(drop).map_err(|error| error.error)
}
