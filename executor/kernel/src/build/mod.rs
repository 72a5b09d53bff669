//! The checked build: the module that runs.
//!
//! Drivers differ where WGSL leaves them room, and some give up without a word. So the build leaves no room. Each index that
//! is not known to be in range is checked, and each iteration of a loop is counted; what fails there is a fault with its
//! line and row, and never a value. Amounts of shifts are brought into range, as WGSL has it. What loops begin with is hidden from drivers,
//! as some count the rounds of loops wrongly. Where rows are counted, invocations past the last row do not count: how many there are depends on
//! how rows are cut.

mod checks;
mod code;
mod entry;
mod opaque;
mod order;
mod rewrite;

use std::sync::Arc;

use flowc_planner::plan::Class;
use naga::valid::{ModuleInfo, ValidationFlags};
use naga::{AddressSpace, EntryPoint, GlobalVariable, Handle, Module, ShaderStage, Span, StorageAccess};

use crate::bind::{Bound, Contents};
use crate::diagnostic::{Diagnostic, Excerpt};
use crate::numeric::Numeric;
use crate::parsed::{Parsed, Place, each_statement, validated};
use crate::row::RowForm;
use checks::Checks;
use rewrite::Rewriter;

/// Invocations of a workgroup of a function over rows.
const WORKGROUP: u32 = 256;

/// A module to run.
#[derive(Clone, Debug)]
pub struct Shader {
    /// The module. It has one entry point; what it is bound to is in group 0.
    pub module: Module,
    /// What naga's validator knows of it.
    pub info: ModuleInfo,
    /// Invocations of a workgroup.
    pub workgroup: u32,
    /// How it sees its buffers, by the number of their binding.
    pub access: Vec<Access>,
}

/// A kernel to run, and what belongs to it.
#[derive(Clone, Debug)]
pub struct Build {
    /// The module. Workgroups are numbered along x, one invocation for each row.
    pub shader: Arc<Shader>,
    /// What its buffers hold, by the number of their binding. The last one is for faults. What the kernel writes begins as zeros.
    pub buffers: Vec<Contents>,
    /// What can be at fault, by its place in the buffer of faults.
    pub sites: Vec<Site>,
    /// Whether a word behind these has invocations run in the opposite order where it is 0: of kernels for which it is not proven that no order shows.
    pub is_reversible: bool,
}

/// How a module sees a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// As a uniform.
    Uniform,
    /// As storage that it reads.
    Read,
    /// As storage that it reads and writes.
    Write,
}

/// A place in a kernel's text that may be at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// What is wrong there.
    pub fault: Fault,
    /// Where that is in the kernel's text.
    pub excerpt: Option<Excerpt>,
}

/// What can be wrong when a kernel runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An index is out of range.
    OutOfRange {
        /// What was indexed, if it has a name.
        variable: Option<String>,
        /// How many elements it has, if that does not depend on the rows.
        length: Option<u32>,
    },
    /// All loops of an invocation together go on for more iterations than the build allows.
    Endless,
    /// The driver ended loops, or would have ended the next one.
    Ended,
}

impl std::fmt::Display for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.fault {
            Fault::OutOfRange { variable: Some(variable), .. } => {
                write!(f, "an index of `{variable}` is out of range")?
            }
            Fault::OutOfRange { variable: None, .. } => f.write_str("an index is out of range")?,
            Fault::Endless => f.write_str("a loop does not end")?,
            Fault::Ended => {
                f.write_str("loops of rows that are computed together take more iterations than the driver has")?
            }
        }
        self.line().map_or(Ok(()), |line| write!(f, " in line {line}"))
    }
}

impl Site {
    /// The line in the kernel's text.
    pub fn line(&self) -> Option<u32> {
        self.excerpt.as_ref().map(|excerpt| excerpt.source.line(excerpt.span.start))
    }

