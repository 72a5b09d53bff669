//! Secrets of a run: found when it begins, handed to stages, and kept out of all that is said of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use flowc_demand::Task;
use flowc_planner::plan::{Plan, SecretSource};
use flowc_runner::{Secrets, mask};

use crate::error::{Error, MissingSecret};

/// Bytes that a value may have. What is longer is a file that was not meant.
const LONGEST: u64 = 64 << 10;

/// The secrets of stages, as far as they can be had. Whether all that are needed are there is known only when it is known
/// which stages have work.
#[derive(Debug, Default)]
pub(crate) struct Held {
    of_stage: BTreeMap<usize, Secrets>,
    missing: BTreeMap<usize, Vec<MissingSecret>>,
}

impl Held {
    /// Those of all stages. Paths of files start from `base`.
    pub(crate) fn find(plan: &Plan, base: &Path) -> Self {
        let mut held = Self::default();
        for (index, stage) in plan.stages.iter().enumerate() {
            let mut values = Vec::new();
            for (secret, source) in &stage.secrets {
                match value(secret, source, base) {
                    Ok(value) => values.push((secret.clone(), value)),
                    Err(reason) => {
                        let (stage, secret) = (stage.name.clone(), secret.clone());
                        held.missing.entry(index).or_default().push(MissingSecret { stage, secret, reason });
                    }
                }
            }
            if !values.is_empty() {
                held.of_stage.insert(index, values.into_iter().collect());
            }
        }
        held
    }

    /// Whether nothing is missing that any stage might need.
    pub(crate) fn is_whole(&self) -> bool {
        self.missing.is_empty()
    }

    /// Fails if something is missing that these tasks need.
    pub(crate) fn check(&self, tasks: &[Task]) -> Result<(), Error> {
        if self.is_whole() {
            return Ok(());
        }
        let working: BTreeSet<usize> = tasks.iter().flat_map(|task| &task.chain).map(|link| link.stage).collect();
        let missing = self.missing.iter().filter(|(stage, _)| working.contains(stage)).flat_map(|(_, all)| all);
        let missing: Vec<MissingSecret> = missing.cloned().collect();
        if missing.is_empty() { Ok(()) } else { Err(Error::Secrets(missing)) }
    }

    /// What a stage is given.
    pub(crate) fn of(&self, stage: usize) -> Secrets {
        self.of_stage.get(&stage).cloned().unwrap_or_default()
    }

    /// A text without any of the values: those of other stages too, since stages of one program may share a process.
    pub(crate) fn mask(&self, text: String) -> String {
        if self.of_stage.is_empty() { text } else { mask(&text, self.of_stage.values()) }
    }
}

/// The value of a secret, or why there is none.
fn value(secret: &str, source: &SecretSource, base: &Path) -> Result<String, String> {
    let (place, bytes) = match source {
        SecretSource::Env(variable) => {
            let value = std::env::var_os(variable).ok_or_else(|| {
                format!(
                    "set the environment variable {variable}, or say where else it is: \
                     `secret \"{secret}\" env=\"…\"` or `secret \"{secret}\" file=\"…\"`"
                )
            })?;
            (format!("the environment variable {variable}"), value.into_vec())
        }
        SecretSource::File(path) => (
            path.clone(),
            read(&base.join(path))
                .map_err(|error| format!("{path}: {error}; write its value there, or say where else it is"))?,
        ),
    };
    if bytes.len() as u64 > LONGEST {
        return Err(format!("{place} has more than {} KiB; a secret is a short text", LONGEST >> 10));
    }
    match String::from_utf8(bytes) {
        Ok(value) if value.is_empty() => Err(format!("{place} is empty; leave `secret` out if the stage needs none")),
        Ok(value) => Ok(value),
        Err(_) => Err(format!("{place} holds no UTF-8 text; encode it, for example in base64")),
    }
}

/// The bytes of a file, not many more than a value may have, without the end of its last line.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LONGEST + 2).read_to_end(&mut bytes)?;
    if bytes.ends_with(b"\n") {
        bytes.pop();
        if bytes.ends_with(b"\r") {
            bytes.pop();
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_file(content: &[u8]) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), content).unwrap();
        value("TOKEN", &SecretSource::File("token".to_owned()), folder.path())
    }

    #[test]
    fn a_file_is_a_value_but_for_the_end_of_its_last_line() {
        for content in ["ab cd", "ab cd\n", "ab cd\r\n"] {
            assert_eq!(of_file(content.as_bytes()).as_deref(), Ok("ab cd"));
        }
        assert_eq!(of_file(b"one\ntwo\n\n").as_deref(), Ok("one\ntwo\n"));
    }

    #[test]
    fn what_is_no_value_is_said_without_it() {
        let problem = |content: &[u8]| of_file(content).unwrap_err();
        assert!(problem(b"\n").contains("token is empty"));
        assert!(problem(b"ab\xff").contains("no UTF-8 text"));
        assert!(problem(&[b'a'; (64 << 10) + 1]).contains("more than 64 KiB"));
        assert_eq!(of_file(&[b'a'; 64 << 10]).map(|value| value.len()), Ok(64 << 10));
        let gone = value("TOKEN", &SecretSource::File("none".to_owned()), Path::new("/")).unwrap_err();
        assert!(gone.starts_with("none: No such file"), "{gone}");
        let unset = value("TOKEN", &SecretSource::Env("FLOWC_NO_SUCH".to_owned()), Path::new("/")).unwrap_err();
        assert!(unset.contains("set the environment variable FLOWC_NO_SUCH"), "{unset}");
    }
}
