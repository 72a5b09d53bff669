//! A schema registry that speaks Confluent's protocol over HTTP, as far as flowc does. A test may take it down, change it, and see what it was asked.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

/// A registry that answers until it is taken down.
pub(crate) struct Registry {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// By ids.
    schemas: BTreeMap<u32, Value>,
    /// The ids of versions, by subjects.
    subjects: BTreeMap<String, Vec<u32>>,
    asked: Vec<String>,
    is_down: bool,
    /// Whether it finds other schemas incompatible.
    is_strict: bool,
    /// What the header `authorization` has to be, if anything.
    authorization: Option<String>,
}

impl Registry {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::<Mutex<State>>::default();
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // Whoever is down closes connections without a word.
                if !shared.lock().unwrap().is_down {
                    let _ = answer(&stream, &shared);
                }
            }
        });
        Self { url, state }
    }

    /// Puts a schema under a subject, with an id.
    pub(crate) fn put(&self, id: u32, subject: &str, schema: &Value) {
        self.put_answer(id, subject, json!({ "schema": schema.to_string() }));
    }

    /// Puts what is answered for a schema.
    pub(crate) fn put_answer(&self, id: u32, subject: &str, answer: Value) {
        let mut state = self.state.lock().unwrap();
        state.schemas.insert(id, answer);
        state.subjects.entry(subject.to_owned()).or_default().push(id);
    }

    pub(crate) fn set_down(&self, is_down: bool) {
        self.state.lock().unwrap().is_down = is_down;
    }

    /// From now on no schema is compatible with another one.
    pub(crate) fn be_strict(&self) {
        self.state.lock().unwrap().is_strict = true;
    }

    /// From now on it wants `flowc:secret`.
    pub(crate) fn want_login(&self) {
        self.state.lock().unwrap().authorization = Some("Basic Zmxvd2M6c2VjcmV0".to_owned());
    }

    /// What was asked since this was last called.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().asked)
    }

    /// The schemas of a subject, oldest first.
    pub(crate) fn schemas(&self, subject: &str) -> Vec<Value> {
        let state = self.state.lock().unwrap();
        let ids = state.subjects.get(subject).into_iter().flatten();
        ids.map(|id| serde_json::from_str(state.schemas[id]["schema"].as_str().unwrap()).unwrap()).collect()
    }
}

fn answer(stream: &TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    reader.read_line(&mut head)?;
    let (mut length, mut authorization) = (0, None);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse().unwrap(),
            Some((name, value)) if name.eq_ignore_ascii_case("authorization") => authorization = Some(value.to_owned()),
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut words = head.split_whitespace();
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (status, text) = state.lock().unwrap().told(method, path, &body, authorization.as_deref());
    let text = text.to_string();
    let length = text.len();
    let mut stream = stream;
    write!(stream, "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{text}")
}

impl State {
    fn told(&mut self, method: &str, path: &str, body: &[u8], authorization: Option<&str>) -> (u16, Value) {
        self.asked.push(format!("{method} {path}"));
        if self.authorization.is_some() && self.authorization.as_deref() != authorization {
            return (401, json!({ "error_code": 401, "message": "Unauthorized" }));
        }
        let missing = |code: u32, message: &str| (404, json!({ "error_code": code, "message": message }));
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match (method, &parts[..]) {
            ("GET", ["schemas", "ids", id]) => match id.parse().ok().and_then(|id: u32| self.schemas.get(&id)) {
                Some(answer) => (200, answer.clone()),
                None => missing(40403, "Schema not found"),
            },
            ("GET", ["subjects", subject, "versions", version]) => {
                let ids = self.subjects.get(*subject).cloned().unwrap_or_default();
                let at = if *version == "latest" { ids.len() } else { version.parse().unwrap() };
                match at.checked_sub(1).and_then(|at| ids.get(at)) {
                    Some(id) => {
                        let mut answer = self.schemas[id].clone();
                        answer["id"] = json!(id);
                        answer["version"] = json!(at);
                        (200, answer)
                    }
                    None => missing(40401, "Subject not found"),
                }
            }
            ("POST", ["subjects", subject, "versions"]) => {
                let sent: Value = serde_json::from_slice(body).unwrap();
                let answer = json!({ "schema": sent["schema"] });
                let known = self.schemas.iter().find(|(_, schema)| **schema == answer).map(|(id, _)| *id);
                let ids = self.subjects.entry((*subject).to_owned()).or_default();
                if self.is_strict && !ids.is_empty() && known.is_none_or(|id| !ids.contains(&id)) {
                    return (409, json!({ "error_code": 409, "message": "Schema being registered is incompatible" }));
                }
                let id = known.unwrap_or(100 + self.schemas.len() as u32);
                self.schemas.insert(id, answer);
                if !ids.contains(&id) {
                    ids.push(id);
                }
                (200, json!({ "id": id }))
            }
            _ => (404, Value::Null),
        }
    }
}
