//! How two processes come by shared memory.

use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flowc_platform::{Region, Writer, receive_files, send_files};

use super::{Files, Handed, Memory, OpenFiles, Received};

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
pub struct Meeting {
    listener: UnixListener,
    /// What opens stored segments for programs, if they are to have them.
    files: Option<Arc<dyn OpenFiles>>,
}

impl Meeting {
    /// Listens. Who may reach the socket's folder may ask.
    ///
    /// # Errors
    /// If that is not possible there.
    pub fn at(socket: &Path, files: Option<Arc<dyn OpenFiles>>) -> io::Result<Self> {
        use std::os::unix::fs::PermissionsExt;
        let listener = UnixListener::bind(socket)?;
        listener.set_nonblocking(true)?;
        std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o666))?;
        Ok(Self { listener, files })
    }

    /// Shares memory with the program, if it has asked. One that does not get it works without.
    pub(crate) fn share(&self) -> Option<Memory> {
        let (socket, _) = self.listener.accept().ok()?;
        socket.set_nonblocking(true).ok()?;
        let (given, to_read) = Region::make(SIZE, Writer::This).ok()?;
        let (taken, to_write) = Region::make(SIZE, Writer::Other).ok()?;
        send_files(&socket, &[VERSION], &[to_read.as_fd(), to_write.as_fd()]).ok()?;
        let files = self.files.clone().map_or(Files::None, |files| Files::Handed(Handed::new(files)));
        Some(Memory::new(given, taken, socket, files))
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
        let mut version = [0];
        let (_, regions) = receive_files(&socket, &mut version)?;
        socket.set_nonblocking(true)?;
        let regions: Option<[OwnedFd; 2]> = regions.try_into().ok().filter(|_| version == [VERSION]);
        let unknown = || io::Error::new(ErrorKind::InvalidData, "not what this version shares");
        let [to_read, to_write] = regions.ok_or_else(unknown)?;
        let (given, taken) = (Region::map(&to_write, Writer::This)?, Region::map(&to_read, Writer::Other)?);
        Ok(Self::new(given, taken, socket, Files::Received(Received::default())))
    }
}
