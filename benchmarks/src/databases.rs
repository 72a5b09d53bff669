//! Rows of databases: SQLite read by ADBC, and rows of PostgreSQL written over by key.

use std::fmt::Write as _;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use adbc_core::options::{AdbcVersion, OptionDatabase, OptionStatement, OptionValue};
use adbc_core::{Connection as _, Database as _, Driver as _, Optionable as _, Statement as _};
use adbc_driver_manager::ManagedDriver;
use anyhow::{Context, Result, bail};
use xtask::{databases, process};

use super::Bench;
use super::measure::{by_turns, measure, wall};
use super::project::Project;
use super::report::{Finding, Section, ms, row};

const ROWS: u64 = 1_000_000;
/// So many times as many rows are read: starting programs is to be a small part of it.
const READ: u64 = 8;
const ROUNDS: usize = 3;
/// The user that a server runs as where the benchmark runs as root, which it refuses.
const NOBODY: u32 = 65534;
/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// A first run that reads SQLite, against a bare reader, and one that writes PostgreSQL, against `COPY`.
pub(super) fn run(bench: &Bench<'_>) -> Result<Section> {
    let rows = bench.rows.unwrap_or(ROWS);
    let found = databases::variables(bench.workspace)?;
    let path = |name: &str| found.iter().find(|(known, _)| *known == name).map(|(_, path)| path.clone());
    let drivers = path("FLOWC_ADBC_DRIVERS").context("no drivers")?;
    let server = Server::start(path("FLOWC_POSTGRESQL").context("no server")?)?;
    let made = Project::new(bench, "made")?;
    made.write("rows.csv", text(rows)?)?;
    let [flowc_read, bare_read] = read(bench, READ * rows, &drivers)?;
    let [flowc_upsert, copy] = upsert(bench, &made, &drivers, &server)?;
    let line = |name: &str, rows: u64, seconds: f64| {
        row([name.to_owned(), ms(seconds), format!("{:.0} rows/ms", rows as f64 / seconds / 1e3)])
    };
    Ok(Section {
        title: "Rows of databases".to_owned(),
        text: format!(
            "Rows of two integers and a text. Read, {} of them: flowc runs in a store without results; it reads a table of SQLite by ADBC in a process of \
             its own, cuts the rows by content, keeps and hashes them, and a stage drops them all. The peer reads the same table by the same driver and \
             drops the rows. Written, {rows} of them: flowc reads a file of CSV, and writes the rows over those of their key in a table of PostgreSQL, which is \
             empty, has a primary key and no other writer. The peer is `COPY` of the same file into such a table, by `psql`.",
            READ * rows
        ),
        head: row(["who", "wall time", "rate"]),
        rows: vec![
            line("flowc reads SQLite", READ * rows, flowc_read),
            line("a bare ADBC reader", READ * rows, bare_read),
            line("flowc writes PostgreSQL by key", rows, flowc_upsert),
            line("`COPY`", rows, copy),
        ],
        findings: vec![
            Finding::at_least("reading: at least 0.9x of a bare ADBC reader", bare_read / flowc_read, 0.9, "x"),
            Finding::at_least("writing by key: at least 0.7x of `COPY`", copy / flowc_upsert, 0.7, "x"),
        ],
    })
}

fn text(rows: u64) -> Result<String> {
    let mut text = String::from("id,n,t\n");
    for id in 0..rows {
        let mixed = id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        writeln!(text, "{id},{mixed},word {}", mixed % 100_003)?;
    }
    Ok(text)
}

/// Seconds of flowc and of a bare reader.
fn read(bench: &Bench<'_>, rows: u64, drivers: &Path) -> Result<[f64; 2]> {
    const NONE: &str = "stage \"none\" { in \"rows\"; std \"filter@1\"; config { where { column \"id\"; op \"<\"; value 0 } } }\n\
                        sink \"out\" { in \"none\"; file \"out/none.csv\" }\n";
    let with_drivers = |mut command: Command| {
        command.env("ADBC_DRIVER_PATH", drivers);
        command
    };
    let made = Project::new(bench, "read-made")?;
    made.write("rows.csv", text(rows)?)?;
    made.write(
        "flow.kdl",
        "source \"rows\" { files \"rows.csv\" }\n\
         sink \"t\" { in \"rows\"; adbc \"sqlite\" uri=\"rows.db\" table=\"rows\" mode=\"create\" }\n",
    )?;
    measure(&mut with_drivers(made.command_for(&["run", "--quiet"])))?;
    let database = made.folder().join("rows.db");
    let warm = Project::new(bench, "warm")?;
    warm.write("in/a.csv", "id\n1\n")?;
    warm.write("flow.kdl", format!("source \"rows\" {{ files \"in/a.csv\" }}\n{NONE}"))?;
    warm.run()?;
    let project = Project::new(bench, "read")?;
    project.write(
        "flow.kdl",
        format!("source \"rows\" {{ adbc \"sqlite\" uri=\"{}\" table=\"rows\" }}\n{NONE}", database.display()),
    )?;
    let driver = drivers.join("adbc_driver_sqlite/libadbc_driver_sqlite.so");
    let alone = || {
        let mut command = Command::new(std::env::current_exe().unwrap_or_else(|_| "flowc-benchmarks".into()));
        command.arg("read-database").args([&driver, &database]);
        command
    };
    let [flowc, bare] = by_turns(
        ROUNDS,
        [
            &mut || {
                project.take_store_of(&warm)?;
                measure(&mut with_drivers(project.command_for(&["run", "--quiet"])))
            },
            &mut || measure(&mut alone()),
        ],
    )?;
    Ok([wall(&flowc), wall(&bare)])
}

