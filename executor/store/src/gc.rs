//! Garbage collection: removes what nobody wants to keep, and gives the room back, while other processes use the store.
//!
//! What is removed is decided while nobody looks anything up (`lease.rs` has the protocol): what earlier runs found is forgotten, and
//! the index lets go. Files are removed afterwards: killed in between, it leaves files that nothing names, and the next
//! collection removes them. A pack of which little is kept is copied anew: the copy is complete and synced before the index speaks
//! of it, and the old one is removed only if nobody has found anything in it meanwhile.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use flowc_planner::key::{ColumnKey, RowsKey};
use flowc_platform::Lock;

use crate::error::io_at;
use crate::files::{files, remove, usage_of};
use crate::group::Pack;
use crate::index::Moved;
use crate::lease::{Gate, Leased};
use crate::verdict::{Fate, Parts, Verdict};
use crate::{Location, ObjectId, Store, StoreError, Usage};

/// What garbage collection removed, or would remove.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GcReport {
    /// Results that are still known.
    pub kept: u64,
    /// Results that were removed.
    pub removed: u64,
    /// Objects that were removed.
    pub objects: u64,
    /// Packs copied without what is removed.
    pub repacked: u64,
    /// Files removed that killed processes left behind.
    pub temporary: u64,
    /// Bytes given back.
    pub bytes: u64,
}

/// A garbage collection under way. There is one at a time; others wait.
pub struct Collection {
    store: Store,
    dry_run: bool,
    _alone: Option<Lock>,
}

impl Collection {
    /// Waits while another process collects. With `dry_run` nothing is removed, and nobody is waited for.
    ///
    /// # Errors
    /// If the store can't be opened, or not written.
    pub fn begin(dir: &Path, dry_run: bool) -> Result<Self, StoreError> {
        let store = Store::open_to_collect(dir)?;
        let _alone = match dry_run {
            true => None,
            false => {
                store.shared.writable()?;
                let path = dir.join("gc.lock");
                flowc_platform::lock_exclusive(&path, true).map_err(io_at("lock", &path))?
            }
        };
        Ok(Self { store, dry_run, _alone })
    }

    /// The store, to find out what is to be kept.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Begins to decide. Until the decision is [carried out](Decision::carry_out) whoever looks something up waits.
    ///
    /// # Errors
    /// If the store can't be locked or read.
    pub fn decide(&self) -> Result<Decision<'_>, StoreError> {
        let dir = self.store.dir();
        let gate = Gate::seize(dir)?;
        // An object that comes later is not looked at: its process has no lease among these.
        let objects = files(&self.store.objects())?;
        let temporary = files(&self.store.spool())?;
        let leased = gate.leased(!self.dry_run)?;
        let report = GcReport::default();
        Ok(Decision { collection: self, gate, leased, objects, temporary, aside: vec![], parts: None, report })
    }
}

/// What is decided in a collection, while nobody looks anything up. What is to be kept must be found out while it lasts: what a run
/// does not hold any more is in its record by now.
pub struct Decision<'c> {
    pub(crate) collection: &'c Collection,
    gate: Gate,
    leased: Leased,
    /// What there was before the leases were read.
    objects: Vec<(PathBuf, u64)>,
    temporary: Vec<(PathBuf, u64)>,
    /// What was taken out of its place.
    aside: Vec<PathBuf>,
    /// What is kept of objects, if results were decided about.
    parts: Option<BTreeMap<ObjectId, Parts>>,
    report: GcReport,
}

impl Decision<'_> {
    /// What living processes rely on.
    pub fn leased(&self) -> &Leased {
        &self.leased
    }

    /// Lets go of every result but those to keep, and those that living processes rely on. What goes leaves a tombstone.
    ///
    /// # Errors
    /// If the index can't be written.
    pub fn results(&mut self, keep: &HashSet<ColumnKey>, keep_rows: &HashSet<RowsKey>) -> Result<(), StoreError> {
        let shared = &self.collection.store.shared;
        let all = shared.with_index(|index| index.all())?.unwrap_or_default();
        let verdict = Verdict::of(all, keep, &self.leased);
        self.report.kept = verdict.kept.len() as u64;
        self.report.removed = verdict.removed.len() as u64;
        if !self.collection.dry_run {
            shared.forget_found()?;
            let keys: Vec<_> = verdict.removed.iter().map(|(key, _)| *key).collect();
            let keep_rows = self.leased.is_alone().then_some(keep_rows);
            shared.with_index(|index| index.evict(&keys, keep_rows))?;
        }
        self.parts = Some(verdict.parts());
        Ok(())
    }

    /// Takes something out of its place at once, to be removed when the decision is carried out: killed in between, it leaves nothing
    /// that looks whole.
    ///
    /// # Errors
    /// If it can't be renamed.
    pub fn take_out(&mut self, path: &Path) -> Result<(), StoreError> {
        if !self.collection.dry_run {
            let aside = self.collection.store.spool().join(ObjectId::random().to_string());
            fs::rename(path, &aside).map_err(io_at("rename", path))?;
            self.aside.push(aside);
        }
        Ok(())
    }

    /// Removes what was decided about, and what killed processes left; meanwhile others go on.
    ///
    /// # Errors
    /// If a file or the index can't be written.
    pub fn carry_out(self) -> Result<GcReport, StoreError> {
        let Self { collection, gate, leased, objects, temporary, aside, parts, mut report } = self;
        drop(gate);
        let sweep = Sweep { store: &collection.store, dry_run: collection.dry_run, leased: &leased };
        aside.iter().try_for_each(|path| remove(path))?;
        sweep.temporary(temporary, &mut report)?;
        if let Some(parts) = parts {
            let shrinking = sweep.objects(objects, parts, &mut report)?;
            sweep.repack(shrinking, &mut report)?;
            if !collection.dry_run && leased.is_alone() {
                collection.store.shared.with_index(|index| index.shrink())?;
            }
        }
        Ok(report)
    }
}

