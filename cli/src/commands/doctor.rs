//! `flowc doctor`: what flowc needs on this machine, one line each.

use std::path::Path;
use std::process::Command;

use flowc_executor::FEATURES;

use super::{Context, printed};
use crate::args::DoctorArgs;
use crate::exit::{self, Exit};
use crate::report::Failure;
use crate::settings::{self, ByteSize, Settings};
use crate::terminal::{self, Paint};

const TARGET: &str = "wasm32-unknown-unknown";

/// One thing that was looked at.
struct Check {
    what: &'static str,
    found: Result<String, Missing>,
}

/// Something that is not there.
struct Missing {
    reason: String,
    remedy: &'static str,
    /// Whether every pipeline needs it.
    needed: bool,
}

pub(super) fn run(args: &DoctorArgs, context: &Context) -> Result<Exit, Failure> {
    let pipeline = args.pipeline.file.clone().unwrap_or_else(|| "flow.kdl".into());
    let folder = if pipeline.is_dir() { pipeline.as_path() } else { settings::folder_of(&pipeline) };
    let settings = context.settings(&args.pipeline.settings, folder)?;
    let checks = checks(&settings, folder);
    let paint = terminal::stdout_paint();
    printed(&checks.iter().map(|check| line(check, paint)).collect::<String>())?;
    let broken = checks.iter().any(|check| check.found.as_ref().is_err_and(|missing| missing.needed));
    Ok(if broken { exit::FAILED } else { exit::OK })
}

fn checks(settings: &Settings, folder: &Path) -> Vec<Check> {
    let check = |what, found| Check { what, found };
    vec![
        check("flowc", Ok(versions())),
        check("features", Ok(features())),
        check("settings", Ok(settings_files(settings))),
        check("jobs", Ok(settings.jobs.to_string())),
        check("memory", Ok(memory())),
        check("store", store(&settings.store)),
        check("store's disk", file_system(&settings.store)),
        check("project's disk", file_system(folder)),
        check("cargo", cargo()),
        check("wasm target", wasm_target()),
        check("uv", uv()),
        check("sandbox", sandbox()),
        check("containers", containers()),
        check("gpu", gpu()),
    ]
}

fn line(check: &Check, paint: Paint) -> String {
    let (mark, text) = match &check.found {
        Ok(found) => (paint.green("ok     "), found.clone()),
        Err(missing) => {
            let mark = if missing.needed { paint.red("missing") } else { paint.yellow("absent ") };
            (mark, format!("{}; {}", missing.reason, missing.remedy))
        }
    };
    format!("{mark}  {:14}  {text}\n", check.what)
}

fn versions() -> String {
    let plan = flowc_planner::plan::PLAN_VERSION;
    format!("{}, plan version {plan}, {} {}", env!("CARGO_PKG_VERSION"), std::env::consts::OS, std::env::consts::ARCH)
}

/// What this flowc was built with, and what without.
fn features() -> String {
    let otlp = ("otlp", cfg!(feature = "otlp"));
    let mut features: Vec<_> = FEATURES.iter().map(|feature| (feature.name, feature.is_built)).chain([otlp]).collect();
    features.sort_unstable();
    let names = |built| features.iter().filter(|one| one.1 == built).map(|one| one.0).collect::<Vec<_>>().join(", ");
    match (names(true), names(false)) {
        (built, lacking) if lacking.is_empty() => built,
        (built, lacking) if built.is_empty() => format!("none; without {lacking}"),
        (built, lacking) => format!("{built}; without {lacking}"),
    }
}

fn settings_files(settings: &Settings) -> String {
    let names: Vec<_> = settings.files.iter().map(|path| path.display().to_string()).collect();
    if names.is_empty() { "no files, all from flags, environment and defaults".to_owned() } else { names.join(", ") }
}

fn memory() -> String {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    match available(&text) {
        Some(bytes) => format!("{} available", ByteSize(bytes)),
        None => "unknown on this system".to_owned(),
    }
}

fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

fn store(folder: &Path) -> Result<String, Missing> {
    let remedy = "give another place with --store DIR or FLOWC_STORE";
    let missing = |reason| Missing { reason, remedy, needed: true };
    flowc_store::Store::open(folder).map_err(|error| missing(error.to_string()))?;
    tempfile::tempdir_in(folder)
        .map_err(|error| missing(format!("{} cannot be written: {error}", folder.display())))?;
    Ok(format!("{} can be written", folder.display()))
}

