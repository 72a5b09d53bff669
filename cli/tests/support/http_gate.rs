//! A server between flowc and a service: it passes requests on, or answers them itself.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
}

impl Asked {
    /// A request that writes a manifest.
    pub(crate) fn put_of_a_manifest() -> Self {
        Self { method: "PUT".to_owned(), target: "/.flowc-sink.json".to_owned() }
    }
}

/// What becomes of a request.
pub(crate) enum Verdict {
    /// The service answers it.
    Pass,
    /// It gets this status and body.
    Answer(&'static str, String),
    /// The service does it, and the connection is cut before its answer.
    PassAndCut,
    /// The connection is cut in the middle of the body of the service's answer.
    CutInTheMiddle,
    /// The connection is cut.
    Cut,
}

type Rule = dyn Fn(&Asked) -> Verdict + Send + Sync;

/// The server. It ends with the process.
pub(crate) struct HttpGate {
    /// Its URL.
    pub(crate) url: String,
    rule: Arc<Mutex<Arc<Rule>>>,
    seen: Arc<Mutex<Vec<String>>>,
}

impl HttpGate {
    /// Starts one that passes on all requests.
    pub(crate) fn new(service: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let service = service.strip_prefix("http://").unwrap().to_owned();
        let rule: Arc<Mutex<Arc<Rule>>> = Arc::new(Mutex::new(Arc::new(|_: &Asked| Verdict::Pass)));
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let gate = Self { url, rule: rule.clone(), seen: seen.clone() };
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (service, rule, seen) = (service.clone(), rule.clone(), seen.clone());
                thread::spawn(move || {
                    let _ = answer(stream, &service, &rule, &seen);
                });
            }
        });
        gate
    }

    /// Decides from now on what becomes of requests. A rule may block.
    pub(crate) fn set(&self, rule: impl Fn(&Asked) -> Verdict + Send + Sync + 'static) {
        *self.rule.lock().unwrap() = Arc::new(rule);
    }

    /// Passes on all requests from now on.
    pub(crate) fn open(&self) {
        self.set(|_| Verdict::Pass);
    }

    /// The requests since it was last asked, as `GET /bucket/key?query`.
    pub(crate) fn seen(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

fn answer(
    mut client: TcpStream,
    service: &str,
    rule: &Mutex<Arc<Rule>>,
    seen: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let (mut first, mut head, mut length) = (String::new(), String::new(), 0);
    reader.read_line(&mut first)?;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        match line.trim_end() {
            "" => break,
            _ if lower.starts_with("connection:") => {}
            _ => head.push_str(&line),
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut words = first.split(' ').map(str::to_owned);
    let asked = Asked { method: words.next().unwrap_or_default(), target: words.next().unwrap_or_default() };
    seen.lock().unwrap().push(format!("{} {}", asked.method, asked.target));
    let rule = rule.lock().unwrap().clone();
    match rule(&asked) {
        Verdict::Cut => Ok(()),
        Verdict::Answer(status, text) => {
            let length = text.len();
            write!(client, "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{text}")
        }
        verdict => {
            let mut upstream = TcpStream::connect(service)?;
            write!(upstream, "{first}{head}Connection: close\r\n\r\n")?;
            upstream.write_all(&body)?;
            match verdict {
                Verdict::PassAndCut => std::io::copy(&mut upstream, &mut std::io::sink()).map(drop),
                Verdict::CutInTheMiddle => {
                    let mut answer = Vec::new();
                    upstream.read_to_end(&mut answer)?;
                    let body = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").map_or(0, |end| end + 4);
                    client.write_all(&answer[..body + (answer.len() - body) / 2])
                }
                _ => std::io::copy(&mut upstream, &mut client).map(drop),
            }
        }
    }
}

/// Blocks the first request that is meant until told to go on, and tells of it.
pub(crate) struct Stop {
    reached: Receiver<()>,
    /// Lets it go on.
    pub(crate) go: Sender<()>,
}

impl Stop {
    /// Decides from now on what becomes of requests.
    pub(crate) fn at(gate: &HttpGate, is_meant: impl Fn(&Asked) -> bool + Send + Sync + 'static) -> Self {
        let ((tell, reached), (go, wait)) = (channel(), channel::<()>());
        let (tell, wait, first) = (Mutex::new(tell), Mutex::new(wait), AtomicBool::new(true));
        gate.set(move |asked| {
            if is_meant(asked) && first.swap(false, Ordering::SeqCst) {
                let _ = tell.lock().unwrap().send(());
                // Nobody hears of it any more if nobody lets it go on.
                return wait.lock().unwrap().recv().map_or(Verdict::Cut, |()| Verdict::Pass);
            }
            Verdict::Pass
        });
        Self { reached, go }
    }

    /// Waits until the request has come.
    pub(crate) fn reached(&self) {
        self.reached.recv_timeout(Duration::from_secs(120)).unwrap();
    }
}
