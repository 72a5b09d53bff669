//! Programs that build code: uv, interpreters, cargo, the compiler. What of the caller's environment reaches them, and how they end.

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flowc_platform::lock;
use flowc_sandbox::{GuardError, guarded};

/// Variables that say how packages are fetched, whatever fetches them. What is fetched is pinned by digests.
pub const FETCHING: [&str; 18] = [
    "TMPDIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "CURL_CA_BUNDLE",
    "NETRC",
    "GIT_ASKPASS",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "GIT_SSL_CAINFO",
    "SSH_AUTH_SOCK",
];

/// How often it is looked whether a program is still wanted.
const TICK: Duration = Duration::from_millis(20);
/// A signal for all processes may reach a program before it is known here that the run was stopped.
const AFTERWARDS: Duration = Duration::from_millis(200);
/// Exit statuses from here on are those of programs that a signal ended.
const SIGNALLED: i32 = 128;

/// Runs programs while they are wanted.
#[derive(Clone, Copy)]
pub struct Tools<'a> {
    helper: Option<&'a Path>,
    is_wanted: &'a (dyn Fn() -> bool + Sync),
}

/// What a program said, and how it ended.
#[derive(Debug)]
pub struct Ran {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed on standard output.
    pub stdout: Vec<u8>,
    /// What it printed on standard error, in lines.
    pub stderr: String,
}

/// Why a program did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// It does not start.
    #[error("{0}")]
    NotStarted(String),
    /// What runs programs does not run.
    #[error("programs can't be run on this machine: {0}")]
    NotGuarded(String),
    /// The run was stopped meanwhile, and the program with it.
    #[error("stopped")]
    Stopped,
}

impl<'a> Tools<'a> {
    /// Programs are started by `helper`, which calls [`flowc_sandbox::main`] first thing: what a terminal sends to flowc does not reach
    /// them, and they end with flowc, or when they are not wanted any more.
    pub fn new(helper: &'a Path, is_wanted: &'a (dyn Fn() -> bool + Sync)) -> Self {
        Self { helper: Some(helper), is_wanted }
    }

    /// Programs are started as they are, and run to their end.
    pub fn direct() -> Self {
        Self { helper: None, is_wanted: &|| true }
    }

    /// Runs a program to its end. Each line of its standard error goes to `told` at once.
    ///
    /// # Errors
    /// If it does not start, or the run was stopped.
    pub fn run(&self, command: &mut Command, told: &mut dyn FnMut(&str)) -> Result<Ran, ToolError> {
        if !(self.is_wanted)() {
            return Err(ToolError::Stopped);
        }
        let failed = |error: io::Error| ToolError::NotStarted(error.to_string());
        let mut child = self.start(command).map_err(failed)?;
        let ran = self.watch(&mut child, told).map_err(failed)?;
        match GuardError::of(ran.status, &ran.stderr).filter(|_| self.helper.is_some()) {
            Some(GuardError::Program(reason)) => Err(ToolError::NotStarted(reason)),
            Some(GuardError::Helper(reason)) => Err(ToolError::NotGuarded(reason)),
            None if !ran.status.success() && self.was_stopped(ran.status) => Err(ToolError::Stopped),
            None => Ok(ran),
        }
    }

    fn start(&self, command: &mut Command) -> io::Result<Child> {
        let mut guard = self.helper.map(|helper| guarded(helper, command));
        let command = match &mut guard {
            Some(guard) => guard,
            None => command.stdin(Stdio::null()),
        };
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
    }

    /// Hears a program to its end, and ends it when it is not wanted.
    fn watch(&self, child: &mut Child, told: &mut dyn FnMut(&str)) -> io::Result<Ran> {
        let (stdin, stdout, stderr) = (Mutex::new(child.stdin.take()), child.stdout.take(), child.stderr.take());
        let is_over = AtomicBool::new(false);
        let (stdout, stderr) = std::thread::scope(|scope| {
            let watch = scope.spawn(|| self.end_unwanted(&stdin, &is_over));
            let all = scope.spawn(move || {
                let mut all = Vec::new();
                stdout.map_or(Ok(0), |mut stdout| stdout.read_to_end(&mut all)).map(|_| all)
            });
            let mut lines = String::new();
            for line in stderr.into_iter().flat_map(|stderr| BufReader::new(stderr).split(b'\n').map_while(Result::ok))
            {
                let line = String::from_utf8_lossy(&line);
                told(&line);
                lines.push_str(&line);
                lines.push('\n');
            }
            let all = all.join().unwrap_or_else(|_| Ok(Vec::new()));
            is_over.store(true, Ordering::Release);
            watch.thread().unpark();
            (all, lines)
        });
        Ok(Ran { status: child.wait()?, stdout: stdout?, stderr })
    }

    fn end_unwanted(&self, stdin: &Mutex<Option<ChildStdin>>, is_over: &AtomicBool) {
        while !is_over.load(Ordering::Acquire) {
            if !(self.is_wanted)() {
                drop(lock(stdin).take());
                return;
            }
            std::thread::park_timeout(TICK);
        }
    }

    fn was_stopped(&self, status: ExitStatus) -> bool {
        if status.code().is_none_or(|code| code > SIGNALLED) && (self.is_wanted)() {
            std::thread::sleep(AFTERWARDS);
        }
        !(self.is_wanted)()
    }
}