/// What durable and atomic writing rests on.
fn file_system(folder: &Path) -> Result<String, Missing> {
    let remedy = "use a local file system such as ext4, xfs or btrfs";
    let missing = |what: &str, error: std::io::Error| Missing {
        reason: format!("{what} does not work in {}: {error}", folder.display()),
        remedy,
        needed: true,
    };
    let scratch = tempfile::tempdir_in(folder).map_err(|error| missing("writing", error))?;
    let [a, b] = ["a", "b"].map(|name| scratch.path().join(name));
    std::fs::write(&a, "a").and_then(|()| std::fs::write(&b, "b")).map_err(|error| missing("writing", error))?;
    flowc_platform::exchange(&a, &b).map_err(|error| missing("atomic exchange", error))?;
    flowc_platform::lock_exclusive(&a, false).map_err(|error| missing("locking", error))?;
    flowc_platform::sync_directory(scratch.path()).map_err(|error| missing("syncing", error))?;
    Ok("atomic exchange, locks and sync work".to_owned())
}

fn cargo() -> Result<String, Missing> {
    let remedy = "only `rust` stages need it: install Rust from https://rustup.rs";
    output("cargo", &["--version"]).map_err(|reason| Missing { reason, remedy, needed: false })
}

fn wasm_target() -> Result<String, Missing> {
    let remedy = "only `rust` stages need it: run `rustup target add wasm32-unknown-unknown`";
    let missing = |reason| Missing { reason, remedy, needed: false };
    let folder = output("rustc", &["--print", "target-libdir", "--target", TARGET]).map_err(missing)?;
    if Path::new(&folder).is_dir() { Ok(TARGET.to_owned()) } else { Err(missing(format!("{TARGET} is not installed"))) }
}

fn uv() -> Result<String, Missing> {
    let remedy = "only `python` stages need it: `pip install uv`, or see https://docs.astral.sh/uv";
    let program = std::env::var("FLOWC_UV").unwrap_or_else(|_| "uv".to_owned());
    output(&program, &["--version"]).map_err(|reason| Missing { reason, remedy, needed: false })
}

fn sandbox() -> Result<String, Missing> {
    let remedy = "only `python` stages need it: allow user namespaces, and use Linux 6.14 or later as root";
    let missing = |reason: String| Missing { reason, remedy, needed: false };
    let helper = flowc_executor::sandbox::Helper::of_this_program().map_err(|error| missing(error.to_string()))?;
    let isolation = helper.isolation();
    match isolation.is_full() {
        true => Ok("no network, no files but given ones, limits on memory, processors and processes".to_owned()),
        false => Err(missing(isolation.to_string())),
    }
}

#[cfg(not(feature = "containers"))]
fn containers() -> Result<String, Missing> {
    let reason = "not in this build of flowc".to_owned();
    Err(Missing { reason, remedy: "only `container` and `image` stages need it", needed: false })
}

#[cfg(feature = "containers")]
fn containers() -> Result<String, Missing> {
    let remedy = "only `container` and `image` stages need it";
    flowc_executor::containers::engine().map_err(|error| Missing { reason: error.to_string(), remedy, needed: false })
}

/// Who needs an adapter.
#[cfg(not(feature = "gpu"))]
const KERNELS: &str = "only kernels need it: `wgsl` stages, `top-k@1`, `histogram@1` and `group-count@1`";

#[cfg(not(feature = "gpu"))]
fn gpu() -> Result<String, Missing> {
    let reason = "not in this build of flowc".to_owned();
    Err(Missing { reason, remedy: KERNELS, needed: false })
}

/// The adapters, with what they can be asked for.
#[cfg(feature = "gpu")]
fn gpu() -> Result<String, Missing> {
    let remedy = "only kernels need it (`wgsl` stages, `top-k@1`, `histogram@1`, `group-count@1`): install a Vulkan driver; \
                  `mesa-vulkan-drivers` has one for the CPU";
    let adapters = flowc_executor::gpu::adapters();
    if adapters.is_empty() {
        return Err(Missing { reason: "no adapter".to_owned(), remedy, needed: false });
    }
    Ok(adapters.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
}

fn output(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    Err(format!("{program} {}: {}", arguments.join(" "), first_line(&output.stderr)))
}

/// What a program complains of, without the backtrace below it.
fn first_line(complaint: &[u8]) -> String {
    let text = String::from_utf8_lossy(complaint);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it failed");
    line.strip_prefix("error: ").unwrap_or(line).trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn available_memory_is_read() {
        assert_eq!(available("MemTotal: 9 kB\nMemAvailable:    2048 kB\n"), Some(2048 * 1024));
        assert_eq!(available("nothing"), None);
    }

    #[test]
    fn what_not_every_pipeline_needs_is_absent_rather_than_missing() {
        let missing = Missing { reason: "no".into(), remedy: "get it", needed: false };
        let text = line(&Check { what: "cargo", found: Err(missing) }, Paint::PLAIN);
        assert_eq!(text, "absent   cargo           no; get it\n");
    }

    #[test]
    fn of_a_long_complaint_the_first_line_is_told() {
        assert_eq!(first_line(b"\nerror: no toolchain.\nhelp: get one\n  0: main\n"), "no toolchain");
        assert_eq!(first_line(b""), "it failed");
    }
}
