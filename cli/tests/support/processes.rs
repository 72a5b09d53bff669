//! Processes that flowc starts, as a test sees them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
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
    let killed = Command::new("kill").args(["-9", &number.to_string()]).status().unwrap();
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

/// Runs flowc to a good end. Gives the most memory that it held at once: its own, and what it shares with programs of stages. Pages of
/// files that it has mapped are the kernel's, which takes them back when it needs them.
pub(crate) fn peak(mut command: Command) -> u64 {
    let mut flowc = command.stderr(Stdio::inherit()).spawn().unwrap();
    let status = format!("/proc/{}/status", flowc.id());
    let mut most = 0;
    loop {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let held = text.lines().filter_map(|line| line.strip_prefix("RssAnon:").or(line.strip_prefix("RssShmem:")));
        let kibibytes = held.filter_map(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        most = most.max(kibibytes.sum::<u64>() * 1024);
        if let Some(status) = flowc.try_wait().unwrap() {
            assert!(status.success());
            return most;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
