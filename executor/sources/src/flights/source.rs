//! What a server of Arrow Flight gives, as a source.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use arrow_schema::SchemaRef;
use flowc_flight_client::{Access, Ask, Client, FlightError};
use flowc_planner::key::{KeyHasher, canonical_json};
use flowc_planner::plan::{FlightAsk, SecretSource, SourceSpec};
use flowc_platform::{FileStamp, is_sealed, lock, secret_of_file, secret_of_variable};

use crate::error::SourceError;
use crate::files::open::OpenFile;
use crate::files::view::View;
use crate::flights::kept::KeptWriter;
use crate::source::{Folders, Polled, Source, SourcePart};
use crate::turn::turn;

/// Tells this process from others. What another one read and did not leave can't be read again: the server may give something else.
static PROCESS: LazyLock<[u8; 32]> = LazyLock::new(|| {
    let mut hasher = KeyHasher::new("flowc process");
    hasher.number(u64::from(std::process::id())).number(now()).finish()
});

/// The certificates that systems trust, where they keep them.
const AUTHORITIES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/usr/local/share/certs/ca-root-nss.crt",
];

/// What a server gives.
pub(crate) struct FlightSource {
    spec: SourceSpec,
    flight: flowc_planner::plan::FlightSource,
    /// The folder that relative paths start from.
    base: PathBuf,
}

impl FlightSource {
    /// Connects when the server is first asked.
    pub(crate) fn new(spec: SourceSpec, flight: flowc_planner::plan::FlightSource, base: &Path) -> Self {
        Self { spec, flight, base: base.to_owned() }
    }

    /// Its name in messages.
    fn name(&self) -> String {
        format!("{} {}", self.flight.server, self.flight.ask)
    }

    fn failed(&self, error: &FlightError) -> SourceError {
        SourceError::Flight { flight: self.name(), reason: error.to_string() }
    }

    fn client(&self) -> Result<Client, SourceError> {
        let flight = &self.flight;
        let token = flight.token.as_ref().map(|(secret, source)| {
            let value = match source {
                SecretSource::Env(variable) => secret_of_variable(secret, variable),
                SecretSource::File(path) => secret_of_file(path, &self.base.join(path)),
            };
            value.map(Into::into).map_err(|reason| SourceError::Secret { secret: secret.clone(), reason })
        });
        let access =
            Access { server: flight.server.clone(), token: token.transpose()?, authorities: self.authorities()? };
        Client::new(access).map_err(|error| self.failed(&error))
    }

    /// The certificates that the server is trusted by.
    fn authorities(&self) -> Result<String, SourceError> {
        if !self.flight.server.starts_with("grpc+tls://") {
            return Ok(String::new());
        }
        let read = |path: &Path| {
            let name = path.display().to_string();
            std::fs::read_to_string(path).map_err(SourceError::io(&name, "read the certificates"))
        };
        if let Some(path) = &self.flight.ca {
            return read(&self.base.join(path));
        }
        let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
        let found = named.into_iter().chain(AUTHORITIES.map(PathBuf::from)).find(|path| path.is_file());
        let none = || {
            FlightError::Unreachable(
                "this machine has no certificates to trust it by: name them, `tls ca=\"ca.pem\"`".into(),
            )
        };
        read(&found.ok_or_else(|| self.failed(&none()))?)
    }

    fn ask(&self) -> Ask {
        match &self.flight.ask {
            FlightAsk::Ticket(ticket) => Ask::Ticket(ticket.clone().into_bytes()),
            FlightAsk::Path(path) => Ask::Path(path.clone()),
            FlightAsk::Command(command) => Ask::Command(command.clone().into_bytes()),
            FlightAsk::Sql(statement) => Ask::Sql(statement.clone()),
        }
    }

    /// The stamp of what this process reads at a time: it tells that from what others read, or this one at other times.
    fn stamp(&self, read_ms: u64) -> FileStamp {
        let mut hasher = KeyHasher::new("flowc flight 1");
        self.hash_into(&mut hasher);
        hasher.digest(&PROCESS).number(read_ms);
        let [a, b, c, d, e, f, g, h, ..] = hasher.finish();
        FileStamp::of_immutable(u64::from_le_bytes([a, b, c, d, e, f, g, h]), read_ms)
    }

    /// Where what was read is kept.
    fn kept_name(stamp: FileStamp) -> String {
        format!("flight-{:016x}-{}", stamp.inode, stamp.size)
    }

    /// Reads all that the server gives into a file.
    fn fetch(&self, place: &Path) -> Result<(), SourceError> {
        let unwritten = |error: std::io::Error| FlightError::Write(format!("its rows can't be kept: {error}"));
        let mut writer = None;
        let writing = &std::cell::RefCell::new(&mut writer);
        let begin = |schema: &SchemaRef| {
            **writing.borrow_mut() = Some(KeptWriter::create(place, schema).map_err(unwritten)?);
            Ok(())
        };
        let read = self.client()?.read(&self.ask(), begin, |rows| match &mut **writing.borrow_mut() {
            Some(writer) => writer.push(rows).map_err(unwritten),
            None => Ok(()),
        });
        let finished = read.and_then(|()| writer.map_or(Ok(()), |writer| writer.finish().map_err(unwritten)));
        finished.map_err(|error| self.failed(&error))
    }
}

/// Milliseconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64)
}

