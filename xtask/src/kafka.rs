//! A broker of Apache Kafka, which tests of topics need.

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::maven;
use crate::process;
use crate::workspace::Workspace;

/// The version that is started.
const VERSION: &str = "4.1.2";
/// How long a broker may take to start.
const PATIENCE: Duration = Duration::from_secs(120);
/// The id of its cluster.
const CLUSTER: &str = "MkU3OEVBNTcwNTJENDM2Qg";
/// What is missing where Java is.
const JAVA: &str = "the tests of topics run Apache Kafka, which needs Java 17 or later and Maven: install them (on Debian and its \
                    like: `apt-get install default-jre-headless maven`)";
/// Its listeners, each with a port of its own. The broker says that `GATE` is at another one, where a test may listen and
/// pass on what it wants.
const LISTENERS: [&str; 6] = ["PLAIN", "SASL", "GATE", "TLS", "SASL_TLS", "CONTROLLER"];
/// One port for each listener, and the one that `GATE` is said to be at.
type Ports = [u16; LISTENERS.len() + 1];
/// The mechanisms by which `flowc` logs in, with the password `open-sesame`.
const SCRAM: [&str; 2] = ["SCRAM-SHA-256", "SCRAM-SHA-512"];

/// A broker that answers, and ends with this value.
pub struct Broker {
    child: Child,
    folder: TempDir,
    ports: Ports,
}

