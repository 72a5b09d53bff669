//! Code is edited at every step of a run, and undone: each run gives the rows of one version of the code, and the run after it
//! those of the code as it is then. Moments are held by gates: a build that comes to one waits until the test lets it go on.

#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use support::crates::{RUST, pipelines, rust};
use support::edits::{Gate, Kind, Moment, edited_at, rows};
use support::project::Project;

/// A stage whose rows tell what it read of each file that its code consists of.
const STAGE: &str = r#"
from pathlib import Path

import flowc
import helpers
import pyarrow as pa

HERE = Path(__file__).parent
OWN = "own-1"


def told() -> str:
    import late   # when it runs, not when it is planned

    files = ["data.txt", "linked.txt", "outside/deep.txt", "latest/w.txt"]
    return " ".join([OWN, late.LATE, helpers.TOLD, *((HERE / file).read_text().strip() for file in files)])


@flowc.stage(adds={"told": str})
def stage(rows: pa.RecordBatch):
    """Tells what it consists of."""
    return pa.array([told()] * rows.num_rows)
"#;

/// Builds a wheel, after waiting at the gate.
const BACKEND: &str = r#"
import os
import time
import zipfile
from pathlib import Path

HELD = Path("GATE")


def build_wheel(folder, config_settings=None, metadata_directory=None):
    if (HELD / "closed").exists():
        (HELD / "waiting").touch()
        while (HELD / "closed").exists():
            time.sleep(0.01)
    name, info = "helpers-0.1.0-py3-none-any.whl", "helpers-0.1.0.dist-info"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        wheel.writestr("helpers/__init__.py", Path("helpers/__init__.py").read_text())
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: helpers\nVersion: 0.1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", f"helpers/__init__.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return name
"#;

/// How a project names a package of the same repository: its manifests and its lock.
enum Naming {
    Directory,
    Editable,
    Member,
}

impl Naming {
    /// Writes the manifests and the lock of the stage's project.
    fn write(&self, project: &Project) {
        let tests = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python");
        let read = |name: &str| std::fs::read_to_string(tests.join(name)).unwrap();
        let (stages, helpers, entry) = match self {
            Naming::Directory => ("virtual = \".\"", "directory = \"../helpers\"", "path = \"../helpers\""),
            Naming::Editable => {
                ("virtual = \".\"", "editable = \"../helpers\"", "path = \"../helpers\", editable = true")
            }
            Naming::Member => ("virtual = \"py\"", "editable = \"helpers\"", "workspace = true"),
        };
        let manifest = read("pyproject.toml").replace("\"pyarrow>=17\"", "\"helpers\", \"pyarrow>=17\"");
        project.write("py/pyproject.toml", &format!("{manifest}\n[tool.uv.sources]\nhelpers = {{ {entry} }}\n"));
        let package = format!("[[package]]\nname = \"helpers\"\nversion = \"0.1.0\"\nsource = {{ {helpers} }}\n\n");
        let lock = read("uv.lock");
        let (before, own) = lock.split_once("[[package]]\nname = \"stages\"").unwrap();
        let own = own.replace("virtual = \".\"", stages);
        let own = own.replace("dependencies = [\n", "dependencies = [\n    { name = \"helpers\" },\n");
        let own = own.replace("requires-dist = [", &format!("requires-dist = [{{ name = \"helpers\", {helpers} }}, "));
        let (head, rest) = before.split_once("[[package]]").unwrap();
        let manifest = "[manifest]\nmembers = [\n    \"helpers\",\n    \"stages\",\n]\n\n";
        let (place, members) = match self {
            Naming::Member => ("uv.lock", manifest),
            Naming::Directory | Naming::Editable => ("py/uv.lock", ""),
        };
        project.write(place, &format!("{head}{members}{package}[[package]]{rest}[[package]]\nname = \"stages\"{own}"));
        if matches!(self, Naming::Member) {
            project.write("pyproject.toml", "[tool.uv.workspace]\nmembers = [\"py\", \"helpers\"]\n");
        }
    }
}

/// A project with a stage in Python, and a package of the same repository that it needs.
fn python(naming: &Naming) -> (Project, Gate) {
    let project = Project::new();
    let gate = Gate::new(&project);
    pipelines(&project, "python \"py\"");
    naming.write(&project);
    project.write("py/stage.py", STAGE);
    project.write("py/late.py", "LATE = \"late-1\"\n");
    project.write("py/data.txt", "data-1\n");
    project.write("shared/linked.txt", "linked-1\n");
    project.write("shared/folder/deep.txt", "deep-1\n");
    project.write("py/data_v1/w.txt", "turned-1\n");
    project.write("py/data_v2/w.txt", "turned-2\n");
    project.write("py/data_v3/w.txt", "turned-3\n");
    for (to, link) in [("../shared/linked.txt", "linked.txt"), ("../shared/folder", "outside"), ("data_v1", "latest")] {
        std::os::unix::fs::symlink(to, project.folder().join("py").join(link)).unwrap();
    }
    let manifest = "[project]\nname = \"helpers\"\nversion = \"0.1.0\"\nrequires-python = \">=3.10\"\n";
    let build = "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n";
    project.write("helpers/pyproject.toml", &format!("{manifest}{build}"));
    project.write("helpers/backend.py", &BACKEND.replace("GATE", gate.path().to_str().unwrap()));
    project.write("helpers/helpers/__init__.py", "TOLD = \"helpers-1\"\n");
    (project, gate)
}

