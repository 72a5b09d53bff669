//! Leases: what the processes that use a store rely on, so that garbage collection takes none of it.
//!
//! A process that opens the store gets a lease: a file in `leases/`, locked while the process lives. (A lock is given back by
//! the system when a process ends, however it ends. So a lease whose lock is free is dead.) `live.lock` is the gate between those who
//! look something up and the collector, who makes the index forget. It is held for moments:
//!
//! | who       | gate      | step                                                                                          |
//! |-----------|-----------|-----------------------------------------------------------------------------------------------|
//! | process   | shared    | opens the store: makes and locks its lease                                                    |
//! | process   | shared    | looks something up, and writes what it found into its lease                                   |
//! | process   | -         | reads what it found; adds objects, whose names begin with its lease's                         |
//! | process   | shared    | commits them; where another process has committed the same before, its object is found        |
//! | process   | -         | commits the record of its run, then gives up its lease                                        |
//! | collector | exclusive | lists the objects, reads the leases, then the records; makes the index forget what neither names |
//! | collector | -         | removes the objects that it listed and that nothing names                                     |
//!
//! So a process either looks something up before the collector decides, which then finds it in the lease; or afterwards, and then it
//! is not found. The order within the collector's step matters, too: a run that gives up its lease has committed its record before,
//! so whoever reads leases first and records second sees one of them. An object that is newer than the list is not looked at.
//! Killed at any point, both leave nothing worse than a file that nothing names; the next collection removes it.
//! `lease/model.rs` goes through all interleavings of these steps, with kills.
//!
//! Who can't write a lease holds the gate until it closes the store, and so relies on everything: users who may only read, runs on
//! a full disk, and versions of flowc that know no leases. The collector waits for them.

use std::collections::HashSet;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use flowc_platform::{Lock, LockFile, lock, open_regular};

use crate::error::{io_at, refuses_writes};
use crate::{ObjectId, StoreError};

/// The gate, in the folder of a store.
const GATE: &str = "live.lock";
/// The folder of leases.
pub(crate) const LEASES: &str = "leases";

/// Names a lease. The names of all objects that its process writes begin with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct LeaseId(pub(crate) [u8; 8]);

impl LeaseId {
    fn random() -> Self {
        let ObjectId(bytes) = ObjectId::random();
        Self(std::array::from_fn(|place| bytes[place]))
    }

    fn parse(hex: &str) -> Option<Self> {
        let is_hex = hex.len() == 16;
        is_hex.then(|| u64::from_str_radix(hex, 16).ok()).flatten().map(|number| Self(number.to_be_bytes()))
    }
}

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

/// Something in the store that a process relies on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Need {
    /// An object with results.
    Object(ObjectId),
    /// What was built for a stage, by its name: an environment, a component, a snapshot of code.
    Build(String),
    /// What was compiled of a component, by the component's digest.
    Component(String),
    /// Whatever was built or compiled: the process is finding out what it needs of it.
    AllCode,
}

impl Need {
    /// Reads a line of a lease.
    fn parse(line: &str) -> Option<Self> {
        match line.split_once(' ') {
            Some(("object", id)) => Some(Self::Object(id.parse().ok()?)),
            Some(("build", name)) => Some(Self::Build(name.to_owned())),
            Some(("component", digest)) => Some(Self::Component(digest.to_owned())),
            _ => (line == "code").then_some(Self::AllCode),
        }
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Object(id) => write!(f, "object {id}"),
            Self::Build(name) => write!(f, "build {name}"),
            Self::Component(digest) => write!(f, "component {digest}"),
            Self::AllCode => f.write_str("code"),
        }
    }
}

/// The lease of an open store. Dropping it says that its process relies on nothing any more.
pub(crate) struct Lease {
    id: LeaseId,
    state: Mutex<State>,
}

struct State {
    /// None if nobody collects meanwhile.
    gate: Option<LockFile>,
    /// Where needs are written. None if the gate is held all the time instead.
    file: Option<(PathBuf, Lock)>,
    written: HashSet<Need>,
    /// How many rely on all code.
    on_all_code: usize,
}

