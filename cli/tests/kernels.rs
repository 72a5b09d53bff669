//! Kernels through the binary: which of them run again when, whether drivers are opened, and that it does not matter how stages are
//! put together.

#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use std::fs;
use std::process::Command;

use support::project::Project;

/// Two float kernels after each other, whose product and sum a driver would contract, and one of integers beside them.
const PIPELINE: &str = r#"
source "numbers" {
    files "numbers.csv"
    schema { column "x" "Float32"; column "y" "Float32"; column "z" "Float32"; column "n" "Int32" }
}
stage "product" { in "numbers"; wgsl "product.wgsl"; ISOLATE }
stage "sum" { in "product"; wgsl "sum.wgsl"; ISOLATE }
stage "integers" { in "numbers"; wgsl "integers.wgsl" }
sink "sums" { in "sum"; file "sums.parquet" }
sink "integers" { in "integers"; file "integers.parquet" }
"#;

fn project(isolate: &str) -> Project {
    let project = Project::new();
    project.write("flow.kdl", &PIPELINE.replace("ISOLATE", isolate));
    project.write("product.wgsl", "struct Out { p: f32 }\nfn row(x: f32, y: f32) -> Out { return Out(x * y); }\n");
    project.write("sum.wgsl", "struct Out { s: f32 }\nfn row(p: f32, z: f32) -> Out { return Out(p + z); }\n");
    project.write("integers.wgsl", "struct Out { m: i32 }\nfn row(n: i32) -> Out { return Out(n * 3); }\n");
    let mut seed = 7u32;
    let mut next = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(seed >> 8) / 1e5
    };
    let rows = (0..5000).map(|row| format!("{},{},{},{row}\n", next(), next(), -next())).collect::<String>();
    project.write("numbers.csv", &format!("x,y,z,n\n{rows}"));
    project
}

/// What a run prints, with the driver.
fn run(project: &Project, change: impl FnOnce(&mut Command)) -> String {
    let mut command = project.flowc_with_vulkan(&["run", "--gpu", "cpu"]);
    change(&mut command);
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success(), "{said}");
    said
}

/// The stages that a run ran.
fn ran(said: &str) -> Vec<&str> {
    let words = said.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    // Lines of the table; others say why.
    words.filter(|words| words.len() == 6 && words[1] == "ran").map(|words| words[0]).collect()
}

fn written(project: &Project) -> Vec<u8> {
    fs::read(project.folder().join("sums.parquet")).unwrap()
}

#[test]
fn stages_give_the_same_together_and_apart() {
    let (together, apart) = (project(""), project("isolate #true"));
    let plan =
        |project: &Project| String::from_utf8(project.flowc_with_vulkan(&["plan"]).output().unwrap().stdout).unwrap();
    assert!(plan(&together).contains("2 units") && plan(&apart).contains("3 units"), "{}", plan(&apart));
    run(&together, |_| {});
    run(&apart, |command| {
        command.args(["--jobs", "8"]);
    });
    assert!(written(&together) == written(&apart), "the driver sees both stages at once");
}

#[test]
fn another_device_runs_what_depends_on_it_and_both_results_stay() {
    let project = project("");
    let other = |command: &mut Command| {
        command.env("LP_NATIVE_VECTOR_WIDTH", "128");
    };
    assert_eq!(ran(&run(&project, |_| {})), ["product", "sum", "integers"]);
    let why = || {
        let mut command = project.flowc_with_vulkan(&["why", "sum", "--gpu", "cpu"]);
        String::from_utf8(command.env("LP_NATIVE_VECTOR_WIDTH", "128").output().unwrap().stdout).unwrap()
    };
    let reason = why();
    assert!(reason.contains("the GPU or its driver changed: ") && reason.contains(" 256 bits)"), "{reason}");
    assert!(reason.contains(" 128 bits)"), "{reason}");
    assert_eq!(ran(&run(&project, other)), ["product", "sum"], "integers are the same everywhere");
    assert_eq!(ran(&run(&project, |_| {})), [""; 0], "results of the first device are there");
    assert_eq!(ran(&run(&project, other)), [""; 0], "and those of the second");
}

