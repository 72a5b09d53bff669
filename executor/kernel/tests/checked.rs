//! What builds do, on an interpreter of naga's IR: no driver has a say in it.

#![allow(clippy::unwrap_used)]

mod support;

use flowc_kernel::{Bound, Build, Contents, Fault, Kernel, Part};
use flowc_planner::plan::Class;
use proptest::prelude::*;
use support::machine::{Machine, Stop, Value};
use support::{Case, program};

/// Iterations that an invocation may take.
const BUDGET: u32 = 300;

fn words(values: impl IntoIterator<Item = u32>) -> Value {
    Value::Parts(values.into_iter().map(Value::U32).collect())
}

fn numbers(values: impl IntoIterator<Item = i32>) -> Value {
    Value::Parts(values.into_iter().map(Value::I32).collect())
}

/// All buffers of a build: faults as they begin, others as `fill` says.
fn buffers(build: &Build, fill: impl Fn(Contents) -> Value) -> Vec<Value> {
    let filled = |contents| match contents {
        Contents::Faults => words(vec![u32::MAX; build.fault_words()]),
        other => fill(other),
    };
    build.buffers.iter().map(|contents| filled(*contents)).collect()
}

/// Runs all rows, and some invocations past the last one, as workgroups have them.
fn run<'a>(build: &'a Build, buffers: &[Value], rows: u32) -> Machine<'a> {
    let mut machine = Machine::new(&build.shader.module, buffers);
    machine.strict = true;
    for row in 0..rows + 3 {
        // The machine's own limit is beyond all that a checked build may take.
        machine.invoke(row, 100 * BUDGET).unwrap_or_else(|stop| panic!("a check is missing: {stop:?}"));
    }
    machine
}

fn faults(build: &Build, machine: &Machine<'_>) -> Vec<u32> {
    word_list(machine.buffer(build.buffers.len() - 1))
}

fn word_list(value: &Value) -> Vec<u32> {
    let Value::Parts(parts) = value else { panic!("no words") };
    parts.iter().map(|part| if let Value::U32(word) = part { *word } else { panic!("no word") }).collect()
}

/// The buffer of an output.
fn output(build: &Build, contents: Contents) -> usize {
    build.buffers.iter().position(|of| *of == contents).unwrap()
}

const fn values(output: usize) -> Contents {
    Contents::Output { output, part: Part::Values }
}

/// Values packed into words, so many bits each.
fn packed(values: impl IntoIterator<Item = u32>, bits: u32) -> Value {
    let mut packed = Vec::new();
    for (at, value) in (0u32..).zip(values) {
        if (at * bits).is_multiple_of(32) {
            packed.push(0);
        }
        let mask = ((1u64 << bits) - 1) as u32;
        *packed.last_mut().unwrap() |= (value & mask) << (at * bits % 32);
    }
    words(packed)
}

