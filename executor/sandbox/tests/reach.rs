//! What a program in a sandbox can reach, tried from inside, in shell and in Python.
#![allow(clippy::unwrap_used)]

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Output};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use flowc_platform::processors;
use flowc_sandbox::{Isolation, Mechanism, Sandbox, describe, end, is_out_of_memory, isolation};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

/// The helper; another copy of it where these tests run as another user.
static HELPER: LazyLock<String> =
    LazyLock::new(|| std::env::var(COPY).unwrap_or_else(|_| env!("CARGO_BIN_EXE_flowc-sandboxed").to_owned()));
const COPY: &str = "FLOWC_TEST_SANDBOXED";

fn sandbox(script: &str, writable: &Path) -> Sandbox {
    Sandbox {
        program: "/bin/sh".into(),
        args: vec!["-c".into(), script.into()],
        env: [("PATH".to_owned(), "/usr/bin:/bin".to_owned())].into(),
        folder: writable.into(),
        readable: Vec::new(),
        writable: vec![writable.into()],
        memory: None,
        processors: Vec::new(),
        processes: 64,
        network: false,
    }
}

fn run(sandbox: &Sandbox) -> Output {
    let mut child = sandbox.spawn(Path::new(&*HELPER), isolation(Path::new(&*HELPER)).required()).unwrap();
    // It lives as long as this.
    let _held = child.stdin.take();
    child.wait_with_output().unwrap()
}

fn said(script: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let output = run(&sandbox(script, folder.path()));
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn is_alive(pid: u32) -> bool {
    // A zombie has a folder in /proc too, but no command line.
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn this_machine_isolates() {
    assert_eq!(isolation(Path::new(&*HELPER)), Isolation::default());
}

/// What a thread of such a machine, where these system calls are refused, finds; its helpers are refused them too.
fn where_refused<T: Send>(calls: &[i64], found: impl FnOnce() -> T + Send) -> T {
    let rules = calls.iter().map(|call| (*call, Vec::new())).collect();
    let (allow, refuse) = (SeccompAction::Allow, SeccompAction::Errno(libc::EPERM as u32));
    let filter = SeccompFilter::new(rules, allow, refuse, std::env::consts::ARCH.try_into().unwrap()).unwrap();
    let filter: BpfProgram = filter.try_into().unwrap();
    let there = move || {
        apply_filter(&filter).unwrap();
        found()
    };
    std::thread::scope(|scope| scope.spawn(there).join().unwrap())
}

#[test]
fn what_is_missing_is_found_and_is_in_the_grade() {
    let machines: [(&[i64], &[Mechanism]); 4] = [
        (&[libc::SYS_unshare], &[Mechanism::Namespaces, Mechanism::Root]),
        (&[libc::SYS_mount], &[Mechanism::Root]),
        (&[libc::SYS_landlock_create_ruleset], &[Mechanism::Landlock]),
        (&[libc::SYS_seccomp], &[Mechanism::Filter]),
    ];
    for (refused, missing) in machines {
        let found = where_refused(refused, || isolation(Path::new(&*HELPER)));
        assert!(found.failure.is_none() && found.missing.starts_with(missing), "{refused:?}: {found:?}");
        let names: Vec<&str> = missing.iter().map(|mechanism| mechanism.name()).collect();
        assert_eq!(found.unenforced(), Some(names.join(" ")));
        // The program starts with what there is ...
        let folder = tempfile::tempdir().unwrap();
        let start = |required: Vec<Mechanism>| {
            let mut child = sandbox("echo up", folder.path()).spawn(Path::new(&*HELPER), required).unwrap();
            let _held = child.stdin.take();
            child.wait_with_output().unwrap()
        };
        let output = where_refused(refused, || start(found.required()));
        assert_eq!(String::from_utf8_lossy(&output.stdout), "up\n", "{refused:?}: {output:?}");
        // ... and not without what it was to have.
        let output = where_refused(refused, || start(vec![missing[0]]));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.stdout.is_empty() && said.contains(&format!("{} is missing", missing[0].name())), "{said}");
    }
}

/// What a program sees of the machine is the same everywhere, as far as results could depend on it.
#[test]
fn what_is_seen_of_the_machine_is_the_same_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let script = "hostname 2> /dev/null || cat /proc/sys/kernel/hostname; cat /proc/sys/kernel/domainname; \
                  cat /sys/devices/system/cpu/online /sys/devices/system/cpu/possible; getconf _NPROCESSORS_ONLN; \
                  env | cut -d= -f1 | sort | tr '\\n' ' '";
    for count in [1, processors().len()] {
        let given = processors().into_iter().rev().take(count).collect();
        let output = run(&Sandbox { processors: given, ..sandbox(script, folder.path()) });
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let list = if count == 1 { "0".to_owned() } else { format!("0-{}", count - 1) };
        let expected = format!("flowc\n(none)\n{list}\n{list}\n{count}\n");
        assert!(said.starts_with(&expected), "{said}");
        assert!(said.ends_with("PATH PWD SHLVL _ ") || said.ends_with("PATH PWD "), "{said}");
    }
}

