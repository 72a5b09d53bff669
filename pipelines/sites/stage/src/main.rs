//! Tells the site of each address: a stage in a container, with arrow-flight alone.
//!
//! `docs/flight-protocol.md` says what is asked and answered. The stage reads the text column `address` and adds `site`.

mod service;
mod table;

use std::io::Read;

use arrow_flight::flight_service_server::FlightServiceServer;
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::Server;

use crate::service::Sites;
use crate::table::Table;

type Failure = Box<dyn std::error::Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let table = Table::parse(&std::fs::read_to_string("/sites.csv")?)?;
    let location = std::env::var("FLOWC_LISTEN")?;
    let socket = location.strip_prefix("grpc+unix://").ok_or("FLOWC_LISTEN is no Unix socket")?;
    let connections = UnixListenerStream::new(UnixListener::bind(socket)?);
    let service = FlightServiceServer::new(Sites::new(table)).max_decoding_message_size(usize::MAX);
    Ok(Server::builder().add_service(service).serve_with_incoming_shutdown(connections, input_ended()).await?)
}

/// flowc ends a stage with its standard input.
async fn input_ended() {
    let (ended, wait) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut ignored = [0; 256];
        while matches!(std::io::stdin().read(&mut ignored), Ok(1..)) {}
        let _ = ended.send(());
    });
    let _ = wait.await;
}
