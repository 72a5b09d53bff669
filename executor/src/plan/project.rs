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
        let (mut texts, mut files, mut imported) = (Texts::new(&name, text), vec![main], Vec::new());
        loop {
            let missing = texts.missing_includes();
            if missing.is_empty() {
                break;
            }
            for request in missing {
                let path = base.join(&request.path);
                match FileText::read(&path, request.is_binary) {
                    Ok(FileText { text, of }) => {
                        hasher.bytes(request.path.as_bytes()).bytes(text.as_bytes());
                        imported.extend(of.iter().map(|(file, _)| file.clone()).filter(|file| *file != path));
                        read.extend(of);
                        texts.add(&request.path, text);
                    }
                    Err(reason) => texts.add_unreadable(&request.path, &reason),
                }
                files.push(path);
            }
        }
        files.extend(imported);
        Ok(Self { base, texts: Arc::new(texts), files, read, digest: hasher.finish() })
    }

    /// Where the lock lies: beside the pipeline, under its name.
    pub(crate) fn lock_path(&self) -> PathBuf {
        self.files[0].with_extension("lock")
    }
}

/// What a file says, as the planner takes it.
struct FileText {
    /// Text, or bytes in base64.
    text: String,
    /// The files that it is made of, with BLAKE3 of what they held.
    of: Vec<(PathBuf, [u8; 32])>,
}

impl FileText {
    /// Reads a file. Where bytes are meant, a text of Protocol Buffers stands for its descriptors.
    fn read(path: &Path, is_binary: bool) -> Result<Self, String> {
        if is_binary && path.extension().is_some_and(|ending| ending == "proto") {
            let (descriptors, of) = flowc_sources::compiled_proto(path)?;
            return Ok(Self { text: STANDARD.encode(descriptors), of });
        }
        let bytes = std::fs::read(path).map_err(|cause| cause.to_string())?;
        let of = vec![(path.to_owned(), *blake3::hash(&bytes).as_bytes())];
        let text = match is_binary {
            true => STANDARD.encode(bytes),
            false => String::from_utf8(bytes).map_err(|_| "stream did not contain valid UTF-8".to_owned())?,
        };
        Ok(Self { text, of })
    }
}

/// BLAKE3 of a text.
pub(crate) fn hash(text: &str) -> [u8; 32] {
    *blake3::hash(text.as_bytes()).as_bytes()
}
