//! A connection to a program that serves stages.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_flight::flight_service_client::FlightServiceClient;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::runtime::{Builder, Handle, Runtime};
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use crate::memory::{Meeting, Memory};
use crate::secured::{HANDSHAKE, Identity, KEEP_ALIVE, KEEP_ALIVE_PATIENCE};

/// Bytes that may be on their way in one stream, in each direction.
pub(crate) const CREDIT: u32 = 8 << 20;

/// Bytes of a message that may come in one piece: the 16 KiB that HTTP/2 starts with make many pieces of a batch.
pub(crate) const FRAME: u32 = 1 << 20;

/// From how many processors on there may be more programs than one thread carries messages for.
const MANY: usize = 16;

/// How often a socket is tried that nobody listens on yet.
const RETRY: Duration = Duration::from_millis(1);

pub(crate) type Client = FlightServiceClient<Channel>;

/// Carries all connections of a process. Its threads end with it.
pub struct Network {
    runtime: Runtime,
}

impl Network {
    /// # Errors
    /// If no threads can be started.
    pub fn new() -> std::io::Result<Self> {
        let mut builder = Builder::new_multi_thread();
        let runtime =
            builder.worker_threads(threads()).thread_name("flowc-flight").enable_io().enable_time().build()?;
        Ok(Self { runtime })
    }

    /// What runs its tasks; for other input and output of those who use it.
    pub fn runtime(&self) -> &Handle {
        self.runtime.handle()
    }

    /// Connects to a program that listens on a Unix socket, or soon will. If it has asked for shared memory by then, it gets it.
    ///
    /// # Errors
    /// If nobody listens in time, or `is_alive` says that nobody will.
    pub fn connect(
        &self,
        socket: &Path,
        meeting: Option<&Meeting>,
        patience: Duration,
        mut is_alive: impl FnMut() -> bool,
    ) -> Result<Connection, ConnectError> {
        let socket: Arc<PathBuf> = Arc::new(socket.to_owned());
        let (start, mut memory) = (Instant::now(), None);
        loop {
            // A program that asks for memory listens when it has it.
            memory = memory.or_else(|| meeting.and_then(Meeting::share));
            match self.runtime.block_on(channel(socket.clone())) {
                Ok(channel) => return Ok(self.connection(channel, memory)),
                Err(_) if !is_alive() => return Err(ConnectError::Ended),
                Err(error) if start.elapsed() > patience => {
                    let (seconds, cause) = (patience.as_secs(), error.to_string());
                    return Err(ConnectError::Silent { seconds, cause });
                }
                Err(_) => std::thread::sleep(RETRY),
            }
        }
    }

    /// Connects to a server on another host, by its address (`10.0.0.2:7000`), if each side accepts the other's certificate.
    /// A server may say only later that it does not: then the first question has no answer.
    ///
    /// # Errors
    /// If nobody listens there, or it is not who it should be.
    pub fn connect_secured(&self, address: &str, identity: &Identity) -> Result<Connection, ConnectError> {
        let unreachable = |error: tonic::transport::Error| ConnectError::Unreachable { cause: causes(&error) };
        let endpoint = Endpoint::from_shared(format!("https://{address}")).map_err(unreachable)?;
        let endpoint = endpoint.tls_config(identity.client()).map_err(unreachable)?;
        // A host that is gone without a word must not be waited for.
        let endpoint = endpoint.http2_keep_alive_interval(KEEP_ALIVE).keep_alive_timeout(KEEP_ALIVE_PATIENCE);
        let endpoint = windows(endpoint.connect_timeout(HANDSHAKE));
        let channel = self.runtime.block_on(endpoint.connect()).map_err(unreachable)?;
        Ok(self.connection(channel, None))
    }

    fn connection(&self, channel: Channel, memory: Option<Memory>) -> Connection {
        let client = Client::new(channel).max_decoding_message_size(usize::MAX);
        let client = client.max_encoding_message_size(usize::MAX);
        Connection { client, runtime: self.runtime.handle().clone(), memory: memory.map(Arc::new) }
    }
}

/// Threads that carry all connections. A second one is woken for half of the messages, which costs more than it spares until there are many
/// programs.
fn threads() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    if processors < MANY { 1 } else { 2 }
}

/// All streams of a connection serve one invocation.
fn windows(endpoint: Endpoint) -> Endpoint {
    let endpoint = endpoint.initial_stream_window_size(CREDIT).initial_connection_window_size(4 * CREDIT);
    endpoint.max_frame_size(FRAME)
}

/// An error with what it comes from, each once: the libraries below say little at the top.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let words = error.to_string();
        if !said.contains(&words) {
            said = format!("{said}: {words}");
        }
        source = error.source();
    }
    said
}

async fn channel(socket: Arc<PathBuf>) -> Result<Channel, tonic::transport::Error> {
    let connect = move |_| {
        let socket = socket.clone();
        async move { Ok::<_, std::io::Error>(TokioIo::new(UnixStream::connect(&*socket).await?)) }
    };
    // The name is asked for by HTTP/2 and means nothing on a socket.
    windows(Endpoint::from_static("http://stage")).connect_with_connector(service_fn(connect)).await
}

/// A connection. Clones share it.
#[derive(Clone)]
pub struct Connection {
    pub(crate) client: Client,
    pub(crate) runtime: Handle,
    /// Shared with the program, if it is on this host and wants it.
    pub(crate) memory: Option<Arc<Memory>>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The program ended before it listened.
    #[error("it ended before it listened")]
    Ended,
    /// It does not listen.
    #[error("it does not listen after {seconds} seconds: {cause}")]
    Silent {
        /// How long was waited.
        seconds: u64,
        /// The last attempt's failure.
        cause: String,
    },
    /// Nobody listens at an address, or it is not who it should be.
    #[error("{cause}")]
    Unreachable {
        /// What went wrong.
        cause: String,
    },
}
