//! Files that may be handed to programs which must not change them.
//!
//! A file that is opened for reading can still be changed by who it belongs to: they give themselves the right to write and open
//! it once more, by its number. Not so through a mount that is read-only. [`ReadOnlyFdBroker`] is a process that has such a mount,
//! in namespaces of its own, and opens files there.

use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use flowc_platform::{receive_files, send_files};
use rustix::fs::{Mode, OFlags, StatVfsMountFlags, open, openat, statvfs};
use rustix::mount::{MountFlags, MountPropagationFlags, mount_bind, mount_change, mount_remount};
use rustix::thread::UnshareFlags;

use crate::confine::unshare;
use crate::{FD_BROKER, SandboxError};

/// What is answered with a file, and without.
const OPENED: u8 = 1;
const NOT_OPENED: u8 = 0;

/// Opens files of one folder such that nobody can change them by what is opened. Its process ends when it is dropped.
#[derive(Debug)]
pub struct ReadOnlyFdBroker {
    socket: UnixStream,
    process: Child,
}

impl ReadOnlyFdBroker {
    /// Starts one; `helper` is a program that calls [`main`](crate::main) first thing.
    ///
    /// # Errors
    /// If it can't be started. That this machine allows no such mount is said by [`ReadOnlyFdBroker::file`].
    pub fn new(helper: &Path, folder: &Path) -> io::Result<Self> {
        let (socket, theirs) = UnixStream::pair()?;
        let mut command = Command::new(helper);
        command
            .arg(FD_BROKER)
            .arg(folder)
            .env_clear()
            .process_group(0)
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Ok(Self { socket, process: command.spawn()? })
    }

    /// Opens a file of the folder for reading.
    ///
    /// # Errors
    /// `NotFound` if it can't be opened; another one if this machine allows no such mount.
    pub fn file(&mut self, name: &str) -> io::Result<OwnedFd> {
        self.socket.write_all(format!("{name}\n").as_bytes())?;
        let (answered, mut opened) = receive_files(&self.socket, &mut [0])?;
        let kind = if answered == 0 { io::ErrorKind::Unsupported } else { io::ErrorKind::NotFound };
        opened.pop().ok_or_else(|| kind.into())
    }
}

impl Drop for ReadOnlyFdBroker {
    fn drop(&mut self) {
        // It ends with the socket, and there is nothing to learn from how.
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
        let _ = self.process.wait();
    }
}

/// The process's side: opens what it is asked for until nobody asks any more.
pub(crate) fn serve(folder: &str) -> Result<i32, SandboxError> {
    let mount = read_only(Path::new(folder)).map_err(SandboxError::at("a mount that is read-only"))?;
    let socket = io::stdin().as_fd().try_clone_to_owned().map_err(SandboxError::at("its socket"))?;
    let socket = UnixStream::from(socket);
    answer(&mount, &socket).map_err(SandboxError::at("its socket"))?;
    Ok(0)
}

fn answer(mount: &OwnedFd, socket: &UnixStream) -> io::Result<()> {
    for name in BufReader::new(socket).lines() {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat(mount, name?, flags, Mode::empty()) {
            Ok(file) => send_files(socket, &[OPENED], &[file.as_fd()])?,
            Err(_) => (&*socket).write_all(&[NOT_OPENED])?,
        }
    }
    Ok(())
}

/// Mounts a folder over itself, read-only, where only this process sees it.
fn read_only(folder: &Path) -> io::Result<OwnedFd> {
    unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNS)?;
    mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE)?;
    mount_bind(folder, folder)?;
    // What the mount forbids already can't be allowed here.
    let forbidden = statvfs(folder)?.f_flag;
    let kept = [
        (StatVfsMountFlags::NOSUID, MountFlags::NOSUID),
        (StatVfsMountFlags::NODEV, MountFlags::NODEV),
        (StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
    ];
    let kept = kept.into_iter().filter(|(flag, _)| forbidden.contains(*flag)).map(|(_, flag)| flag);
    mount_remount(folder, kept.fold(MountFlags::BIND | MountFlags::RDONLY, MountFlags::union), "")?;
    Ok(open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}