#[test]
fn drivers_are_opened_where_kernels_run_alone() {
    let project = project("");
    let told = |command: &mut Command| {
        command.env("VK_LOADER_DEBUG", "all");
    };
    let opens = |said: &str| said.contains("libvulkan_lvp.so");
    assert!(opens(&run(&project, told)), "the loader tells of it");
    assert!(!opens(&run(&project, told)), "nothing to do");
    fs::remove_file(project.folder().join("sums.parquet")).unwrap();
    let cached = run(&project, told);
    assert!(!opens(&cached) && cached.contains("wrote sums"), "all from the store: {cached}");
    let mut plan = project.flowc_with_vulkan(&["plan"]);
    told(&mut plan);
    assert!(!opens(&String::from_utf8_lossy(&plan.output().unwrap().stderr)), "planned");
}

/// Both run in flowc's process, so batches go from one to the other in memory.
#[test]
fn kernels_and_components_share_a_unit() {
    let made = |isolate: &str| {
        let project = project("");
        let text = "source \"numbers\" { files \"numbers.csv\"; schema { column \"x\" \"Float32\"; column \"y\" \"Float32\"; column \"n\" \"Int32\" } }\n\
                    stage \"product\" { in \"numbers\"; wgsl \"product.wgsl\"; ISOLATE }\n\
                    stage \"large\" { in \"product\"; std \"filter@1\"; config { where { column \"p\"; op \">\"; value 9e3 } }; ISOLATE }\n\
                    stage \"sum\" { in \"large\"; wgsl \"sum.wgsl\"; ISOLATE }\n\
                    sink \"sums\" { in \"sum\"; file \"sums.parquet\" }\n";
        project.write("flow.kdl", &text.replace("ISOLATE", isolate));
        project.write("sum.wgsl", "struct Out { s: f32 }\nfn row(p: f32, x: f32) -> Out { return Out(p + x); }\n");
        let plan = String::from_utf8(project.flowc_with_vulkan(&["plan"]).output().unwrap().stdout).unwrap();
        let events = project.flowc_with_vulkan(&["run", "--gpu", "cpu", "--json"]).output().unwrap();
        let events = String::from_utf8(events.stdout).unwrap();
        let segments = events.lines().filter(|line| line.contains("\"event\":\"segment-ran\"")).count();
        (plan, segments, written(&project))
    };
    let ((plan, together, one), (_, apart, other)) = (made(""), made("isolate #true"));
    assert!(plan.contains("3 stages, 1 unit") && !plan.contains("stored: large"), "{plan}");
    assert_eq!((together, apart), (1, 3), "segments that ran: one for all stages, or one for each");
    assert!(one == other, "the same rows, in the same bits");
}

