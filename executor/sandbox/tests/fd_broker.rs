//! What can be done with a file that comes through a broker.
#![allow(clippy::unwrap_used)]

use std::fs::{File, OpenOptions, Permissions};
use std::io::{ErrorKind, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use flowc_sandbox::{ReadOnlyFdBroker, isolation};

const HELPER: &str = env!("CARGO_BIN_EXE_flowc-sandboxed");

#[test]
fn files_are_read_and_can_not_be_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("object");
    std::fs::write(&path, "content").unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o444)).unwrap();
    let mut broker = ReadOnlyFdBroker::new(Path::new(HELPER), folder.path()).unwrap();
    let opened = broker.file("object");
    if !isolation(Path::new(HELPER)).is_full() && opened.is_err() {
        // The machine allows no such mount: then nothing is handed over.
        return;
    }
    let mut file = File::from(opened.unwrap());
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text, "content");
    let refused = file.set_permissions(Permissions::from_mode(0o644)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ReadOnlyFilesystem);
    let again = OpenOptions::new().write(true).open(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::ReadOnlyFilesystem);
}

#[test]
fn what_is_not_in_the_folder_is_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/etc/passwd", folder.path().join("link")).unwrap();
    let mut broker = ReadOnlyFdBroker::new(Path::new(HELPER), folder.path()).unwrap();
    assert!(["none", "link"].iter().all(|name| broker.file(name).is_err()));
}
