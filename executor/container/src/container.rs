//! A running container that serves stages.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::models::{ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount, MountType};
use bollard::query_parameters::{
    AttachContainerOptions, CreateContainerOptions, InspectContainerOptions, RemoveContainerOptions,
    StartContainerOptions,
};
use flowc_flight::{Connection, Ending, Network};
use flowc_planner::plan::Limits;
use flowc_process::{Folder, LentProcessors, PROCESSES, ProcessError, Server};
use flowc_sandbox::{Printed, Sandbox, describe_code};
use futures::{Stream, StreamExt};
use tokio::io::AsyncWrite;

use crate::ContainerError;
use crate::engine::Engine;
use crate::files::{Files, Given};
use crate::owner::labels;

/// How long a container may take until it listens.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the end of a container may come after that of its connection.
const AFTERWARDS: Duration = Duration::from_secs(5);
/// How often it is looked whether it has ended.
const PAUSE: Duration = Duration::from_millis(5);
/// Bytes that a program may take for itself, beside the stage's own: an interpreter with Arrow, its threads' stacks.
const PROGRAM: u64 = 512 << 20;
/// Bytes of temporary files; they count as memory.
const TEMPORARY: u64 = 256 << 20;
/// Where the socket's folder is in a container.
const FOLDER: &str = "/run/flowc";
/// A user without rights, where flowc itself runs as root: `nobody` on most systems.
const NOBODY: u32 = 65534;

/// What a container is made of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spec {
    /// The image, by its id or a digest.
    pub(crate) image: String,
    /// What to run in place of the image's own program.
    pub(crate) command: Option<Vec<String>>,
    /// The folder that it starts in, in place of the image's own.
    pub(crate) start: Option<PathBuf>,
    /// Variables, beside those of the image.
    pub(crate) env: BTreeMap<String, String>,
    /// What it may reach of this machine.
    pub(crate) mounts: Vec<Given>,
    /// Folders that the image wants to write to; they are in memory.
    pub(crate) volumes: Vec<String>,
    /// Bytes of memory for all of its processes.
    pub(crate) memory: Option<u64>,
    /// Processes and threads.
    pub(crate) processes: u64,
}

impl Spec {
    /// A container of an image whose own program serves.
    pub(crate) fn of_image(image: &str, volumes: Vec<String>, folder: &Folder, limits: &Limits) -> Self {
        Self {
            image: image.to_owned(),
            volumes,
            env: folder.variables(Path::new(FOLDER)),
            mounts: vec![Given { from: folder.path().to_owned(), to: FOLDER.into(), writable: true }],
            memory: limits.memory.map(|bytes| bytes.saturating_add(PROGRAM)),
            processes: PROCESSES,
            ..Self::default()
        }
    }

    /// A container that shows a program of this machine what its sandbox would.
    pub(crate) fn of_sandbox(image: &str, sandbox: &Sandbox) -> Self {
        let is_writable = |real: &Path| sandbox.writable.iter().any(|folder| real.starts_with(folder));
        // These every container has of its own.
        let is_own = |path: &Path| ["/dev", "/sys"].iter().any(|own| path.starts_with(own));
        let given = sandbox.given().into_iter().filter(|(path, _)| !is_own(path));
        let mounts = given.map(|(to, from)| Given { writable: is_writable(&to), from, to });
        let program = sandbox.program.to_string_lossy().into_owned();
        Self {
            image: image.to_owned(),
            command: Some([program].into_iter().chain(sandbox.args.iter().cloned()).collect()),
            start: Some(sandbox.folder.clone()),
            env: sandbox.env.clone(),
            mounts: mounts.collect(),
            volumes: Vec::new(),
            memory: sandbox.memory,
            processes: sandbox.processes,
        }
    }
}

/// A container. Dropping it ends and removes it.
pub(crate) struct Container {
    engine: Arc<Engine>,
    id: String,
    connection: Connection,
    printed: Printed,
    ended: Arc<AtomicBool>,
    /// The program ends with it, also when flowc is killed.
    _input: Pin<Box<dyn AsyncWrite + Send>>,
    /// Its socket, and what it was started with.
    _files: (Folder, Files),
    _processors: LentProcessors,
}