/// Removes files, while others use the store.
struct Sweep<'c> {
    store: &'c Store,
    dry_run: bool,
    leased: &'c Leased,
}

/// An object of which little is kept.
struct Shrinking {
    path: PathBuf,
    bytes: u64,
    object: ObjectId,
    parts: Parts,
}

/// The copy of what is kept of an object.
struct Copied {
    from: Shrinking,
    to: ObjectId,
    moved: Vec<Moved>,
}

impl Sweep<'_> {
    fn temporary(&self, found: Vec<(PathBuf, u64)>, report: &mut GcReport) -> Result<(), StoreError> {
        for (path, _) in found {
            let is_used = object_of(&path).map_or(!self.leased.is_alone(), |object| self.leased.holds(object));
            if is_used {
                continue;
            }
            let Usage { files, bytes } = usage_of(&path);
            report.temporary += files;
            report.bytes += bytes;
            if !self.dry_run {
                remove(&path)?;
            }
        }
        Ok(())
    }

    /// Removes the objects of which nothing is kept; gives those of which little is.
    fn objects(
        &self,
        found: Vec<(PathBuf, u64)>,
        mut kept: BTreeMap<ObjectId, Parts>,
        report: &mut GcReport,
    ) -> Result<Vec<Shrinking>, StoreError> {
        let mut shrinking = Vec::new();
        for (path, bytes) in found {
            let object = object_of(&path);
            let parts = object.and_then(|object| kept.remove(&object)).unwrap_or_default();
            let fate = object.map(|object| (Fate::of(object, bytes, parts.values().sum(), self.leased), object));
            match fate {
                Some((Fate::Stays, _)) => {}
                Some((Fate::Shrinks, object)) => shrinking.push(Shrinking { path, bytes, object, parts }),
                Some((Fate::Goes, _)) | None => {
                    report.objects += 1;
                    report.bytes += bytes;
                    self.remove(&path)?;
                }
            }
        }
        Ok(shrinking)
    }

    /// Copies what is kept of objects into new ones.
    fn repack(&self, shrinking: Vec<Shrinking>, report: &mut GcReport) -> Result<(), StoreError> {
        let mut copied = match self.dry_run {
            true => {
                shrinking.into_iter().map(|from| Ok(Copied { from, to: ObjectId::random(), moved: vec![] })).collect()
            }
            false => shrinking.into_iter().map(|from| self.copy(from)).collect::<Result<Vec<_>, _>>(),
        }?;
        if !self.dry_run && !copied.is_empty() {
            copied = self.relocate(copied)?;
        }
        for Copied { from, .. } in copied {
            report.repacked += 1;
            report.bytes += from.bytes - from.parts.values().sum::<u64>().min(from.bytes);
            self.remove(&from.path)?;
        }
        Ok(())
    }

    fn copy(&self, from: Shrinking) -> Result<Copied, StoreError> {
        let mut pack = Pack::default();
        let to = ObjectId::random();
        let mut moved = Vec::new();
        for (&offset, &length) in &from.parts {
            let place = Location { object: from.object, offset, length, column: 0, check: 0 };
            match self.store.shared.objects.bytes(&place) {
                Ok(bytes) => moved.push(Moved { offset, to_offset: pack.add(bytes) }),
                // Damage is not carried along: whoever reads it will find that it is not there, and forget it.
                Err(StoreError::Damaged { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        self.store.shared.objects.write_pack(to, &pack)?;
        self.store.shared.objects.sync(&[to])?;
        Ok(Copied { from, to, moved })
    }

    /// Has the index speak of the copies, but for those of objects in which somebody has found something meanwhile. This is a
    /// decision like the first.
    fn relocate(&self, copied: Vec<Copied>) -> Result<Vec<Copied>, StoreError> {
        let shared = &self.store.shared;
        let gate = Gate::seize(self.store.dir())?;
        let leased = gate.leased(false)?;
        let (used, done): (Vec<_>, Vec<_>) = copied.into_iter().partition(|copy| leased.holds(copy.from.object));
        shared.forget_found()?;
        for Copied { from, to, moved } in &done {
            shared.with_index(|index| index.relocate(from.object, *to, moved))?;
        }
        drop(gate);
        used.iter().try_for_each(|copy| self.remove(&shared.objects.path(copy.to)))?;
        Ok(done)
    }

    fn remove(&self, path: &Path) -> Result<(), StoreError> {
        match self.dry_run {
            true => Ok(()),
            false => match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_at("remove", path)(error)),
                _ => Ok(()),
            },
        }
    }
}

/// The object that lies, or is being written, at a path.
fn object_of(path: &Path) -> Option<ObjectId> {
    path.file_name()?.to_str()?.parse().ok()
}
