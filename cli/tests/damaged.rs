//! What runs is damaged in the store: `store verify` finds it, and what is removed is made again.

#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use support::crates::{locked, sdk};
use support::processes::wait_until;
use support::project::Project;

const PIPELINE: &str = r#"
source "rows" { files "in.txt"; format "lines" }
stage "told" { in "rows"; python "py" }
stage "loud" { in "told"; rust "loud" }
stage "words" { in "loud"; std "tokenize@1"; config { column "line" } }
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

const CRATE: &str = r#"
use flowc_sdk::prelude::*;
use serde::Deserialize;

#[derive(Deserialize, JsonSchema)]
pub struct Loud {}

impl MapColumns for Loud {
    const DOC: &'static str = "Writes lines in capitals.";

    fn describe(&self, input: &Columns) -> Result<Mapping> {
        let column = input.text("", "line")?;
        Ok(Mapping::new().write(field("line", DataType::Utf8, true)).read(column))
    }

    fn map(&mut self, columns: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
        let out: StringArray = text(&columns[0])?.iter().map(|line| line.map(str::to_uppercase)).collect();
        Ok(vec![Arc::new(out)])
    }
}

flowc_sdk::export!(Map<Loud>);
"#;

/// What happens to a file. Its time is as before, wherever there is still a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Damage {
    CutShort,
    Altered,
    Gone,
    MadeExecutable,
    /// Another file is put beside it.
    Joined,
    /// A link to an equal file is in its place.
    Linked,
    /// A pipe that nobody writes to is in its place.
    Pipe,
}

use Damage::{Altered, CutShort, Gone, Joined, Linked, MadeExecutable, Pipe};

const ALL: [Damage; 7] = [CutShort, Altered, Gone, MadeExecutable, Joined, Linked, Pipe];

impl Damage {
    fn damage(self, file: &Path) {
        let metadata = fs::metadata(file).unwrap();
        let bytes = fs::read(file).unwrap();
        let set = |mode| fs::set_permissions(file, PermissionsExt::from_mode(mode)).unwrap();
        let elsewhere = || file.with_file_name("elsewhere");
        set(0o644);
        match self {
            CutShort => fs::write(file, &bytes[..bytes.len() / 2]).unwrap(),
            Altered => {
                let mut altered = bytes;
                let middle = altered.len() / 2;
                // Two names may be of one file, which is altered twice then.
                altered[middle] = altered[middle].wrapping_add(1);
                fs::write(file, altered).unwrap();
            }
            Gone => return fs::remove_file(file).unwrap(),
            MadeExecutable => return set(0o755),
            Joined => fs::write(file.with_file_name("joined.py"), "").unwrap(),
            Linked => {
                fs::rename(file, elsewhere()).unwrap();
                return symlink(elsewhere(), file).unwrap();
            }
            Pipe => {
                fs::remove_file(file).unwrap();
                assert!(Command::new("mkfifo").arg(file).status().unwrap().success());
                return;
            }
        }
        File::options().write(true).open(file).unwrap().set_modified(metadata.modified().unwrap()).unwrap();
        fs::set_permissions(file, metadata.permissions()).unwrap();
    }
}

/// Code that the store holds.
struct Kind {
    folder: &'static str,
    /// How paths of its files end.
    ending: &'static str,
    /// What may happen to one.
    damages: &'static [Damage],
}

/// All code that the store holds. Where a file is trusted by a digest of its name and content alone, it is whole under a link too, and
/// it is no damage if there is none, or another one beside it. Nor is it if a module of flowc's SDK may be executed.
const KINDS: [Kind; 7] = [
    Kind {
        folder: "builds/code",
        ending: "/stage.py",
        damages: &[CutShort, Altered, Gone, MadeExecutable, Joined, Linked, Pipe],
    },
    Kind { folder: "builds/code/files", ending: "", damages: &[CutShort, Altered, Linked, Pipe] },
    Kind {
        folder: "builds/python",
        ending: "/pyarrow/__init__.py",
        damages: &[CutShort, Altered, Gone, MadeExecutable, Joined, Linked, Pipe],
    },
    Kind { folder: "builds/python", ending: "/flowc.seal", damages: &[CutShort, Altered, Pipe] },
    Kind { folder: "builds/python", ending: "/flowc/serve.py", damages: &[CutShort, Altered, Gone, Joined, Pipe] },
    Kind { folder: "builds", ending: ".wasm", damages: &[CutShort, Altered, Pipe] },
    Kind { folder: "cwasm", ending: ".cwasm", damages: &[CutShort, Altered, Pipe] },
];

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