#[test]
fn functions_over_rows_get_the_values_of_their_columns() {
    let case = Case::new("integers.wgsl", include_str!("cases/kernels/integers.wgsl"));
    let build = case.build(BUDGET);
    const ROWS: u32 = 70;
    let a = |row: u32| row as i32 % 13 - 5;
    let b = |row: u32| row * 977 % 65536;
    let c = |row: u32| row.is_multiple_of(3);
    let (b_valid, e_valid) = (|row: u32| !row.is_multiple_of(5), |row: u32| !row.is_multiple_of(7));
    let filled = buffers(&build, |contents| match contents {
        Contents::Batch => Value::U32(ROWS),
        Contents::Config => Value::Parts(vec![Value::Parts(vec![Value::F32(0.0); 4]), Value::I32(100)]),
        Contents::Input { column: 0, .. } => packed((0..ROWS).map(|row| a(row) as u32), 8),
        Contents::Input { column: 1, part: Part::Validity } => packed((0..ROWS).map(|row| b_valid(row).into()), 1),
        Contents::Input { column: 1, .. } => packed((0..ROWS).map(b), 16),
        Contents::Input { column: 2, .. } => packed((0..ROWS).map(|row| c(row).into()), 1),
        Contents::Input { column: 3, .. } => numbers((0..ROWS).map(|row| row as i32 * 2)),
        Contents::Input { column: 4, part: Part::Validity } => packed((0..ROWS).map(|row| e_valid(row).into()), 1),
        Contents::Input { .. } => Value::Parts((0..ROWS).map(|row| Value::I64(-i64::from(row) << 40)).collect()),
        // What a pool gives has been used before: all of it is written.
        Contents::Output { output: 1, .. } => Value::Parts(vec![Value::I64(-7); ROWS as usize]),
        Contents::Output { output: 0, .. } => numbers(vec![-7; ROWS as usize]),
        _ => words(vec![77; ROWS as usize]),
    });
    let machine = run(&build, &filled, ROWS);
    let called = |row: u32| b_valid(row) && e_valid(row);
    let of = |value: &dyn Fn(u32) -> Value| {
        let rows = (0..ROWS).map(|row| if called(row) { value(row) } else { zeroed(&value(row)) });
        Value::Parts(rows.collect())
    };
    let sum = |row: u32| (0..a(row).max(0)).fold(b(row), |sum, i| sum + (i as u32 ^ 7));
    let column = |output_number| machine.buffer(output(&build, values(output_number)));
    assert_eq!(*column(0), of(&|row| Value::I32(row as i32 * 2 + 100)));
    assert_eq!(*column(1), of(&|row| Value::I64(-i64::from(row) << 40)));
    assert_eq!(*column(2), of(&|row| Value::U32(if c(row) { 0 } else { sum(row) })));
    assert_eq!(*column(3), of(&|row| Value::U32(c(row).into())));
}

fn zeroed(value: &Value) -> Value {
    match value {
        Value::I32(_) => Value::I32(0),
        Value::I64(_) => Value::I64(0),
        _ => Value::U32(0),
    }
}

#[test]
fn functions_over_rows_see_nulls_they_ask_for_and_give_lists() {
    let text = "// columns: a Int32?, v 3 Int16\n\
                struct Out { sum: i32, twice: array<i32, 3>, sum_valid: bool, keep: bool }\n\
                fn row(a: i32, a_valid: bool, v: vec3<i32>) -> Out {\n\
                let sum = v.x + v.y + v.z;\n\
                return Out(sum, array<i32, 3>(2 * v.x, 2 * v.y, 2 * v.z), a_valid, a_valid && a > 1);\n}\n";
    let build = Case::new("a.wgsl", text).build(BUDGET);
    let filled = buffers(&build, |contents| match contents {
        Contents::Batch => Value::U32(3),
        Contents::Input { column: 0, part: Part::Values } => numbers([1, 2, 3]),
        Contents::Input { column: 0, .. } => words([0b011]),
        Contents::Input { .. } => packed([1i32, -2, 3, 40, 50, 60, -700, 800, 900].map(|value| value as u32), 16),
        Contents::Output { output: 1, .. } => numbers([-7; 9]),
        Contents::Output { part: Part::Values, .. } => numbers([-7; 3]),
        _ => words([77; 3]),
    });
    let machine = run(&build, &filled, 3);
    let buffer = |contents| machine.buffer(output(&build, contents));
    assert_eq!(*buffer(values(0)), numbers([2, 150, 1000]));
    assert_eq!(*buffer(values(1)), numbers([2, -4, 6, 80, 100, 120, -1400, 1600, 1800]));
    assert_eq!(*buffer(Contents::Output { output: 0, part: Part::Validity }), words([1, 1, 0]));
    assert_eq!(*buffer(Contents::Mask), words([0, 1, 0]));
}

/// What becomes of a module over `x` and `y`, by its text and the rows.
struct Trial {
    case: Case,
    x: Vec<u32>,
    y: Vec<i32>,
}

impl Trial {
    fn new(text: &str, x: Vec<u32>, y: Vec<i32>) -> Self {
        Self { case: Case::new("trial.wgsl", text), x, y }
    }

    fn rows(&self) -> u32 {
        self.x.len() as u32
    }

    fn fill(&self, contents: Contents) -> Value {
        match contents {
            Contents::Batch => Value::Parts(vec![Value::U32(self.rows())]),
            Contents::Input { column: 0, .. } => words(self.x.iter().copied()),
            Contents::Input { .. } => numbers(self.y.iter().copied()),
            _ => words(vec![0; self.x.len()]),
        }
    }

