//! Who is served, and who is not.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;

use arrow_flight::Empty;
use arrow_flight::flight_service_client::FlightServiceClient;
use flowc_flight::{Identity, Network, SERVER_NAME, Unanswered};
use flowc_planner::plan::Limits;
use flowc_worker::{Credentials, Worker};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};

use crate::support::{GUEST, Running};

/// What a client gets that holds this identity: its component taken, or an error.
fn try_with(address: &str, identity: &Identity) -> Result<(), String> {
    let network = Network::new().unwrap();
    let connection = network.connect_secured(address, identity).map_err(|error| error.to_string())?;
    let held = connection.hold(GUEST.digest, &Limits::default(), || GUEST.components.bytes(&GUEST.digest));
    match held {
        Err(Unanswered::Broken(what)) => Err(what),
        other => {
            other.unwrap();
            connection.check(std::time::Duration::from_secs(10))
        }
    }
}

/// Whether a call is answered on a connection that is not ours, with these settings.
fn is_answered(endpoint: Endpoint) -> bool {
    Network::new().unwrap().runtime().block_on(async {
        let Ok(channel) = endpoint.connect().await else { return false };
        let answer = FlightServiceClient::new(channel).list_actions(Empty {}).await;
        // The server itself answers that it has no such call.
        answer.is_err_and(|status| status.code() == tonic::Code::Unimplemented)
    })
}

fn secured(address: &str) -> Endpoint {
    Endpoint::from_shared(format!("https://{address}")).unwrap()
}

#[test]
fn those_who_have_the_credentials_are_served_and_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let (mine, other) =
        (Running::start(folder.path().join("mine.json")), Running::start(folder.path().join("other.json")));
    let Credentials { address, identity } = &mine.credentials;
    try_with(address, identity).unwrap();

    let anonymous = ClientTlsConfig::new().domain_name(SERVER_NAME);
    let anonymous = anonymous.ca_certificate(Certificate::from_pem(&identity.authority));
    let known = tonic::transport::Identity::from_pem(&identity.certificate, &identity.key);
    assert!(is_answered(secured(address).tls_config(anonymous.clone().identity(known)).unwrap()));
    assert!(!is_answered(secured(address).tls_config(anonymous).unwrap()), "without a certificate");
    assert!(!is_answered(Endpoint::from_shared(format!("http://{address}")).unwrap()), "in plain text");

    let Identity { certificate, key, .. } = other.credentials.identity.clone();
    let foreign = Identity { authority: identity.authority.clone(), certificate, key };
    assert!(try_with(address, &foreign).is_err(), "with a certificate of another authority");
    let deceived = try_with(address, &other.credentials.identity).unwrap_err();
    assert!(deceived.contains("invalid peer certificate"), "the worker is not the one that was meant: {deceived}");
    try_with(address, identity).unwrap();
}

#[test]
fn a_client_that_speaks_no_tls_hears_no_http() {
    let folder = tempfile::tempdir().unwrap();
    let worker = Running::start(folder.path().join("worker.json"));
    let mut stream = TcpStream::connect(&worker.credentials.address).unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
    let mut answer = Vec::new();
    // The server may also just reset the connection.
    let _ = stream.read_to_end(&mut answer);
    const ALERT: u8 = 21;
    assert!(answer.first().is_none_or(|kind| *kind == ALERT), "{answer:?}");
}

#[test]
fn credentials_are_for_their_owner_and_go_with_the_worker() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("worker.json");
    let worker = Running::start(file.clone());
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    drop(worker);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);

    let (first, second) = (Running::start(file.clone()), Running::start(file.clone()));
    drop(first);
    assert_eq!(Credentials::read(&file).unwrap().address, second.credentials.address, "it is another worker's");
    drop(second);
    assert!(!file.exists());
}

#[test]
fn what_can_not_be_listened_at_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("worker.json");
    let refused = |address: &str| Worker::listen(address, &file).err().unwrap().to_string();
    assert!(refused("0.0.0.0:0").contains("name the one by which others reach it"));
    assert!(refused("here").contains("write HOST:PORT"));
    assert!(!file.exists());
    let nowhere = Worker::listen("127.0.0.1:0", &folder.path().join("no/file")).err().unwrap().to_string();
    assert!(nowhere.contains("the credentials can't be written"), "{nowhere}");
    assert!(Credentials::read(&file).err().unwrap().contains("worker.json"));
    std::fs::write(&file, "{}").unwrap();
    assert!(Credentials::read(&file).err().unwrap().contains("does not hold what `flowc worker` writes"));
}
