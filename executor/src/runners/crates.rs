//! Crates of `rust` stages, which are built to components.

use std::path::Path;

use flowc_code::Reader;
use flowc_componentize::{BuildError, Built, Known, Reads, Source};
use flowc_planner::catalogue::Problem;
use flowc_planner::key::{KeyHasher, StageDigest};
use flowc_planner::plan::Code;
use flowc_runner::{CodeContext, Keep, Located};
use flowc_store::{Area, Store};

use crate::remembered::CODE;

/// Where Cargo keeps what builds have in common.
const TARGET: &str = "target";

/// Builds the crates of `rust` stages, and keeps in a store what came of it.
pub(super) struct Crates {
    store: Store,
}

impl Crates {
    /// A builder that keeps its builds in this store.
    pub(super) fn new(store: &Store) -> Self {
        Self { store: store.clone() }
    }

    /// Has the component of a crate built, unless one is kept that was built of the crate as it is now, and added.
    ///
    /// # Errors
    /// If the crate can't be read or built, or what was built can't be kept.
    pub(super) fn locate(
        &self,
        code: &Code,
        dir: &Path,
        context: &dyn CodeContext,
        add: impl FnOnce(Vec<u8>) -> StageDigest,
    ) -> Result<Located, Problem> {
        let (known, component) =
            context.read(dir, Keep::Nothing, |reader| match self.kept(dir, context, reader)? {
                Some(kept) => Ok(kept),
                None => self.build(code, dir, context, reader),
            })?;
        let Known { digest: made_of, evidence, parts, .. } = known;
        let builds = vec![component_name(&made_of), TARGET.to_owned()];
        Ok(Located { builds, parts: Some(parts), ..Located::new(add(component), evidence) })
    }

    /// A component that was built before of the crate as it is now. What its build read besides is remembered.
    fn kept(
        &self,
        dir: &Path,
        context: &dyn CodeContext,
        reader: &Reader<'_>,
    ) -> Result<Option<(Known, Vec<u8>)>, Problem> {
        let source = Source::find(dir, context.tools(), reader).map_err(unbuilt)?;
        let reads: Option<Reads> = self.store.memo(CODE, &reads_key(&source, dir)).ok().flatten();
        let Some(reads) = reads else { return Ok(None) };
        let known = source.with(&reads, context.base(), reader).map_err(unbuilt)?;
        let component = self.store.sealed(Area::Builds, &component_name(&known.digest));
        Ok(component.map(|component| (known, component)))
    }

    fn build(
        &self,
        code: &Code,
        dir: &Path,
        context: &dyn CodeContext,
        reader: &Reader<'_>,
    ) -> Result<(Known, Vec<u8>), Problem> {
        let target = self.store.cached_file(Area::Builds, TARGET);
        let (base, tools) = (context.base(), context.tools());
        let build = |log: &mut dyn FnMut(&str)| {
            flowc_componentize::build(dir, base, &target, tools, reader, log).map_err(unbuilt)
        };
        let Built { component, source, reads, known } = context.build(code, build)?;
        self.store
            .put_sealed(Area::Builds, &component_name(&known.digest), &component)
            .map_err(|error| Problem::new(format!("the built component can't be kept: {error}")))?;
        // Without it the crate is built again next time.
        let _ = self.store.remember(CODE, &reads_key(&source, dir), &reads);
        Ok((known, component))
    }
}

/// The name of a component, by the digest of what it is built from.
fn component_name(digest: &[u8; 32]) -> String {
    format!("{}.wasm", blake3::Hash::from_bytes(*digest).to_hex())
}

/// What a build reads lies elsewhere for a crate in another folder.
fn reads_key(source: &Source, dir: &Path) -> [u8; 32] {
    let mut hasher = KeyHasher::new("code reads 1");
    hasher.digest(&source.digest()).bytes(dir.as_os_str().as_encoded_bytes()).finish()
}

fn unbuilt(error: BuildError) -> Problem {
    match error.is_of_machine() {
        true => Problem::of_machine(error.to_string()),
        false => Problem::new(error.to_string()),
    }
}
