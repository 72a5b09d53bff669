//! From folders to a tree.
//!
//! Links are not followed: one that leads within the tree is a link in the tree as well, by the shortest way, so that it leads
//! within whatever place the tree is copied to. Where a link leads out of the tree, or to something that is passed over, the
//! tree holds what it leads to in its place: then what runs needs nothing but the tree. Pipes, sockets and devices are
//! nothing that a build or an import reads; they are never opened.

use std::collections::VecDeque;
use std::fs::{self, FileType};
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use crate::tree::{normal, relative};
use crate::{CodeError, Entry, Reader, Rules, Tree};

/// A file or a folder that a tree is made of.
#[derive(Clone, Debug)]
pub struct Root {
    /// Its path, absolute.
    pub path: PathBuf,
    /// What is passed over in a folder.
    pub rules: Rules,
}

impl Root {
    /// A root.
    pub fn new(path: impl AsRef<Path>, rules: Rules) -> Self {
        Self { path: normal(path.as_ref()), rules }
    }
}

impl Tree {
    /// Reads some folders and files. What is not there is passed over. Paths start from the folder that all have in common, so
    /// that they lie to each other as they do on disk.
    ///
    /// # Errors
    /// If something can't be read.
    pub fn read(roots: &[Root], reader: &Reader<'_>) -> Result<Self, CodeError> {
        let base = common(roots);
        let tree = Tree { base: base.clone(), ..Tree::default() };
        let mut walk = Walk { reader, tree, places: Vec::new(), links: VecDeque::new() };
        for root in roots {
            let path = root.path.strip_prefix(&base).unwrap_or(&root.path).to_owned();
            if let Ok(real) = root.path.canonicalize() {
                walk.places.push((real, path.clone()));
            }
            walk.tree.evidence.look(&root.path);
            match fs::metadata(&root.path) {
                Ok(found) if found.is_dir() => walk.folder(&root.path, &path, Path::new(""), &root.rules)?,
                Ok(found) if found.is_file() => walk.file(&root.path, path)?,
                _ => {}
            }
        }
        while let Some(link) = walk.links.pop_front() {
            walk.link(link)?;
        }
        Ok(walk.tree.finished())
    }
}

/// The folder that all roots have in common; that of a file if it is the only one.
fn common(roots: &[Root]) -> PathBuf {
    let mut folders = roots.iter().map(|root| match root.path.is_dir() {
        true => root.path.as_path(),
        false => root.path.parent().unwrap_or(Path::new("/")),
    });
    let shared = |a: PathBuf, b: &Path| {
        a.components().zip(b.components()).take_while(|(a, b)| a == b).map(|(part, _)| part).collect()
    };
    let first = folders.next().unwrap_or(Path::new("/")).to_owned();
    folders.fold(first, shared)
}

struct Walk<'a> {
    reader: &'a Reader<'a>,
    tree: Tree,
    /// Real paths of folders, and where they are in the tree.
    places: Vec<(PathBuf, PathBuf)>,
    /// Links that were found: their paths on disk and in the tree.
    links: VecDeque<(PathBuf, PathBuf)>,
}

