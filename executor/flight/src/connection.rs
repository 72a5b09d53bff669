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

/// Bytes that may be on their way in one stream, in each direction.
pub(crate) const CREDIT: u32 = 8 << 20;

/// How often a socket is tried that nobody listens on yet.
const RETRY: Duration = Duration::from_millis(5);

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
        let runtime = builder.worker_threads(2).thread_name("flowc-flight").enable_io().enable_time().build()?;
        Ok(Self { runtime })
    }

    /// What runs its tasks; for other input and output of those who use it.
    pub fn runtime(&self) -> &Handle {
        self.runtime.handle()
    }

    /// Connects to a program that listens on a Unix socket, or soon will.
    ///
    /// # Errors
    /// If nobody listens in time, or `is_alive` says that nobody will.
    pub fn connect(
        &self,
        socket: &Path,
        patience: Duration,
        mut is_alive: impl FnMut() -> bool,
    ) -> Result<Connection, ConnectError> {
        let socket: Arc<PathBuf> = Arc::new(socket.to_owned());
        let start = Instant::now();
        loop {
            match self.runtime.block_on(channel(socket.clone())) {
                Ok(channel) => {
                    let client = Client::new(channel).max_decoding_message_size(usize::MAX);
                    let client = client.max_encoding_message_size(usize::MAX);
                    return Ok(Connection { client, runtime: self.runtime.handle().clone() });
                }
                Err(_) if !is_alive() => return Err(ConnectError::Ended),
                Err(error) if start.elapsed() > patience => {
                    let (seconds, cause) = (patience.as_secs(), error.to_string());
                    return Err(ConnectError::Silent { seconds, cause });
                }
                Err(_) => std::thread::sleep(RETRY),
            }
        }
    }
}

async fn channel(socket: Arc<PathBuf>) -> Result<Channel, tonic::transport::Error> {
    let connect = move |_| {
        let socket = socket.clone();
        async move { Ok::<_, std::io::Error>(TokioIo::new(UnixStream::connect(&*socket).await?)) }
    };
    // The name is asked for by HTTP/2 and means nothing on a socket. All streams of a connection serve one invocation.
    let endpoint = Endpoint::from_static("http://stage").initial_stream_window_size(CREDIT);
    endpoint.initial_connection_window_size(4 * CREDIT).connect_with_connector(service_fn(connect)).await
}

/// A connection. Clones share it.
#[derive(Clone)]
pub struct Connection {
    pub(crate) client: Client,
    pub(crate) runtime: Handle,
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
}