impl Broker {
    /// Starts a broker, with what it needs from Maven Central.
    ///
    /// # Errors
    /// If Java or Maven is missing, or the broker does not start.
    pub fn start(workspace: &Workspace) -> Result<Self> {
        let library = library(workspace)?;
        let folder = tempfile::Builder::new().prefix("flowc-kafka-").tempdir()?;
        let ports = free_ports()?;
        let settings = folder.path().join("server.properties");
        fs::write(&settings, properties(folder.path(), &ports))?;
        key_store(folder.path())?;
        let classes = format!("{}/*", library.display());
        let java = |main: &str| {
            let mut command = Command::new("java");
            command.args(["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", &classes, main]);
            command.stdin(Stdio::null());
            command
        };
        let mut format = java("kafka.tools.StorageTool");
        format.args(["format", "-t", CLUSTER, "-c"]).arg(&settings);
        let users = SCRAM.map(|mechanism| format!("{mechanism}=[name=flowc,password=open-sesame]"));
        format.args(users.iter().flat_map(|user| ["--add-scram", user.as_str()]));
        process::output(&mut format).context(JAVA)?;
        eprintln!("setup: starting Apache Kafka {VERSION}");
        let log = folder.path().join("log");
        let mut command = java("kafka.Kafka");
        command.arg(&settings).stdout(File::create(&log)?).stderr(File::options().append(true).open(&log)?);
        let child = command.spawn().context(JAVA)?;
        let mut broker = Self { child, folder, ports };
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", ports[0])).is_err() {
            if broker.child.try_wait()?.is_some() || start.elapsed() > PATIENCE {
                bail!("Apache Kafka does not start: {}", fs::read_to_string(&log).unwrap_or_default());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(broker)
    }

    /// Where tests find it: the addresses of its listeners, for the gate the port behind it and the one to listen on, and the
    /// file of the certificate of the encrypted ones.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let [plain, sasl, gate, tls, sasl_tls, _, outside] = self.ports;
        let at = |port: u16| format!("127.0.0.1:{port}");
        vec![
            ("FLOWC_KAFKA", at(plain)),
            ("FLOWC_KAFKA_SASL", at(sasl)),
            ("FLOWC_KAFKA_TLS", at(tls)),
            ("FLOWC_KAFKA_SASL_TLS", at(sasl_tls)),
            ("FLOWC_KAFKA_CA", self.folder.path().join(CERTIFICATE).display().to_string()),
            ("FLOWC_KAFKA_GATE", format!("{} {}", at(outside), at(gate))),
        ]
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The folder of Kafka's classes.
fn library(workspace: &Workspace) -> Result<PathBuf> {
    let artifacts = [("org.apache.kafka", "kafka_2.13", VERSION), ("org.slf4j", "slf4j-nop", "1.7.36")];
    maven::library(workspace, &format!("kafka-{VERSION}"), &artifacts).context(JAVA)
}

/// Ports that nobody listens on now.
fn free_ports() -> Result<Ports> {
    let mut held = Vec::new();
    let mut ports = Ports::default();
    for port in &mut ports {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

/// The file of the certificate of the encrypted listeners, which signs itself.
const CERTIFICATE: &str = "broker.pem";

/// Makes the key of the encrypted listeners, and its certificate.
fn key_store(folder: &Path) -> Result<()> {
    let keytool = |task: &str, options: &[&str]| {
        let mut command = Command::new("keytool");
        command.args([task, "-alias", "broker", "-storetype", "PKCS12", "-storepass", "changeit"]);
        command.arg("-keystore").arg(folder.join("keys.p12")).args(options);
        process::output(&mut command).context(JAVA)
    };
    let names = ["-keyalg", "EC", "-dname", "CN=localhost", "-ext", "SAN=ip:127.0.0.1", "-validity", "30"];
    keytool("-genkeypair", &names)?;
    fs::write(folder.join(CERTIFICATE), keytool("-exportcert", &["-rfc"])?)?;
    Ok(())
}

/// The broker keeps all records: those of tests have times long ago, and it looks for old ones every five minutes.
fn properties(folder: &Path, ports: &Ports) -> String {
    let [.., controller, outside] = *ports;
    let address = |name: &str, port: u16| format!("{name}://127.0.0.1:{port}");
    let listeners: Vec<String> = LISTENERS.iter().zip(ports).map(|(name, port)| address(name, *port)).collect();
    let told = |(name, port): (&&str, &u16)| match *name {
        "CONTROLLER" => None,
        "GATE" => Some(address("GATE", outside)),
        name => Some(address(name, *port)),
    };
    let advertised: Vec<String> = LISTENERS.iter().zip(ports).filter_map(told).collect();
    let folder = folder.display();
    let (listeners, advertised) = (listeners.join(","), advertised.join(","));
    let logins: String = ["sasl", "sasl_tls"].map(logins).concat();
    let keys: String = ["tls", "sasl_tls"]
        .map(|listener| {
            let ssl = format!("listener.name.{listener}.ssl.keystore");
            format!("{ssl}.location={folder}/keys.p12\n{ssl}.password=changeit\n{ssl}.type=PKCS12\n")
        })
        .concat();
    format!(
        "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:{controller}\n\
         listeners={listeners}\nadvertised.listeners={advertised}\n\
         listener.security.protocol.map=PLAIN:PLAINTEXT,SASL:SASL_PLAINTEXT,GATE:PLAINTEXT,TLS:SSL,SASL_TLS:SASL_SSL,\
         CONTROLLER:PLAINTEXT\n\
         inter.broker.listener.name=PLAIN\ncontroller.listener.names=CONTROLLER\n{logins}{keys}\
         offsets.topic.replication.factor=1\ntransaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\ngroup.initial.rebalance.delay.ms=0\nauto.create.topics.enable=false\n\
         log.retention.ms=-1\nlog.dirs={folder}/data\n"
    )
}

/// How clients of a listener may log in.
fn logins(listener: &str) -> String {
    const MODULES: &str = "org.apache.kafka.common.security";
    let listener = format!("listener.name.{listener}");
    let scram = SCRAM.map(|mechanism| {
        let mechanism = mechanism.to_ascii_lowercase();
        format!("{listener}.{mechanism}.sasl.jaas.config={MODULES}.scram.ScramLoginModule required;\n")
    });
    format!(
        "{listener}.sasl.enabled.mechanisms=PLAIN,{}\n{listener}.plain.sasl.jaas.config={MODULES}.plain.PlainLoginModule required \
         user_flowc=\"open-sesame\";\n{}",
        SCRAM.join(","),
        scram.concat()
    )
}

/// Runs a command that sees a broker.
pub(crate) fn run(workspace: &Workspace, command: &[&str]) -> Result<()> {
    let [program, arguments @ ..] = command else {
        bail!("name a command: `cargo xtask kafka cargo test --test kafka`")
    };
    let broker = Broker::start(workspace)?;
    process::run(Command::new(program).args(arguments).envs(broker.variables()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_is_told_at_another_port() {
        let text = properties(Path::new("/tmp/k"), &[1, 2, 3, 4, 5, 6, 7]);
        let first = "PLAIN://127.0.0.1:1,SASL://127.0.0.1:2,GATE://127.0.0.1";
        let last = "TLS://127.0.0.1:4,SASL_TLS://127.0.0.1:5";
        assert!(text.contains(&format!("\nlisteners={first}:3,{last},CONTROLLER://127.0.0.1:6\n")), "{text}");
        assert!(text.contains(&format!("\nadvertised.listeners={first}:7,{last}\n")), "{text}");
    }
}
