//! flowc's side: a driver's process, and what it is asked.

use std::fs::Permissions;
use std::io::{self, BufReader, BufWriter, ErrorKind};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, ExitStatus};
use std::sync::{Once, OnceLock};
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use flowc_platform::{OwnedFolder, caught, sweep_folders};
use flowc_sandbox::{Helper, Printed, Sandbox, describe, end};
use serde::Serialize;

use crate::access::Access;
use crate::alone::Alone;
use crate::dialect::Vendor;
use crate::error::DatabaseError;
use crate::serve::{SERVE, one_line};
use crate::wire::{self, Answer, Frame, Ingest, Request};

/// How long a process may take to start.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a process may take to end that has closed its socket.
const END: Duration = Duration::from_secs(5);
/// How the names of the folders of processes start.
const PREFIX: &str = "flowc-adbc-";
/// Processes and threads that a driver may have.
const PROCESSES: u64 = 256;
/// Lines of what a process printed that a message shows.
const LINES: usize = 5;
/// A secret that is shorter is not looked for in texts, where it may be part of any word.
const SHORT: usize = 3;
/// What a client of the network looks at: names, and whom to trust.
const NETWORK: [&str; 9] = [
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/host.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/ssl",
    "/etc/pki",
    "/etc/passwd",
];
/// Where a server of this machine may have its socket.
const SOCKETS: [&str; 2] = ["/var/run/postgresql", "/run/postgresql"];
/// The environment of a process, beside the secrets that it is given.
const VARIABLES: [(&str, &str); 3] = [("LANG", "C.UTF-8"), ("TZ", "UTC"), ("PATH", "/usr/bin:/bin")];

/// A connection to a database. Dropped within a transaction, it leaves the database as it was.
pub struct Connection {
    process: Process,
    from: BufReader<UnixStream>,
    to: BufWriter<UnixStream>,
    vendor: Vendor,
    /// Given back once the process has ended.
    _alone: Option<Alone>,
}

/// The process of a driver.
struct Process {
    child: Child,
    printed: Printed,
    /// The driver, as the text names it.
    shown: String,
    /// What must not be told of what it says.
    secrets: Vec<String>,
    /// Its socket, and what the driver writes.
    _folder: OwnedFolder,
}

impl Connection {
    /// Starts a process for the driver, and connects. The process is this program again, which calls [`main`](crate::main) first thing,
    /// after that of sandboxes.
    ///
    /// # Errors
    /// If the process can't be started, or the database can't be reached.
    pub fn open(access: Access) -> Result<Self, DatabaseError> {
        let start = |error: io::Error| DatabaseError::Start(error.to_string());
        let alone = access.alone.as_deref().map(Alone::with);
        let (process, stream) = Process::start(&access, helper().map_err(start)?)?;
        let from = BufReader::with_capacity(1 << 18, stream.try_clone().map_err(start)?);
        let to = BufWriter::with_capacity(1 << 18, stream);
        let mut connection = Self { process, from, to, vendor: Vendor::Other(String::new()), _alone: alone };
        let Access { library, entrypoint, options, variables, .. } = access;
        match connection.ask(&Request::Open { library, entrypoint, options, variables }, None)? {
            Answer::Opened { vendor } => connection.vendor = Vendor::named(&vendor),
            _ => return Err(connection.astray()),
        }
        Ok(connection)
    }

    /// Connects as [`Connection::open`] does, and has the database refuse all that writes: statements, and functions that a query calls. SQLite and
    /// PostgreSQL can; others run what they are told.
    ///
    /// # Errors
    /// As [`Connection::open`], or if the database can't be told to refuse.
    pub fn open_to_read(access: Access) -> Result<Self, DatabaseError> {
        let mut connection = Self::open(access)?;
        if let Some(statement) = connection.vendor.read_only() {
            connection.execute(statement, None)?;
        }
        Ok(connection)
    }

    /// Whose the database is.
    pub fn vendor(&self) -> &Vendor {
        &self.vendor
    }

