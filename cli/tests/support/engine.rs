//! A container engine, as a test sees it.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::edits::Gate;
use super::project::Project;

/// Writes an image's folder, whose program is flowc's engine: it serves the component at this path of the image. `steps` are lines of
/// its Containerfile.
pub(crate) fn serving_image(project: &Project, folder: &str, steps: &str, component: &str) {
    let flowc = Path::new(env!("CARGO_BIN_EXE_flowc-engine"));
    let root = project.folder().join(folder).join("root");
    let put = |from: &Path, to: &str| {
        let to = root.join(to.trim_start_matches('/'));
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(from, to).unwrap();
    };
    put(flowc, "flowc");
    let libraries = Command::new("ldd").arg(flowc).output().unwrap();
    for path in String::from_utf8(libraries.stdout).unwrap().split_whitespace().filter(|word| word.starts_with('/')) {
        put(Path::new(path), path);
    }
    let digest = "0".repeat(64);
    let served =
        format!(r#"{{\"component\":\"{component}\",\"compiled\":\"/none\",\"digest\":\"{digest}\",\"memory\":null}}"#);
    let recipe =
        format!("FROM scratch\nCOPY root /\n{steps}ENTRYPOINT [\"/flowc\", \"serve-component\", \"{served}\"]\n");
    project.write(&format!("{folder}/Containerfile"), &recipe);
}

/// A way to the engine that a gate can hold: a request with the word that the gate is closed for waits at it.
pub(crate) fn gated_engine(project: &Project, gate: &Gate) -> String {
    let path = project.root().join("engine.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let gate = gate.path().to_owned();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let engine = UnixStream::connect(socket()).unwrap();
            let (mut answers, mut asker) = (engine.try_clone().unwrap(), client.try_clone().unwrap());
            let gate = gate.clone();
            std::thread::spawn(move || pass_on(client, engine, &gate));
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut answers, &mut asker);
                let _ = asker.shutdown(std::net::Shutdown::Write);
            });
        }
    });
    format!("unix://{}", path.display())
}

fn pass_on(mut client: UnixStream, mut engine: UnixStream, gate: &Path) {
    let mut bytes = vec![0; 1 << 16];
    while let Ok(length @ 1..) = client.read(&mut bytes) {
        let is_held = || {
            let word = std::fs::read_to_string(gate.join("closed")).unwrap_or_default();
            !word.is_empty() && String::from_utf8_lossy(&bytes[..length]).contains(&word)
        };
        while is_held() {
            std::fs::write(gate.join("waiting"), "").unwrap();
            std::thread::sleep(Duration::from_millis(10));
        }
        if engine.write_all(&bytes[..length]).is_err() {
            break;
        }
    }
    let _ = engine.shutdown(std::net::Shutdown::Write);
}

fn socket() -> PathBuf {
    let host = std::env::var("DOCKER_HOST").expect("DOCKER_HOST names the engine: run `cargo xtask test`");
    PathBuf::from(host.strip_prefix("unix://").unwrap())
}

/// What the engine answers to a request.
pub(crate) fn engine(request: &str) -> String {
    let mut stream = UnixStream::connect(socket()).unwrap();
    write!(stream, "{request} HTTP/1.0\r\nContent-Length: 0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Containers that flowc with this number started, whether they run or not.
pub(crate) fn containers_of(number: u32) -> usize {
    let all = engine("GET /containers/json?all=1");
    let (_, body) = all.split_once("\r\n\r\n").unwrap();
    let body: serde_json::Value = serde_json::from_str(body.trim()).unwrap();
    let owner = format!("/{number}/");
    let is_owned = |container: &&serde_json::Value| {
        container["Labels"]["flowc.owner"].as_str().is_some_and(|label| label.contains(&owner))
    };
    body.as_array().unwrap().iter().filter(is_owned).count()
}
