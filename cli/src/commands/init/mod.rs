//! `flowc init`: something small that works, to start from.

mod pipeline;
mod sdk;
mod stage;

use std::borrow::Cow;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::args::InitArgs;
use crate::exit::Exit;
use crate::report::Failure;

pub(super) fn run(args: &InitArgs) -> Result<Exit, Failure> {
    let folder = args.directory.strip_prefix(".").unwrap_or(&args.directory);
    match args.stage {
        None => pipeline::run(folder),
        Some(language) => stage::run(language, folder),
    }
}

/// A file to write.
struct File {
    path: PathBuf,
    content: Cow<'static, [u8]>,
}

impl File {
    fn new(path: PathBuf, text: impl Into<Cow<'static, str>>) -> Self {
        let content = match text.into() {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        };
        Self { path, content }
    }
}

/// Writes all files, or none if one of them is there already.
fn write_all(files: &[File]) -> Result<(), Failure> {
    if let Some(taken) = files.iter().find(|file| file.path.exists()) {
        return Err(Failure::command(format!("{} is there already; nothing was written", taken.path.display())));
    }
    files.iter().try_for_each(|file| write(&file.path, &file.content))
}

fn write(path: &Path, content: &[u8]) -> Result<(), Failure> {
    let write = || {
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
        OpenOptions::new().write(true).create_new(true).open(path)?.write_all(content)
    };
    write().map_err(Failure::system(format!("{} cannot be written", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit;

    #[test]
    fn init_writes_once_and_never_over_something() {
        let folder = tempfile::tempdir().unwrap();
        let args = InitArgs { stage: None, directory: folder.path().join("new") };
        assert_eq!(run(&args).unwrap(), exit::OK);
        std::fs::write(args.directory.join("flow.kdl"), "mine").unwrap();
        assert_eq!(run(&args).unwrap_err().exit(), exit::MISTAKE);
        assert_eq!(std::fs::read_to_string(args.directory.join("flow.kdl")).unwrap(), "mine");
    }
}
