//! A way to a server on which a connection is cut after a number of bytes.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::thread;

/// Passes connections on to a server.
pub(crate) struct Cuts {
    /// Where it listens.
    pub(crate) port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    /// Bytes of the server until a connection is cut; later ones are whole.
    left: AtomicI64,
    /// Whether a connection is cut once the server answers `COMMIT`.
    at_commit: AtomicBool,
    /// Bytes that the server has sent.
    sent: AtomicU64,
}

impl Cuts {
    /// Listens until the tests end.
    pub(crate) fn before(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            left: AtomicI64::new(i64::MAX),
            at_commit: AtomicBool::new(false),
            sent: AtomicU64::new(0),
        });
        let counted = shared.clone();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let server = TcpStream::connect(("127.0.0.1", server)).unwrap();
                let back = (server.try_clone().unwrap(), client.try_clone().unwrap());
                let counted = counted.clone();
                thread::spawn(move || pass_on(client, server, |_| true));
                thread::spawn(move || pass_on(back.0, back.1, |bytes| counted.takes(bytes)));
            }
        });
        Self { port, shared }
    }

    /// Cuts the connection on which the server sends the last of so many bytes, before they arrive.
    pub(crate) fn cut_after(&self, bytes: u64) {
        self.shared.left.store(i64::try_from(bytes).unwrap(), Ordering::SeqCst);
    }

    /// Cuts the connection on which PostgreSQL answers `COMMIT` next, before the answer arrives.
    pub(crate) fn cut_at_commit(&self) {
        self.shared.left.store(i64::MAX, Ordering::SeqCst);
        self.shared.at_commit.store(true, Ordering::SeqCst);
    }

    /// Bytes that the server has sent since this was asked last.
    pub(crate) fn sent(&self) -> u64 {
        self.shared.sent.swap(0, Ordering::SeqCst)
    }
}

impl Shared {
    fn takes(&self, sent: &[u8]) -> bool {
        let is_commit = sent.windows(7).any(|bytes| bytes == b"COMMIT\0");
        if is_commit && self.at_commit.swap(false, Ordering::SeqCst) {
            return false;
        }
        let bytes = i64::try_from(sent.len()).unwrap();
        self.sent.fetch_add(bytes.unsigned_abs(), Ordering::SeqCst);
        let before = self.left.fetch_sub(bytes, Ordering::SeqCst);
        let is_cut = before > 0 && before <= bytes;
        !is_cut
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, takes: impl Fn(&[u8]) -> bool) {
    let mut bytes = [0; 1 << 14];
    loop {
        match from.read(&mut bytes) {
            Ok(count) if count > 0 && takes(&bytes[..count]) && to.write_all(&bytes[..count]).is_ok() => {}
            _ => break,
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