/// What the stage in Python consists of: a file, and the word in it that an edit changes.
const PYTHON: [Kind; 7] = [
    Kind::Text { file: "py/stage.py", word: "own" },
    Kind::Text { file: "py/late.py", word: "late" },
    Kind::Text { file: "helpers/helpers/__init__.py", word: "helpers" },
    Kind::Text { file: "py/data.txt", word: "data" },
    Kind::Text { file: "shared/linked.txt", word: "linked" },
    Kind::Text { file: "shared/folder/deep.txt", word: "deep" },
    Kind::Link { link: "py/latest", word: "turned", to: "data_v" },
];

/// Has packages installed again.
fn renew(project: &Project) {
    let file = project.folder().join("helpers/renewed.txt");
    let text = std::fs::read_to_string(&file).unwrap_or_default();
    std::fs::write(file, format!("{text}again\n")).unwrap();
}

#[test]
fn a_python_stage_edited_before_and_after_its_plan() {
    let (project, gate) = python(&Naming::Directory);
    for kind in &PYTHON {
        for moment in [Moment::Before, Moment::Planned] {
            edited_at(&project, &gate, &PYTHON, kind, moment, renew);
        }
    }
}

#[test]
fn a_python_stage_edited_while_its_packages_are_installed() {
    let (project, gate) = python(&Naming::Directory);
    for kind in &PYTHON {
        edited_at(&project, &gate, &PYTHON, kind, Moment::Built, renew);
    }
}

#[test]
fn packages_of_the_repository_however_they_are_named() {
    for naming in [Naming::Editable, Naming::Member] {
        let (project, gate) = python(&naming);
        for moment in [Moment::Before, Moment::Built] {
            edited_at(&project, &gate, &PYTHON, &PYTHON[2], moment, renew);
        }
    }
}