    /// The columns of a query.
    ///
    /// # Errors
    /// If the database refuses, or the driver fails.
    pub fn columns(&mut self, sql: &str, parameters: Option<&RecordBatch>) -> Result<SchemaRef, DatabaseError> {
        let request = Request::Columns { sql: sql.to_owned(), bound: parameters.is_some() };
        let mut rows = self.rows(&request, parameters)?;
        while rows.next()?.is_some() {}
        Ok(rows.schema)
    }

    /// The rows of a query, with these values for its parameters.
    ///
    /// # Errors
    /// If the database refuses, or the driver fails.
    pub fn query(&mut self, sql: &str, parameters: Option<&RecordBatch>) -> Result<Rows<'_>, DatabaseError> {
        self.rows(&Request::Query { sql: sql.to_owned(), bound: parameters.is_some() }, parameters)
    }

    fn rows(&mut self, request: &Request, parameters: Option<&RecordBatch>) -> Result<Rows<'_>, DatabaseError> {
        match self.ask(request, parameters)? {
            Answer::Rows => {}
            _ => return Err(self.astray()),
        }
        match self.frame()? {
            Frame::Rows(content) => {
                let (schema, _) = self.decoded(content)?;
                Ok(Rows { connection: self, schema, is_over: false })
            }
            Frame::Message(_) | Frame::End => {
                // What went wrong is said behind the rows that there are not.
                self.answer()?;
                Err(self.astray())
            }
        }
    }

    /// Does what a statement says; gives the number of rows that it wrote, where the driver tells.
    ///
    /// # Errors
    /// If the database refuses, or the driver fails.
    pub fn execute(&mut self, sql: &str, parameters: Option<&RecordBatch>) -> Result<Option<i64>, DatabaseError> {
        let request = Request::Execute { sql: sql.to_owned(), bound: parameters.is_some() };
        match self.ask(&request, parameters)? {
            Answer::Done { rows } => Ok(rows),
            _ => Err(self.astray()),
        }
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// If the database refuses, or the driver fails.
    pub fn begin(&mut self) -> Result<(), DatabaseError> {
        self.ask(&Request::Begin, None).map(drop)
    }

    /// Commits the transaction.
    ///
    /// # Errors
    /// If the database refuses, or the driver fails. Where the connection was lost, nobody knows yet whether it was committed.
    pub fn commit(&mut self) -> Result<(), DatabaseError> {
        self.ask(&Request::Commit, None).map(drop)
    }

    /// Adds rows to a table. `rows` gives the contents of frames, as [`encoded`](Self::encoded) makes them, until there are no more.
    ///
    /// # Errors
    /// If the database refuses, the driver fails, or `rows` does.
    pub fn ingest<E: From<DatabaseError>>(
        &mut self,
        ingest: Ingest,
        schema: &SchemaRef,
        mut rows: impl FnMut() -> Result<Option<Vec<u8>>, E>,
    ) -> Result<Option<i64>, E> {
        let first = Self::encoded(schema, None)?;
        let begun = wire::send(&mut self.to, &Request::Ingest(ingest));
        let begun = begun.and_then(|()| wire::send_encoded(&mut self.to, &first));
        begun.map_err(|error| self.lost(&error))?;
        while let Some(content) = rows()? {
            wire::send_encoded(&mut self.to, &content).map_err(|error| self.lost(&error))?;
        }
        wire::send_end(&mut self.to).map_err(|error| self.lost(&error))?;
        match self.answer()? {
            Answer::Done { rows } => Ok(rows),
            _ => Err(self.astray().into()),
        }
    }

    /// Rows as [`ingest`](Self::ingest) takes them; without any, their schema alone.
    ///
    /// # Errors
    /// If they are of a type that can't be encoded.
    pub fn encoded(schema: &SchemaRef, batch: Option<&RecordBatch>) -> Result<Vec<u8>, DatabaseError> {
        let refused = |message: String| DatabaseError::Refused { message, sqlstate: None };
        wire::encoded(schema, batch).map_err(|error| refused(error.to_string()))
    }

    /// Asks for something; gives the answer unless it is a refusal.
    fn ask(&mut self, request: &Request, parameters: Option<&RecordBatch>) -> Result<Answer, DatabaseError> {
        self.send(request)?;
        if let Some(parameters) = parameters {
            let content = Self::encoded(&parameters.schema(), Some(parameters))?;
            wire::send_encoded(&mut self.to, &content).map_err(|error| self.lost(&error))?;
            io::Write::flush(&mut self.to).map_err(|error| self.lost(&error))?;
        }
        self.answer()
    }

    fn send(&mut self, message: &impl Serialize) -> Result<(), DatabaseError> {
        wire::send(&mut self.to, message).map_err(|error| self.lost(&error))
    }

    fn answer(&mut self) -> Result<Answer, DatabaseError> {
        match wire::receive(&mut self.from) {
            Ok(Answer::Refused { message, sqlstate }) => {
                Err(DatabaseError::Refused { message: self.process.hidden(&message), sqlstate })
            }
            Ok(Answer::NotUtf8 { column, row }) => {
                let cast = self.vendor.bytes_of(&column);
                Err(DatabaseError::NotUtf8 { column, row, cast })
            }
            Ok(Answer::Lies { reason }) => Err(self.lies(reason)),
            Ok(answer) => Ok(answer),
            Err(error) => Err(self.lost(&error)),
        }
    }

    fn frame(&mut self) -> Result<Frame, DatabaseError> {
        wire::read(&mut self.from).map_err(|error| self.lost(&error))
    }

    /// Decodes what comes from a process in which there is code that nobody knows.
    fn decoded(&self, content: Vec<u8>) -> Result<(SchemaRef, Option<RecordBatch>), DatabaseError> {
        match caught(|| wire::decoded(content)) {
            Ok(decoded) => decoded.map_err(|error| self.lies(error.to_string())),
            Err(panic) => Err(self.lies(panic.message)),
        }
    }

    fn lies(&self, reason: String) -> DatabaseError {
        DatabaseError::Lies { driver: self.process.shown.clone(), reason: self.process.hidden(&reason) }
    }

    fn astray(&self) -> DatabaseError {
        self.lies("its process answers something else than was asked".to_owned())
    }

    /// What it means that the socket fails.
    fn lost(&mut self, error: &io::Error) -> DatabaseError {
        if error.kind() == ErrorKind::InvalidData {
            return self.lies(error.to_string());
        }
        self.process.ended()
    }
}

