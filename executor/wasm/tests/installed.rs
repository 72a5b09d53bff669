//! Compiled components that come with a program are used where they can be trusted and fit; else the component is compiled.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use flowc_planner::key::StageDigest;
use flowc_planner::plan::Limits;
use flowc_platform::write_sealed;
use flowc_wasm::{CompiledCache, InstalledCode, WasmRunner};
use support::HOSTILE;

/// A program with compiled components, made once and then copied.
static MADE: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let made = tempfile::tempdir().unwrap();
    write(made.path());
    made
});

fn write(folder: &Path) {
    let installed = InstalledCode::at(folder.to_owned(), &std::env::current_exe().unwrap()).unwrap();
    installed.write(&[(HOSTILE.digest, &HOSTILE.component)]).unwrap();
}

/// A program, and the folder in which it looks for code.
struct Installation(tempfile::TempDir);

impl Installation {
    fn new() -> Self {
        let installation = Self(tempfile::tempdir().unwrap());
        for folder in ["bin", "lib/flowc"] {
            fs::create_dir_all(installation.0.path().join(folder)).unwrap();
        }
        fs::write(installation.program(), "").unwrap();
        let permitted = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        permitted(&installation.program(), 0o755);
        permitted(&installation.folder(), 0o755);
        fs::copy(made(), installation.code()).unwrap();
        installation
    }

    fn program(&self) -> PathBuf {
        self.0.path().join("bin/flowc")
    }

    fn folder(&self) -> PathBuf {
        InstalledCode::folder_of(&self.program())
    }

    fn code(&self) -> PathBuf {
        self.folder().join(made().file_name().unwrap())
    }

    /// Whether a run with this installation compiles the component.
    fn compiles(&self) -> bool {
        let installed = Arc::new(Installed { code: InstalledCode::of(&self.program()), compiled: AtomicUsize::new(0) });
        let runner = WasmRunner::new(installed.clone()).unwrap();
        runner.add(HOSTILE.component.clone(), HOSTILE.digest);
        runner.prepare(&HOSTILE.digest, &Limits::default()).unwrap();
        runner.signature(&HOSTILE.digest).unwrap();
        installed.compiled.load(Ordering::Relaxed) > 0
    }
}

/// The file that was made.
fn made() -> PathBuf {
    fs::read_dir(MADE.path()).unwrap().next().unwrap().unwrap().path()
}

struct Installed {
    code: Option<InstalledCode>,
    compiled: AtomicUsize,
}

impl CompiledCache for Installed {
    fn find(&self, name: &str) -> Option<PathBuf> {
        self.code.as_ref()?.find(name)
    }

    fn put(&self, _: &str, _: &[u8]) -> Option<PathBuf> {
        None
    }

    fn compiling(&self, _: &StageDigest) {
        self.compiled.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn installed_code_is_used() {
    let installation = Installation::new();
    assert!(!installation.compiles());
    fs::remove_file(installation.code()).unwrap();
    assert!(installation.compiles());
    fs::remove_dir_all(installation.folder()).unwrap();
    assert!(installation.compiles());
}

#[test]
fn code_that_is_there_is_not_made_again_and_no_other_stays() {
    let installation = Installation::new();
    let (other, note) = (installation.folder().join("other.cwasm"), installation.folder().join("note"));
    fs::write(&other, "of another version").unwrap();
    fs::write(&note, "of somebody else").unwrap();
    let is_made_again = || {
        let before = fs::metadata(installation.code()).unwrap().ino();
        write(&installation.folder());
        fs::metadata(installation.code()).unwrap().ino() != before
    };
    assert!(!is_made_again());
    assert!(!other.exists() && note.exists());
    fs::write(installation.code(), "damaged").unwrap();
    assert!(is_made_again() && !installation.compiles());
}

#[test]
fn damaged_and_foreign_code_is_passed_over() {
    let whole = fs::read(made()).unwrap();
    let mut altered = whole.clone();
    altered[whole.len() / 2] ^= 1;
    for content in [&altered[..], &whole[..whole.len() / 2], b""] {
        let installation = Installation::new();
        fs::write(installation.code(), content).unwrap();
        assert!(installation.compiles(), "{} bytes", content.len());
    }
    // Sealed, and no code of this engine.
    for content in [&b"no code"[..], &fs::read(installation_of_another_engine()).unwrap()] {
        let installation = Installation::new();
        write_sealed(&installation.code(), content).unwrap();
        assert!(installation.compiles(), "{} bytes", content.len());
    }
}

/// Code for stages with a timeout, which another engine runs.
fn installation_of_another_engine() -> PathBuf {
    static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
        let folder = tempfile::tempdir().unwrap();
        let cache = Arc::new(flowc_wasm::CompiledFolder(folder.path().to_owned()));
        let runner = WasmRunner::new(cache).unwrap();
        runner.add(HOSTILE.component.clone(), HOSTILE.digest);
        runner.prepare(&HOSTILE.digest, &Limits { timeout_ms: Some(1000), ..Limits::default() }).unwrap();
        folder
    });
    fs::read_dir(FOLDER.path()).unwrap().next().unwrap().unwrap().path()
}

#[test]
fn code_that_others_can_write_is_passed_over() {
    let paths: [fn(&Installation) -> PathBuf; 2] = [Installation::folder, Installation::code];
    for path in paths {
        let installation = Installation::new();
        fs::set_permissions(path(&installation), Permissions::from_mode(0o777)).unwrap();
        assert!(installation.compiles());
        fs::set_permissions(installation.program(), Permissions::from_mode(0o777)).unwrap();
        assert!(!installation.compiles(), "they can write the program as well");
    }
}
