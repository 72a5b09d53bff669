//! The machine code of the standard stages, as an installation brings it.

use std::path::{Path, PathBuf};

use flowc_wasm::InstalledCode;

use crate::Error;

/// Compiles the standard stages, so that no run has to, and gives the folder that holds their code: the one that is named, or the one
/// in which this program looks.
///
/// # Errors
/// If the folder can't be written to, or no code can be made for this machine.
pub fn precompile(folder: Option<&Path>) -> Result<PathBuf, Error> {
    let program = std::env::current_exe().map_err(Error::system("find flowc's own program"))?;
    let folder = folder.map_or_else(|| InstalledCode::folder_of(&program), Path::to_owned);
    let installed = InstalledCode::at(folder.clone(), &program).map_err(Error::system("find flowc's own program"))?;
    let stages = flowc_stdlib::stages().iter();
    let stages = stages.map(|stage| Ok((stage.digest_hex.parse().map_err(damaged)?, stage.component)));
    let stages = stages.collect::<Result<Vec<_>, Error>>()?;
    installed.write(&stages).map_err(Error::system("compile the standard stages"))?;
    Ok(folder)
}

fn damaged<E: Into<crate::Cause>>(error: E) -> Error {
    Error::internal("reading the digests of the standard stages")(error)
}
