//! Edits of code at exact moments of a run.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::processes::wait_until;
use super::project::Project;

/// A folder by which a build is held: it waits while `closed` is there, and says so by `waiting`. What is in `closed` says at which
/// of several places one waits.
pub(crate) struct Gate(PathBuf);

impl Gate {
    pub(crate) fn new(project: &Project) -> Self {
        let path = project.root().join("gate");
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    fn close(&self, place: &str) {
        let _ = std::fs::remove_file(self.0.join("waiting"));
        std::fs::write(self.0.join("closed"), place).unwrap();
    }

    fn wait(&self) {
        wait_until("a build comes to the gate", || self.0.join("waiting").exists());
    }

    fn open(&self) {
        std::fs::remove_file(self.0.join("closed")).unwrap();
    }
}

/// Something that code consists of: its content is a word with a number, which an edit changes.
pub(crate) enum Kind {
    Text {
        file: &'static str,
        word: &'static str,
    },
    Link {
        link: &'static str,
        word: &'static str,
        to: &'static str,
    },
    /// A sealed file.
    Sealed {
        file: &'static str,
        word: &'static str,
    },
}

impl Kind {
    fn word(&self) -> &'static str {
        match self {
            Kind::Text { word, .. } | Kind::Link { word, .. } | Kind::Sealed { word, .. } => word,
        }
    }

    /// Changes it from one number to another. A file keeps its time, as it does where a tool puts an older one in its place.
    fn edit(&self, project: &Project, from: u32, to: u32) {
        match self {
            Kind::Text { file, word } => {
                let path = project.folder().join(file);
                let time = path.metadata().unwrap().modified().unwrap();
                std::fs::write(&path, respelled(&std::fs::read(&path).unwrap(), word, from, to)).unwrap();
                std::fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
            }
            Kind::Sealed { file, word } => {
                let path = project.folder().join(file);
                let content = flowc_platform::read_sealed(&path).unwrap();
                flowc_platform::write_sealed(&path, &respelled(&content, word, from, to)).unwrap();
            }
            Kind::Link { link, to: target, .. } => {
                let link = project.folder().join(link);
                std::fs::remove_file(&link).unwrap();
                std::os::unix::fs::symlink(format!("{target}{to}"), link).unwrap();
            }
        }
    }
}

/// Some content with another number behind a word.
pub(crate) fn respelled(content: &[u8], word: &str, from: u32, to: u32) -> Vec<u8> {
    let (from, to) = (format!("{word}-{from}"), format!("{word}-{to}"));
    let mut content = content.to_vec();
    let found = content.windows(from.len()).enumerate().filter(|(_, window)| *window == from.as_bytes());
    let places: Vec<usize> = found.map(|(place, _)| place).collect();
    assert!(!places.is_empty(), "it holds {from}");
    places.into_iter().for_each(|place| content[place..place + to.len()].copy_from_slice(to.as_bytes()));
    content
}

/// When an edit happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Between two runs.
    Before,
    /// While packages are installed, or a crate is built.
    Built,
    /// While an image is handed to the engine.
    Loaded,
    /// Before a container starts.
    Started,
    /// Between the plan and the work.
    Planned,
}

/// Edits one kind at a moment, and undoes it. What a run gave that was under way may be of the code before or after the edit; the
/// next one gives what the code is then, and so does the one after it was undone. `renew` changes what a build needs, so that one is
/// under way.
pub(crate) fn edited_at(
    project: &Project,
    gate: &Gate,
    kinds: &[Kind],
    kind: &Kind,
    moment: Moment,
    renew: impl Fn(&Project),
) {
    let place = format!("{} edited {moment:?}", kind.word());
    let [one, two, three] = [1, 2, 3].map(|number| word(kind, number));
    let others: Vec<_> = kinds.iter().filter(|other| other.word() != kind.word()).map(|other| word(other, 1)).collect();
    let told = |now: &str, text: &str| {
        assert!(text.contains(now), "{place}: {now} in {text}");
        others.iter().for_each(|word| assert!(text.contains(word), "{place}: {word} in {text}"));
    };
    let edited = |from, to, now: &str| {
        kind.edit(project, from, to);
        told(now, &run(project));
    };
    match moment {
        Moment::Before => {
            told(&one, &run(project));
            edited(1, 2, &two);
            edited(2, 1, &one);
        }
        Moment::Built | Moment::Loaded | Moment::Started => {
            renew(project);
            kind.edit(project, 1, 3);
            gate.close(match moment {
                Moment::Loaded => "/images/load",
                Moment::Started => "/start",
                Moment::Built | Moment::Before | Moment::Planned => "",
            });
            let mut flowc = spawned(project.flowc(&["run"]), Stdio::null());
            gate.wait();
            kind.edit(project, 3, 2);
            gate.open();
            assert!(flowc.wait().unwrap().success(), "{place}");
            told(&two, &run(project));
            // As it was when the build began.
            edited(2, 3, &three);
            edited(3, 1, &one);
        }
        Moment::Planned => {
            let mut flowc = spawned(project.flowc(&["run", "piped.kdl", "--json"]), Stdio::piped());
            let mut events = BufReader::new(flowc.stdout.take().unwrap()).lines().map_while(Result::ok);
            assert!(events.any(|line| line.contains("run-started")), "{place}");
            kind.edit(project, 1, 2);
            flowc.stdin.take().unwrap().write_all(b"x\n").unwrap();
            events.for_each(drop);
            assert!(flowc.wait().unwrap().success(), "{place}");
            told(&one, &rows(project));
            told(&two, &run(project));
            edited(2, 1, &one);
            // The same rows as the run that was under way.
            let mut flowc = spawned(project.flowc(&["run", "piped.kdl"]), Stdio::piped());
            flowc.stdin.take().unwrap().write_all(b"x\n").unwrap();
            assert!(flowc.wait().unwrap().success(), "{place}");
            told(&one, &rows(project));
        }
    }
}

fn word(kind: &Kind, number: u32) -> String {
    format!("{}-{number}", kind.word())
}

fn spawned(mut command: Command, stdin: Stdio) -> Child {
    command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap()
}

/// What a run gives, and the same at a glance. No code sees the caller's variables.
pub(crate) fn run(project: &Project) -> String {
    // A user is not so fast that two edits fall into one tick of the file system's clock.
    std::thread::sleep(Duration::from_millis(50));
    let rows = [(), ()].map(|()| {
        let output = project.flowc(&["run"]).env("TAG_SUFFIX", "mine").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        rows(project)
    });
    assert_eq!(rows[0], rows[1]);
    rows[0].clone()
}

pub(crate) fn rows(project: &Project) -> String {
    std::fs::read_to_string(project.folder().join("out.csv")).unwrap()
}