impl Container {
    /// Starts one, and waits until it listens on the socket of its folder, while it is wanted.
    pub(crate) fn start(
        engine: &Arc<Engine>,
        spec: &Spec,
        processors: LentProcessors,
        folder: Folder,
        network: &Network,
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<Self, ContainerError> {
        let user = user(folder.path()).map_err(ContainerError::io(folder.path()))?;
        let files = Files::new(engine, processors.numbers().len())?;
        let body = body(engine, spec, user, &processors, &files);
        let Begun { id, output, input } = engine.runtime.block_on(begin(engine, body))?;
        let removal = Removal { engine, id: &id };
        let (printed, ended) = (Printed::default(), Arc::new(AtomicBool::new(false)));
        listen(engine, output, &printed, ended.clone()).map_err(ContainerError::io(folder.path()))?;
        let connection = folder.connect(network, PATIENCE, || is_wanted() && !ended.load(Ordering::Acquire));
        let connection = connection.map_err(|error| {
            let how = match state(engine, &id) {
                Ok(State::Ended(ending)) => format!(" ({ending})"),
                Ok(State::Running) | Err(_) => String::new(),
            };
            let words = printed.take().join("\n");
            ProcessError::Start { reason: format!("{error}{how}\n{words}").trim_end().to_owned() }
        })?;
        std::mem::forget(removal);
        let engine = Arc::clone(engine);
        Ok(Self {
            engine,
            id,
            connection,
            printed,
            ended,
            _input: input,
            _files: (folder, files),
            _processors: processors,
        })
    }
}

impl Server for Container {
    fn connection(&self) -> &Connection {
        &self.connection
    }

    fn is_alive(&mut self) -> bool {
        !self.ended.load(Ordering::Acquire)
    }

    fn printed(&mut self) -> Vec<String> {
        self.printed.take()
    }

    fn ended(&mut self) -> Option<Ending> {
        let start = std::time::Instant::now();
        loop {
            match state(&self.engine, &self.id) {
                // Podman learns of the end later than who listens to what is printed.
                Ok(State::Running) if start.elapsed() < AFTERWARDS => std::thread::sleep(PAUSE),
                Ok(State::Ended(ending)) => return Some(ending),
                Ok(State::Running) | Err(_) => return None,
            }
        }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        drop(Removal { engine: &self.engine, id: &self.id });
    }
}

/// Removes a container when it is dropped.
struct Removal<'a> {
    engine: &'a Engine,
    id: &'a str,
}

impl Drop for Removal<'_> {
    fn drop(&mut self) {
        let (docker, id) = (self.engine.docker.clone(), self.id.to_owned());
        self.engine.later(async move {
            let options = RemoveContainerOptions { force: true, v: true, ..Default::default() };
            // One that is gone needs no removing; what fails is left to the next run.
            let _ = docker.remove_container(&id, Some(options)).await;
        });
    }
}

/// The user that a container runs as: never root. The socket's folder belongs to it.
fn user(folder: &Path) -> std::io::Result<(u32, u32)> {
    use std::os::unix::fs::{MetadataExt, chown};
    let own = std::fs::metadata(folder)?;
    if own.uid() != 0 {
        return Ok((own.uid(), own.gid()));
    }
    chown(folder, Some(NOBODY), Some(NOBODY))?;
    Ok((NOBODY, NOBODY))
}

fn body(
    engine: &Engine,
    spec: &Spec,
    (user, group): (u32, u32),
    processors: &LentProcessors,
    files: &Files,
) -> ContainerCreateBody {
    let env = spec.env.iter().map(|(name, value)| format!("{name}={value}"));
    ContainerCreateBody {
        image: Some(spec.image.clone()),
        entrypoint: spec.command.clone(),
        working_dir: spec.start.as_ref().map(|start| start.to_string_lossy().into_owned()),
        env: Some(env.collect()),
        user: Some(format!("{user}:{group}")),
        // By itself an engine gives it a name by chance.
        hostname: Some("flowc".to_owned()),
        labels: Some(labels()),
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        open_stdin: Some(true),
        // Standard input ends with the connection to the engine, so when flowc is killed.
        stdin_once: Some(true),
        network_disabled: Some(true),
        host_config: Some(host(engine, spec, processors, files)),
        ..Default::default()
    }
}