    /// What WGSL says: the output, or the first row at fault with the line and the kind of fault.
    fn expected(&self) -> Result<Vec<u32>, (u32, u32, bool)> {
        let mut module = naga::front::wgsl::parse_str(&self.case.source.text).unwrap();
        // Buffers have the numbers that builds give them.
        let build = self.case.build(BUDGET);
        let handles: Vec<_> = module.global_variables.iter().map(|(handle, _)| handle).collect();
        let bound =
            handles.into_iter().filter(|handle| module.global_variables[*handle].space != naga::AddressSpace::Private);
        for (binding, handle) in (0..).zip(bound.collect::<Vec<_>>()) {
            module.global_variables.get_mut(handle).binding = Some(naga::ResourceBinding { group: 0, binding });
        }
        let mut machine = Machine::new(&module, &buffers(&build, |contents| self.fill(contents)));
        for row in 0..self.rows() + 3 {
            machine.invoke(row, BUDGET).map_err(|stop| match stop {
                Stop::OutOfRange(at) => (row, self.case.source.line(at), false),
                Stop::Endless(at) => (row, self.case.source.line(at), true),
            })?;
        }
        Ok(word_list(machine.buffer(output(&build, values(0)))))
    }

    fn check(&self) {
        let build = self.case.build(BUDGET);
        let machine = run(&build, &buffers(&build, |contents| self.fill(contents)), self.rows());
        let faults = faults(&build, &machine);
        match self.expected() {
            Ok(expected) => {
                assert_eq!(build.fault(&faults), None);
                assert_eq!(word_list(machine.buffer(output(&build, values(0)))), expected);
            }
            Err((row, line, endless)) => {
                let (first, _) = build.fault(&faults).expect("there is a fault");
                assert_eq!(first, row);
                // A row that went on after its fault may have had others.
                let mut of_row = build.sites.iter().zip(&faults).filter(|(_, at)| **at == row).map(|(site, _)| site);
                assert!(of_row.any(|site| site.line() == Some(line) && (site.fault == Fault::Endless) == endless));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// A build gives what WGSL says, or a fault where WGSL leaves room; none of its accesses is out of range.
    #[test]
    fn builds_give_what_wgsl_says_or_a_fault(
        bytes in proptest::collection::vec(any::<u8>(), 0..120),
        rows in proptest::collection::vec((0u32..40, -40i32..40), 1..5),
    ) {
        let (x, y) = rows.into_iter().unzip();
        let trial = Trial::new(&program::text(&bytes), x, y);
        // Some divide by a constant 0, or index by a constant that is out of range, which naga refuses.
        prop_assume!(trial.case.bound().is_ok());
        trial.check();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// A row of a row-wise kernel is the same in whatever company it comes.
    #[test]
    fn rows_of_row_wise_kernels_do_not_depend_on_others(
        bytes in proptest::collection::vec(any::<u8>(), 0..40),
        rows in proptest::collection::vec((0u32..40, -40i32..40), 2..5),
    ) {
        let text = program::text(&bytes);
        let of = |rows: &[(u32, i32)]| {
            let (x, y) = rows.iter().copied().unzip();
            Trial::new(&text, x, y)
        };
        let together = of(&rows);
        let is_row_wise = |(_, bound): (Kernel, Bound)| bound.class == Class::RowWise;
        prop_assume!(together.case.bound().is_ok_and(is_row_wise));
        if let Ok(expected) = together.expected() {
            let alone = rows.iter().map(|row| of(&[*row]).expected().unwrap()[0]);
            prop_assert_eq!(alone.collect::<Vec<_>>(), expected);
        }
    }
}

/// A module that does something for each row.
fn module(body: &str) -> String {
    format!(
        "// columns: x UInt32, y Int32\nstruct Batch {{ rows: u32 }}\n\
         var<storage, read> x: array<u32>;\nvar<storage, read> y: array<i32>;\nvar<storage, read_write> z: array<u32>;\n\
         var<uniform> batch: Batch;\n@compute @workgroup_size(64)\n\
         fn main(@builtin(global_invocation_id) at: vec3<u32>) {{\n{body}\n}}\n"
    )
}

/// The fault of a module over three rows.
fn fault_of(body: &str) -> Option<(u32, String)> {
    let trial = Trial::new(&module(body), vec![1, 2, 3], vec![-1, 0, 1]);
    trial.check();
    let build = trial.case.build(BUDGET);
    let machine = run(&build, &buffers(&build, |contents| trial.fill(contents)), 3);
    build.fault(&faults(&build, &machine)).map(|(row, site)| (row, site.to_string()))
}

#[test]
fn long_loops_are_right_or_a_fault() {
    let guarded = |body: &str| fault_of(&format!("if at.x >= batch.rows {{ return; }} {body}"));
    let endless = |row: u32| Some((row, "a loop does not end in line 9".to_owned()));
    assert_eq!(guarded("var c = 0u; for (var i = 0u; i < 299u; i++) { c += i; } z[at.x] = c;"), None);
    assert_eq!(guarded("var c = 0u; for (var i = 0u; i < 300u; i++) { c += i; } z[at.x] = c;"), endless(0));
    assert_eq!(guarded("var c = 0u; loop { c += 1u; if at.x == 0u { break; } } z[at.x] = c;"), endless(1));
    let nested =
        "var c = 0u; for (var i = 0u; i < 30u; i++) { for (var j = 0u; j < 30u; j++) { c += j; } } z[at.x] = c;";
    assert_eq!(guarded(nested), endless(0));
    let two = "var c = 0u; for (var i = 0u; i < 200u; i++) { c += i; } for (var j = 0u; j < 200u; j++) { c += j; } z[at.x] = c;";
    assert_eq!(guarded(two), endless(0));
}

/// Millions of rows whose loops do not end would keep an adapter busy for hours, one after the other.
#[test]
fn one_loop_without_end_ends_those_of_other_rows() {
    let endless = "if at.x >= batch.rows { return; } var c = 0u; loop { c += 1u; if c == 0u { break; } } z[at.x] = c;";
    let trial = Trial::new(&module(endless), vec![1, 2, 3], vec![-1, 0, 1]);
    let build = trial.case.build(100_000);
    let mut machine = Machine::new(&build.shader.module, &buffers(&build, |contents| trial.fill(contents)));
    assert!(machine.invoke(1, 99_000).is_err(), "it takes its time");
    machine.invoke(1, 101_000).unwrap();
    machine.invoke(0, 1).unwrap();
    let (row, site) = build.fault(&faults(&build, &machine)).unwrap();
    assert_eq!((row, &site.fault), (1, &Fault::Endless), "the row that took too long is told");
    let long =
        "if at.x >= batch.rows { return; } var c = 0u; for (var i = 0u; i < 90000u; i++) { c += i; } z[at.x] = c;";
    let trial = Trial::new(&module(long), vec![1], vec![1]);
    let build = trial.case.build(100_000);
    let mut machine = Machine::new(&build.shader.module, &buffers(&build, |contents| trial.fill(contents)));
    machine.invoke(0, 100_000).unwrap();
    assert_eq!(build.fault(&faults(&build, &machine)), None);
    assert_eq!(word_list(machine.buffer(output(&build, values(0)))), [(0..90_000u32).fold(0, u32::wrapping_add)]);
}

#[test]
fn an_index_past_the_last_row_is_a_fault_with_its_line_and_row() {
    let guard = "if at.x >= batch.rows { return; } ";
    let fault = fault_of(&format!("{guard}z[at.x] = x[at.x + 1u];"));
    assert_eq!(fault, Some((2, "an index of `x` is out of range in line 9".to_owned())));
    assert_eq!(
        fault_of(&format!("{guard}z[at.x] = x[y[at.x]];")),
        Some((0, "an index of `x` is out of range in line 9".to_owned()))
    );
    assert_eq!(
        fault_of("z[at.x] = x[2];\nlet i = x[3];\nz[at.x] = i;"),
        Some((0, "an index of `x` is out of range in line 10".to_owned()))
    );
    // Without the guard, invocations go on past the last row.
    let site = Trial::new(&module("z[at.x] = 1u;"), vec![1, 2, 3], vec![1, 2, 3]).case.build(BUDGET).sites.remove(0);
    assert_eq!(fault_of("z[at.x] = 1u;"), Some((3, site.to_string())));
    assert!(site.diagnostic(3).to_string().contains("z[at.x] = 1u;"));
}

/// What a module counts over rows, with so many invocations past the last one.
fn counted(body: &str, x: &[u32], past: u32) -> Vec<u32> {
    let text = format!(
        "// columns: x UInt32\nstruct Batch {{ rows: u32 }}\nvar<storage, read> x: array<u32>;\n\
         var<storage, read_write> n: array<atomic<u32>, 4>;\nvar<uniform> batch: Batch;\n\
         fn count(bin: u32) {{ atomicAdd(&n[bin], 2u); }}\n@compute @workgroup_size(64)\n\
         fn main(@builtin(global_invocation_id) at: vec3<u32>) {{\n{body}\n}}\n"
    );
    let build = Case::new("counts.wgsl", &text).build(BUDGET);
    let rows = x.len() as u32;
    let filled = buffers(&build, |contents| match contents {
        Contents::Batch => Value::Parts(vec![Value::U32(rows)]),
        Contents::Input { .. } => words(x.iter().copied()),
        _ => words([0; 4]),
    });
    let mut machine = Machine::new(&build.shader.module, &filled);
    for row in 0..rows + past {
        machine.invoke(row, 100 * BUDGET).unwrap();
    }
    assert_eq!(build.fault(&faults(&build, &machine)), None, "{body}");
    word_list(machine.buffer(output(&build, values(0))))
}

/// How many invocations there are past the last row depends on files, blocks and workgroups: none of them counts, whatever the code does.
#[test]
fn invocations_past_the_last_row_never_count() {
    let x: Vec<u32> = (0..37).map(|row| row * row % 4).collect();
    let by_value = [2 * 19, 2 * 18, 0, 0];
    let all = [2 * 37, 0, 0, 0];
    for (body, known) in [
        ("if at.x >= batch.rows { return; } count(x[at.x]);", by_value),
        ("if batch.rows <= at.x { return; } atomicAdd(&n[x[at.x]], 2u);", by_value),
        ("if at.x < batch.rows { count(x[at.x]); }", by_value),
        ("if batch.rows > at.x { atomicAdd(&n[x[at.x]], 2u); } else { count(3u); }", by_value),
        ("var v = 0u; if at.x < batch.rows { v = x[at.x]; } atomicAdd(&n[v], 2u);", by_value),
        (
            "var v = 0u; if at.x < batch.rows { v = x[at.x]; } let old = atomicAdd(&n[v], 2u); let next = old + 1u;",
            by_value,
        ),
        ("atomicAdd(&n[0], 2u);", all),
        ("count(0u);", all),
        ("if at.x > batch.rows { return; } count(0u);", all),
        ("loop { if at.x >= batch.rows { break; } break; } count(0u);", all),
        ("for (var i = 0u; i < 2u; i++) { if at.x >= batch.rows { break; } } count(0u);", all),
        ("switch 1 { case 1: { if at.x >= batch.rows { break; } } default: {} } count(0u);", all),
    ] {
        for past in [0, 1, 27, 219] {
            assert_eq!(counted(body, &x, past), known, "{body}, {past} past the last row");
        }
        let (one, other) = x.split_at(11);
        let [one, other] = [one, other].map(|part| counted(body, part, 53));
        assert_eq!(one.iter().zip(&other).map(|(one, other)| one + other).collect::<Vec<_>>(), known, "{body}, cut");
    }
}

#[test]
fn what_an_index_out_of_range_needs_depends_on_what_is_indexed() {
    let help = |text: &str, column: &str| {
        let build = Case::new("a.wgsl", text).build(BUDGET);
        build.sites.iter().find(|site| site.to_string().contains(column)).unwrap().diagnostic(1).to_string()
    };
    let row = "// columns: a UInt32\nstruct Out { b: u32 }\nfn row(a: u32) -> Out {\n    \
               var known = array<u32, 5>(1u, 2u, 3u, 4u, 5u);\n    return Out(known[a]);\n}\n";
    let told = help(row, "`known`");
    assert!(told.contains("there are 5 elements") && !told.contains("batch"), "{told}");
    let told = help(&module("z[at.x] = 1u;"), "`z`");
    assert!(told.contains("let them return where `at.x >= batch.rows`"), "{told}");
}
