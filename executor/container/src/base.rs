//! The image that another one starts from, as an engine exports it.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Take};
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use tar::EntryType;

/// An exported image.
pub(crate) struct BaseImage {
    file: File,
    places: HashMap<PathBuf, Place>,
    /// What the image says of itself.
    pub(crate) config: Value,
    /// Its layers in the archive, lowest first.
    pub(crate) layers: Vec<PathBuf>,
}

/// Where a file lies in the archive.
enum Place {
    Bytes { start: u64, length: u64 },
    Link(PathBuf),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Manifest {
    config: PathBuf,
    layers: Vec<PathBuf>,
}

impl BaseImage {
    /// Reads what an engine exported.
    ///
    /// # Errors
    /// If it is not an image's archive; in words.
    pub(crate) fn read(file: File) -> Result<Self, String> {
        let places = places(&file).map_err(|error| format!("its export can't be read: {error}"))?;
        let mut image = Self { file, places, config: Value::Null, layers: Vec::new() };
        let manifests: Vec<Manifest> = image.json(Path::new("manifest.json"))?;
        let manifest = manifests.into_iter().next().ok_or("its export holds no image")?;
        image.config = image.json(&manifest.config)?;
        image.layers = manifest.layers;
        Ok(image)
    }

    /// A file of the archive, and its length.
    pub(crate) fn open(&mut self, path: &Path) -> Result<(Take<&mut File>, u64), String> {
        let mut path = path.to_owned();
        // Equal layers are links to the first one.
        for _ in 0..2 {
            match self.places.get(&path) {
                Some(Place::Link(to)) => path = joined(path.parent().unwrap_or(Path::new("")), to),
                Some(Place::Bytes { start, length }) => {
                    let (start, length) = (*start, *length);
                    self.file.seek(SeekFrom::Start(start)).map_err(|error| error.to_string())?;
                    return Ok(((&mut self.file).take(length), length));
                }
                None => break,
            }
        }
        Err(format!("its export lacks {}", path.display()))
    }

    fn json<T: serde::de::DeserializeOwned>(&mut self, path: &Path) -> Result<T, String> {
        let mut text = String::new();
        let (mut file, _) = self.open(path)?;
        file.read_to_string(&mut text).map_err(|error| error.to_string())?;
        serde_json::from_str(&text).map_err(|error| format!("{} in its export: {error}", path.display()))
    }
}

fn places(file: &File) -> std::io::Result<HashMap<PathBuf, Place>> {
    let mut archive = tar::Archive::new(file);
    let mut places = HashMap::new();
    for entry in archive.entries_with_seek()? {
        let entry = entry?;
        let path = entry.path()?.into_owned();
        let place = match (entry.header().entry_type(), entry.link_name()?) {
            (EntryType::Symlink, Some(to)) => Place::Link(to.into_owned()),
            _ => Place::Bytes { start: entry.raw_file_position(), length: entry.size() },
        };
        places.insert(path, place);
    }
    Ok(places)
}

fn joined(folder: &Path, to: &Path) -> PathBuf {
    let mut path = PathBuf::new();
    for part in folder.components().chain(to.components()) {
        match part {
            Component::ParentDir => drop(path.pop()),
            Component::Normal(name) => path.push(name),
            _ => {}
        }
    }
    path
}