/// The line of a lease by which its process relies on all code no more.
const NOT_ALL_CODE: &str = "no code";

impl Lease {
    /// A lease that names nothing yet. Waits while a collector decides.
    ///
    /// # Errors
    /// If the gate can't be locked.
    pub(crate) fn new(store: &Path) -> Result<Self, StoreError> {
        let id = LeaseId::random();
        let mut state = State { gate: open_gate(store)?, file: None, written: HashSet::new(), on_all_code: 0 };
        if let Some(gate) = &state.gate {
            gate.lock_shared().map_err(io_at("lock", &store.join(GATE)))?;
            state.file = create(&store.join(LEASES), id).ok();
            state.leave()?;
        }
        Ok(Self { id, state: Mutex::new(state) })
    }

    /// The lease of a collector, who needs none.
    pub(crate) fn of_collector() -> Self {
        let state = State { gate: None, file: None, written: HashSet::new(), on_all_code: 0 };
        Self { id: LeaseId::random(), state: Mutex::new(state) }
    }

    /// A name that no other object has.
    pub(crate) fn object(&self) -> ObjectId {
        ObjectId::beginning(self.id.0)
    }

    /// Looks something up and relies on what was found. No collector decides meanwhile.
    ///
    /// # Errors
    /// Those of the look-up, or if the gate can't be locked.
    pub(crate) fn look_up<T, N: IntoIterator<Item = Need>>(
        &self,
        look_up: impl FnOnce() -> Result<T, StoreError>,
        needs: impl FnOnce(&T) -> N,
    ) -> Result<T, StoreError> {
        let mut state = lock(&self.state);
        state.enter()?;
        let found = look_up();
        if let Ok(found) = &found {
            let is_own = |need: &Need| matches!(need, Need::Object(id) if id.begins_with(self.id.0));
            state.write(needs(found).into_iter().filter(|need| !is_own(need)));
        }
        state.leave()?;
        found
    }
}

impl Lease {
    /// Relies on all code, until [`Lease::release_all_code`] was called as often as this.
    ///
    /// # Errors
    /// If the gate can't be locked.
    pub(crate) fn hold_all_code(&self) -> Result<(), StoreError> {
        lock(&self.state).on_all_code += 1;
        self.look_up(|| Ok(()), |()| [Need::AllCode]).inspect_err(|_| lock(&self.state).on_all_code -= 1)
    }

    /// Relies on all code once less. What cannot be written stays relied on.
    pub(crate) fn release_all_code(&self) {
        let mut state = lock(&self.state);
        state.on_all_code -= 1;
        if state.on_all_code == 0
            && state.written.remove(&Need::AllCode)
            && let Some((_, lock)) = &state.file
        {
            let _ = lock.file().write_all(format!("{NOT_ALL_CODE}\n").as_bytes());
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // The lock goes last: a lease without one is dead, and removed by whoever sees it.
        if let Some((path, _)) = &lock(&self.state).file {
            let _ = fs::remove_file(path);
        }
    }
}

impl State {
    fn enter(&self) -> Result<(), StoreError> {
        match (&self.gate, &self.file) {
            (Some(gate), Some(_)) => gate.lock_shared().map_err(io_at("lock", Path::new(GATE))),
            _ => Ok(()),
        }
    }

    fn leave(&self) -> Result<(), StoreError> {
        match (&self.gate, &self.file) {
            (Some(gate), Some(_)) => gate.unlock().map_err(io_at("unlock", Path::new(GATE))),
            _ => Ok(()),
        }
    }

    /// Adds needs that are not there, all in one write. Where they can't be written, the gate is held from now on.
    fn write(&mut self, needs: impl Iterator<Item = Need>) {
        let Some((path, lock)) = &self.file else { return };
        let mut lines = String::new();
        for need in needs {
            if !self.written.contains(&need) {
                lines.push_str(&format!("{need}\n"));
                self.written.insert(need);
            }
        }
        if lines.is_empty() {
            return;
        }
        if lock.file().write_all(lines.as_bytes()).is_err() {
            let _ = fs::remove_file(path);
            self.file = None;
        }
    }
}

fn create(folder: &Path, id: LeaseId) -> io::Result<(PathBuf, Lock)> {
    fs::create_dir_all(folder)?;
    let path = folder.join(id.to_string());
    let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
    let lock = Lock::of_file(file)?.ok_or(io::ErrorKind::WouldBlock)?;
    Ok((path, lock))
}

/// What all living processes rely on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leased {
    living: HashSet<LeaseId>,
    needs: HashSet<Need>,
}

