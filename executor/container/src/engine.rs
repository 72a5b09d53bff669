//! A container engine on this machine: Docker or Podman, through Docker's API.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::query_parameters::{CreateImageOptions, ImportImageOptions};
use flowc_platform::lock;
use futures::StreamExt;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::ContainerError;
use crate::error::said;
use crate::image::Image;

/// How long an engine may be silent over a big image, which it unpacks before it says a word.
const BIG: Duration = Duration::from_secs(3600);

/// Bytes of an archive that are sent at once.
const CHUNK: usize = 1 << 20;

/// Why an engine that maps users can't be used.
const MAPPED: &str = "it gives containers other users than this machine's (rootless or with userns-remap), who can't listen \
                      on a socket that flowc can reach; use Docker as it is installed, or Podman";

/// Why an engine that has no filters of system calls can't be used.
const UNFILTERED: &str = "it can't refuse system calls (it lists no `seccomp` among its security options), so that stages \
                          could reach what is not theirs; use an engine, and a kernel, that have such filters";

/// Why an engine that can't give a container processors of its own can't be used.
const UNCOUNTED: &str = "it can't say on which processors a container runs, and results may depend on their number; without \
                         root, have systemd delegate the controller `cpuset` to your user (`Delegate=cpuset`)";

/// An image that an engine has.
pub(crate) struct KnownImage {
    /// What the engine calls it.
    pub(crate) id: String,
    /// Folders that it wants to write to.
    pub(crate) volumes: Vec<String>,
}

/// Why an engine can't be used.
enum Unusable {
    /// It maps users.
    Mapped,
    /// It can't keep a container from something.
    Lacks(&'static str),
    /// It doesn't answer; in words.
    Silent(String),
}

impl From<Error> for Unusable {
    fn from(error: Error) -> Self {
        Unusable::Silent(said(&error))
    }
}

/// An engine that answers.
pub(crate) struct Engine {
    pub(crate) docker: Docker,
    pub(crate) runtime: Handle,
    /// Whether the users of containers are not those of the machine.
    pub(crate) is_rootless: bool,
    /// Whether it is Podman, which answers as Docker does, but for some things.
    pub(crate) is_podman: bool,
    /// Its name and version.
    description: String,
    /// Containers that are being removed.
    removals: Mutex<Vec<JoinHandle<()>>>,
}

impl Engine {
    /// Finds the engine: the one that `DOCKER_HOST` or `CONTAINER_HOST` names, or the first that answers where Docker and
    /// Podman listen by themselves.
    ///
    /// # Errors
    /// If none answers, or may be asked.
    pub(crate) fn find(runtime: &Handle) -> Result<Self, ContainerError> {
        let sockets = sockets()?;
        let mut refused = None;
        for socket in &sockets {
            let reason = match runtime.block_on(Self::ask(socket, runtime)) {
                Ok(engine) => return Ok(engine),
                Err(Unusable::Mapped) => MAPPED.to_owned(),
                Err(Unusable::Lacks(what)) => what.to_owned(),
                Err(Unusable::Silent(reason)) if is_refusal(socket) => reason,
                Err(Unusable::Silent(_)) => continue,
            };
            let socket = socket.display().to_string();
            refused.get_or_insert(ContainerError::NoPermission { socket, reason });
        }
        let tried = sockets.iter().map(|socket| socket.display().to_string()).collect::<Vec<_>>().join(", ");
        Err(refused.unwrap_or(ContainerError::NoEngine { tried }))
    }

    async fn ask(socket: &Path, runtime: &Handle) -> Result<Self, Unusable> {
        let connect = Docker::connect_with_unix(&socket.to_string_lossy(), 120, bollard::API_DEFAULT_VERSION);
        let docker = connect?.negotiate_version().await?;
        let (version, info) = (docker.version().await?, docker.info().await?);
        let is_podman = version.components.iter().flatten().any(|component| component.name.starts_with("Podman"));
        let name = if is_podman { "Podman" } else { "Docker" };
        let options = info.security_options.unwrap_or_default();
        let has = |word: &str| options.iter().any(|option| option.contains(word));
        let (is_rootless, is_mapped) = (has("name=rootless"), has("name=userns"));
        if !is_podman && (is_rootless || is_mapped) {
            return Err(Unusable::Mapped);
        }
        if !has("name=seccomp") {
            return Err(Unusable::Lacks(UNFILTERED));
        }
        if info.cpu_set == Some(false) {
            return Err(Unusable::Lacks(UNCOUNTED));
        }
        Ok(Self {
            docker,
            runtime: runtime.clone(),
            is_rootless,
            is_podman,
            description: format!("{name} {}", version.version.unwrap_or_default()),
            removals: Mutex::default(),
        })
    }

    /// `Docker 20.10.24`.
    pub(crate) fn description(&self) -> &str {
        &self.description
    }