    /// What is said of a fault here. `row`: the first row that was at fault, as people count.
    pub fn diagnostic(&self, row: u64) -> Diagnostic {
        let help = match self.fault {
            Fault::OutOfRange { length: Some(length), .. } => {
                &format!("there are {length} elements: keep the index below that, by `min` or a condition")
            }
            Fault::OutOfRange { length: None, .. } => {
                "invocations go on past the last row: let them return where `at.x >= batch.rows`"
            }
            Fault::Endless => {
                "all loops of an invocation together may take 67 million iterations, those with barriers a million, on Mesa's driver for the CPU \
                 60,000: shorten them, or go through a table in pieces"
            }
            Fault::Ended => {
                "drivers for the CPU end longer ones: make them shorter, or alike in neighbouring rows; a GPU has no such limit"
            }
        };
        if self.fault == Fault::Ended {
            return Diagnostic::new(self.to_string()).with_help(help);
        }
        Diagnostic {
            excerpt: self.excerpt.clone().map(Box::new),
            ..Diagnostic::new(format!("in row {row} {self}")).with_help(help)
        }
    }
}

impl Build {
    /// Words of the buffer of faults.
    pub fn fault_words(&self) -> usize {
        (self.sites.len() + usize::from(self.is_reversible)).max(1)
    }

    /// What was at fault, by the words of the buffer of faults: the first row of a block, and its first site.
    pub fn fault(&self, words: &[u32]) -> Option<(u32, &Site)> {
        let at_fault = words.iter().zip(&self.sites).filter(|(row, _)| **row != u32::MAX);
        // Nobody knows in which row it was that loops were ended.
        let row = |(row, site): (&u32, &'_ Site)| if site.fault == Fault::Ended { u32::MAX } else { *row };
        let first = at_fault.min_by_key(|found| row(*found));
        first.map(|(row, site)| (if site.fault == Fault::Ended { 0 } else { *row }, site))
    }
}

/// What a build is made of.
pub(crate) struct Parts<'a> {
    pub(crate) parsed: &'a Parsed,
    /// Callers before what they call.
    pub(crate) reachable: &'a [Place],
    /// None for a module.
    pub(crate) row: Option<&'a RowForm>,
    pub(crate) bound: &'a Bound,
    /// Whether the driver ends loops, counting those of several invocations together.
    pub(crate) are_loops_ended: bool,
    /// Whether it asks what others of its subgroup have.
    pub(crate) has_subgroups: bool,
}

impl Parts<'_> {
    /// Whether a driver that ends loops may do so before an invocation has counted too many. It counts each loop for all invocations that it computes
    /// together, and once where none of them comes by; of one loop alone that is what the invocation that goes on longest counts, too.
    fn may_be_ended(&self) -> bool {
        let loops = |place: &Place| {
            let mut count = 0usize;
            each_statement(&self.parsed.function(*place).0.body, &mut |statement, _| {
                count += usize::from(matches!(statement, naga::Statement::Loop { .. }));
            });
            count
        };
        let all: usize = self.reachable.iter().map(loops).sum();
        let alone = self.reachable.first().is_some_and(|root| all == 1 && loops(root) == 1);
        self.are_loops_ended && all > 0 && !alone
    }

    /// The variable with the number of rows, in a kernel that counts: it has one.
    fn counted_batch(&self) -> Option<Handle<GlobalVariable>> {
        let Bound { bins: Some(_), buffers, .. } = self.bound else { return None };
        let place = buffers.iter().position(|contents| *contents == Contents::Batch)?;
        let is_it =
            |variable: &GlobalVariable| variable.binding.is_some_and(|binding| binding.binding as usize == place);
        self.parsed.module.global_variables.iter().find(|(_, variable)| is_it(variable)).map(|(handle, _)| handle)
    }

    /// Whether an order of invocations may show in what is written. Those of a subgroup have numbers that kernels may take for those of the
    /// workgroup in order, so they keep it.
    fn may_show_order(&self) -> bool {
        let is_unproven = self.bound.class == Class::PerSegment && self.bound.numeric != Numeric::Exact;
        is_unproven && !self.has_subgroups
    }
}

