//! Where a server listens, how it is secured, and until when it answers.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use arrow_flight::flight_service_server::FlightServiceServer;
use futures::stream::unfold;
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::sync::Semaphore;
use tonic::service::interceptor::InterceptedService;
use tonic::{Request, Status};

use crate::access::Tokens;
use crate::error::ServeError;
use crate::log::QueryLog;
use crate::metadata;
use crate::results::Results;
use crate::rows::Answering;
use crate::security::{Security, Tls};
use crate::service::Service;
use crate::shelf::Shelf;

/// How long to wait after a connection could not be accepted.
const PAUSE: Duration = Duration::from_millis(100);
/// How often a silent connection is asked whether the other side is still there, and how long it may take to answer.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(20));
/// How long queries that are at work may take to notice that the server ends.
const PATIENCE: Duration = Duration::from_secs(2);
/// The most bytes of a request: statements are texts.
const LONGEST_REQUEST: usize = 4 << 20;
/// Bytes that may be on their way to a client that has not said that it took them.
const WINDOW: u32 = 8 << 20;

/// What is offered, to whom, and how.
pub struct Offer {
    /// The tables.
    pub results: Box<dyn Results>,
    /// Is told of queries.
    pub log: Arc<dyn QueryLog>,
    /// Those who may ask; everybody on this machine where there are none.
    pub tokens: Option<Tokens>,
    /// How connections are secured.
    pub security: Security,
    /// What queries may take.
    pub limits: Limits,
}

/// What queries may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many are answered at once; more wait for their turn.
    pub queries: usize,
    /// How long a statement may compute, how long a query waits for its turn, and how long a client may take nothing.
    pub timeout: Duration,
}

/// A server that listens.
pub struct Server {
    listener: TcpListener,
    host: String,
    port: u16,
    tls: Option<Tls>,
    offer: Offer,
}

impl Server {
    /// Listens at an address, `HOST:PORT`.
    ///
    /// # Errors
    /// If it can't, or if others could then ask who have no token.
    pub fn listen(address: &str, offer: Offer) -> Result<Self, ServeError> {
        let failed = |source| ServeError::Listen { address: address.to_owned(), source };
        let listener = TcpListener::bind(address).map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let is_loopback = bound.ip().is_loopback();
        if offer.tokens.is_none() && !is_loopback {
            return Err(ServeError::Open(address.to_owned()));
        }
        // The host as it was named, which may be a name; the port as it is.
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host).to_owned();
        let tls = offer.security.of(&host, is_loopback)?;
        Ok(Self { listener, host, port: bound.port(), tls, offer })
    }

    /// Where it listens, as Flight clients name it: `grpc://127.0.0.1:8815`, or `grpc+tls://...`.
    pub fn uri(&self) -> String {
        let scheme = if self.tls.is_some() { "grpc+tls" } else { "grpc" };
        format!("{scheme}://{}:{}", self.host, self.port)
    }

    /// Its certificate, if it has one.
    pub fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    /// Answers until something has happened. Queries that are at work then are given up.
    ///
    /// # Errors
    /// If it can't any more.
    pub fn serve(self, until: impl Future<Output = ()>) -> Result<(), ServeError> {
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        let runtime =
            Builder::new_multi_thread().worker_threads(threads).thread_name("flowc-serve").enable_all().build();
        let runtime = runtime.map_err(ServeError::Serve)?;
        let Self { listener, tls, offer, .. } = self;
        let service = service(offer)?;
        // What answers holds things that only a thread may give back that can wait.
        let _held = service.clone();
        let served = runtime.block_on(async {
            tokio::select! {
                served = answer(listener, tls.as_ref(), service) => served,
                () = until => Ok(()),
            }
        });
        runtime.shutdown_timeout(PATIENCE);
        served
    }
}

/// Answers what comes.
async fn answer(listener: TcpListener, tls: Option<&Tls>, service: Service) -> Result<(), ServeError> {
    let mut server = tonic::transport::Server::builder();
    if let Some(tls) = tls {
        server = server.tls_config(tls.config()).map_err(|error| ServeError::Tls(causes(&error)))?;
    }
    let server = server.http2_keepalive_interval(Some(KEEP_ALIVE.0)).http2_keepalive_timeout(Some(KEEP_ALIVE.1));
    let mut server = server.initial_stream_window_size(WINDOW).initial_connection_window_size(WINDOW);
    let tokens = service.tokens.clone();
    let check = move |request: Request<()>| -> Result<Request<()>, Status> {
        tokens.as_ref().map_or(Ok(()), |tokens| tokens.check(request.metadata()).map(drop))?;
        Ok(request)
    };
    let service = FlightServiceServer::new(service).max_decoding_message_size(LONGEST_REQUEST);
    let service = service.max_encoding_message_size(usize::MAX);
    listener.set_nonblocking(true).map_err(ServeError::Serve)?;
    let listener = tokio::net::TcpListener::from_std(listener).map_err(ServeError::Serve)?;
    let connections =
        unfold(listener, |listener| async { Some((Ok::<_, io::Error>(accept(&listener).await), listener)) });
    let served = server.add_service(InterceptedService::new(service, check)).serve_with_incoming(connections).await;
    served.map_err(|error| ServeError::Serve(io::Error::other(error)))
}

fn service(offer: Offer) -> Result<Service, ServeError> {
    let Offer { results, log, tokens, limits, .. } = offer;
    let unmade = |error| ServeError::Serve(io::Error::other(error));
    Ok(Service {
        shelf: Arc::new(Shelf::new(results)),
        answering: Answering { log, patience: limits.timeout },
        slots: Arc::new(Semaphore::new(limits.queries)),
        timeout: limits.timeout,
        tokens,
        server: Arc::new(metadata::server().map_err(unmade)?),
        types: Arc::new(metadata::types().map_err(unmade)?),
    })
}

/// The next connection. What fails is tried again: there may be too many for the moment.
async fn accept(listener: &tokio::net::TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((connection, _)) if connection.set_nodelay(true).is_ok() => return connection,
            Ok(_) => {}
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// An error with those that it comes from.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
