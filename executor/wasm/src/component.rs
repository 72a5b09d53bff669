//! From a component's bytes to something that can be instantiated: what it imports is checked, its code is compiled or
//! found compiled.

use std::path::Path;

use flowc_planner::catalogue::Problem;
use flowc_planner::key::StageDigest;
use wasmtime::component::{Component, ComponentExportIndex, InstancePre};

use crate::CompiledCache;
use crate::contract::{PACKAGE, VERSIONS, Version};
use crate::engine::Machine;
use crate::host::Host;
use crate::wasi;

/// A compiled component.
pub(crate) struct Loaded {
    pub(crate) pre: InstancePre<Host>,
    pub(crate) exports: Exports,
    /// Whether it imports the deterministic WASI.
    pub(crate) uses_wasi: bool,
}

/// Where the functions of `flowc:stage/stage` are.
pub(crate) struct Exports {
    pub(crate) signature: ComponentExportIndex,
    pub(crate) describe: ComponentExportIndex,
    pub(crate) open: ComponentExportIndex,
    pub(crate) push: ComponentExportIndex,
    pub(crate) end_of_input: ComponentExportIndex,
    pub(crate) finish: ComponentExportIndex,
}

/// Compiles a component, or loads it from the cache.
pub(crate) fn load(
    machine: &Machine,
    cache: &dyn CompiledCache,
    bytes: &[u8],
    digest: &StageDigest,
) -> Result<Loaded, Problem> {
    check_kind(bytes)?;
    let component = compiled(machine, cache, bytes, digest)?;
    let uses_wasi = check_imports(machine, &component)?;
    let version = version(machine, &component)?;
    let linker = if uses_wasi { &machine.with_wasi } else { &machine.bare };
    let pre = linker.instantiate_pre(&component);
    let pre = pre.map_err(|error| Problem::new(format!("the component does not fit flowc: {error:#}")))?;
    let exports = Exports::find(&component, version.stage).ok_or_else(|| {
        let message = format!("the component's `{}` lacks functions", version.stage);
        Problem::new(message).with_help("build it with this version's SDK")
    })?;
    Ok(Loaded { pre, exports, uses_wasi })
}

/// Tells components from core modules and from anything else, by their first eight bytes.
fn check_kind(bytes: &[u8]) -> Result<(), Problem> {
    match bytes.get(..8) {
        Some(b"\0asm\x0d\0\x01\0") => Ok(()),
        Some(b"\0asm\x01\0\0\0") => Err(Problem::new("this is a core wasm module, not a component")
            .with_help("use `rust \"folder\"` to have flowc build it, or `wasm-tools component new`")),
        _ => Err(Problem::new("this is not a wasm component")),
    }
}

fn compiled(
    machine: &Machine,
    cache: &dyn CompiledCache,
    bytes: &[u8],
    digest: &StageDigest,
) -> Result<Component, Problem> {
    let name = compiled_name(machine, digest);
    if let Some(component) = cache.find(&name).and_then(|file| mapped(machine, &file)) {
        return Ok(component);
    }
    cache.compiling(digest);
    let code = compile(machine, bytes)?;
    // What can't be kept is compiled again next time.
    let _ = cache.put(&name, &code);
    // SAFETY: this engine made these bytes.
    let component = unsafe { Component::deserialize(&machine.engine, code) };
    component.map_err(|error| Problem::new(format!("the compiled component can't be loaded: {error:#}")))
}

/// The machine code of a kept file; none if it was made by another engine. It is mapped: processes share its pages.
fn mapped(machine: &Machine, file: &Path) -> Option<Component> {
    // SAFETY: an engine made the file, it is as it was made, and it is only ever replaced whole: the cache compares it with
    // its digest. Its name carries the engine's version and settings, which wasmtime checks again.
    let component = unsafe { Component::deserialize_file(&machine.engine, file) };
    component.inspect_err(|error| tracing::debug!("{} is compiled again: {error:#}", file.display())).ok()
}

/// Compiles a component. Takes seconds.
pub(crate) fn compile(machine: &Machine, bytes: &[u8]) -> Result<Vec<u8>, Problem> {
    let code = machine.engine.precompile_component(bytes);
    code.map_err(|error| Problem::new(format!("the component can't be compiled: {error:#}")))
}

/// The name of a compiled component in the cache.
pub(crate) fn compiled_name(machine: &Machine, digest: &StageDigest) -> String {
    format!("{digest}-{:016x}.cwasm", machine.compatibility)
}

/// Whether the component imports WASI; a problem if it imports what stages may not have.
fn check_imports(machine: &Machine, component: &Component) -> Result<bool, Problem> {
    let component_type = component.component_type();
    let mut uses_wasi = false;
    for (name, _) in component_type.imports(&machine.engine) {
        if let Some(number) = unknown_version(name) {
            return Err(wrong_version(number));
        } else if name.starts_with("wasi:") {
            wasi::check()?;
            uses_wasi = true;
        } else if !VERSIONS.iter().any(|version| version.data == name) {
            return Err(Problem::new(format!("the component imports `{name}`, which stages may not have")));
        }
    }
    Ok(uses_wasi)
}

/// The version of the contract that the component's exports are of.
fn version(machine: &Machine, component: &Component) -> Result<&'static Version, Problem> {
    let component_type = component.component_type();
    let names: Vec<&str> = component_type.exports(&machine.engine).map(|(name, _)| name).collect();
    if let Some(version) = VERSIONS.iter().find(|version| names.contains(&version.stage)) {
        return Ok(version);
    }
    match names.iter().find_map(|name| unknown_version(name)) {
        Some(number) => Err(wrong_version(number)),
        None => Err(Problem::new(format!("the component is no stage: it does not export `{}`", VERSIONS[0].stage))
            .with_help("build it with the SDK `flowc-sdk`")),
    }
}

/// The version in the name of an interface of ours, if it is none that is spoken here.
fn unknown_version(name: &str) -> Option<&str> {
    let (_, number) = name.strip_prefix(PACKAGE)?.split_once('@')?;
    (!VERSIONS.iter().any(|version| version.number == number)).then_some(number)
}

fn wrong_version(number: &str) -> Problem {
    let known: Vec<&str> = VERSIONS.iter().map(|version| version.number).collect();
    let known = known.join(" and ");
    Problem::new(format!("the component speaks version {number} of the stage contract, this flowc speaks {known}"))
        .with_help("build it with the SDK of this version of flowc")
}

impl Exports {
    fn find(component: &Component, interface: &str) -> Option<Self> {
        let stage = component.get_export_index(None, interface)?;
        let find = |name: &str| component.get_export_index(Some(&stage), name);
        Some(Self {
            signature: find("signature")?,
            describe: find("describe")?,
            open: find("open")?,
            push: find("push")?,
            end_of_input: find("end-of-input")?,
            finish: find("finish")?,
        })
    }
}
