//! What runs is damaged in the store: `store verify` finds it, and what is removed is made again.

#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use support::project::Project;

const PIPELINE: &str = r#"
source "rows" { files "in.txt"; format "lines" }
stage "told" { in "rows"; python "py" }
stage "words" { in "told"; std "tokenize@1"; config { column "line" } }
sink "out" { in "words"; file "out.csv" }
"#;

const STAGE: &str = r#"
import flowc
import pyarrow as pa


@flowc.stage(adds={"told": str})
def stage(rows: pa.RecordBatch):
    """Tells something."""
    return pa.array(["told"] * rows.num_rows)
"#;

/// What happens to a file.
#[derive(Clone, Copy, Debug)]
enum Damage {
    CutShort,
    Altered,
    Gone,
    MadeExecutable,
    Joined,
}

impl Damage {
    const ALL: [Damage; 5] = [Self::CutShort, Self::Altered, Self::Gone, Self::MadeExecutable, Self::Joined];

    /// Damages a file, and leaves its time as it was.
    fn damage(self, file: &Path) {
        let metadata = fs::metadata(file).unwrap();
        let bytes = fs::read(file).unwrap();
        let set = |mode| fs::set_permissions(file, PermissionsExt::from_mode(mode)).unwrap();
        set(0o644);
        match self {
            Self::CutShort => fs::write(file, &bytes[..bytes.len() / 2]).unwrap(),
            Self::Altered => {
                let mut altered = bytes;
                let middle = altered.len() / 2;
                altered[middle] ^= 1;
                fs::write(file, altered).unwrap();
            }
            Self::Gone => return fs::remove_file(file).unwrap(),
            Self::MadeExecutable => return set(0o755),
            Self::Joined => fs::write(file.with_file_name("joined.py"), "").unwrap(),
        }
        fs::File::options().write(true).open(file).unwrap().set_modified(metadata.modified().unwrap()).unwrap();
        fs::set_permissions(file, metadata.permissions()).unwrap();
    }
}

/// Files below a folder whose paths end so.
fn below(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().flatten();
    let found = entries.flat_map(|entry| match entry.file_type().unwrap() {
        kind if kind.is_dir() => below(&entry.path(), ending),
        kind if kind.is_file() => vec![entry.path()],
        _ => Vec::new(),
    });
    let mut found: Vec<PathBuf> = found.filter(|path| path.to_str().unwrap().ends_with(ending)).collect();
    found.sort();
    found
}

#[test]
fn damaged_code_is_found_and_made_again() {
    let project = Project::new();
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python");
    for name in ["pyproject.toml", "uv.lock"] {
        project.write(&format!("py/{name}"), &fs::read_to_string(tests.join(name)).unwrap());
    }
    project.write("py/stage.py", STAGE);
    project.write("flow.kdl", PIPELINE);
    project.write("in.txt", "one two\n");
    let flowc = |arguments: &[&str]| {
        let output = project.flowc(arguments).output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        (output.status.code().unwrap(), told.into_owned())
    };
    let store = project.root().join("home/.cache/flowc");
    let run = || {
        let (code, told) = flowc(&["run", "--force", "told", "--force", "words"]);
        assert_eq!(code, 0, "{told}");
        fs::read_to_string(project.folder().join("out.csv")).unwrap()
    };
    let rows = run();
    assert_eq!(
        flowc(&["store", "verify"]),
        (0, "every stored result has its digest, and so has all code\n".to_owned())
    );
    let kinds = [
        ("builds/code", "/py/stage.py"),
        ("builds/code", "/stage.py"),
        ("builds/python", "/pyarrow/__init__.py"),
        ("builds/python", "/flowc/serve.py"),
        ("cwasm", ".cwasm"),
    ];
    let mut damaged = 0;
    for (folder, ending) in kinds {
        for damage in Damage::ALL {
            let Some(file) = below(&store.join(folder), ending).into_iter().next() else { continue };
            // A mode of the SDK says nothing.
            if ending == "/flowc/serve.py" && matches!(damage, Damage::MadeExecutable) {
                continue;
            }
            // A component is one file: its mode says nothing, and another one beside it, or none, is no damage.
            if folder == "cwasm" && !matches!(damage, Damage::CutShort | Damage::Altered) {
                continue;
            }
            damage.damage(&file);
            damaged += 1;
            let place = format!("{damage:?} {}", file.display());
            let (code, told) = flowc(&["store", "verify"]);
            assert_eq!(code, 3, "{place}: {told}");
            assert!(told.contains("damaged: ") && told.contains(folder), "{place}: {told}");
            assert_eq!(flowc(&["store", "verify", "--repair"]).0, 0, "{place}");
            assert_eq!(flowc(&["store", "verify"]).0, 0, "{place}");
            assert_eq!(run(), rows, "{place}");
        }
    }
    assert!(damaged >= 16, "{damaged}");
}