impl Drop for Connection {
    /// Has the driver close its database, so that nothing is left to be recovered.
    fn drop(&mut self) {
        if self.to.get_ref().shutdown(Shutdown::Both).is_ok() {
            self.process.status();
        }
    }
}

/// Rows that a database gives, batch by batch.
pub struct Rows<'c> {
    connection: &'c mut Connection,
    schema: SchemaRef,
    is_over: bool,
}

impl Rows<'_> {
    /// Their columns, as the driver describes them.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The next ones; none at their end.
    ///
    /// # Errors
    /// If the database refuses, or the driver fails.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<RecordBatch>, DatabaseError> {
        while !self.is_over {
            match self.connection.frame()? {
                Frame::Rows(content) => {
                    let (schema, batch) = self.connection.decoded(content)?;
                    if schema.fields() != self.schema.fields() {
                        return Err(self.connection.lies("rows have other columns than it said".to_owned()));
                    }
                    if batch.is_some() {
                        return Ok(batch);
                    }
                }
                Frame::End => {
                    self.is_over = true;
                    self.connection.answer()?;
                }
                Frame::Message(_) => return Err(self.connection.astray()),
            }
        }
        Ok(None)
    }
}

impl Process {
    fn start(access: &Access, helper: &Helper) -> Result<(Self, UnixStream), DatabaseError> {
        let failed = |error: io::Error| DatabaseError::Start(error.to_string());
        if let Some(failure) = &helper.isolation().failure {
            return Err(DatabaseError::Start(failure.clone()));
        }
        let folder = folder().map_err(failed)?;
        let socket = folder.path().join("s");
        let listener = UnixListener::bind(&socket).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let sandbox = sandbox(access, helper.program(), folder.path(), &socket);
        let mut child = sandbox.spawn(helper.starter(), helper.required()).map_err(failed)?;
        let printed = Printed::default();
        let pipes = [child.stdout.take().map(Into::into), child.stderr.take().map(Into::into)];
        let listened = pipes.into_iter().flatten().try_for_each(|pipe| printed.listen(pipe));
        let mut process =
            Self { child, printed, shown: access.shown.clone(), secrets: access.secrets.clone(), _folder: folder };
        listened.map_err(failed)?;
        let stream = process.accept(&listener)?;
        stream.set_nonblocking(false).map_err(failed)?;
        // Nobody else is to connect.
        std::fs::remove_file(&socket).map_err(failed)?;
        Ok((process, stream))
    }

