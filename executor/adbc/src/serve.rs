//! The process's side: a driver, and a connection to its database, that do what is asked.

use std::io::{self, BufReader, BufWriter};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use adbc_core::constants::ADBC_INFO_VENDOR_NAME;
use adbc_core::error::{Error, Status};
use adbc_core::options::{
    AdbcVersion, InfoCode, IngestMode as Mode, OptionConnection, OptionDatabase, OptionStatement, OptionValue,
};
use adbc_core::{Connection as _, Database as _, Driver as _, Optionable as _, Statement as _};
use adbc_driver_manager::{ManagedConnection, ManagedDriver, ManagedStatement};
use arrow_array::{Array, RecordBatch, RecordBatchReader, StringArray, UInt32Array, UnionArray};
use arrow_schema::{ArrowError, SchemaRef};

use crate::dialect::Vendor;
use crate::texts::not_utf8;
use crate::wire::{self, Answer, Frame, Ingest, IngestMode, Request};

/// The argument by which a program knows that it is to serve a driver.
pub(crate) const SERVE: &str = "serve-database-driver";

/// Rows that the driver of SQLite reads at once. It tells the types of columns from the first of these.
const SQLITE_ROWS: i64 = 1 << 16;
/// The option for that.
const SQLITE_BATCH: &str = "adbc.sqlite.query.batch_rows";

/// Has SQLite wait for whoever has locked the database: 30 seconds, in milliseconds.
const SQLITE_PATIENCE: &str = "PRAGMA busy_timeout = 30000";

/// Bytes of the rows that are sent at once.
const PIECE: usize = 8 << 20;

/// Serves a driver until nobody asks any more, if the arguments of this process ask for it; does not return then.
pub fn main() {
    let mut args = std::env::args_os().skip(1);
    let (Some(part), Some(socket)) = (args.next(), args.next()) else { return };
    if part != SERVE {
        return;
    }
    let served = serve(Path::new(&socket));
    std::process::exit(served.map_or_else(
        |error| {
            eprintln!("{error}");
            1
        },
        |()| 0,
    ));
}