#[test]
fn there_is_no_network() {
    let listed = said("cat /proc/net/dev");
    let names = listed.lines().skip(2).filter_map(|line| line.split(':').next()).map(str::trim);
    assert_eq!(names.collect::<Vec<_>>(), ["lo"], "{listed}");
    let asked = said("exec 2>&1; bash -c 'exec 3<>/dev/tcp/127.0.0.1/9'; bash -c 'exec 3<>/dev/tcp/10.0.0.1/9'");
    let refusals = asked.lines().filter(|line| line.contains("ermission denied") || line.contains("unreachable"));
    assert!(refusals.count() >= 2, "{asked}");
}

#[test]
fn only_given_files_are_there() {
    let (given, secret) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(given.path().join("given"), "given text").unwrap();
    std::fs::write(secret.path().join("secret"), "secret text").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let script = format!(
        "cat {0}/given; cat {1}/secret; echo new > {0}/new; cat /etc/passwd; ls /root; echo own > own; cat own",
        given.path().display(),
        secret.path().display()
    );
    let sandbox = Sandbox { readable: vec![given.path().into()], ..sandbox(&script, folder.path()) };
    let output = run(&sandbox);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "given textown\n");
    assert!(!given.path().join("new").exists());
    assert_eq!(std::fs::read_to_string(folder.path().join("own")).unwrap(), "own\n");
}

/// It may reach the network as a client, and still no file and no socket of this machine.
#[test]
fn a_network_that_is_lent_can_be_reached() {
    let (folder, secret) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(secret.path().join("file"), "secret").unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        std::io::Write::write_all(&mut stream, b"answer\n").unwrap();
    });
    let script = format!(
        "exec 2>&1; bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}; head -n 1 <&3'; \
         cat {}/file",
        secret.path().display()
    );
    let output = run(&Sandbox { network: true, ..sandbox(&script, folder.path()) });
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.starts_with("answer\n") && !said.contains("secret"), "{said}");
    answering.join().unwrap();
}

#[test]
fn sockets_of_other_programs_can_not_be_found() {
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("engine.sock");
    let _listening = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let said = said(&format!("exec 2>&1; ls {0}; ls / /tmp", socket.display()));
    assert!(said.contains("No such file") && !said.contains("engine.sock\n"), "{said}");
    let roots: Vec<&str> =
        said.lines().skip_while(|line| *line != "/:").skip(1).take_while(|l| !l.is_empty()).collect();
    let known = ["bin", "dev", "etc", "lib", "lib64", "proc", "sys", "tmp", "usr"];
    assert!(roots.iter().all(|root| known.contains(root)), "{said}");
}

#[test]
fn shared_memory_is_its_own() {
    let name = format!("/dev/shm/flowc-{}", std::process::id());
    let said = said(&format!("exec 2>&1; ls /dev/shm; echo text > {name}; cat {name}"));
    assert_eq!(said, "text\n");
    assert!(!Path::new(&name).exists());
}

