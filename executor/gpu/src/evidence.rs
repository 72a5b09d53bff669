//! By what a later run sees that the adapters of this machine are the same, without opening a driver.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use flowc_code::{Evidence, variables_beginning};
use flowc_platform::gpu_kinds;

/// What drivers are found by: Vulkan's loader reads these variables.
const VARIABLES: [&str; 4] = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES", "VK_ADD_DRIVER_FILES", "LD_LIBRARY_PATH"];

/// How the names of variables begin that tell drivers how to compute, and what layers are put above them.
const DRIVERS: [&str; 23] = [
    "ACO_",
    "AMD_",
    "ANV_",
    "GALLIUM_",
    "GALLIVM_",
    "INTEL_",
    "IR3_",
    "LP_",
    "LVP_",
    "MESA_",
    "MVK_",
    "NAK_",
    "NIR_",
    "NVK_",
    "PAN_",
    "PANVK_",
    "PVR_",
    "RADV_",
    "TU_",
    "V3D",
    "VK_INSTANCE_LAYERS",
    "VK_LOADER_LAYERS_",
    "__NV",
];

/// Folders in which manifests of drivers lie, below the folders of configuration and data.
const BELOW: &str = "vulkan/icd.d";

/// Folders of libraries, where these are named without one.
const LIBRARIES: [&str; 6] =
    ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib", "/lib64", "/usr/local/lib"];

/// Parts of the names of those among them that change nothing that is computed.
const APART: [&str; 3] = ["CACHE", "LOG", "WSI"];

/// What the adapters of this machine depend on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Drivers {
    /// Manifests, the libraries that they name, the folders and variables by which both are found.
    pub(crate) evidence: Evidence,
    /// The GPUs, and the versions of their drivers in the kernel.
    pub(crate) hardware: String,
    /// Whether there is a manifest. Where there is none, there is no adapter.
    pub(crate) any: bool,
}

impl Drivers {
    /// Those of this machine.
    pub(crate) fn find() -> Self {
        let mut drivers = Self::of(&|name| std::env::var_os(name), &LIBRARIES.map(PathBuf::from), gpu_kinds());
        for begins in DRIVERS {
            variables_beginning(begins).iter().for_each(|name| drop(drivers.evidence.variable(name)));
            drivers.evidence.variables_beginning(begins);
        }
        drivers
    }

    /// The variables that tell drivers how to compute, with their values. They may decide the last bits of floats, so they belong to what
    /// identifies an adapter.
    pub(crate) fn settings() -> String {
        let computes = |name: &String| !APART.iter().any(|part| name.contains(part));
        let set = DRIVERS.iter().flat_map(|begins| variables_beginning(begins)).filter(computes);
        let said = |name: String| {
            let value = std::env::var_os(&name).unwrap_or_default();
            format!(", {name}={}", value.to_string_lossy())
        };
        set.map(said).collect()
    }

    fn of(variable: &dyn Fn(&str) -> Option<OsString>, libraries: &[PathBuf], hardware: String) -> Self {
        let mut evidence = Evidence::default();
        for name in VARIABLES.iter().chain(&FOLDERS) {
            evidence.variables.insert((*name).to_owned(), variable(name));
        }
        let manifests = manifests(variable, &mut evidence);
        let searched = paths(variable("LD_LIBRARY_PATH")).chain(libraries.iter().cloned()).collect::<Vec<_>>();
        for manifest in &manifests {
            if let Some(library) = library(manifest) {
                named(manifest, &library, &searched).into_iter().for_each(|path| evidence.look(path));
            }
        }
        Self { evidence, hardware, any: !manifests.is_empty() }
    }

    /// What stands for a version where a driver tells none: a digest of all that drivers consist of.
    pub(crate) fn contents(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for bytes in self.evidence.paths.keys().filter_map(|path| std::fs::read(path).ok()) {
            hasher.update(&(bytes.len() as u64).to_le_bytes()).update(&bytes);
        }
        hasher.update(self.hardware.as_bytes());
        format!("files {}", &hasher.finalize().to_hex()[..12])
    }

    /// Equal ones have the same adapters.
    pub(crate) fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        let mut part = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
        };
        let Evidence { paths, absent, variables, variable_sets: _ } = &self.evidence;
        for (path, stamp) in paths {
            part(path.as_os_str().as_encoded_bytes());
            part(format!("{stamp:?}").as_bytes());
        }
        part(b"absent");
        absent.iter().for_each(|path| part(path.as_os_str().as_encoded_bytes()));
        for (name, value) in variables {
            part(name.as_bytes());
            part(value.as_ref().map_or(&b""[..], |value| value.as_encoded_bytes()));
        }
        part(self.hardware.as_bytes());
        *hasher.finalize().as_bytes()
    }
}

/// Variables that say where configuration and data lie.
const FOLDERS: [&str; 5] = ["XDG_CONFIG_HOME", "XDG_CONFIG_DIRS", "XDG_DATA_HOME", "XDG_DATA_DIRS", "HOME"];

/// The paths of a variable.
fn paths(value: Option<OsString>) -> impl Iterator<Item = PathBuf> {
    let paths: Vec<PathBuf> = value.iter().flat_map(std::env::split_paths).collect();
    paths.into_iter().filter(|path| !path.as_os_str().is_empty())
}

