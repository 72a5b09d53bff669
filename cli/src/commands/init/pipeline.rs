//! `flowc init`: a small working pipeline to start from.

use std::path::Path;

use super::{File, write_all};
use crate::commands::printed;
use crate::exit::Exit;
use crate::report::Failure;

const FLOW: &str = include_str!("../../../templates/init/flow.kdl");

/// Texts to read, for any small pipeline.
pub(super) const TEXTS: [(&str, &str); 2] = [
    ("text/hill.txt", include_str!("../../../templates/init/text/hill.txt")),
    ("text/sea.txt", include_str!("../../../templates/init/text/sea.txt")),
];

pub(super) fn run(folder: &Path) -> Result<Exit, Failure> {
    let texts = TEXTS.map(|(name, text)| File::new(folder.join(name), text));
    let files: Vec<File> = [File::new(folder.join("flow.kdl"), FLOW)].into_iter().chain(texts).collect();
    write_all(&files)?;
    let names: String = files.iter().map(|file| format!("  {}\n", file.path.display())).collect();
    let enter = if folder.as_os_str().is_empty() { String::new() } else { format!("cd {} && ", folder.display()) };
    printed(&format!("wrote\n{names}next: {enter}flowc run\n"))
}