    /// What the engine knows of an image, if it has it.
    ///
    /// # Errors
    /// If it doesn't answer.
    pub(crate) fn image(&self, reference: &str) -> Result<Option<KnownImage>, ContainerError> {
        match self.runtime.block_on(self.docker.inspect_image(reference)) {
            Ok(image) => {
                let volumes = image.config.and_then(|config| config.volumes).unwrap_or_default();
                Ok(Some(KnownImage { id: image.id.unwrap_or_default(), volumes }))
            }
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
            Err(error) => Err(ContainerError::engine("look for an image")(error)),
        }
    }

    /// Fetches an image from its registry. What the engine says of it goes to `log`.
    ///
    /// # Errors
    /// If there is none, or it can't be reached.
    pub(crate) fn pull(&self, reference: &str, log: &mut dyn FnMut(&str)) -> Result<(), ContainerError> {
        // Without a tag an engine fetches all of them.
        let name = reference.rsplit('/').next().unwrap_or(reference);
        let tag = (!name.contains([':', '@'])).then(|| "latest".to_owned());
        let options = CreateImageOptions { from_image: Some(reference.to_owned()), tag, ..Default::default() };
        let docker = self.patient();
        let mut progress = std::pin::pin!(docker.create_image(Some(options), None, None));
        while let Some(step) = self.runtime.block_on(progress.next()) {
            let no_image = |error| ContainerError::NoImage { reference: reference.to_owned(), reason: said(&error) };
            let step = step.map_err(no_image)?;
            if let Some(status) = step.status.filter(|_| step.progress_detail.is_none()) {
                log(&status);
            }
        }
        Ok(())
    }

    /// Writes an image into a file of `spool`.
    ///
    /// # Errors
    /// If the engine fails, or the file can't be written.
    pub(crate) fn export(&self, reference: &str, spool: &Path) -> Result<File, ContainerError> {
        let mut file = tempfile::tempfile_in(spool).map_err(ContainerError::io(spool))?;
        let docker = self.patient();
        let mut chunks = std::pin::pin!(docker.export_image(reference));
        while let Some(chunk) = self.runtime.block_on(chunks.next()) {
            let chunk = chunk.map_err(ContainerError::engine("export an image"))?;
            file.write_all(&chunk).map_err(ContainerError::io(spool))?;
        }
        Ok(file)
    }

    /// Has the engine have an image that was made here.
    ///
    /// # Errors
    /// If the engine refuses it.
    pub(crate) fn load(&self, Image { name, archive }: Image) -> Result<String, ContainerError> {
        if self.image(&name)?.is_some() {
            return Ok(name);
        }
        let (docker, chunks) = (self.patient(), futures::stream::iter(Chunks(archive)));
        let mut progress = std::pin::pin!(docker.import_image_stream(ImportImageOptions::default(), chunks, None));
        while let Some(step) = self.runtime.block_on(progress.next()) {
            step.map_err(ContainerError::engine("load an image"))?;
        }
        let reason = "it does not have what it loaded".to_owned();
        match self.image(&name)? {
            Some(_) => Ok(name),
            None => Err(ContainerError::Engine { step: "load an image", reason }),
        }
    }

    /// For what takes as long as the image is big.
    fn patient(&self) -> Docker {
        self.docker.clone().with_timeout(BIG)
    }

    /// Takes care of something that goes on by itself.
    pub(crate) fn later(&self, task: impl Future<Output = ()> + Send + 'static) {
        let task = self.runtime.spawn(task);
        lock(&self.removals).push(task);
    }

    /// Waits until what was to be removed is gone.
    pub(crate) fn settle(&self) {
        let removals = std::mem::take(&mut *lock(&self.removals));
        for removal in removals {
            // A task that was cut short is the next run's to repeat.
            let _ = self.runtime.block_on(removal);
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.settle();
    }
}

/// A file in pieces.
struct Chunks(File);

impl Iterator for Chunks {
    type Item = std::io::Result<bytes::Bytes>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut chunk = vec![0; CHUNK];
        match std::io::Read::read(&mut self.0, &mut chunk) {
            Ok(0) => None,
            Ok(length) => {
                chunk.truncate(length);
                Some(Ok(chunk.into()))
            }
            Err(error) => Some(Err(error)),
        }
    }
}

/// Where an engine may listen.
fn sockets() -> Result<Vec<PathBuf>, ContainerError> {
    let named = ["DOCKER_HOST", "CONTAINER_HOST"].iter().find_map(|name| std::env::var(name).ok());
    if let Some(host) = named.filter(|host| !host.is_empty()) {
        return match host.strip_prefix("unix://") {
            Some(path) => Ok(vec![path.into()]),
            None => Err(ContainerError::Remote { host }),
        };
    }
    let own = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let own = own.iter().flat_map(|folder| [folder.join("podman/podman.sock")]);
    let everyones = ["/var/run/docker.sock", "/run/podman/podman.sock"].map(PathBuf::from);
    Ok(everyones.into_iter().chain(own).collect())
}

/// Whether a socket is there and this user may not use it.
fn is_refusal(socket: &Path) -> bool {
    let connected = std::os::unix::net::UnixStream::connect(socket);
    connected.is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
}