#[test]
fn the_environment_is_as_given() {
    let variables = said("env");
    let names: Vec<&str> = variables.lines().filter_map(|line| line.split('=').next()).collect();
    assert!(names.iter().all(|name| ["PATH", "PWD", "SHLVL", "_"].contains(name)), "{variables}");
}

#[test]
fn other_processes_can_not_be_seen_or_ended() {
    let this = std::process::id();
    let tried = said(&format!("exec 2>&1; kill -9 {this}; ls /proc | grep -c '^[0-9]'"));
    assert!(tried.contains("No such process") || tried.contains("not permitted"), "{tried}");
    let seen: usize = tried.lines().last().unwrap().parse().unwrap();
    assert!(seen < 10, "{tried}");
}

#[test]
fn memory_has_a_limit() {
    let folder = tempfile::tempdir().unwrap();
    let script = "python3 -S -c 'x = bytearray(1 << 30)' 2>&1 || head -c 1G /dev/urandom | tail | wc -c";
    let output = run(&Sandbox { memory: Some(64 << 20), ..sandbox(script, folder.path()) });
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("MemoryError") || said.contains("memory exhausted"), "{said}");
}

#[test]
fn memory_has_a_limit_for_all_processes_together() {
    let folder = tempfile::tempdir().unwrap();
    let take = "python3 -S -c 'import time; x = bytearray(40 << 20); time.sleep(9)'";
    let script = format!("{take} & {take} & {take} & {take}; echo all");
    let output = run(&Sandbox { memory: Some(120 << 20), ..sandbox(&script, folder.path()) });
    assert!(is_out_of_memory(output.status), "{output:?}");
    // What several processes share counts once.
    let script = "python3 -S -c '\
import os, time
x = bytearray(40 << 20)
forks = [os.fork() for _ in range(2)]
time.sleep(0.6)
'; echo all";
    let output = run(&Sandbox { memory: Some(120 << 20), ..sandbox(script, folder.path()) });
    assert_eq!(String::from_utf8_lossy(&output.stdout), "all\n", "{output:?}");
}

#[test]
fn files_in_memory_count() {
    let folder = tempfile::tempdir().unwrap();
    let script = "head -c 60M /dev/urandom > /dev/shm/a; head -c 60M /dev/urandom | tail -c 60M | sleep 9; echo all";
    let output = run(&Sandbox { memory: Some(100 << 20), ..sandbox(script, folder.path()) });
    assert!(is_out_of_memory(output.status), "{output:?}");
}

#[test]
fn it_runs_on_the_processors_that_it_was_given() {
    let folder = tempfile::tempdir().unwrap();
    let given: Vec<usize> = processors().into_iter().next_back().into_iter().collect();
    let script = "python3 -S -c '\
import os
print(sorted(os.sched_getaffinity(0)), flush=True)
os.sched_setaffinity(0, range(os.cpu_count()))
' 2>&1";
    let output = run(&Sandbox { processors: given.clone(), ..sandbox(script, folder.path()) });
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.starts_with(&format!("{given:?}\n")) && said.contains("not permitted"), "{said}");
}

#[test]
fn it_has_no_privileges() {
    let tries = "mount -t tmpfs none /tmp 2>&1 || echo no mount; unshare -Ur true 2>&1 || echo no namespace";
    let said = said(&format!("grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status; {tries}"));
    let fields = |name: &str| -> Vec<String> {
        let lines = said.lines().filter(|line| line.starts_with(name));
        lines.filter_map(|line| line.split_whitespace().nth(1)).map(str::to_owned).collect()
    };
    assert!(fields("Cap").len() == 5 && fields("Cap").iter().all(|set| set.trim_matches('0').is_empty()), "{said}");
    assert_eq!((fields("NoNewPrivs"), fields("Seccomp:")), (vec!["1".to_owned()], vec!["2".to_owned()]), "{said}");
    assert!(said.contains("no mount\n") && said.ends_with("no namespace\n"), "{said}");
}

