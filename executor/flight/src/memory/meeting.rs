//! How two processes come by shared memory.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};

use super::Memory;
use super::region::{Region, Writer};

/// The variable that says where a program can ask for shared memory: the path of a socket.
pub const MEMORY: &str = "FLOWC_MEMORY";

/// What is sent with the regions: the version of how they are used.
const VERSION: u8 = 1;
/// Bytes of a region. More than what may be on its way at once, since a stage may keep some of it.
const SIZE: u64 = 32 << 20;
/// How long a program waits for flowc, which is there already.
const PATIENCE: Duration = Duration::from_secs(10);

/// A socket where a program may ask for shared memory before it listens.
#[derive(Debug)]
pub struct Meeting(UnixListener);

impl Meeting {
    /// Listens. Who may reach the socket's folder may ask.
    ///
    /// # Errors
    /// If that is not possible there.
    pub fn at(socket: &Path) -> io::Result<Self> {
        use std::os::unix::fs::PermissionsExt;
        let listener = UnixListener::bind(socket)?;
        listener.set_nonblocking(true)?;
        std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o666))?;
        Ok(Self(listener))
    }

    /// Shares memory with the program, if it has asked. One that does not get it works without.
    pub(crate) fn share(&self) -> Option<Memory> {
        let (socket, _) = self.0.accept().ok()?;
        socket.set_nonblocking(true).ok()?;
        let (given, to_read) = Region::make(SIZE, Writer::This).ok()?;
        let (taken, to_write) = Region::make(SIZE, Writer::Other).ok()?;
        send(&socket, [to_read, to_write]).ok()?;
        Some(Memory::new(given, taken, socket))
    }
}

impl Memory {
    /// The program's side.
    ///
    /// # Errors
    /// If flowc shares none.
    pub(crate) fn join(socket: &Path) -> io::Result<Self> {
        let socket = UnixStream::connect(socket)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let [to_read, to_write] = receive(&socket)?;
        socket.set_nonblocking(true)?;
        Ok(Self::new(Region::map(&to_write, Writer::This)?, Region::map(&to_read, Writer::Other)?, socket))
    }
}

fn send(socket: &UnixStream, files: [OwnedFd; 2]) -> io::Result<()> {
    let files = [files[0].as_fd(), files[1].as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&files));
    sendmsg(socket, &[IoSlice::new(&[VERSION])], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

fn receive(socket: &UnixStream) -> io::Result<[OwnedFd; 2]> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let (mut control, mut version) = (RecvAncillaryBuffer::new(&mut space), [0]);
    recvmsg(socket, &mut [IoSliceMut::new(&mut version)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let files = control.drain().flat_map(|message| match message {
        RecvAncillaryMessage::ScmRights(files) => files.collect(),
        _ => Vec::new(),
    });
    let files = files.collect::<Vec<_>>().try_into();
    let unknown = || io::Error::new(ErrorKind::InvalidData, "not what this version shares");
    files.ok().filter(|_| version == [VERSION]).ok_or_else(unknown)
}