/// The manifests that Vulkan's loader finds.
fn manifests(variable: &dyn Fn(&str) -> Option<OsString>, evidence: &mut Evidence) -> Vec<PathBuf> {
    let stated = variable("VK_DRIVER_FILES").or_else(|| variable("VK_ICD_FILENAMES"));
    let added = paths(variable("VK_ADD_DRIVER_FILES"));
    let places: Vec<PathBuf> = match stated {
        Some(stated) => paths(Some(stated)).collect(),
        None => added.chain(folders(variable)).collect(),
    };
    let mut found = Vec::new();
    for place in places {
        evidence.look(&place);
        let listed = std::fs::read_dir(&place).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut files: Vec<PathBuf> = if place.is_dir() { listed.collect() } else { vec![place] };
        files.retain(|file| file.extension().is_some_and(|ending| ending == "json") && file.is_file());
        files.sort();
        files.iter().for_each(|file| evidence.look(file));
        found.append(&mut files);
    }
    found
}

fn folders(variable: &dyn Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    let or = |name: &str, default: &str| paths(Some(variable(name).unwrap_or_else(|| default.into())));
    let home = |below: &str| variable("HOME").map(|home| Path::new(&home).join(below));
    let own = |name: &str, below: &str| variable(name).map(PathBuf::from).or_else(|| home(below));
    let roots = own("XDG_CONFIG_HOME", ".config").into_iter();
    let roots = roots.chain(or("XDG_CONFIG_DIRS", "/etc/xdg")).chain(["/etc".into()]);
    let roots = roots.chain(own("XDG_DATA_HOME", ".local/share"));
    let roots = roots.chain(or("XDG_DATA_DIRS", "/usr/local/share:/usr/share"));
    roots.map(|root| root.join(BELOW)).collect()
}

/// The library that a manifest names.
fn library(manifest: &Path) -> Option<String> {
    let text = std::fs::read_to_string(manifest).ok()?;
    let manifest: serde_json::Value = serde_json::from_str(&text).ok()?;
    manifest.pointer("/ICD/library_path")?.as_str().map(str::to_owned)
}

/// The files that a library of a manifest may be. Names with a folder are meant from the manifest's, others are searched.
fn named(manifest: &Path, library: &str, searched: &[PathBuf]) -> Vec<PathBuf> {
    let beside = manifest.parent().unwrap_or(Path::new("/"));
    match library.contains('/') {
        true => vec![beside.join(library)],
        false => searched.iter().map(|folder| folder.join(library)).filter(|path| path.exists()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use super::*;

    struct Machine {
        folder: tempfile::TempDir,
        variables: BTreeMap<&'static str, OsString>,
        hardware: &'static str,
    }

    impl Machine {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let drivers = folder.path().join(BELOW);
            fs::create_dir_all(&drivers).unwrap();
            fs::create_dir(folder.path().join("lib")).unwrap();
            fs::write(folder.path().join("lib/libfast.so"), "1").unwrap();
            fs::write(drivers.join("fast.json"), r#"{"ICD": {"library_path": "libfast.so"}}"#).unwrap();
            let variables = BTreeMap::from([
                ("XDG_DATA_DIRS", folder.path().into()),
                ("XDG_CONFIG_DIRS", "/nowhere".into()),
                ("HOME", "/nowhere".into()),
            ]);
            Self { folder, variables, hardware: "10de:2330" }
        }

        fn drivers(&self) -> Drivers {
            let libraries = [self.folder.path().join("lib")];
            Drivers::of(&|name| self.variables.get(name).cloned(), &libraries, self.hardware.to_owned())
        }
    }

    #[test]
    fn the_same_drivers_are_the_same_and_each_change_shows() {
        let mut machine = Machine::new();
        let first = machine.drivers();
        assert!(first.any && first.digest() == machine.drivers().digest());
        let library = machine.folder.path().join("lib/libfast.so");
        fs::write(&library, "version 2").unwrap();
        let newer = machine.drivers().digest();
        assert_ne!(newer, first.digest(), "the library of a driver");
        let contents = machine.drivers().contents();
        fs::write(&library, "version 3").unwrap();
        assert_ne!(machine.drivers().contents(), contents, "drivers that tell no version are told apart");
        fs::write(&library, "version 2").unwrap();
        assert_eq!(machine.drivers().contents(), contents, "by what they are, and not by when they were written");
        let newer = machine.drivers().digest();
        fs::write(machine.folder.path().join(BELOW).join("slow.json"), "{}").unwrap();
        let two = machine.drivers().digest();
        assert_ne!(two, newer, "another driver");
        machine.hardware = "10de:2331";
        assert_ne!(machine.drivers().digest(), two, "another GPU");
    }

    #[test]
    fn stated_drivers_are_the_only_ones() {
        let mut machine = Machine::new();
        machine.variables.insert("VK_DRIVER_FILES", "/nowhere/driver.json".into());
        assert!(!machine.drivers().any);
        machine.variables.insert("VK_DRIVER_FILES", machine.folder.path().join(BELOW).join("fast.json").into());
        assert!(machine.drivers().any);
    }
}