/// Bytes that went to devices and came back in a run, of all kernels together, as its events tell.
fn moved(project: &Project) -> [u64; 2] {
    let output = project.flowc_with_vulkan(&["run", "--gpu", "cpu", "--json"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let events = String::from_utf8(output.stdout).unwrap();
    let events = events.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let used: Vec<_> = events.filter(|event| event["event"] == "device-used").collect();
    assert!(!used.is_empty() && used.iter().all(|event| event["nanoseconds"].as_u64().unwrap() > 0), "{used:?}");
    assert!(used.iter().all(|event| event["device"].as_str().unwrap().starts_with("vulkan ")), "{used:?}");
    ["bytes_up", "bytes_down"].map(|way| used.iter().map(|event| event[way].as_u64().unwrap()).sum())
}

/// Kernels after each other, each of which changes a column.
fn chain(stages: usize, isolate: &str) -> Project {
    let project = Project::new();
    let mut text = "source \"t0\" { files \"n.csv\"; schema { column \"n\" \"Int32\" nullable=#false } }\n".to_owned();
    for stage in 1..=stages {
        text += &format!("stage \"t{stage}\" {{ in \"t{}\"; wgsl \"k.wgsl\"; {isolate} }}\n", stage - 1);
    }
    text += &format!("sink \"out\" {{ in \"t{stages}\"; file \"out.parquet\" }}\n");
    project.write("flow.kdl", &text);
    project.write("k.wgsl", "struct Out { n: i32 }\nfn row(n: i32) -> Out { return Out(n * 3 + 1); }\n");
    project.write(
        "n.csv",
        &std::iter::once("n\n".to_owned()).chain((0..50_000).map(|n| format!("{n}\n"))).collect::<String>(),
    );
    project
}

#[test]
fn a_chain_of_eight_moves_the_bytes_of_one_stage() {
    let (one, together, apart) = (moved(&chain(1, "")), moved(&chain(8, "")), moved(&chain(8, "isolate #true")));
    for way in 0..2 {
        assert!(together[way] < one[way] + one[way] / 20, "{one:?} {together:?}");
        assert!(apart[way] >= 7 * one[way], "{one:?} {apart:?}");
    }
}

#[test]
fn people_are_told_what_devices_did() {
    let project = project("");
    let said = run(&project, |_| {});
    assert!(said.lines().any(|line| line.starts_with("gpu: ") && line.contains(" MB up, ")), "{said}");
    assert!(!run(&project, |_| {}).contains("gpu: "), "nothing ran");
}

#[test]
fn a_stage_is_verified_on_another_device() {
    let project = project("");
    run(&project, |_| {});
    let verify = |stage: &str| {
        let mut command = project.flowc_with_vulkan(&["run", "--gpu", "cpu", "--only", stage, "--verify", stage]);
        let output = command.env("LP_NATIVE_VECTOR_WIDTH", "128").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        said
    };
    let exact = verify("integers");
    assert!(exact.contains("integers: verified, the same results again over 1 segment"), "{exact}");
    let device = verify("sum");
    let line = device.lines().find(|line| line.starts_with("sum: `s` ")).unwrap_or_else(|| panic!("{device}"));
    assert!(line.contains(" 256 bits)") && line.contains("5000 rows"), "{line}");
    assert!(!device.contains("nothing to verify"), "{device}");
    // Stages of one unit, together.
    let both = ["run", "--gpu", "cpu", "--only", "sum", "--verify", "product", "--verify", "sum"];
    let said = project.flowc_with_vulkan(&both).output().unwrap().stderr;
    let said = String::from_utf8_lossy(&said);
    for stage in ["product", "sum"] {
        assert!(said.contains(&format!("{stage}: verified, the same results again over 1 segment")), "{said}");
    }
}

/// A kernel with a reference, whose numbers are claimed to be portable.
fn referenced(claim: &str, reference: &str) -> Project {
    let project = project("");
    let text = format!(
        "source \"numbers\" {{ files \"numbers.csv\"; schema {{ column \"x\" \"Float32\"; column \"y\" \"Float32\"; column \"z\" \"Float32\" }} }}\n\
         stage \"sum\" {{ in \"numbers\"; wgsl \"together.wgsl\"; {claim}; reference \"apart\" }}\n\
         stage \"apart\" {{ in \"numbers\"; wgsl \"apart.wgsl\" }}\n\
         sink \"sums\" {{ in \"sum\"; file \"sums.parquet\" }}\n"
    );
    project.write("flow.kdl", &text);
    project.write("together.wgsl", "struct Out { s: f32 }\nfn row(x: f32, y: f32) -> Out { return Out(x * y); }\n");
    project.write(
        "apart.wgsl",
        &format!("struct Out {{ s: f32 }}\nfn row(x: f32, y: f32) -> Out {{ return Out({reference}); }}\n"),
    );
    project
}

/// What `run --verify sum` says, and whether it went well.
fn verified(project: &Project) -> (bool, String) {
    let output = project.flowc_with_vulkan(&["run", "--gpu", "cpu", "--verify", "sum"]).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_kernel_is_held_against_its_reference() {
    let near = referenced("numeric \"portable\" rel=1e-3", "x * y * 1.0001f");
    let (is_good, said) = verified(&near);
    let line = said
        .lines()
        .find(|line| line.starts_with("sum: `s` differs from the stage `apart` in "))
        .unwrap_or_else(|| panic!("{said}"));
    assert!(is_good && line.contains(" of 5000 rows, by "), "{said}");
    let far = referenced("numeric \"portable\" rel=1e-5", "x * y * 1.0001f");
    let (is_good, said) = verified(&far);
    assert!(
        !is_good && said.contains("error: stage `sum`: compared with the stage `apart`, `s` differs in "),
        "{said}"
    );
    assert!(said.contains("while its numbers are portable abs=0.0 rel=1e-5"), "{said}");
    assert!(!far.folder().join("sums.parquet").exists(), "a result that is wrong is written nowhere");
    let claimed = referenced("numeric \"exact\"", "x * y * 1.0001f");
    let (is_good, said) = verified(&claimed);
    assert!(!is_good && said.contains("while its numbers are the same everywhere"), "{said}");
    // Without a claim the device decides, and how far they are from each other is told.
    let told = referenced("cache #true", "x * y * 1.0001f");
    let (is_good, said) = verified(&told);
    assert!(is_good && said.contains("sum: `s` differs from the stage `apart` in "), "{said}");
    let same = referenced("cache #true", "y * x");
    let (is_good, said) = verified(&same);
    assert!(is_good && said.contains("sum: `s` has the same bits as the stage `apart`, in 5000 rows"), "{said}");
    let fewer = referenced("cache #true", "x * y");
    fewer.write(
        "apart.wgsl",
        "struct Out { s: f32, keep: bool }\nfn row(x: f32, y: f32) -> Out { return Out(x * y, x > y); }\n",
    );
    let (is_good, said) = verified(&fewer);
    assert!(!is_good && said.contains("it gives 5000 rows, and the stage `apart` "), "{said}");
}

#[test]
fn a_reference_with_other_columns_is_a_mistake() {
    let told = |apart: &str| {
        let project = referenced("numeric \"exact\"", "x * y");
        project.write("apart.wgsl", apart);
        let output = project.flowc_with_vulkan(&["plan"]).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let said = told("struct Out { t: f32 }\nfn row(x: f32) -> Out { return Out(x); }\n");
    assert!(said.contains("the stage `sum` writes `s`, and its reference `apart` has no such column"), "{said}");
    let said = told("struct Out { s: i32 }\nfn row(x: f32) -> Out { return Out(i32(x)); }\n");
    assert!(said.contains("its reference `apart` has it as Int32, not as Float32"), "{said}");
}

#[test]
fn what_is_portable_is_taken_from_any_device() {
    let project = referenced("numeric \"portable\" abs=1e-6", "x * y");
    let other = |command: &mut Command| {
        command.env("LP_NATIVE_VECTOR_WIDTH", "128");
    };
    assert_eq!(ran(&run(&project, |_| {})), ["sum"], "a reference runs where it is asked for");
    assert_eq!(ran(&run(&project, other)), [""; 0], "no device is in its keys");
    let plan = String::from_utf8(project.flowc_with_vulkan(&["plan"]).output().unwrap().stdout).unwrap();
    assert!(plan.contains("numbers portable abs=1e-6 rel=0.0") && plan.contains("verified against apart"), "{plan}");
    let mut command = project.flowc_with_vulkan(&["run", "--gpu", "cpu", "--verify", "sum"]);
    let output = command.env("LP_NATIVE_VECTOR_WIDTH", "128").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains("sum: verified"), "{said}");
    let from = |line: &&str| line.starts_with("sum: `s` ") && line.contains(" 256 bits)") && line.contains("5000 rows");
    assert!(said.lines().any(|line| from(&line)), "who made what is compared with is told: {said}");
}

/// Keys of portable numbers name no device, so each result has a note of its own.
#[test]
fn who_made_portable_numbers_is_noted_with_each_result() {
    let project = Project::new();
    project.write(
        "flow.kdl",
        "source \"n\" { files \"in/*.csv\"; schema { column \"x\" \"Float32\" } }\n\
         stage \"k\" { in \"n\"; wgsl \"k.wgsl\"; numeric \"portable\" rel=1e-6 }\n\
         stage \"c\" { in \"k\"; std \"count@1\"; isolate #true }\n\
         sink \"k\" { in \"k\"; file \"k.parquet\" }\nsink \"c\" { in \"c\"; file \"c.parquet\" }\n",
    );
    project.write("k.wgsl", "struct Out { y: f32 }\nfn row(x: f32) -> Out { return Out(x * 2.5f); }\n");
    project.write("in/a.csv", "x\n1\n2\n");
    run(&project, |_| {});
    project.write("in/b.csv", "x\n3\n");
    // The same rows in a file of another name: nothing runs for it, and who made them is still known.
    project.write("in/c.csv", "x\n1\n2\n");
    run(&project, |command| {
        command.env("LP_NATIVE_VECTOR_WIDTH", "128");
    });
    let why = |stage: &str, json: bool| {
        let mut command = project.flowc_with_vulkan(&["why", stage, "--gpu", "cpu"]);
        let output = if json { command.arg("--json") } else { &mut command }.output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let said = why("k", false);
    let made = |bits: &str, segments: &str| {
        said.lines()
            .any(|line| line.starts_with("  made on vulkan ") && line.contains(bits) && line.ends_with(segments))
    };
    assert!(made(" 256 bits)", ": 2 segments") && made(" 128 bits)", ": 1 segment"), "{said}");
    let document: serde_json::Value = serde_json::from_str(&why("k", true)).unwrap();
    assert_eq!(document["made_on"].as_array().unwrap().len(), 2, "{document}");
    assert!(!why("c", false).contains("made on"), "no claim is made of it");
}

/// A kernel that only keeps rows, its reference, and what `run --verify kept` says.
fn kept(keep: &str, reference: &str, more: &str) -> (bool, String) {
    let project = project("");
    let text = format!(
        "source \"numbers\" {{ files \"numbers.csv\"; schema {{ column \"x\" \"Float32\"; column \"y\" \"Float32\"; column \"n\" \"Int32\" }} }}\n\
         stage \"kept\" {{ in \"numbers\"; wgsl \"kept.wgsl\"; reference \"apart\" }}\n\
         stage \"apart\" {{ in \"numbers\"; wgsl \"apart.wgsl\"; {more} }}\n\
         sink \"kept\" {{ in \"kept\"; file \"sums.parquet\" }}\n"
    );
    project.write("flow.kdl", &text);
    let kernel = |keep: &str| {
        format!("struct Out {{ keep: bool }}\nfn row(x: f32, y: f32, n: i32) -> Out {{ return Out({keep}); }}\n")
    };
    project.write("kept.wgsl", &kernel(keep));
    project.write("apart.wgsl", &kernel(reference));
    let output = project.flowc_with_vulkan(&["run", "--gpu", "cpu", "--verify", "kept"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() == project.folder().join("sums.parquet").exists(), "{said}");
    (output.status.success(), said)
}

#[test]
fn rows_that_a_kernel_keeps_are_held_against_its_reference() {
    let (is_good, said) = kept("x > y", "!(x <= y)", "");
    assert!(is_good && said.contains("kept: keeps the same rows as the stage `apart`, "), "{said}");
    // As many rows, but others.
    let (is_good, said) = kept("n % 2 == 0", "n % 2 == 1", "");
    let told = "compared with the stage `apart`, 5000 of the 5000 rows that either keeps are not kept by both, or in \
                another order; the first is row 1 of segment 0, while both have to keep the same rows";
    assert!(!is_good && said.contains(told), "{said}");
    let (is_good, said) = kept("x > y || n == 7", "x > y && n != 7", "");
    assert!(!is_good && said.contains("rows, and the stage `apart` "), "{said}");
    // One column is enough, if it tells rows apart; without any nothing would be compared.
    let (is_good, said) = kept("n % 2 == 0", "n % 2 == 1", "drops \"x\" \"y\"");
    assert!(!is_good && said.contains("5000 of the 5000 rows that either keeps are not kept by both"), "{said}");
    let (is_good, said) = kept("n % 2 == 0", "n % 2 == 0", "drops \"x\" \"y\" \"n\"");
    assert!(
        !is_good && said.contains("the stage `kept` only keeps rows, and its reference `apart` has none"),
        "{said}"
    );
}

/// After the first row that only one of them keeps, rows are no longer at the same places.
#[test]
fn values_are_compared_in_the_rows_that_both_keep() {
    let told = |claim: &str| {
        let project = referenced(claim, "x");
        let text = fs::read_to_string(project.folder().join("flow.kdl")).unwrap();
        let text = text.replace("column \"z\" \"Float32\" }", "column \"z\" \"Float32\"; column \"n\" \"Int32\" }");
        project.write("flow.kdl", &text);
        let kernel = |value: &str, without: u32| {
            format!(
                "struct Out {{ s: f32, keep: bool }}\n\
                 fn row(x: f32, n: i32) -> Out {{ return Out({value}, n != {without}); }}\n"
            )
        };
        project.write("together.wgsl", &kernel("f32(n) * 2.0f", 6));
        project.write("apart.wgsl", &kernel("select(f32(n), f32(n) + 0.25f, n == 8) * 2.0f", 4000));
        let (is_good, said) = verified(&project);
        assert!(!is_good, "{said}");
        said
    };
    let kept = "compared with the stage `apart`, 2 of the 5000 rows that either keeps are not kept by both, or in another \
                order; the first is row 7 of segment 0";
    let said = told("numeric \"portable\" abs=1.0");
    assert!(said.contains(&format!("{kept}, while both have to keep the same rows")), "{said}");
    let said = told("numeric \"portable\" abs=0.25");
    let value =
        "; `s` differs in 1 of 4998 rows, by up to 5e-1; the first is row 8 of segment 0, while its numbers are ";
    assert!(said.contains(&format!("{kept}{value}")), "{said}");
}

#[test]
fn rows_that_a_kernel_keeps_are_held_against_another_device() {
    let project = project("");
    let text = fs::read_to_string(project.folder().join("flow.kdl")).unwrap();
    // `p` is of the device too: which rows are kept shows in the other columns.
    let kept =
        "stage \"kept\" { in \"product\"; wgsl \"kept.wgsl\" }\nsink \"kept\" { in \"kept\"; file \"kept.parquet\" }\n";
    project.write("flow.kdl", &(text + kept));
    project.write("kept.wgsl", "struct Out { keep: bool }\nfn row(p: f32) -> Out { return Out(p > 100.0f); }\n");
    run(&project, |_| {});
    let mut command = project.flowc_with_vulkan(&["run", "--gpu", "cpu", "--only", "kept", "--verify", "kept"]);
    let output = command.env("LP_NATIVE_VECTOR_WIDTH", "128").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = |line: &str| line.starts_with("kept: keeps the same rows as vulkan ") && line.contains(" 256 bits)");
    assert!(output.status.success() && said.lines().any(line), "{said}");
}

/// A changed file is counted alone, and its counts are added to those of the other.
#[test]
fn counts_of_segments_are_kept_and_added_up() {
    let project = Project::new();
    project.write(
        "flow.kdl",
        "source \"s\" { files \"*.csv\"; schema { column \"n\" \"Int32\"; column \"m\" \"Int32\" } }\n\
         stage \"h\" { in \"s\"; std \"histogram@1\"; config { value \"n\"; width 10; bins 2 } }\n\
         stage \"g\" { in \"s\"; std \"group-count@1\"; config { key \"n\" } }\n\
         sink \"h\" { in \"h\"; file \"out/h.csv\" }\nsink \"g\" { in \"g\"; file \"out/g.csv\" }\n",
    );
    project.write("a.csv", "n,m\n5,1\n-3,1\n12,1\n");
    project.write("b.csv", "n,m\n5,1\n,1\n40,1\n");
    run(&project, |_| {});
    let read = |name: &str| fs::read_to_string(project.folder().join("out").join(name)).unwrap();
    assert_eq!(read("h.csv"), "from,to,count\n,0,1\n0,10,2\n10,20,1\n20,,1\n,,1\n");
    assert_eq!(read("g.csv"), "n,count\n,1\n-3,1\n5,2\n12,1\n40,1\n");
    project.write("b.csv", "n,m\n5,1\n6,1\n");
    run(&project, |_| {});
    assert_eq!(read("g.csv"), "n,count\n-3,1\n5,2\n6,1\n12,1\n");
}
