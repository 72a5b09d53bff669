//! Where a server listens, and until when.

use std::io::{self, Read};
use std::sync::Arc;

use arrow_flight::flight_service_server::FlightServiceServer;
use futures::Stream;
use futures::stream::unfold;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixListener;
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tonic::transport::Server;
use tonic::transport::server::Connected;

use super::Served;
use super::service::Service;
use crate::connection::CREDIT;

/// The variable that says where to listen: `grpc+unix:///run/flowc/stage.sock`.
pub const LISTEN: &str = "FLOWC_LISTEN";

/// Serves stages at a location as [`LISTEN`] says it, until something has happened. What is at work then is given up.
///
/// # Errors
/// If it can't listen there.
pub fn serve(stages: Arc<dyn Served>, location: &str, until: impl Future<Output = ()>) -> io::Result<()> {
    let unknown = || io::Error::new(io::ErrorKind::InvalidInput, format!("{location} is no place to listen at"));
    let socket = location.strip_prefix("grpc+unix://").ok_or_else(unknown)?;
    let runtime = Builder::new_multi_thread().worker_threads(2).thread_name("flowc-serve").enable_all().build()?;
    let served = runtime.block_on(async {
        let listener = UnixListener::bind(socket)?;
        let connections = unfold(listener, |listener| async {
            let accepted = listener.accept().await.map(|(connection, _)| connection);
            Some((accepted, listener))
        });
        tokio::select! {
            served = answer(Server::builder(), stages, connections) => served,
            () = until => Ok(()),
        }
    });
    runtime.shutdown_background();
    served
}

/// Answers what comes over connections of any kind. `server` says how these are secured, if they are.
async fn answer<C>(
    server: Server,
    stages: Arc<dyn Served>,
    connections: impl Stream<Item = io::Result<C>>,
) -> io::Result<()>
where
    C: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
{
    let service = FlightServiceServer::new(Service::new(stages)).max_decoding_message_size(usize::MAX);
    let service = service.max_encoding_message_size(usize::MAX);
    // All streams of a connection serve one invocation.
    let server = server.initial_stream_window_size(CREDIT).initial_connection_window_size(4 * CREDIT);
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
