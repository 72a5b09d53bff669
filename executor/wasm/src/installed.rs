//! Compiled components that come with the program.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use flowc_planner::key::StageDigest;
use flowc_platform::{is_sealed, write_sealed};

use crate::WasmError;
use crate::component::{compile, compiled_name};
use crate::engine::{Machine, Purpose};

/// Where they lie, as seen from the folder above the program's.
const FOLDER: &str = "lib/flowc";
/// How their names end.
const ENDING: &str = "cwasm";

/// Compiled components in a folder beside the program, which whoever installs the program puts there.
///
/// Machine code is run as it is found. This code has the trust that the program's own bytes have: nobody can write it who can't write
/// the program. Its files are sealed, so damaged ones are passed over, as are those that were made for another engine or processor:
/// their names tell, and wasmtime checks it.
#[derive(Clone, Debug)]
pub struct InstalledCode {
    folder: PathBuf,
    program: Writers,
}

impl InstalledCode {
    /// The compiled components of a program; none if there are none, or if their folder is one that others can write to.
    pub fn of(program: &Path) -> Option<Self> {
        let installed = Self::at(Self::folder_of(program), program).ok()?;
        installed.is_trusted(&installed.folder).then_some(installed)
    }

    /// Compiled components of a program in any folder, which may not be there yet.
    ///
    /// # Errors
    /// If it can't be found out who can write the program.
    pub fn at(folder: PathBuf, program: &Path) -> io::Result<Self> {
        Ok(Self { folder, program: Writers::of(program)? })
    }

    /// The folder in which a program looks for its compiled components.
    pub fn folder_of(program: &Path) -> PathBuf {
        program.parent().and_then(Path::parent).unwrap_or(Path::new("/")).join(FOLDER)
    }

    /// The file of this name; none if there is none, or if it can't be trusted.
    pub fn find(&self, name: &str) -> Option<PathBuf> {
        Some(self.folder.join(name)).filter(|path| self.is_trusted(path) && is_sealed(path))
    }

    fn is_trusted(&self, path: &Path) -> bool {
        Writers::of(path).is_ok_and(|writers| writers.are_among(&self.program))
    }

    /// Compiles components to be fast where their code is not there yet, and removes all other code from the folder.
    ///
    /// # Errors
    /// If one can't be compiled, or the folder can't be written to.
    pub fn write(&self, components: &[(StageDigest, &[u8])]) -> Result<(), WasmError> {
        let machine = Machine::new(Purpose::Fast)?;
        let unwritten = |cause: io::Error| WasmError::Install(format!("{}: {cause}", self.folder.display()));
        let names: Vec<_> = components.iter().map(|(digest, _)| compiled_name(&machine, digest)).collect();
        fs::create_dir_all(&self.folder).and_then(|()| self.keep_only(&names)).map_err(unwritten)?;
        for (name, (_, component)) in names.iter().zip(components) {
            if self.find(name).is_none() {
                let code = compile(&machine, component).map_err(|problem| WasmError::Install(problem.message))?;
                self.put(name, &code).map_err(unwritten)?;
            }
        }
        Ok(())
    }

    fn keep_only(&self, names: &[String]) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let is_kept = names.iter().any(|name| path.ends_with(name));
            if !is_kept && path.extension().is_some_and(|ending| ending == ENDING) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    fn put(&self, name: &str, code: &[u8]) -> io::Result<()> {
        let path = self.folder.join(name);
        write_sealed(&path, code)?;
        // Whoever can run the program can read it.
        fs::set_permissions(&path, Permissions::from_mode(0o644))
    }
}

/// Who can write a file, beside root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Writers {
    owner: u32,
    group: Option<u32>,
    all: bool,
}

impl Writers {
    fn of(path: &Path) -> io::Result<Self> {
        let file = fs::metadata(path)?;
        let (group, all) = (file.mode() & 0o020 != 0, file.mode() & 0o002 != 0);
        Ok(Self { owner: file.uid(), group: group.then_some(file.gid()), all })
    }

    /// Whether all of them are among those who can write another file.
    fn are_among(&self, others: &Self) -> bool {
        let is_owner = self.owner == others.owner || self.owner == 0;
        let is_group = self.group.is_none() || self.group == others.group;
        others.all || (is_owner && is_group && !self.all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_may_write_code_who_can_not_write_the_program() {
        let mine = Writers { owner: 1000, group: None, all: false };
        let of_group = Writers { group: Some(100), ..mine };
        let of_all = Writers { all: true, ..mine };
        let of_root = Writers { owner: 0, ..mine };
        let of_other = Writers { owner: 1001, ..mine };
        assert!(mine.are_among(&mine) && of_root.are_among(&mine));
        assert!(!of_group.are_among(&mine) && !of_all.are_among(&mine) && !of_other.are_among(&mine));
        assert!(!mine.are_among(&of_root), "the program is root's");
        assert!(mine.are_among(&of_group) && of_group.are_among(&of_group) && !of_all.are_among(&of_group));
        assert!(!of_group.are_among(&Writers { group: Some(101), ..mine }), "another group");
        assert!(of_all.are_among(&of_all) && of_other.are_among(&of_all));
    }
}
