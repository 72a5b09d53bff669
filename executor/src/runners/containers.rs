//! Stages in containers.

use flowc_container::{ContainerRunner, ImageLauncher};
use flowc_runner::StageKind;
use flowc_store::Area;

use crate::Error;
use crate::runners::{Lent, absolute};

/// The kind of stages in containers.
///
/// # Errors
/// If the store's folder can't be found.
pub(super) fn kind(lent: &Lent<'_>) -> Result<Box<dyn StageKind>, Error> {
    let Lent { store, options, programs, .. } = lent;
    let images = absolute(&store.cached_file(Area::Builds, "images"))?;
    let spool = absolute(&store.spool())?;
    let launcher = ImageLauncher::new(programs.engines.clone(), programs.host.clone(), images, spool);
    Ok(Box::new(ContainerRunner::new(launcher.building(options.build), options.memory)))
}