#[test]
fn the_kernel_refuses_what_leads_around_limits() {
    let tried = |what: &str| said(&format!("python3 -S -c 'import ctypes, mmap, os, resource\n{what}' 2>&1"));
    // Who watches the program runs as the same user.
    for of_others in ["resource.prlimit(1, resource.RLIMIT_NOFILE, (0, 0))", "os.setpriority(os.PRIO_PROCESS, 1, 19)"] {
        assert!(tried(of_others).contains("PermissionError"), "{of_others}: {}", tried(of_others));
    }
    assert_eq!(tried("resource.setrlimit(resource.RLIMIT_NOFILE, (99, 99)); os.nice(1)"), "");
    // Memory of nobody's.
    assert!(tried("mmap.mmap(-1, 4096)").contains("PermissionError"));
    assert_eq!(tried("mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE)"), "");
    assert!(tried("os.memfd_create(\"a\")").contains("Function not implemented"));
    // The numbers of a second kind of programs.
    let getpid = "f = ctypes.CDLL(None, use_errno=True).syscall; print(f(0x40000000 + 39), ctypes.get_errno())";
    if cfg!(target_arch = "x86_64") {
        assert_eq!(tried(getpid), "-1 38\n");
    }
}

/// Sockets of other families than those of networks are not in any namespace.
#[test]
fn there_is_no_way_to_a_host_of_virtual_machines() {
    let opened = |family: &str| said(&format!("python3 -S -c 'import socket; socket.socket(socket.{family})' 2>&1"));
    assert_eq!((opened("AF_UNIX"), opened("AF_INET")), (String::new(), String::new()));
    assert!(opened("AF_VSOCK").contains("not permitted"), "{}", opened("AF_VSOCK"));
}

#[test]
fn a_program_that_forks_without_end_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let script = "f() { f | f & }; f 2> forks; sleep 1; cat forks";
    let mut child = sandbox(script, folder.path()).spawn(Path::new(&*HELPER), Vec::new()).unwrap();
    let _held = child.stdin.take();
    std::thread::sleep(Duration::from_secs(2));
    child.kill().unwrap();
    child.wait().unwrap();
    let said = std::fs::read_to_string(folder.path().join("forks")).unwrap();
    assert!(said.contains("Cannot fork"), "{said}");
}

#[test]
fn its_end_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let end = |script: &str| describe(run(&sandbox(script, folder.path())).status);
    assert_eq!(end("exit 3"), "exit status 3");
    assert_eq!(end("exit 125"), "exit status 124", "its own must not be taken for another's");
    assert_eq!(end("kill -SEGV $$"), "killed by signal 11 (SIGSEGV, a bad memory access)");
    let missing = Sandbox { program: "/no/such/program".into(), ..sandbox("", folder.path()) };
    let output = run(&missing);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("the sandbox can't be made: the program: No such file"), "{said}");
}

/// Starts something that leaves a process behind, and gives the numbers of all of its processes, as seen from outside.
fn started(folder: &Path, helper: &Path) -> (Child, Vec<u32>) {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let marker = format!("sleep 98{}.{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let mut child = sandbox(&format!("{marker} & echo up; {marker}"), folder).spawn(helper, Vec::new()).unwrap();
    let mut up = [0; 3];
    child.stdout.as_mut().unwrap().read_exact(&mut up).unwrap();
    let wanted = marker.replace(' ', "\0") + "\0";
    let find = || -> Vec<u32> {
        let numbers = std::fs::read_dir("/proc").unwrap().flatten();
        let numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        numbers
            .filter(|pid| std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|l| l == wanted.as_bytes()))
            .collect()
    };
    wait_until("both are there", || find().len() >= 2);
    let found = find();
    (child, found)
}