/// A pipeline with stages of all languages, of which the store holds code.
fn project() -> Project {
    let project = Project::new();
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python");
    for name in ["pyproject.toml", "uv.lock"] {
        project.write(&format!("py/{name}"), &fs::read_to_string(tests.join(name)).unwrap());
    }
    project.write("py/stage.py", STAGE);
    let package = "[package]\nname = \"loud\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[lib]\ncrate-type = [\"cdylib\"]\n[workspace]\n";
    let needs =
        format!("flowc-sdk = {{ path = {:?} }}\nserde = {{ version = \"1\", features = [\"derive\"] }}\n", sdk());
    project.write("loud/Cargo.toml", &format!("{package}[dependencies]\n{needs}"));
    project.write("loud/src/lib.rs", CRATE);
    locked(&project, "loud");
    project.write("flow.kdl", PIPELINE);
    project.write("in.txt", "one two\n");
    project
}

fn store(project: &Project) -> PathBuf {
    project.root().join("home/.cache/flowc")
}

fn flowc(project: &Project, arguments: &[&str]) -> (i32, String) {
    let output = project.flowc(arguments).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap(), told.into_owned())
}

/// Runs all stages, and gives the rows.
fn run(project: &Project, place: &str) -> String {
    let (code, told) = flowc(project, &["run", "--force", "told", "--force", "loud", "--force", "words"]);
    assert_eq!(code, 0, "{place}: {told}");
    fs::read_to_string(project.folder().join("out.csv")).unwrap()
}

/// The file of each kind to which this may happen.
fn files(project: &Project, damage: Damage) -> Vec<PathBuf> {
    let may_happen = KINDS.iter().filter(|kind| kind.damages.contains(&damage));
    let file = |Kind { folder, ending, .. }: &Kind| {
        let found = below(&store(project).join(folder), ending);
        found.into_iter().next().unwrap_or_else(|| panic!("there is no {ending} in {folder}"))
    };
    may_happen.map(file).collect()
}

#[test]
fn damaged_code_is_found_and_made_again() {
    let project = project();
    let rows = run(&project, "at first");
    let verify = || flowc(&project, &["store", "verify"]);
    assert_eq!(verify(), (0, "every stored result has its digest, and so has all code\n".to_owned()));
    for damage in ALL {
        let files = files(&project, damage);
        files.iter().for_each(|file| damage.damage(file));
        let (code, told) = verify();
        assert_eq!(code, 3, "{damage:?}: {told}");
        let damaged: Vec<&str> = told.lines().filter_map(|line| line.strip_prefix("damaged: ")).collect();
        for file in files {
            assert!(damaged.iter().any(|damaged| file.starts_with(damaged)), "{damage:?} {}: {told}", file.display());
        }
        let (code, told) = flowc(&project, &["store", "verify", "--repair"]);
        assert_eq!(code, 0, "{damage:?}: {told}");
        let (code, told) = verify();
        assert_eq!(code, 0, "{damage:?}: {told}");
        assert_eq!(run(&project, &format!("{damage:?}")), rows);
    }
}

#[test]
fn damaged_code_never_runs() {
    let project = project();
    let rows = run(&project, "at first");
    for damage in ALL {
        files(&project, damage).iter().for_each(|file| damage.damage(file));
        assert_eq!(run(&project, &format!("{damage:?}")), rows);
        let (code, told) = flowc(&project, &["store", "verify"]);
        assert_eq!(code, 0, "{damage:?}: {told}");
    }
}

#[test]
fn packages_without_a_seal_are_of_an_earlier_form_and_installed_again() {
    let project = project();
    let rows = run(&project, "at first");
    let seals = || below(&store(&project).join("builds/python"), "/flowc.seal");
    fs::remove_file(&seals()[0]).unwrap();
    assert_eq!(flowc(&project, &["store", "verify"]).0, 0);
    assert_eq!(run(&project, "without a seal"), rows);
    assert_eq!(seals().len(), 1);
}

#[test]
fn a_repair_leaves_the_code_of_runs_that_are_under_way() {
    let project = Project::new();
    project.write(
        "flow.kdl",
        "source \"rows\" { stdin; format \"lines\" }
         stage \"words\" { in \"rows\"; std \"tokenize@1\"; config { column \"line\" } }
         sink \"out\" { in \"words\"; file \"out.csv\" }",
    );
    let mut run = project.flowc(&["run"]).stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("a run knows its code", || {
        let leases = fs::read_dir(store(&project).join("leases")).into_iter().flatten().flatten();
        let leases: Vec<String> = leases.filter_map(|lease| fs::read_to_string(lease.path()).ok()).collect();
        matches!(&leases[..], [lease] if lease.contains("component "))
    });
    let compiled = below(&store(&project).join("cwasm"), ".cwasm").remove(0);
    let mut bytes = fs::read(&compiled).unwrap();
    bytes[100] ^= 1;
    fs::write(&compiled, bytes).unwrap();
    let (code, told) = flowc(&project, &["store", "verify", "--repair"]);
    assert!(code == 3 && told.contains("repair again when it has ended"), "{code} {told}");
    assert!(compiled.exists());
    drop(run.stdin.take());
    assert!(run.wait().unwrap().success());
    let (code, told) = flowc(&project, &["store", "verify", "--repair"]);
    assert!(code == 0 && !compiled.exists(), "{code} {told}");
}