fn serve(socket: &Path) -> io::Result<()> {
    let stream = UnixStream::connect(socket)?;
    let mut session = Session {
        from: Arc::new(Mutex::new(BufReader::with_capacity(1 << 18, stream.try_clone()?))),
        to: BufWriter::with_capacity(1 << 18, stream),
        open: None,
    };
    loop {
        let received = wire::receive(&mut *session.from());
        match received {
            Ok(request) => session.answer(request)?,
            // Nobody asks any more.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// Where frames come from: requests, and the rows that drivers pull.
type Incoming = Arc<Mutex<BufReader<UnixStream>>>;

struct Session {
    from: Incoming,
    to: BufWriter<UnixStream>,
    open: Option<Open>,
}

/// A connection to a database.
struct Open {
    connection: ManagedConnection,
    vendor: Vendor,
}

/// Why something could not be done.
enum Fault {
    /// The driver, or its database, has refused.
    Refused(Error),
    /// The database has a text that is none, in a row of a query, from 1.
    NotUtf8 { column: String, row: u64 },
    /// The driver does not give what it says.
    Lies(String),
    /// The process that asked has closed its end.
    Gone(io::Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Gone(error)
    }
}

/// Rows that can't be encoded or decoded are none.
impl From<ArrowError> for Fault {
    fn from(error: ArrowError) -> Self {
        Self::Lies(error.to_string())
    }
}

impl Session {
    fn from(&self) -> MutexGuard<'_, BufReader<UnixStream>> {
        self.from.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what is asked, and says what came of it.
    fn answer(&mut self, request: Request) -> io::Result<()> {
        let answer = match self.perform(request) {
            Ok(answer) => answer,
            Err(Fault::Gone(error)) => return Err(error),
            Err(Fault::NotUtf8 { column, row }) => Answer::NotUtf8 { column, row },
            Err(Fault::Lies(reason)) => Answer::Lies { reason },
            Err(Fault::Refused(error)) => {
                let state: String = error.sqlstate.iter().map(|byte| char::from(*byte as u8)).collect();
                let sqlstate = Some(state).filter(|state| state.bytes().all(|byte| byte.is_ascii_alphanumeric()));
                let sqlstate = sqlstate.filter(|state| state != "00000");
                Answer::Refused { message: one_line(&error.message), sqlstate }
            }
        };
        wire::send(&mut self.to, &answer)
    }

    fn perform(&mut self, request: Request) -> Result<Answer, Fault> {
        match request {
            Request::Open { library, entrypoint, options, variables } => {
                let opened = open(library, entrypoint, options, variables)?;
                let vendor = opened.vendor.name().to_owned();
                self.open = Some(opened);
                return Ok(Answer::Opened { vendor });
            }
            Request::Columns { sql, bound } => {
                let mut statement = self.statement(&sql, bound)?;
                let schema = match statement.execute_schema() {
                    Ok(schema) => Arc::new(schema),
                    Err(error) if error.status == Status::NotImplemented => statement.execute()?.schema(),
                    Err(error) => return Err(error.into()),
                };
                wire::send(&mut self.to, &Answer::Rows)?;
                wire::send_encoded(&mut self.to, &wire::encoded(&schema, None)?)?;
                wire::send_end(&mut self.to)?;
            }
            Request::Query { sql, bound } => {
                let mut statement = self.statement(&sql, bound)?;
                let mut rows = statement.execute()?;
                wire::send(&mut self.to, &Answer::Rows)?;
                let sent = send_rows(&mut self.to, &mut *rows);
                wire::send_end(&mut self.to)?;
                sent?;
            }
            Request::Execute { sql, bound } => {
                let rows = self.statement(&sql, bound)?.execute_update()?;
                return Ok(Answer::Done { rows });
            }
            Request::Ingest(ingest) => return self.ingest(&ingest),
            Request::Begin => {
                self.connection()?.set_option(OptionConnection::AutoCommit, OptionValue::from(false))?;
            }
            Request::Commit => {
                let connection = self.connection()?;
                connection.commit()?;
                connection.set_option(OptionConnection::AutoCommit, OptionValue::from(true))?;
            }
        }
        Ok(Answer::Done { rows: None })
    }

    fn connection(&mut self) -> Result<&mut ManagedConnection, Fault> {
        match &mut self.open {
            Some(open) => Ok(&mut open.connection),
            None => Err(Fault::Lies("nothing is open".to_owned())),
        }
    }

    /// A statement, with its parameters.
    fn statement(&mut self, sql: &str, bound: bool) -> Result<ManagedStatement, Fault> {
        let parameters = match bound.then(|| wire::read(&mut *self.from())).transpose()? {
            Some(Frame::Rows(content)) => wire::decoded(content)?.1,
            Some(Frame::Message(_) | Frame::End) => return Err(Fault::Lies("parameters are missing".to_owned())),
            None => None,
        };
        let is_sqlite = self.open.as_ref().is_some_and(|open| open.vendor == Vendor::Sqlite);
        let mut statement = self.connection()?.new_statement()?;
        if is_sqlite {
            statement.set_option(OptionStatement::Other(SQLITE_BATCH.to_owned()), OptionValue::Int(SQLITE_ROWS))?;
        }
        statement.set_sql_query(sql)?;
        if let Some(parameters) = parameters {
            statement.bind(parameters)?;
        }
        Ok(statement)
    }

    /// Adds the rows that follow to a table. All of them are taken in, also where the driver wants no more.
    fn ingest(&mut self, ingest: &Ingest) -> Result<Answer, Fault> {
        let mut incoming = IncomingRows { from: self.from.clone(), schema: None, is_over: Arc::default() };
        let schema = incoming.first()?;
        let is_over = incoming.is_over.clone();
        incoming.schema = Some(schema);
        let done = self.ingest_rows(ingest, incoming);
        let mut is_over = is_over.lock().unwrap_or_else(PoisonError::into_inner);
        while !*is_over {
            *is_over = matches!(wire::read(&mut *self.from())?, Frame::End);
        }
        Ok(Answer::Done { rows: done? })
    }

    fn ingest_rows(&mut self, ingest: &Ingest, incoming: IncomingRows) -> Result<Option<i64>, Fault> {
        let mut statement = self.connection()?.new_statement()?;
        let mode = match ingest.mode {
            IngestMode::Create => Mode::Create,
            IngestMode::Append => Mode::Append,
        };
        statement.set_option(OptionStatement::TargetTable, ingest.table.as_str().into())?;
        if let Some(schema) = &ingest.schema {
            statement.set_option(OptionStatement::TargetDbSchema, schema.as_str().into())?;
        }
        statement.set_option(OptionStatement::IngestMode, mode.into())?;
        if ingest.temporary {
            statement.set_option(OptionStatement::Temporary, true.into())?;
        }
        statement.bind_stream(Box::new(incoming))?;
        Ok(statement.execute_update()?)
    }
}

/// Rows that a driver pulls.
struct IncomingRows {
    from: Incoming,
    /// Once it is known.
    schema: Option<SchemaRef>,
    /// Whether their end was read.
    is_over: Arc<Mutex<bool>>,
}

impl IncomingRows {
    /// The schema, which comes first.
    fn first(&mut self) -> Result<SchemaRef, Fault> {
        match wire::read(&mut *self.from.lock().unwrap_or_else(PoisonError::into_inner))? {
            Frame::Rows(content) => Ok(wire::decoded(content)?.0),
            Frame::Message(_) | Frame::End => Err(Fault::Lies("rows without a schema".to_owned())),
        }
    }
}

impl Iterator for IncomingRows {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut is_over = self.is_over.lock().unwrap_or_else(PoisonError::into_inner);
        if *is_over {
            return None;
        }
        let frame = wire::read(&mut *self.from.lock().unwrap_or_else(PoisonError::into_inner));
        match frame {
            Ok(Frame::Rows(content)) => wire::decoded(content).map(|(_, batch)| batch).transpose(),
            Ok(Frame::End) => {
                *is_over = true;
                None
            }
            Ok(Frame::Message(_)) => Some(Err(ArrowError::IpcError("a message among rows".to_owned()))),
            Err(error) => Some(Err(ArrowError::IoError(error.to_string(), error))),
        }
    }
}

impl RecordBatchReader for IncomingRows {
    fn schema(&self) -> SchemaRef {
        self.schema.clone().unwrap_or_else(|| Arc::new(arrow_schema::Schema::empty()))
    }
}

/// Loads a driver and connects to its database.
fn open(
    library: PathBuf,
    entrypoint: Option<String>,
    options: Vec<(String, String)>,
    variables: Vec<(String, String)>,
) -> Result<Open, Fault> {
    for (name, value) in variables {
        // SAFETY: this process has no other thread yet: the driver that may start some is loaded below.
        unsafe { std::env::set_var(name, value) };
    }
    let load = |version| {
        let entrypoint = entrypoint.as_ref().map(|name| name.as_bytes());
        ManagedDriver::load_dynamic_from_filename(&library, entrypoint, version)
    };
    let mut driver = load(AdbcVersion::V110).or_else(|error| load(AdbcVersion::V100).map_err(|_| error))?;
    let options = options.into_iter().map(|(name, value)| (OptionDatabase::from(&*name), OptionValue::String(value)));
    let mut connection = driver.new_database_with_opts(options)?.new_connection()?;
    // A driver that does not say whose it is, is nobody's.
    let vendor = Vendor::named(&vendor(&connection).unwrap_or_default());
    if vendor == Vendor::Sqlite {
        let mut statement = connection.new_statement()?;
        statement.set_sql_query(SQLITE_PATIENCE)?;
        drop(statement.execute()?);
    }
    Ok(Open { connection, vendor })
}

fn vendor(connection: &ManagedConnection) -> Option<String> {
    let mut infos = connection.get_info(Some([InfoCode::VendorName].into())).ok()?;
    let infos = infos.next()?.ok()?;
    let codes = infos.column(0).as_any().downcast_ref::<UInt32Array>()?;
    let values = infos.column(1).as_any().downcast_ref::<UnionArray>()?;
    let row = codes.iter().position(|code| code == Some(ADBC_INFO_VENDOR_NAME))?;
    let value = values.value(row);
    Some(value.as_any().downcast_ref::<StringArray>()?.value(0).to_owned())
}

/// Sends rows as the driver gives them, which makes the next ones meanwhile.
fn send_rows(to: &mut BufWriter<UnixStream>, rows: &mut (dyn RecordBatchReader + Send)) -> Result<(), Fault> {
    let schema = &rows.schema();
    wire::send_encoded(to, &wire::encoded(schema, None)?)?;
    std::thread::scope(|scope| {
        let (send, given) = sync_channel::<RecordBatch>(1);
        let sending = scope.spawn(move || {
            let mut before = 0;
            given.into_iter().try_for_each(|batch| {
                send_batch(to, schema, &batch, before)?;
                before += batch.num_rows() as u64;
                Ok(())
            })
        });
        let mut made = Ok(());
        for batch in rows {
            // Where rows can't be sent, the other thread tells why.
            let sent = batch.map(|batch| send.send(batch).is_ok()).map_err(of_stream);
            if !matches!(sent, Ok(true)) {
                made = sent.map(drop);
                break;
            }
        }
        drop(send);
        sending.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)).and(made)
    })
}

