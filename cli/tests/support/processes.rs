//! Processes that flowc starts, as a test sees them.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// All processes, with the words of their command lines.
pub(crate) fn command_lines() -> Vec<(i32, Vec<String>)> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let words = |number: i32| {
        let line = std::fs::read(format!("/proc/{number}/cmdline")).unwrap_or_default();
        (number, line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect())
    };
    numbers.map(words).collect()
}

/// Programs that serve Python stages from copies of their code in a folder, a store for example, with the copies.
pub(crate) fn python_servers(folder: &Path) -> Vec<(i32, PathBuf)> {
    let copy = |words: Vec<String>| {
        let module = words.iter().position(|word| word == "flowc.serve")?;
        Some(PathBuf::from(words.get(module + 1)?)).filter(|copy| copy.starts_with(folder))
    };
    command_lines().into_iter().filter_map(|(number, words)| Some((number, copy(words)?))).collect()
}

/// Ends a process as nobody expects.
pub(crate) fn kill(number: i32) {
    let killed = std::process::Command::new("kill").args(["-9", &number.to_string()]).status().unwrap();
    assert!(killed.success());
}

/// Waits for something that must come.
pub(crate) fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
