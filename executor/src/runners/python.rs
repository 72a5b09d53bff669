//! Python stages, whose packages are installed when a stage is first used.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use flowc_code::Tools;
use flowc_planner::key::StageDigest;
use flowc_platform::lock;
pub(crate) use flowc_python::Environments;
use flowc_python::{Project, PythonError, PythonLauncher, PythonRunner};
use flowc_runner::StageKind;
use flowc_store::{Area, Store};

use crate::Error;
use crate::runners::build_events::Compilations;
use crate::runners::lent::{Lent, absolute};

/// The kind of Python stages.
///
/// # Errors
/// If the store's folder can't be found.
pub(super) fn kind(lent: &Lent<'_>) -> Result<Box<dyn StageKind>, Error> {
    let Lent { store, compilations, options, snapshots, programs, installed: _ } = lent;
    let home = absolute(&Store::area(store.dir(), Area::Environments))?;
    let environments = Environments { home, snapshots: snapshots.clone() };
    let helper = programs.host.helper().to_owned();
    let installer = installer(environments.clone(), helper, compilations.clone(), options.build);
    let launcher = PythonLauncher::new(programs.host.clone(), environments).installing(installer);
    Ok(Box::new(PythonRunner::new(launcher, options.memory)))
}

/// Installs the packages of Python stages that are not there, if that is allowed, and tells of it.
fn installer(
    environments: Environments,
    helper: PathBuf,
    compilations: Arc<Compilations>,
    build: bool,
) -> impl Fn(&StageDigest, &Project) -> Result<PathBuf, PythonError> + Send + Sync + 'static {
    let turn = Mutex::new(());
    move |digest, project| {
        // Told of once, by whoever comes first; the others find it done.
        let _turn = lock(&turn);
        match environments.kept(project) {
            Some(environment) => Ok(environment),
            None if !build => Err(PythonError::Refused { dir: project.dir.clone() }),
            None => compilations.built(compilations.called(digest), |log| {
                environments.install(project, Tools::new(&helper, &|| compilations.is_wanted()), log)
            }),
        }
    }
}