impl Leased {
    /// Whether a process may read, or has just written, an object.
    pub(crate) fn holds(&self, object: ObjectId) -> bool {
        self.needs.contains(&Need::Object(object)) || self.living.iter().any(|id| object.begins_with(id.0))
    }

    /// Whether nobody else uses the store. While others do, what they have begun and what they can't name stays: unfinished files,
    /// numbers of rows, contents of files of code.
    pub fn is_alone(&self) -> bool {
        self.living.is_empty()
    }

    /// Whether a process may use what has this name among builds.
    pub fn holds_build(&self, name: &str) -> bool {
        self.holds_all_code() || self.needs.contains(&Need::Build(name.to_owned()))
    }

    /// Whether a process may use what was compiled of the component with this digest.
    pub fn holds_component(&self, digest: &str) -> bool {
        self.holds_all_code() || self.needs.contains(&Need::Component(digest.to_owned()))
    }

    fn holds_all_code(&self) -> bool {
        self.needs.contains(&Need::AllCode)
    }

    fn add(&mut self, id: LeaseId, text: &str) {
        self.living.insert(id);
        // A line without its end was being written when its process was killed.
        let whole = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
        let mut needs = HashSet::new();
        for line in whole {
            match line {
                NOT_ALL_CODE => drop(needs.remove(&Need::AllCode)),
                line => needs.extend(Need::parse(line)),
            }
        }
        self.needs.extend(needs);
    }
}

/// Holds the gate alone: nobody looks anything up or opens the store until it is dropped.
pub(crate) struct Gate {
    store: PathBuf,
    _gate: Option<LockFile>,
}

impl Gate {
    /// Waits for those who hold it.
    ///
    /// # Errors
    /// If it can't be locked.
    pub(crate) fn seize(store: &Path) -> Result<Self, StoreError> {
        let gate = open_gate(store)?;
        if let Some(gate) = &gate {
            gate.lock_exclusive().map_err(io_at("lock", &store.join(GATE)))?;
        }
        Ok(Self { store: store.to_owned(), _gate: gate })
    }

    /// Reads all leases. With `tidy` it removes those whose processes have ended.
    ///
    /// # Errors
    /// If a lease can't be read.
    pub(crate) fn leased(&self, tidy: bool) -> Result<Leased, StoreError> {
        let folder = self.store.join(LEASES);
        let mut leased = Leased::default();
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(leased),
            entries => entries.map_err(io_at("read", &folder))?,
        };
        for entry in entries {
            let path = entry.map_err(io_at("read", &folder))?.path();
            let Some(id) = path.file_name().and_then(|name| LeaseId::parse(name.to_str()?)) else { continue };
            // A process that ends takes its lease with it.
            let mut file = match open_regular(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                opened => opened.map_err(io_at("open", &path))?,
            };
            let mut text = Vec::new();
            file.read_to_end(&mut text).map_err(io_at("read", &path))?;
            match Lock::of_file(file).map_err(io_at("lock", &path))? {
                Some(_) if tidy => drop(fs::remove_file(&path)),
                Some(_) => {}
                None => leased.add(id, &String::from_utf8_lossy(&text)),
            }
        }
        Ok(leased)
    }
}

/// The file of the gate. None in a store that this process may not write, and where nobody has made one.
fn open_gate(store: &Path) -> Result<Option<LockFile>, StoreError> {
    let path = store.join(GATE);
    match LockFile::open(&path) {
        Ok(gate) => Ok(Some(gate)),
        Err(error) if refuses_writes(&error) => Ok(None),
        Err(error) => Err(io_at("lock", &path)(error)),
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
