//! Databases, as a test sees them: drivers, and servers of PostgreSQL.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::project::Project;

/// The password of the server's user.
pub(crate) const PASSWORD: &str = "correct horse";

fn found(variable: &str) -> PathBuf {
    let path = std::env::var_os(variable);
    path.unwrap_or_else(|| {
        panic!("{variable} is not set: run `cargo xtask test`, or `cargo xtask databases cargo test --test databases`")
    })
    .into()
}

/// A folder with manifests of drivers.
pub(crate) fn drivers() -> PathBuf {
    found("FLOWC_ADBC_DRIVERS")
}

/// A project whose programs find the drivers.
pub(crate) fn project() -> Project {
    let mut project = Project::new();
    project.set("ADBC_DRIVER_PATH", drivers().to_string_lossy().into_owned());
    project
}

/// A server of PostgreSQL. It ends with this value.
pub(crate) struct Server {
    child: Child,
    folder: tempfile::TempDir,
    pub(crate) port: u16,
}

/// Runs a server as long as somebody holds the pipe to it, and ends it as a crash would: it must not outlive the tests, whoever ends
/// those. Its folder goes as well, unless a word says that it is to stay.
const WHILE_HELD: &str = r#"folder=$1; shift; "$@" & server=$!
read -r word; kill -QUIT $server; wait $server; [ -n "$word" ] || rm -rf "$folder""#;

static SHARED: LazyLock<Server> = LazyLock::new(Server::start);

impl Server {
    /// The server that tests share which do not end it.
    pub(crate) fn shared() -> &'static Self {
        &SHARED
    }

    pub(crate) fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("flowc-postgresql-").tempdir().unwrap();
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let password = folder.path().join("password");
        std::fs::write(&password, PASSWORD).unwrap();
        let made = program("initdb")
            .args(["--auth=scram-sha-256", "--username=flowc", "--no-sync", "--encoding=UTF8"])
            .args(["--locale=C", "-D"])
            .arg(&data)
            .arg(format!("--pwfile={}", password.display()))
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Self::spawn(folder.path(), port);
        let mut server = Self { child, folder, port };
        server.wait();
        server
    }

    fn spawn(folder: &Path, port: u16) -> Child {
        let server = program("postgres");
        let mut command = Command::new("sh");
        command.args(["-c", WHILE_HELD, "sh"]).arg(folder).arg(server.get_program()).args(server.get_args());
        command.envs(server.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.arg("-D").arg(folder.join("data")).args(["-p", &port.to_string(), "-k"]).arg(folder);
        let log = std::fs::File::create(folder.join("log")).unwrap();
        command.args(["-c", "fsync=off", "-c", "jit=off", "-c", "listen_addresses=127.0.0.1"]);
        command.stdin(Stdio::piped()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
    }

    fn wait(&mut self) {
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() || self.try_psql("postgres", "SELECT 1").is_err() {
            let log = || std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(start.elapsed() < Duration::from_secs(60), "PostgreSQL does not start: {}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends the server at once, as a crash would.
    pub(crate) fn kill(&mut self) {
        self.child.stdin.take().unwrap().write_all(b"keep\n").unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again.
    pub(crate) fn restart(&mut self) {
        self.child = Self::spawn(self.folder.path(), self.port);
        self.wait();
    }

    /// A database of its own for a test; gives its address for flowc.
    pub(crate) fn database(&self) -> Database<'_> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.try_psql("postgres", &format!("CREATE DATABASE {name}")).unwrap();
        Database { server: self, name }
    }

    /// What a statement gives in a database: a line for each row, with commas.
    pub(crate) fn psql(&self, database: &str, sql: &str) -> String {
        self.try_psql(database, sql).unwrap()
    }

    fn try_psql(&self, database: &str, sql: &str) -> Result<String, String> {
        let mut command = program("psql");
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "flowc", "-d", database]);
        command
            .args(["-v", "ON_ERROR_STOP=1", "-X", "-q", "-A", "-t", "-F", ",", "-c", sql])
            .env("PGPASSWORD", PASSWORD);
        let output = command.output().unwrap();
        match output.status.success() {
            true => Ok(String::from_utf8(output.stdout).unwrap().trim_end().to_owned()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            self.kill();
        }
    }
}

/// A database of a server.
pub(crate) struct Database<'s> {
    server: &'s Server,
    pub(crate) name: String,
}

impl Database<'_> {
    /// Its address.
    pub(crate) fn uri(&self) -> String {
        format!("postgresql://flowc@127.0.0.1:{}/{}", self.server.port, self.name)
    }

    /// What a statement gives: a line for each row, with commas.
    pub(crate) fn psql(&self, sql: &str) -> String {
        self.server.psql(&self.name, sql)
    }
}

fn is_root() -> bool {
    std::fs::read_to_string("/proc/self/status").unwrap().lines().any(|line| line.starts_with("Uid:\t0\t"))
}

/// A program of the server's packages. They refuse to run as root: where the tests do, it has another name in there, and may
/// still read all that root owns, such as the packages in a home folder.
fn program(name: &str) -> Command {
    let root = found("FLOWC_POSTGRESQL");
    let path = root.join("usr/lib/postgresql/15/bin").join(name);
    let mut command = match is_root() {
        true => {
            let mut command = Command::new("unshare");
            command.args(["--user", "--map-user=1000", "--map-group=1000", "--"]).arg(path);
            command
        }
        false => Command::new(path),
    };
    command.env("LD_LIBRARY_PATH", root.join("usr/lib/x86_64-linux-gnu")).env("TZ", "UTC");
    command
}