impl Source for FlightSource {
    fn hash_into(&self, hasher: &mut KeyHasher) {
        let flowc_planner::plan::FlightSource { server, ask, token: _, ca: _, keep } = &self.flight;
        let read = serde_json::json!({ "server": server, "ask": ask, "pin": keep.pin() });
        hasher.bytes(canonical_json(&read).as_bytes());
    }

    /// What was read before stands as long as the text says.
    fn poll(&self, known: &Polled) -> Result<Polled, SourceError> {
        // One of the future says nothing of its age.
        let age = |stamp: FileStamp| now().checked_sub(stamp.size);
        let stands = |part: &SourcePart| part.stamp.and_then(age).is_some_and(|age| self.flight.keep.takes(age));
        let part = match known.parts.as_slice() {
            [part] if stands(part) => part.clone(),
            _ => SourcePart { name: self.name(), path: None, stamp: Some(self.stamp(now())) },
        };
        Ok(Polled { parts: vec![part], folders: self.flight.keep.pin().map(|_| Vec::new()) })
    }

    /// What the server gave last, whether or not a run would ask it again.
    fn last_read(&self, known: &Polled) -> Option<Polled> {
        (known.parts.len() == 1).then(|| known.clone())
    }

    fn infer_schema(&self, _: &[SourcePart]) -> Result<SchemaRef, SourceError> {
        self.client()?.schema(&self.ask()).map_err(|error| self.failed(&error))
    }

    fn open(&self, part: &SourcePart, schema: &SchemaRef, folders: &Folders) -> Result<OpenFile, SourceError> {
        let stamp = part.stamp.unwrap_or_else(|| self.stamp(now()));
        let place = folders.blocks.join(Self::kept_name(stamp));
        let turn = turn(&place);
        let _turn = lock(&turn);
        if !is_sealed(&place) {
            if stamp != self.stamp(stamp.size) {
                let what = "what was kept of it went from the store";
                return Err(SourceError::Changed { file: part.name.clone(), what });
            }
            self.fetch(&place)?;
        }
        let view = View::of_sealed(&place, &part.name)?;
        OpenFile::of_kept(view, &self.spec, schema, stamp)
    }

    fn kept(&self, part: &SourcePart) -> Option<String> {
        part.stamp.map(Self::kept_name)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use flowc_planner::plan::{Format, Keep, Location};

    use super::*;
    use crate::testing::spec;

    fn source(ask: FlightAsk, keep: Keep) -> FlightSource {
        let server = "grpc://127.0.0.1:1".to_owned();
        let flight = flowc_planner::plan::FlightSource { server, ask, token: None, ca: None, keep };
        let spec = SourceSpec { location: Location::Flight(Box::new(flight.clone())), ..spec(Format::Arrow) };
        FlightSource::new(spec, flight, Path::new("/"))
    }

    fn words(keep: Keep) -> FlightSource {
        source(FlightAsk::Ticket("words".to_owned()), keep)
    }

    fn read_ago(source: &FlightSource, milliseconds: u64) -> Polled {
        let stamp = Some(source.stamp(now() - milliseconds));
        Polled { parts: vec![SourcePart { name: source.name(), path: None, stamp }], folders: None }
    }

    #[test]
    fn what_was_read_stands_as_long_as_the_text_says() {
        let stands = |keep: Keep, age| {
            let source = words(keep);
            let known = read_ago(&source, age);
            source.poll(&known).unwrap().parts == known.parts
        };
        // Within one millisecond it would be the same reading.
        assert!(!stands(Keep::Run, 5));
        assert!(stands(Keep::For(60_000), 1000) && !stands(Keep::For(60_000), 61_000));
        assert!(stands(Keep::Pinned("a".to_owned()), 1 << 40));
        let pinned = words(Keep::Pinned("a".to_owned())).poll(&Polled::default()).unwrap();
        assert_eq!((pinned.parts.len(), pinned.folders), (1, Some(Vec::new())), "nothing of it can change");
    }

    #[test]
    fn what_shapes_the_rows_tells_sources_apart_and_nothing_else() {
        let hash = |source: &FlightSource| {
            let mut hasher = KeyHasher::new("test");
            source.hash_into(&mut hasher);
            hasher.finish()
        };
        let base = hash(&words(Keep::Run));
        assert_eq!(base, hash(&words(Keep::For(7))));
        for other in [
            words(Keep::Pinned("a".to_owned())),
            words(Keep::Pinned("b".to_owned())),
            source(FlightAsk::Path(vec!["words".to_owned()]), Keep::Run),
            source(FlightAsk::Sql("words".to_owned()), Keep::Run),
        ] {
            assert_ne!(base, hash(&other));
        }
    }

    #[test]
    fn what_another_process_read_is_not_read_again_in_its_place() {
        let source = words(Keep::Pinned("a".to_owned()));
        let folder = tempfile::tempdir().unwrap();
        let folders = Folders {
            spool: folder.path().to_owned(),
            blocks: folder.path().join("blocks"),
            schemas: folder.path().join("schemas"),
        };
        let schema = Arc::new(arrow_schema::Schema::empty());
        let open = |stamp| {
            let part = SourcePart { name: source.name(), path: None, stamp: Some(stamp) };
            source.open(&part, &schema, &folders).err().unwrap().to_string()
        };
        let of_another = open(FileStamp::of_immutable(7, now()));
        assert!(of_another.contains("went from the store"), "{of_another}");
        let of_this = open(source.stamp(now()));
        assert!(of_this.contains("grpc://127.0.0.1:1 ticket words: it can't be reached"), "{of_this}");
    }
}