/// Writes the module anew. `budget`: iterations of all loops of an invocation.
pub(crate) fn build(parts: &Parts<'_>, budget: u32) -> Build {
    let parsed = parts.parsed;
    let mut module = parsed.module.clone();
    module.functions.clear();
    module.entry_points.clear();
    // They name functions that are not there any more.
    module.doc_comments = None;
    let faults = u32::try_from(parts.bound.buffers.len()).unwrap_or(u32::MAX);
    let checks = Checks::add(&mut module, faults, budget);
    let functions = vec![None; parsed.module.functions.len()];
    let (batch, sites) = (parts.counted_batch(), Vec::new());
    let mut rewriter = Rewriter { source: &parsed.source, module: &parsed.module, checks, batch, functions, sites };
    let mut entry = None;
    for place in parts.reachable.iter().rev() {
        let (old, info) = parsed.function(*place);
        match place {
            Place::Function(handle) => {
                let new = rewriter.function(old, info, |_, _| {});
                let new = module.functions.append(new, parsed.module.functions.get_span(*handle));
                rewriter.functions[handle.index()] = Some((new, rewriter.waits(&old.body)));
            }
            Place::Entry(index) => {
                let mut old = parsed.module.entry_points[*index].clone();
                let row = entry::row_argument(parsed, &mut old.function, &mut module);
                let function = rewriter.function(&old.function, info, |code, checks| {
                    let at = row.write(code);
                    checks.begin(code, at);
                });
                entry = Some(EntryPoint { function, ..old });
            }
        }
    }
    let mut sites = rewriter.sites;
    let mut entry = entry.unwrap_or_else(|| {
        let row = parts.row.expect("a kernel without an entry point is a function over rows");
        let (function, _) = rewriter.functions[row.function.index()].expect("the function has been written");
        entry::of_row(&mut module, &rewriter.checks, row, function, parts.bound)
    });
    if parts.may_be_ended() {
        let probe = rewriter.checks.probe(&mut module, u32::try_from(sites.len()).unwrap_or(u32::MAX));
        sites.push(Site { fault: Fault::Ended, excerpt: None });
        entry.function = entry::followed_by(&mut module, entry.function, probe);
    }
    let workgroup = entry.workgroup_size[0];
    let is_reversible = parts.may_show_order();
    if is_reversible {
        let place = u32::try_from(sites.len()).unwrap_or(u32::MAX);
        entry.function = order::either_way(&mut module, entry.function, workgroup, (&rewriter.checks, place));
    }
    module.entry_points.push(entry);
    let (shader, buffers) = finish(module, workgroup, parts.bound);
    Build { shader, buffers, sites, is_reversible }
}

fn finish(module: Module, workgroup: u32, bound: &Bound) -> (Arc<Shader>, Vec<Contents>) {
    // A loop that ends early ends for all of a workgroup where its invocations wait for each other, which naga can't see.
    let info = validated(&module, ValidationFlags::all() - ValidationFlags::CONTROL_FLOW_UNIFORMITY);
    let info = info.unwrap_or_else(|error| panic!("the checked build is not valid: {:?}", error.into_inner()));
    let buffers: Vec<Contents> = bound.buffers.iter().copied().chain([Contents::Faults]).collect();
    let access = (0..buffers.len()).map(|binding| Access::of(&module, binding)).collect();
    (Arc::new(Shader { module, info, workgroup, access }), buffers)
}

impl Access {
    /// How a module sees the buffer of a binding.
    pub(crate) fn of(module: &Module, binding: usize) -> Self {
        let is_it = |variable: &naga::GlobalVariable| variable.binding.is_some_and(|of| of.binding as usize == binding);
        let found = module.global_variables.iter().find(|(_, variable)| is_it(variable));
        match found.map(|(_, variable)| variable.space) {
            Some(AddressSpace::Uniform) => Access::Uniform,
            Some(AddressSpace::Storage { access }) if access.contains(StorageAccess::STORE) => Access::Write,
            _ => Access::Read,
        }
    }
}

/// An entry point of a kernel.
fn entry_point(workgroup: u32, function: naga::Function) -> EntryPoint {
    EntryPoint {
        name: "main".to_owned(),
        stage: ShaderStage::Compute,
        early_depth_test: None,
        workgroup_size: [workgroup, 1, 1],
        workgroup_size_overrides: None,
        function,
        mesh_info: None,
        task_payload: None,
        incoming_ray_payload: None,
    }
}

/// What naga has no place for: it was not in the text.
const NOWHERE: Span = Span::UNDEFINED;
