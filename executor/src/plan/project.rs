//! The pipeline's texts, read from disk: the main file and what it includes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flowc_planner::Texts;
use flowc_planner::key::KeyHasher;

use crate::{Error, Options};

/// A pipeline on disk.
pub(crate) struct Project {
    /// The folder that relative paths start from.
    pub base: PathBuf,
    /// All texts, main file first.
    pub texts: Arc<Texts>,
    /// The files behind the texts, as opened.
    pub files: Vec<PathBuf>,
    /// BLAKE3 of each of these files, as it was read.
    pub read: Vec<(PathBuf, [u8; 32])>,
    /// Hash of all texts and parameters: equal for equal plans, as far as the texts decide.
    pub digest: [u8; 32],
}

impl Project {
    /// Reads the main file and, step by step, everything included.
    pub(crate) fn load(options: &Options) -> Result<Self, Error> {
        let main = std::fs::canonicalize(&options.pipeline)
            .map_err(|cause| Error::File { path: options.pipeline.clone(), cause })?;
        let base = main.parent().unwrap_or(Path::new("/")).to_path_buf();
        let name = main.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let text = std::fs::read_to_string(&main).map_err(|cause| Error::File { path: main.clone(), cause })?;
        let mut hasher = KeyHasher::new("flowc texts 1");
        hasher.bytes(name.as_bytes()).bytes(text.as_bytes());
        for (param, value) in &options.params {
            hasher.bytes(param.as_bytes()).bytes(value.as_bytes());
        }
        let mut read = vec![(main.clone(), hash(&text))];
        let (mut texts, mut files) = (Texts::new(&name, text), vec![main]);
        loop {
            let missing = texts.missing_includes();
            if missing.is_empty() {
                break;
            }
            for request in missing {
                let path = base.join(&request.path);
                match read_file(&path, request.is_binary) {
                    Ok((text, digest)) => {
                        hasher.bytes(request.path.as_bytes()).bytes(text.as_bytes());
                        read.push((path.clone(), digest));
                        texts.add(&request.path, text);
                    }
                    Err(cause) => texts.add_unreadable(&request.path, &cause.to_string()),
                }
                files.push(path);
            }
        }
        Ok(Self { base, texts: Arc::new(texts), files, read, digest: hasher.finish() })
    }

    /// Where the lock lies: beside the pipeline, under its name.
    pub(crate) fn lock_path(&self) -> PathBuf {
        self.files[0].with_extension("lock")
    }
}

/// The text of a file, or its bytes in base64, and BLAKE3 of what it holds.
fn read_file(path: &Path, is_binary: bool) -> std::io::Result<(String, [u8; 32])> {
    if is_binary {
        let bytes = std::fs::read(path)?;
        return Ok((STANDARD.encode(&bytes), *blake3::hash(&bytes).as_bytes()));
    }
    let text = std::fs::read_to_string(path)?;
    let digest = hash(&text);
    Ok((text, digest))
}

/// BLAKE3 of a text.
pub(crate) fn hash(text: &str) -> [u8; 32] {
    *blake3::hash(text.as_bytes()).as_bytes()
}