    fn accept(&mut self, listener: &UnixListener) -> Result<UnixStream, DatabaseError> {
        let start = Instant::now();
        loop {
            match listener.accept() {
                Ok((stream, _)) => return Ok(stream),
                Err(error) if error.kind() != ErrorKind::WouldBlock => {
                    return Err(DatabaseError::Start(error.to_string()));
                }
                Err(_) => {}
            }
            let has_ended = matches!(self.child.try_wait(), Ok(Some(_)));
            if has_ended || start.elapsed() > PATIENCE {
                let said = self.said().join(" / ");
                let reason = if said.is_empty() { "it does not answer".to_owned() } else { said };
                return Err(DatabaseError::Start(reason));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// What is to be said of a process that does not answer any more.
    fn ended(&mut self) -> DatabaseError {
        let status = self.status();
        let how = status.map_or_else(|| "its process does not answer".to_owned(), describe);
        DatabaseError::Crashed { driver: self.shown.clone(), how, lines: self.said() }
    }

    /// How it ended, or will soon.
    fn status(&mut self) -> Option<ExitStatus> {
        let start = Instant::now();
        while start.elapsed() < END {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        None
    }

    fn said(&self) -> Vec<String> {
        let lines = self.printed.take();
        lines[lines.len().saturating_sub(LINES)..].iter().map(|line| self.hidden(line)).collect()
    }

    /// A text without secrets: drivers quote what they can't read, such as addresses.
    fn hidden(&self, text: &str) -> String {
        let long = self.secrets.iter().filter(|secret| secret.len() >= SHORT);
        long.fold(text.to_owned(), |text, secret| {
            // As it is, and as messages are in one line.
            text.replace(secret.as_str(), "***").replace(&one_line(secret), "***")
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// A folder for a process. Those of a flowc that was killed go first.
fn folder() -> io::Result<OwnedFolder> {
    static SWEPT: Once = Once::new();
    let parent = std::env::temp_dir();
    SWEPT.call_once(|| sweep_folders(&parent, PREFIX));
    let folder = OwnedFolder::make(&parent, PREFIX)?;
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o700))?;
    Ok(folder)
}

/// The helper of sandboxes. What it can do here is found out once.
fn helper() -> io::Result<&'static Helper> {
    static HELPER: OnceLock<Helper> = OnceLock::new();
    match HELPER.get() {
        Some(helper) => Ok(helper),
        None => {
            let helper = Helper::of_this_program()?;
            Ok(HELPER.get_or_init(|| helper))
        }
    }
}

fn sandbox(access: &Access, program: &Path, folder: &Path, socket: &Path) -> Sandbox {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let own = ["TMPDIR", "SQLITE_TMPDIR", "HOME"].map(|name| (name.to_owned(), text(folder)));
    let fixed = VARIABLES.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let beside = access.library.parent().map(Path::to_owned);
    let system = NETWORK.iter().chain(&SOCKETS).map(Into::into);
    Sandbox {
        program: program.to_owned(),
        args: vec![SERVE.to_owned(), text(socket)],
        env: fixed.into_iter().chain(own).collect(),
        folder: folder.to_owned(),
        readable: system.chain(access.readable.iter().cloned()).chain(beside).chain([program.to_owned()]).collect(),
        writable: access.writable.iter().cloned().chain([folder.to_owned()]).collect(),
        memory: None,
        processors: Vec::new(),
        processes: PROCESSES,
        network: true,
    }
}
