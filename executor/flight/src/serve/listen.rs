//! Where a server listens, and until when.

use std::env::VarError;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow_flight::flight_service_server::FlightServiceServer;
use futures::Stream;
use futures::stream::unfold;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tonic::transport::Server;
use tonic::transport::server::Connected;

use super::Served;
use super::service::Service;
use crate::connection::{CREDIT, FRAME, causes};
use crate::memory::{MEMORY, Memory};
use crate::secured::{Identity, KEEP_ALIVE, KEEP_ALIVE_PATIENCE};

/// The variable that says where to listen: `grpc+unix:///run/flowc/stage.sock`.
pub const LISTEN: &str = "FLOWC_LISTEN";

/// Where a program is to serve.
#[derive(Clone, Debug)]
pub struct Location {
    /// What [`LISTEN`] holds.
    pub listen: String,
    /// What [`MEMORY`] holds, if flowc would share memory.
    pub memory: Option<PathBuf>,
}

impl Location {
    /// What the environment of this process says.
    ///
    /// # Errors
    /// If it does not say it.
    pub fn of_environment() -> Result<Self, VarError> {
        Ok(Self { listen: std::env::var(LISTEN)?, memory: std::env::var_os(MEMORY).map(PathBuf::from) })
    }
}

/// Threads that carry the connections of one client. Batches lie in shared memory, so one has little to do; two would wake each other.
const THREADS: usize = 1;
/// How long to wait after a connection could not be accepted.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves stages at a location until something has happened. What is at work then is given up.
///
/// # Errors
/// If it can't listen there.
pub fn serve(stages: Arc<dyn Served>, location: &Location, until: impl Future<Output = ()>) -> io::Result<()> {
    let Location { listen, memory } = location;
    let unknown = || io::Error::new(io::ErrorKind::InvalidInput, format!("{listen} is no place to listen at"));
    let socket = listen.strip_prefix("grpc+unix://").ok_or_else(unknown)?;
    // Before it listens, by when flowc shares memory with those who asked. Without, all goes through the socket.
    let memory = memory.as_ref().and_then(|socket| Memory::join(socket).ok());
    let serving = async {
        let listener = UnixListener::bind(socket)?;
        let connections = unfold(listener, |listener| async {
            let accepted = listener.accept().await.map(|(connection, _)| connection);
            Some((accepted, listener))
        });
        answer(Server::builder(), Service::new(stages, memory), connections).await
    };
    run(serving, until, THREADS)
}

/// Serves stages to other hosts until something has happened: over TLS alone, and to those alone whose certificate the
/// identity's authority signed. What is at work then is given up.
///
/// # Errors
/// If the identity or the listener can't be used.
pub fn serve_secured(
    stages: Arc<dyn Served>,
    listener: std::net::TcpListener,
    identity: &Identity,
    until: impl Future<Output = ()>,
) -> io::Result<()> {
    let server = Server::builder().tls_config(identity.server()).map_err(|error| io::Error::other(causes(&error)))?;
    // What a client does that is gone without a word must not go on for ever.
    let server = server.http2_keepalive_interval(Some(KEEP_ALIVE)).http2_keepalive_timeout(Some(KEEP_ALIVE_PATIENCE));
    listener.set_nonblocking(true)?;
    let serving = async {
        let connections = unfold(TcpListener::from_std(listener)?, |listener| async {
            Some((Ok::<_, io::Error>(accept(&listener).await), listener))
        });
        answer(server, Service::new(stages, None), connections).await
    };
    run(serving, until, std::thread::available_parallelism().map_or(THREADS, usize::from))
}

/// The next connection. What fails is tried again: there may be too many for the moment.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            // Messages are small where one side waits for the other.
            Ok((connection, _)) if connection.set_nodelay(true).is_ok() => return connection,
            Ok(_) => {}
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

fn run(
    serving: impl Future<Output = io::Result<()>>,
    until: impl Future<Output = ()>,
    threads: usize,
) -> io::Result<()> {
    let runtime =
        Builder::new_multi_thread().worker_threads(threads).thread_name("flowc-serve").enable_all().build()?;
    let served = runtime.block_on(async {
        tokio::select! {
            served = serving => served,
            () = until => Ok(()),
        }
    });
    runtime.shutdown_background();
    served
}

/// Answers what comes over connections of any kind. `server` says how these are secured, if they are.
async fn answer<C>(server: Server, service: Service, connections: impl Stream<Item = io::Result<C>>) -> io::Result<()>
where
    C: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
{
    let service = FlightServiceServer::new(service).max_decoding_message_size(usize::MAX);
    let service = service.max_encoding_message_size(usize::MAX);
    // All streams of a connection serve one invocation.
    let server = server.initial_stream_window_size(CREDIT).initial_connection_window_size(4 * CREDIT);
    let server = server.max_frame_size(FRAME);
    let served = { server }.add_service(service).serve_with_incoming(connections).await;
    served.map_err(io::Error::other)
}

/// Waits until the standard input of this process ends. Where there can be no thread for that, it has ended.
pub async fn input_ended() {
    let (ended, end) = oneshot::channel::<()>();
    let thread = std::thread::Builder::new().name("flowc-input".to_owned());
    let listening = thread.spawn(move || {
        let _ended = ended;
        let mut ignored = [0; 256];
        while !matches!(io::stdin().read(&mut ignored), Ok(0) | Err(_)) {}
    });
    if listening.is_ok() {
        // The sender is dropped, nothing is sent.
        let _ = end.await;
    }
}
