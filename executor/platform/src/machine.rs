//! What of a machine's processors the results of numeric libraries can depend on.

use std::io::Read;
use std::path::Path;

/// Bytes of the system's description that hold the first processor's.
const FIRST: u64 = 16 << 10;

/// The kind of this machine's processors: its maker's numbers for it, and a digest of what it can compute. Libraries pick their code
/// by these, and so the last digits of what they add up.
pub fn processor_kind() -> String {
    let mut text = String::new();
    let opened = std::fs::File::open("/proc/cpuinfo");
    let _ = opened.and_then(|file| file.take(FIRST).read_to_string(&mut text));
    kind(&text)
}

/// The GPUs of this machine, by their maker's numbers, and the versions of their drivers in the kernel.
pub fn gpu_kinds() -> String {
    gpus(Path::new("/sys"))
}

/// How the classes of PCI devices begin that compute: displays, and accelerators for processing.
const COMPUTES: [&str; 2] = ["0x03", "0x12"];

fn gpus(sys: &Path) -> String {
    let read = |path: std::path::PathBuf| std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    let devices = std::fs::read_dir(sys.join("bus/pci/devices")).into_iter().flatten().flatten();
    let numbers = devices.filter_map(|device| {
        let device = device.path();
        let class = read(device.join("class"))?;
        let computes = COMPUTES.iter().any(|begins| class.starts_with(begins));
        computes.then(|| Some(format!("{}:{}", read(device.join("vendor"))?, read(device.join("device"))?))).flatten()
    });
    let mut kinds: Vec<String> = numbers.collect();
    kinds.sort_unstable();
    kinds.extend(read(sys.join("module/nvidia/version")).map(|version| format!("nvidia {version}")));
    kinds.join(" ")
}

/// The start of the machine since which it runs; none where the system does not say.
pub fn boot() -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(boot.trim().to_owned()).filter(|boot| !boot.is_empty())
}

/// Fields that name a kind of processors, on x86-64 and on ARM.
const NAMES: [&str; 6] = ["vendor_id", "cpu family", "model", "CPU implementer", "CPU architecture", "CPU part"];
/// Fields that list what a processor can do.
const FEATURES: [&str; 2] = ["flags", "Features"];
/// How the names of those begin that are for computing. Others come and go with versions of the kernel.
const COMPUTING: [&str; 18] = [
    "sse", "ssse", "pni", "avx", "fma", "f16c", "amx", "xop", "bmi", "abm", "popcnt", "gfni", "fp", "asimd", "neon",
    "sve", "sme", "bf16",
];

fn kind(text: &str) -> String {
    let first = text.split("\n\n").next().unwrap_or_default();
    let field =
        |line: &'_ str| line.split_once(':').map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()));
    let fields: Vec<(String, String)> = first.lines().filter_map(field).collect();
    let value = |name: &str| fields.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str());
    let names: Vec<&str> = NAMES.into_iter().filter_map(value).collect();
    let listed = FEATURES.into_iter().filter_map(value).flat_map(str::split_whitespace);
    let mut features: Vec<&str> =
        listed.filter(|feature| COMPUTING.iter().any(|computing| feature.starts_with(computing))).collect();
    features.sort_unstable();
    let digest = blake3::hash(features.join(" ").as_bytes()).to_hex();
    [names.join("/"), digest[..8].to_owned()].join(" ").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTEL: &str = "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 143\nmodel name\t: x\n\
                         flags\t\t: fpu sse sse2 avx2 md_clear\n\nprocessor\t: 1\nvendor_id\t: Other\n";

    #[test]
    fn gpus_are_told_by_their_numbers_and_their_driver() {
        let sys = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = sys.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        assert_eq!(gpus(sys.path()), "");
        for (device, class, number) in [("a", "0x030200\n", "0x2335\n"), ("b", "0x020000\n", "0x1000\n")] {
            write(&format!("bus/pci/devices/{device}/class"), class);
            write(&format!("bus/pci/devices/{device}/vendor"), "0x10de\n");
            write(&format!("bus/pci/devices/{device}/device"), number);
        }
        write("module/nvidia/version", "550.54\n");
        assert_eq!(gpus(sys.path()), "0x10de:0x2335 nvidia 550.54");
    }

    #[test]
    fn the_first_processor_tells_the_kind() {
        let of = |text: &str| kind(text);
        assert!(of(INTEL).starts_with("GenuineIntel/6/143 "), "{}", of(INTEL));
        assert_ne!(of(INTEL), of(&INTEL.replace("avx2", "avx2 avx512f")), "what it can compute");
        assert_ne!(of(INTEL), of(&INTEL.replace("143", "85")), "its model");
        assert_eq!(of(INTEL), of(&INTEL.replace("md_clear", "ssbd")), "what a kernel does about it");
        let arm = "processor : 0\nFeatures : fp asimd sve\nCPU implementer : 0x41\nCPU part : 0xd40\n";
        assert!(of(arm).starts_with("0x41/0xd40 "), "{}", of(arm));
        assert_eq!(processor_kind(), processor_kind());
    }
}