#[test]
fn results_of_packages_that_are_built_to_others_are_not_mixed() {
    let (project, _) = python(&Naming::Directory);
    let backend = std::fs::read_to_string(project.folder().join("helpers/backend.py")).unwrap();
    // A variable stands for all that is not pinned: build tools, compilers.
    let told = "f\"TOLD = {os.environ['GIT_SSH']!r}\"";
    project.write("helpers/backend.py", &backend.replace("Path(\"helpers/__init__.py\").read_text()", told));
    let flow = std::fs::read_to_string(project.folder().join("flow.kdl")).unwrap();
    project.write("flow.kdl", &flow.replace("in.txt", "in/*.txt"));
    let run = |tool: &str, file: &str| {
        project.write(&format!("in/{file}.txt"), &format!("{file}\n"));
        let output = project.flowc(&["run"]).env("GIT_SSH", tool).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let forget = || {
        std::fs::remove_dir_all(project.root().join("home/.cache/flowc/builds/python")).unwrap();
    };
    let made_by = |tool: &str, other: &str, files: usize| {
        let rows = rows(&project);
        assert_eq!((rows.matches(tool).count(), rows.matches(other).count()), (files, 0), "{rows}");
    };
    let (is_good, told) = run("tool-1", "a");
    assert!(is_good, "{told}");
    made_by("tool-1", "tool-2", 1);
    forget();
    let (is_good, told) = run("tool-1", "b");
    assert!(is_good, "built to the same: {told}");
    made_by("tool-1", "tool-2", 2);
    for (tool, other, file, files) in [("tool-2", "tool-1", "c", 3), ("tool-1", "tool-2", "d", 4)] {
        forget();
        let (is_good, told) = run(tool, file);
        assert!(!is_good && told.contains("became others than before"), "{told}");
        let (is_good, told) = run(tool, file);
        assert!(is_good, "{told}");
        made_by(tool, other, files);
    }
    let (is_good, told) = run("tool-3", "e");
    assert!(is_good, "what is installed is not built again: {told}");
    made_by("tool-1", "tool-3", 5);
}

#[test]
fn a_rust_stage_edited_at_every_step() {
    let (project, gate) = rust();
    for kind in &RUST {
        edited_at(&project, &gate, &RUST, kind, Moment::Before, |_| ());
    }
    // One of each way in which a build reads a file: a module, a crate beside it, a file elsewhere, a build script.
    for kind in &RUST[..4] {
        edited_at(&project, &gate, &RUST, kind, Moment::Built, |_| ());
    }
    edited_at(&project, &gate, &RUST, &RUST[0], Moment::Planned, |_| ());
    // Variables of the caller reach neither the compiler nor the build script.
    let output = project.flowc(&["run"]).env_remove("TAG_SUFFIX").output().unwrap();
    assert!(output.status.success() && String::from_utf8_lossy(&output.stderr).contains("1 cached"));
    let told = rows(&project);
    assert!(told.contains(" built-1 ") && told.contains(" unset"), "{told}");
}

/// A stage whose rows tell which interpreter runs it.
const TELLING: &str = r#"
import sys

import flowc
import pyarrow as pa


@flowc.stage(adds={"told": str})
def stage(rows: pa.RecordBatch):
    """Tells the name that its interpreter's build has."""
    return pa.array([f"python-{sys.version.split('(')[1].split(',')[0]}-"] * rows.num_rows)
"#;

/// Copies the interpreter that runs it, with its library, and gives the copy's build another name: a copy tells another version of
/// itself than the interpreter that it is of. What the copy needs lies in its own folder, since a sandbox shows no more.
const COPYING: &str = r#"
import os
import shutil
import sys
import sysconfig

to, name = sys.argv[1:]
library = sysconfig.get_path("stdlib")
copied = os.path.join(to, "lib", os.path.basename(library))
left_out = shutil.ignore_patterns("site-packages", "dist-packages", "test", "idlelib", "__pycache__", "config-*", "sitecustomize.py")
shutil.copytree(library, copied, ignore=left_out)
with open(os.path.join(copied, "sitecustomize.py"), "w") as file:
    file.write(f"import sys\nsys.version = sys.version.split('(')[0] + '({name},' + sys.version.split(',', 1)[1]\n")
with open(os.path.realpath(sys.executable), "rb") as file:
    program = file.read()
shared = sysconfig.get_config_var("LIBDIR")
if sysconfig.get_config_var("Py_ENABLE_SHARED"):
    library = sysconfig.get_config_var("INSTSONAME")
    shutil.copy(os.path.join(shared, library), os.path.join(to, "lib"))
    # Where the program looks for it.
    written, own = os.fsencode(shared) + b"\0", b"$ORIGIN/../lib\0"
    program = program.replace(written, own.ljust(len(written), b"\0"))
os.mkdir(os.path.join(to, "bin"))
interpreter = os.path.join(to, "bin", "python3")
with open(interpreter, "wb") as file:
    file.write(program)
os.chmod(interpreter, 0o755)
"#;

/// Two interpreters of different builds, both made of one that is there, and the names of their builds.
fn interpreters(folder: &std::path::Path) -> [(&'static str, std::path::PathBuf); 2] {
    let uv = std::env::var("FLOWC_UV").unwrap_or_else(|_| "uv".to_owned());
    let said = |command: &mut std::process::Command| {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let found = said(std::process::Command::new(uv).args(["python", "find", "--system", ">=3.10"]));
    ["one", "two"].map(|name| {
        let copy = folder.join(name);
        std::fs::create_dir_all(&copy).unwrap();
        said(std::process::Command::new(&found).args(["-I", "-c", COPYING]).arg(&copy).arg(name));
        (name, copy.join("bin/python3"))
    })
}

#[test]
fn an_interpreter_that_is_picked_by_a_file_or_by_the_path_is_code() {
    let project = Project::new();
    pipelines(&project, "python \"py\"");
    let tests = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python");
    for name in ["pyproject.toml", "uv.lock"] {
        project.write(&format!("py/{name}"), &std::fs::read_to_string(tests.join(name)).unwrap());
    }
    project.write("py/stage.py", TELLING);
    let interpreters = interpreters(&project.root().join("interpreters"));
    let bin = project.root().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let told = |name: &str, place: &str| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        let mut flowc = project.flowc(&["run"]);
        let output = flowc.env("PATH", &path).env("UV_PYTHON_PREFERENCE", "only-system").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{place}: {said}");
        let rows = rows(&project);
        assert!(rows.contains(&format!("python-{name}-")), "{place}: {name} in {rows}");
        said.into_owned()
    };
    for (number, place) in [(0, "file"), (1, "edited file"), (0, "file as before")] {
        let (name, interpreter) = &interpreters[number];
        project.write("py/.python-version", &format!("{}\n", interpreter.display()));
        told(name, place);
        assert!(told(name, place).contains("1 cached"), "{place}");
    }
    std::fs::remove_file(project.folder().join("py/.python-version")).unwrap();
    for (number, place) in [(1, "path"), (0, "edited path"), (1, "path as before")] {
        let (name, interpreter) = &interpreters[number];
        let link = bin.join("python3");
        let _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(interpreter, link).unwrap();
        told(name, place);
        assert!(told(name, place).contains("1 cached"), "{place}");
    }
}
