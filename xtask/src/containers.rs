//! A container engine, which tests and benchmarks of stages in containers need.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::process;
use crate::workspace::Workspace;

/// What Debian and its like call Docker's engine, and what it needs.
const PACKAGES: [&str; 2] = ["docker.io", "iptables"];
/// How long an engine may take to start, and to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// An engine that answers: one that was there, or one of our own, which ends with this value.
pub struct Engine {
    /// For `DOCKER_HOST`.
    pub host: String,
    _own: Option<Daemon>,
}

impl Engine {
    /// The engine that `DOCKER_HOST` names, the one of this machine, or a new one. Docker is installed for that if it is not
    /// there and this is root on Debian or its like.
    ///
    /// # Errors
    /// If no engine answers, and Docker can be neither installed nor started.
    pub fn find(workspace: &Workspace) -> Result<Self> {
        let named = std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty());
        let host = named.unwrap_or_else(|| "unix:///var/run/docker.sock".to_owned());
        if answers(Path::new(host.trim_start_matches("unix://"))) {
            return Ok(Self { host, _own: None });
        }
        if !process::succeeds(Command::new("dockerd").arg("--version")) {
            install()?;
        }
        let daemon = Daemon::start(workspace)?;
        Ok(Self { host: format!("unix://{}", daemon.socket().display()), _own: Some(daemon) })
    }
}

fn install() -> Result<()> {
    eprintln!("setup: installing {}", PACKAGES.join(" "));
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").args(arguments).stdout(Stdio::null());
        process::run(&mut command)
    };
    let install = [&["install", "--yes", "--quiet", "--no-install-recommends"][..], &PACKAGES].concat();
    // The lists of packages may be old, or not be there.
    let installed = apt(&install).or_else(|_| apt(&["update", "--quiet"]).and_then(|()| apt(&install)));
    installed.context(
        "the tests of stages in containers need Docker: install and start it, or name the socket of an engine in \
         DOCKER_HOST (on Debian and its like, root gets it by itself)",
    )
}

/// Docker's engine, with folders of its own and no network.
struct Daemon {
    child: Child,
    /// Its socket, whose path must be short.
    folder: TempDir,
    /// Its images and containers.
    data: PathBuf,
}

impl Daemon {
    fn start(workspace: &Workspace) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("flowc-docker-").tempdir()?;
        let data = workspace.target.join("tools").join(format!("docker-{}", std::process::id()));
        fs::create_dir_all(&data)?;
        let log = folder.path().join("log");
        let mut command = Command::new("dockerd");
        command.arg("--data-root").arg(&data).arg("--exec-root").arg(folder.path().join("exec"));
        command.arg("--host").arg(format!("unix://{}", folder.path().join("s").display()));
        command.arg("--pidfile").arg(folder.path().join("pid"));
        command.args(["--iptables=false", "--ip6tables=false", "--bridge=none"]);
        command.stdin(Stdio::null()).stdout(File::create(&log)?).stderr(File::options().append(true).open(&log)?);
        eprintln!("setup: starting Docker's engine");
        let child = command.spawn().context("dockerd could not be started")?;
        let mut daemon = Self { child, folder, data };
        let start = Instant::now();
        while !answers(&daemon.socket()) {
            let ended = daemon.child.try_wait()?.is_some();
            if ended || start.elapsed() > PATIENCE {
                let said = fs::read_to_string(&log).unwrap_or_default();
                let last: Vec<&str> = said.lines().rev().take(5).collect();
                bail!("Docker's engine does not start: {}", last.into_iter().rev().collect::<Vec<_>>().join("\n"));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(daemon)
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("s")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Asked to end, it ends what it started; killed, it would not.
        let asked = Command::new("kill").arg(self.child.id().to_string()).status();
        let start = Instant::now();
        while asked.is_ok() && start.elapsed() < PATIENCE && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.data);
    }
}

/// Whether an engine listens on a socket, and says so.
fn answers(socket: &Path) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"GET /_ping HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.lines().next().is_some_and(|line| line.contains(" 200")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_answers_where_nobody_listens() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!answers(&folder.path().join("s")));
    }
}