#[test]
fn all_ends_with_its_starter() {
    let folder = tempfile::tempdir().unwrap();
    // As when the starter is gone: its end of the pipe is closed.
    let (mut child, processes) = started(folder.path(), Path::new(&*HELPER));
    drop(child.stdin.take());
    child.wait().unwrap();
    wait_until("they have ended with the pipe", || !processes.iter().any(|pid| is_alive(*pid)));
    // As when the helper itself is killed.
    let (mut child, processes) = started(folder.path(), Path::new(&*HELPER));
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until("they have ended with the helper", || !processes.iter().any(|pid| is_alive(*pid)));
    // As when the helper is stopped, and hears of nothing.
    let (mut child, processes) = started(folder.path(), Path::new(&*HELPER));
    let stopped = Command::new("kill").args(["-STOP", &child.id().to_string()]).status().unwrap();
    assert!(stopped.success());
    assert_eq!(end(&mut child).and_then(|status| status.signal()), Some(9));
    wait_until("they have ended with the stopped helper", || !processes.iter().any(|pid| is_alive(*pid)));
}

/// A helper on a machine that allows no namespaces: one is made that allows none within. It is written by another process:
/// what other tests start meanwhile would hold it open for writing, and it could not be executed.
fn without_namespaces(folder: &Path) -> std::path::PathBuf {
    let helper = folder.join("helper");
    let script = format!(
        "#!/bin/sh\nexec unshare -Ur sh -c 'echo 0 > /proc/sys/user/max_user_namespaces; exec {} \"$@\"' sh \"$@\"\n",
        *HELPER
    );
    let mut write = Command::new("sh");
    write.args(["-c", "printf '%s' \"$1\" > \"$2\" && chmod 755 \"$2\"", "sh", &script]).arg(&helper);
    assert!(write.status().unwrap().success());
    helper
}

#[test]
fn without_namespaces_as_much_as_can_be_is_kept() {
    let (folder, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let helper = without_namespaces(place.path());
    let found = isolation(&helper);
    assert!(found.missing.starts_with(&[Mechanism::Namespaces, Mechanism::Root]), "{found:?}");
    let missing = found.to_string();
    assert!(missing.contains("sockets of other programs") && !missing.contains("files"), "{missing}");

    let udp = "python3 -S -c 'import socket; socket.socket(type=socket.SOCK_DGRAM)'";
    let script =
        format!("exec 2>&1; cat /etc/passwd; bash -c 'exec 3<>/dev/tcp/127.0.0.1/9'; {udp}; echo own > own; cat own");
    let mut child = sandbox(&script, folder.path()).spawn(&helper, Vec::new()).unwrap();
    let _held = child.stdin.take();
    let said = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&said.stdout);
    assert!(
        said.contains("ermission denied") && said.matches("not permitted").count() >= 2 && said.ends_with("own\n"),
        "{said}"
    );

    let (mut child, processes) = started(folder.path(), &helper);
    drop(child.stdin.take());
    child.wait().unwrap();
    assert!(!processes.iter().any(|pid| is_alive(*pid)), "something was left behind");
}

/// Privileges of root must not be what isolates: these tests run again as a user that has none. An ordinary user runs them so at
/// once.
#[test]
fn all_of_this_holds_for_ordinary_users() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    const NOBODY: u32 = 65534;
    if std::env::var_os(COPY).is_some() || !rustix::process::getuid().is_root() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let (helper, tests, temporary) =
        (place.path().join("helper"), place.path().join("tests"), place.path().join("tmp"));
    // By another process: what other tests start meanwhile would hold them open for writing.
    let mut copy = Command::new("sh");
    copy.args(["-c", "cp \"$1\" \"$3\" && cp \"$2\" \"$4\" && mkdir -m 1777 \"$5\"", "sh", &HELPER]);
    copy.arg(std::env::current_exe().unwrap()).args([&helper, &tests, &temporary]);
    assert!(copy.status().unwrap().success());
    let mut run = Command::new(&tests);
    run.uid(NOBODY).gid(NOBODY).current_dir(&temporary).env(COPY, &helper).env("TMPDIR", &temporary);
    let output = run.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("running 0 tests"), "{said}");
}
