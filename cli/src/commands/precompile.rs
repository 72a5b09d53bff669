//! `flowc precompile`: the machine code of the standard stages, made ahead.

use super::printed;
use crate::args::PrecompileArgs;
use crate::exit::Exit;
use crate::report::Failure;

pub(super) fn run(args: &PrecompileArgs) -> Result<Exit, Failure> {
    let folder = flowc_executor::precompile(args.directory.as_deref())?;
    printed(&format!("{}\n", folder.display()))
}