impl Walk<'_> {
    /// Adds all that is in a folder. `below` is its path from the folder that the rules are for.
    fn folder(&mut self, path: &Path, place: &Path, below: &Path, rules: &Rules) -> Result<(), CodeError> {
        self.tree.evidence.look(path);
        if !place.as_os_str().is_empty() {
            self.tree.entries.entry(place.to_owned()).or_insert(Entry::Folder);
        }
        let entries = fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let mut entries = entries.map_err(CodeError::io(path))?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let (path, place, below) = (entry.path(), place.join(entry.file_name()), below.join(entry.file_name()));
            let kind = match entry.file_type() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                kind => kind.map_err(CodeError::io(&path))?,
            };
            let is_folder = kind.is_dir() || (kind.is_symlink() && path.is_dir());
            if !rules.pass_over(&below, &path, is_folder) && !self.reader.pipeline.contains(&path) {
                self.entry(kind, &path, &place, &below, rules)?;
            }
        }
        Ok(())
    }

    fn entry(
        &mut self,
        kind: FileType,
        path: &Path,
        place: &Path,
        below: &Path,
        rules: &Rules,
    ) -> Result<(), CodeError> {
        if kind.is_symlink() {
            self.links.push_back((path.to_owned(), place.to_owned()));
            Ok(())
        } else if kind.is_dir() {
            self.folder(path, place, below, rules)
        } else if kind.is_file() {
            self.file(path, place.to_owned())
        } else {
            Ok(())
        }
    }

    fn file(&mut self, path: &Path, place: PathBuf) -> Result<(), CodeError> {
        if self.tree.entries.contains_key(&place) {
            return Ok(());
        }
        self.tree.evidence.look(path);
        if let Some(file) = self.reader.file(path)? {
            self.tree.entries.insert(place, file);
        }
        Ok(())
    }

    /// Adds a link, or what it leads to.
    fn link(&mut self, (path, place): (PathBuf, PathBuf)) -> Result<(), CodeError> {
        if self.tree.entries.contains_key(&place) {
            return Ok(());
        }
        self.tree.evidence.look(&path);
        let Ok(real) = path.canonicalize() else { return self.keep(&path, place) };
        let within = self
            .place_of(&real)
            .filter(|target| target.as_os_str().is_empty() || self.tree.entries.contains_key(target));
        if let Some(target) = within {
            let to = relative(place.parent().unwrap_or(Path::new("")), &target);
            self.tree.entries.insert(place, Entry::Link { to });
            return Ok(());
        }
        let kind = fs::metadata(&real).map_err(CodeError::io(&path))?.file_type();
        if kind.is_dir() {
            self.places.push((real, place.clone()));
            self.folder(&path, &place, Path::new(""), &Rules::default())
        } else if kind.is_file() {
            self.file(&path, place)
        } else if kind.is_char_device() {
            // `/dev/null` and its like are there wherever the tree is.
            self.keep(&path, place)
        } else {
            Ok(())
        }
    }

    /// Adds a link as it is.
    fn keep(&mut self, path: &Path, place: PathBuf) -> Result<(), CodeError> {
        match fs::read_link(path) {
            Ok(to) => drop(self.tree.entries.insert(place, Entry::Link { to })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(CodeError::io(path)(error)),
        }
        Ok(())
    }

    /// Where a real path is in the tree, if it is below a folder of it.
    fn place_of(&self, real: &Path) -> Option<PathBuf> {
        let below = |(from, to): &(PathBuf, PathBuf)| {
            let rest = real.strip_prefix(from).ok()?;
            // `join` of nothing would add a slash.
            Some(if rest.as_os_str().is_empty() { to.clone() } else { to.join(rest) })
        };
        let places = self.places.iter().filter_map(below);
        let mut places = places.collect::<Vec<_>>();
        let known = places.iter().position(|place| self.tree.entries.contains_key(place));
        (!places.is_empty()).then(|| places.swap_remove(known.unwrap_or(0)))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::{Digests, PipelineFiles, Snapshots};

    /// A folder with a project and a store beside it.
    struct Fixture {
        root: tempfile::TempDir,
    }

    impl Fixture {
        fn new(files: &[(&str, &str)]) -> Self {
            let fixture = Self { root: tempfile::tempdir().unwrap() };
            files.iter().for_each(|(name, text)| fixture.write(name, text));
            fixture
        }

        fn path(&self, name: &str) -> PathBuf {
            self.root.path().canonicalize().unwrap().join(name)
        }

        fn write(&self, name: &str, text: &str) {
            fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
            fs::write(self.path(name), text).unwrap();
        }

        fn link(&self, to: &str, name: &str) {
            let _ = fs::remove_file(self.path(name));
            symlink(to, self.path(name)).unwrap();
        }

        fn snapshots(&self) -> Snapshots {
            Snapshots::new(self.path("store"))
        }

        fn tree(&self) -> Tree {
            self.tree_of(&["py"])
        }

        fn tree_of(&self, roots: &[&str]) -> Tree {
            let roots: Vec<_> = roots.iter().map(|root| Root::new(self.path(root), Rules::default())).collect();
            let files = PipelineFiles::default();
            let snapshots = self.snapshots();
            let reader = Reader::new(&files, Some(&snapshots), Digests::default());
            Tree::read(&roots, &reader).unwrap()
        }

        /// What is in the snapshot of a tree, read through all links.
        fn seen(&self, tree: &Tree, name: &str) -> Option<String> {
            fs::read_to_string(self.snapshots().make(tree).unwrap().join(name)).ok()
        }
    }

    #[test]
    fn a_tree_is_named_by_paths_contents_and_what_may_be_executed() {
        use std::os::unix::fs::PermissionsExt;
        let fixture = Fixture::new(&[("py/a.py", "1"), ("py/b/c.py", "2")]);
        let mut seen = vec![fixture.tree().digest()];
        let mut differs = |what: &str| {
            let digest = fixture.tree().digest();
            assert!(!seen.contains(&digest), "{what}");
            seen.push(digest);
        };
        fixture.write("py/a.py", "3");
        differs("an edited file");
        fs::rename(fixture.path("py/a.py"), fixture.path("py/d.py")).unwrap();
        differs("a renamed file");
        fs::create_dir(fixture.path("py/e")).unwrap();
        differs("a new folder, which is a package");
        fs::set_permissions(fixture.path("py/d.py"), fs::Permissions::from_mode(0o755)).unwrap();
        differs("a file that may be executed");
        fixture.link("d.py", "py/f.py");
        differs("a new link");
        fixture.link("b", "py/f.py");
        differs("a link that was turned");
        let elsewhere = Fixture::new(&[("py/d.py", "3"), ("py/b/c.py", "2")]);
        fs::create_dir(elsewhere.path("py/e")).unwrap();
        elsewhere.link(elsewhere.path("py/b").to_str().unwrap(), "py/f.py");
        fs::set_permissions(elsewhere.path("py/d.py"), fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(elsewhere.tree().digest(), fixture.tree().digest(), "where it lies does not matter");
    }

    #[test]
    fn links_within_lead_within_the_snapshot() {
        let fixture = Fixture::new(&[("py/data_v1/w", "one"), ("py/data_v2/w", "two"), ("py/deep/x", "")]);
        fixture.link("data_v1", "py/latest");
        fixture.link(fixture.path("py/latest").to_str().unwrap(), "py/deep/absolute");
        fixture.link(".", "py/loop");
        fixture.link("../py/data_v2/w", "py/around");
        let tree = fixture.tree();
        assert_eq!(tree.entries[Path::new("deep/absolute")], Entry::Link { to: "../data_v1".into() });
        let due = [("latest/w", "one"), ("deep/absolute/w", "one"), ("loop/loop/latest/w", "one"), ("around", "two")];
        due.iter().for_each(|(name, text)| assert_eq!(fixture.seen(&tree, name).as_deref(), Some(*text), "{name}"));
        fixture.link("data_v2", "py/latest");
        assert_ne!(fixture.tree().digest(), tree.digest());
        assert_eq!(fixture.seen(&fixture.tree(), "deep/absolute/w").as_deref(), Some("two"));
        assert_eq!(fixture.seen(&tree, "latest/w").as_deref(), Some("one"), "the earlier snapshot stays");
    }

    #[test]
    fn what_links_out_of_the_tree_lead_to_is_in_the_tree() {
        let files =
            [("py/stage.py", ""), ("shared/common.py", "1"), ("data/deep/table", "2"), ("py/.venv/lib/m.py", "3")];
        let fixture = Fixture::new(&files);
        fixture.link("../shared/common.py", "py/common.py");
        fixture.link("../data", "py/data");
        fixture.link("..", "data/deep/up");
        fixture.link("deep/table", "data/short");
        fixture.link(".venv/lib/m.py", "py/m.py");
        let tree = fixture.tree();
        for (name, text) in [("common.py", "1"), ("data/deep/table", "2"), ("data/short", "2"), ("m.py", "3")] {
            assert_eq!(fixture.seen(&tree, name).as_deref(), Some(text), "{name}");
        }
        assert_eq!(tree.entries[Path::new("data/short")], Entry::Link { to: "deep/table".into() });
        assert!(tree.evidence.paths.contains_key(&fixture.path("py/data/deep/table")));
        for name in ["shared/common.py", "data/deep/table"] {
            let before = fixture.tree().digest();
            fixture.write(name, "edited");
            assert_ne!(fixture.tree().digest(), before, "{name}");
        }
    }

    #[test]
    fn links_to_nowhere_and_in_circles_are_links() {
        let fixture = Fixture::new(&[("py/stage.py", "")]);
        fixture.link("missing", "py/a");
        fixture.link("c", "py/b");
        fixture.link("b", "py/c");
        let tree = fixture.tree();
        assert_eq!(tree.entries[Path::new("a")], Entry::Link { to: "missing".into() });
        assert_eq!(tree.entries.len(), 4);
        assert!(tree.evidence.absent.contains(&fixture.path("py/a")));
    }

    #[test]
    fn pipes_and_sockets_are_never_opened() {
        let fixture = Fixture::new(&[("py/stage.py", "")]);
        let before = fixture.tree().digest();
        let made = std::process::Command::new("mkfifo").arg(fixture.path("py/pipe")).arg(fixture.path("pipe")).status();
        assert!(made.unwrap().success());
        let _socket = std::os::unix::net::UnixListener::bind(fixture.path("py/socket")).unwrap();
        fixture.link("../pipe", "py/linked");
        assert_eq!(fixture.tree().digest(), before);
    }

    #[test]
    fn several_roots_lie_to_each_other_as_on_disk() {
        let fixture = Fixture::new(&[
            ("repo/py/stage.py", "1"),
            ("repo/lib/a/x.py", "2"),
            ("repo/uv.lock", ""),
            ("repo/other", ""),
        ]);
        let tree = fixture.tree_of(&["repo/py", "repo/lib/a", "repo/uv.lock"]);
        let paths: Vec<_> = tree.entries.keys().map(|path| path.to_str().unwrap()).collect();
        assert_eq!(paths, ["lib/a", "lib/a/x.py", "py", "py/stage.py", "uv.lock"]);
        assert_eq!(fixture.seen(&tree, "lib/a/x.py").as_deref(), Some("2"));
        let nested = fixture.tree_of(&["repo", "repo/py"]);
        assert!(
            nested.entries.contains_key(Path::new("py/stage.py")) && nested.entries.contains_key(Path::new("other"))
        );
    }

    #[test]
    fn a_file_is_read_once_while_its_stamp_stands_and_kept_as_it_was_read() {
        let fixture = Fixture::new(&[("py/model", "weights")]);
        std::thread::sleep(flowc_platform::FileStamp::TICK);
        let (files, snapshots) = (PipelineFiles::default(), fixture.snapshots());
        let roots = [Root::new(fixture.path("py"), Rules::default())];
        let reader = Reader::new(&files, Some(&snapshots), Digests::default());
        let tree = Tree::read(&roots, &reader).unwrap();
        let known = reader.learned().unwrap();
        let again = Reader::new(&files, Some(&snapshots), known.clone());
        assert_eq!(Tree::read(&roots, &again).unwrap().digest(), tree.digest());
        assert_eq!(again.learned(), None);
        fixture.write("py/model", "others!");
        assert_eq!(fixture.seen(&tree, "model").as_deref(), Some("weights"), "what was hashed is what is kept");
        let again = Reader::new(&files, Some(&snapshots), known);
        assert_ne!(Tree::read(&roots, &again).unwrap().digest(), tree.digest());
    }

    #[test]
    fn a_snapshot_that_was_written_to_is_made_again() {
        let fixture = Fixture::new(&[("py/a", "1"), ("py/b", "2")]);
        let tree = fixture.tree();
        let place = fixture.snapshots().make(&tree).unwrap();
        fs::remove_file(place.join("a")).unwrap();
        fs::write(place.join("a"), "9").unwrap();
        assert_eq!(fixture.seen(&tree, "a").as_deref(), Some("1"));
        // Through a link to the content as well, as root may.
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(place.join("b"), fs::Permissions::from_mode(0o644)).unwrap();
        fs::write(place.join("b"), "9").unwrap();
        assert_eq!(fixture.seen(&fixture.tree(), "b").as_deref(), Some("2"));
    }

    #[test]
    fn equal_contents_are_kept_once() {
        use std::os::unix::fs::MetadataExt;
        let fixture = Fixture::new(&[("py/model", "weights"), ("py/stage.py", "1")]);
        let first = fixture.snapshots().make(&fixture.tree()).unwrap();
        fixture.write("py/stage.py", "2");
        let second = fixture.snapshots().make(&fixture.tree()).unwrap();
        let inode = |place: &Path| fs::metadata(place.join("model")).unwrap().ino();
        assert!(first != second && inode(&first) == inode(&second));
    }
}