/// Seconds of flowc and of `COPY`.
fn upsert(bench: &Bench<'_>, made: &Project, drivers: &Path, server: &Server) -> Result<[f64; 2]> {
    let project = Project::new(bench, "upsert")?;
    let file = made.folder().join("rows.csv");
    for table in ["written", "copied"] {
        server.psql(&format!("CREATE TABLE {table} (id bigint PRIMARY KEY, n bigint, t text)"))?;
    }
    project.write(
        "flow.kdl",
        format!(
            "source \"rows\" {{ files \"{}\" }}\n\
             sink \"t\" {{ in \"rows\"; adbc \"postgresql\" uri=\"postgresql://flowc@127.0.0.1:{}/postgres\" table=\"written\" mode=\"upsert\" {{ key \"id\" }} }}\n",
            file.display(),
            server.port
        ),
    )?;
    let copy = format!("\\copy copied FROM '{}' CSV HEADER", file.display());
    let [flowc, peer] = by_turns(
        ROUNDS,
        [
            &mut || {
                project.forget_all()?;
                server.psql("TRUNCATE written; DROP TABLE IF EXISTS flowc_sinks")?;
                measure(project.command_for(&["run", "--quiet"]).env("ADBC_DRIVER_PATH", drivers))
            },
            &mut || {
                server.psql("TRUNCATE copied")?;
                measure(&mut server.command("psql", &copy))
            },
        ],
    )?;
    let counts = server.psql("SELECT (SELECT count(*) FROM written) = (SELECT count(*) FROM copied)")?;
    if counts.trim() != "t" {
        bail!("the tables differ");
    }
    Ok([wall(&flowc), wall(&peer)])
}

/// The bare reader, in a process of its own.
pub(crate) fn read_alone(driver: &str, database: &str) -> Result<()> {
    let mut driver = ManagedDriver::load_dynamic_from_filename(driver, None, AdbcVersion::V110)?;
    let uri = (OptionDatabase::Uri, OptionValue::String(database.to_owned()));
    let mut connection = driver.new_database_with_opts([uri])?.new_connection()?;
    let mut statement = connection.new_statement()?;
    let batch = OptionStatement::Other("adbc.sqlite.query.batch_rows".to_owned());
    statement.set_option(batch, OptionValue::Int(1 << 16))?;
    statement.set_sql_query("SELECT * FROM rows")?;
    let mut rows = 0;
    for batch in statement.execute()? {
        rows += batch?.num_rows();
    }
    println!("{rows}");
    Ok(())
}

/// A server of PostgreSQL, which ends with this value.
struct Server {
    child: Child,
    root: PathBuf,
    folder: tempfile::TempDir,
    port: u16,
}

impl Server {
    fn start(root: PathBuf) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("flowc-bench-").tempdir()?;
        let data = folder.path().join("data");
        fs::create_dir(&data)?;
        if is_root()? {
            [folder.path(), &data].iter().try_for_each(|path| chown(path, Some(NOBODY), Some(NOBODY)))?;
        }
        let made = program(&root, "initdb")?
            .args(["--auth=trust", "--username=flowc", "--encoding=UTF8", "--locale=C", "-D"])
            .arg(&data)
            .output()?;
        if !made.status.success() {
            bail!("initdb: {}", String::from_utf8_lossy(&made.stderr));
        }
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = program(&root, "postgres")?;
        command
            .arg("-D")
            .arg(&data)
            .args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1", "-k"])
            .arg(folder.path());
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let server = Self { child, root, folder, port };
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() || server.psql("SELECT 1").is_err() {
            if start.elapsed() > PATIENCE {
                bail!("PostgreSQL does not start in {}", server.folder.path().display());
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(server)
    }

    fn command(&self, name: &str, sql: &str) -> Command {
        let mut command = Command::new(self.root.join("usr/lib/postgresql/15/bin").join(name));
        command.env("LD_LIBRARY_PATH", self.root.join("usr/lib/x86_64-linux-gnu"));
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "flowc", "-d", "postgres"]);
        command.args(["-v", "ON_ERROR_STOP=1", "-X", "-q", "-A", "-t", "-c", sql]);
        command
    }

    fn psql(&self, sql: &str) -> Result<String> {
        process::output(self.command("psql", sql).stderr(Stdio::null()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}

fn is_root() -> Result<bool> {
    Ok(fs::read_to_string("/proc/self/status")?.lines().any(|line| line.starts_with("Uid:\t0\t")))
}

fn program(root: &Path, name: &str) -> Result<Command> {
    let path = root.join("usr/lib/postgresql/15/bin").join(name);
    let mut command = match is_root()? {
        true => {
            let (mut command, user) = (Command::new("setpriv"), NOBODY.to_string());
            command.args(["--reuid", &user, "--regid", &user, "--clear-groups", "--"]).arg(path);
            command
        }
        false => Command::new(path),
    };
    command.env("LD_LIBRARY_PATH", root.join("usr/lib/x86_64-linux-gnu"));
    Ok(command)
}