/// Sends rows, once they are found to be what the driver says. `before` is how many were sent before.
fn send_batch(
    to: &mut BufWriter<UnixStream>,
    schema: &SchemaRef,
    batch: &RecordBatch,
    before: u64,
) -> Result<(), Fault> {
    if batch.schema().fields() != schema.fields() {
        return Err(Fault::Lies("rows have other columns than it said".to_owned()));
    }
    for (column, field) in batch.columns().iter().zip(schema.fields()) {
        let (data, name) = (column.to_data(), field.name());
        let damaged = |error: ArrowError| Fault::Lies(format!("the column `{name}` is damaged: {error}"));
        data.validate().map_err(damaged)?;
        data.validate_full().map_err(|error| match not_utf8(column) {
            Some(row) => Fault::NotUtf8 { column: name.clone(), row: before + row as u64 + 1 },
            None => damaged(error),
        })?;
    }
    for piece in pieces(batch) {
        wire::send_encoded(to, &wire::encoded(schema, Some(&piece))?)?;
    }
    Ok(())
}

/// Rows in pieces of about [`PIECE`] bytes, so that whoever takes them needs no more memory than that.
fn pieces(batch: &RecordBatch) -> impl Iterator<Item = RecordBatch> {
    let rows = batch.num_rows();
    let count = batch.get_array_memory_size().div_ceil(PIECE).max(1);
    let most = rows.div_ceil(count).max(1);
    (0..rows.max(1)).step_by(most).map(move |start| batch.slice(start, most.min(rows - start)))
}

/// What a stream of a driver says is mostly what its database says.
fn of_stream(error: ArrowError) -> Fault {
    let message = match error {
        ArrowError::CDataInterface(message) => message,
        other => other.to_string(),
    };
    Fault::Refused(Error::with_message_and_status(message, Status::Unknown))
}

/// Words in one line.
pub(crate) fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_rows_go_in_pieces_and_none_is_lost() {
        let texts = |count: usize, length: usize| {
            let column: arrow_array::ArrayRef =
                Arc::new(StringArray::from_iter_values((0..count).map(|n| format!("{n}{}", "x".repeat(length)))));
            RecordBatch::try_from_iter([("t", column)]).unwrap()
        };
        for (batch, expected) in [(texts(0, 1), 1), (texts(1, 9), 1), (texts(1000, 9), 1), (texts(3, PIECE), 3)] {
            let all: Vec<RecordBatch> = pieces(&batch).collect();
            assert!(all.len() >= expected && all.len() <= expected + 1, "{}", all.len());
            let mut start = 0;
            for piece in all {
                assert_eq!(piece, batch.slice(start, piece.num_rows()));
                start += piece.num_rows();
            }
            assert_eq!(start, batch.num_rows());
        }
    }
}
