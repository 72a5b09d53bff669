//! `flowc init`: a small working pipeline to start from.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use super::printed;
use crate::args::InitArgs;
use crate::exit::Exit;
use crate::report::Failure;

const FILES: [(&str, &str); 3] = [
    ("flow.kdl", include_str!("../../templates/init/flow.kdl")),
    ("text/hill.txt", include_str!("../../templates/init/text/hill.txt")),
    ("text/sea.txt", include_str!("../../templates/init/text/sea.txt")),
];

pub(super) fn run(args: &InitArgs) -> Result<Exit, Failure> {
    let folder = args.directory.strip_prefix(".").unwrap_or(&args.directory);
    if let Some((taken, _)) = FILES.iter().find(|(name, _)| folder.join(name).exists()) {
        let path = folder.join(taken);
        return Err(Failure::command(format!("{} is there already; nothing was written", path.display())));
    }
    FILES.iter().try_for_each(|(name, text)| write(&folder.join(name), text))?;
    let names: String = FILES.iter().map(|(name, _)| format!("  {}\n", folder.join(name).display())).collect();
    let enter = if folder.as_os_str().is_empty() { String::new() } else { format!("cd {} && ", folder.display()) };
    printed(&format!("wrote\n{names}next: {enter}flowc run\n"))
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let write = || {
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
        OpenOptions::new().write(true).create_new(true).open(path)?.write_all(text.as_bytes())
    };
    write().map_err(|error| Failure::command(format!("{} cannot be written: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit;

    #[test]
    fn init_writes_once_and_never_over_something() {
        let folder = tempfile::tempdir().unwrap();
        let args = InitArgs { directory: folder.path().join("new") };
        assert_eq!(run(&args).unwrap(), exit::OK);
        std::fs::write(args.directory.join("flow.kdl"), "mine").unwrap();
        assert_eq!(run(&args).unwrap_err().exit(), exit::MISTAKE);
        assert_eq!(std::fs::read_to_string(args.directory.join("flow.kdl")).unwrap(), "mine");
    }
}