/// What the container may reach: its image and what it was given, to read; a temporary folder; nothing else.
fn host(engine: &Engine, spec: &Spec, processors: &LentProcessors, files: &Files) -> HostConfig {
    let text = |path: &Path| Some(path.to_string_lossy().into_owned());
    let mount = |Given { from, to, writable }: Given| Mount {
        typ: Some(MountType::BIND),
        source: text(&from),
        target: text(&to),
        read_only: Some(!writable),
        ..Default::default()
    };
    let processors: Vec<String> = processors.numbers().iter().map(ToString::to_string).collect();
    let memory = spec.memory.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
    let temporary = format!("size={},mode=1777,nosuid,nodev,noexec", spec.memory.unwrap_or(TEMPORARY));
    // What an image calls a volume would be a folder of the machine.
    let folders = spec.volumes.iter().cloned().chain(["/tmp".to_owned()]);
    HostConfig {
        mounts: Some(spec.mounts.iter().cloned().chain(files.given()).map(mount).collect()),
        tmpfs: Some(folders.map(|folder| (folder, temporary.clone())).collect()),
        network_mode: Some("none".to_owned()),
        ipc_mode: Some("private".to_owned()),
        // Without root on the machine, its user is the same one inside.
        userns_mode: (engine.is_rootless && engine.is_podman).then(|| "keep-id".to_owned()),
        readonly_rootfs: Some(true),
        privileged: Some(false),
        cap_drop: Some(vec!["ALL".to_owned()]),
        security_opt: Some(vec!["no-new-privileges".to_owned(), files.seccomp.clone()]),
        memory,
        // No more with swap than without.
        memory_swap: memory,
        pids_limit: i64::try_from(spec.processes).ok(),
        // Not their time alone: a library that counts processors is to find as many as there are for it.
        cpuset_cpus: Some(processors.join(",")),
        init: Some(true),
        // flowc takes what is printed. An engine would keep it in a file, and secrets with it.
        log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
        ..Default::default()
    }
}

/// A container that runs.
struct Begun {
    id: String,
    output: Output,
    input: Pin<Box<dyn AsyncWrite + Send>>,
}

type Output = Pin<Box<dyn Stream<Item = Result<LogOutput, Error>> + Send>>;

async fn begin(engine: &Engine, body: ContainerCreateBody) -> Result<Begun, ContainerError> {
    let docker = &engine.docker;
    let created = docker.create_container(None::<CreateContainerOptions>, body).await;
    let id = created.map_err(ContainerError::engine("make a container"))?.id;
    let removal = Removal { engine, id: &id };
    let everything =
        AttachContainerOptions { stdin: true, stdout: true, stderr: true, stream: true, ..Default::default() };
    let attached = docker.attach_container(&id, Some(everything)).await;
    let attached = attached.map_err(ContainerError::engine("attach to a container"))?;
    let started = docker.start_container(&id, None::<StartContainerOptions>).await;
    started.map_err(|error| ProcessError::Start { reason: crate::error::said(&error) })?;
    std::mem::forget(removal);
    Ok(Begun { id, output: attached.output, input: attached.input })
}

/// Keeps what a container prints, and notes its end.
fn listen(engine: &Engine, mut output: Output, printed: &Printed, ended: Arc<AtomicBool>) -> std::io::Result<()> {
    let (read, mut write) = std::io::pipe()?;
    printed.listen(read.into())?;
    engine.runtime.spawn(async move {
        while let Some(Ok(message)) = output.next().await {
            // Nobody listens any more where the container is removed.
            let _ = write.write_all(message.as_ref());
        }
        ended.store(true, Ordering::Release);
    });
    Ok(())
}

/// What an engine says of a container.
enum State {
    Running,
    Ended(Ending),
}

fn state(engine: &Engine, id: &str) -> Result<State, Error> {
    let inspected = engine.runtime.block_on(engine.docker.inspect_container(id, None::<InspectContainerOptions>));
    let state = match inspected {
        Ok(container) => container.state.unwrap_or_default(),
        Err(Error::DockerResponseServerError { status_code: 404, .. }) => {
            return Ok(State::Ended(Ending::Other("its container was removed".to_owned())));
        }
        Err(error) => return Err(error),
    };
    Ok(match (state.running, state.oom_killed, state.exit_code) {
        (Some(true), ..) | (_, _, None) => State::Running,
        (_, Some(true), _) => State::Ended(Ending::Memory),
        (_, _, Some(code)) => State::Ended(Ending::Other(describe_code(i32::try_from(code).unwrap_or(-1)))),
    })
}
