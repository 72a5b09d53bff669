//! A text as a valid module of naga, with the functions that its kernel consists of.

use naga::valid::{
    Capabilities, FunctionError, FunctionInfo, ModuleInfo, ShaderStages, SubgroupOperationSet, ValidationError,
    ValidationFlags, Validator,
};
use naga::{AddressSpace, Block, Function, Handle, Module, ResourceBinding, Span, Statement};

use crate::depth;
use crate::diagnostic::{Diagnostic, Source};

/// Bytes of the longest text.
const LONGEST: usize = 256 << 10;

/// Bytes of stack for naga, which calls itself as deep as a text nests.
const STACK: usize = 32 << 20;

/// What kernels may use. Adapters may lack some of it, which is found out when one is chosen.
pub(crate) const CAPABILITIES: Capabilities = Capabilities::SHADER_INT64
    .union(Capabilities::SHADER_FLOAT16)
    .union(Capabilities::SHADER_FLOAT16_IN_FLOAT32)
    .union(Capabilities::SUBGROUP);

/// A valid module with its text.
#[derive(Clone, Debug)]
pub(crate) struct Parsed {
    pub(crate) source: Source,
    pub(crate) module: Module,
    pub(crate) info: ModuleInfo,
}

/// A function of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    /// The entry point of this index.
    Entry(usize),
    Function(Handle<Function>),
}

impl Parsed {
    /// Reads a text. Variables that are bound to buffers get numbers in the order of the text, whatever the text says.
    pub(crate) fn new(source: Source) -> Result<Self, Diagnostic> {
        if source.text.len() > LONGEST {
            return Err(Diagnostic::new(format!("the kernel is longer than {} KiB", LONGEST >> 10)));
        }
        if let Some(at) = depth::too_deep(&source.text) {
            let span = Span::new(offset(at), offset(at));
            return Err(Diagnostic::new("the kernel nests too deeply")
                .at(&source, span, format!("more than {} levels", depth::DEEPEST))
                .with_help("split the expression, or name parts of it with `let`"));
        }
        std::thread::scope(|scope| {
            let parser = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || parse(source));
            let parser =
                parser.map_err(|error| Diagnostic::new(format!("cannot start the parser's thread: {error}")))?;
            parser.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    pub(crate) fn function(&self, place: Place) -> (&Function, &FunctionInfo) {
        match place {
            Place::Entry(index) => (&self.module.entry_points[index].function, self.info.get_entry_point(index)),
            Place::Function(handle) => (&self.module.functions[handle], &self.info[handle]),
        }
    }

    /// The functions that a kernel consists of, callers before those that they call.
    pub(crate) fn reachable(&self, root: Place) -> Vec<Place> {
        let mut wanted = vec![false; self.module.functions.len()];
        let calls = |place: Place, wanted: &mut Vec<bool>| {
            each_statement(&self.function(place).0.body, &mut |statement, _| {
                if let Statement::Call { function, .. } = statement {
                    wanted[function.index()] = true;
                }
            });
        };
        let mut reached = vec![root];
        calls(root, &mut wanted);
        // A function is called by later ones alone.
        for (handle, _) in self.module.functions.iter().rev() {
            if wanted[handle.index()] && root != Place::Function(handle) {
                reached.push(Place::Function(handle));
                calls(Place::Function(handle), &mut wanted);
            }
        }
        reached
    }
}

/// A byte of a text, as naga counts them.
fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

fn parse(source: Source) -> Result<Parsed, Diagnostic> {
    let mut frontend = naga::front::wgsl::Frontend::new_with_options(naga::front::wgsl::Options {
        parse_doc_comments: true,
        capabilities: Capabilities::all(),
    });
    let mut module = frontend.parse(&source.text).map_err(|error| {
        // Of several places the most exact one says most.
        let length = |(span, _): &(Span, &str)| span.to_range().map_or(usize::MAX, |range| range.len());
        let (span, label) = error.labels().min_by_key(length).unwrap_or_default();
        let notes: Vec<&str> = error.notes().collect();
        let found = Diagnostic::new(error.message()).at(&source, span, label);
        if notes.is_empty() { found } else { found.with_help(notes.join("; ")) }
    })?;
    bind_all(&mut module);
    match validated(&module, ValidationFlags::all()) {
        Ok(info) => Ok(Parsed { source, module, info }),
        Err(error) => Err(invalid(&source, &error)),
    }
}

/// Checks a module.
pub(crate) fn validated(
    module: &Module,
    flags: ValidationFlags,
) -> Result<ModuleInfo, Box<naga::WithSpan<ValidationError>>> {
    let mut validator = Validator::new(flags, CAPABILITIES);
    validator.subgroup_stages(ShaderStages::COMPUTE).subgroup_operations(SubgroupOperationSet::all());
    validator.validate(module).map_err(Box::new)
}

fn bind_all(module: &mut Module) {
    let bound = |space| matches!(space, AddressSpace::Uniform | AddressSpace::Storage { .. } | AddressSpace::Handle);
    let handles: Vec<_> = module.global_variables.iter().map(|(handle, _)| handle).collect();
    let mut next = 0;
    for handle in handles {
        let variable = module.global_variables.get_mut(handle);
        if bound(variable.space) {
            variable.binding = Some(ResourceBinding { group: 0, binding: next });
            next += 1;
        }
    }
}

/// What the validator says, by the innermost cause: the outer ones name the function alone.
fn invalid(source: &Source, error: &naga::WithSpan<ValidationError>) -> Diagnostic {
    let mut cause: &dyn std::error::Error = error.as_inner();
    while let Some(next) = cause.source() {
        cause = next;
    }
    let message = cause.to_string();
    let found = match error.as_inner() {
        ValidationError::Function {
            name, source: FunctionError::InvalidReturnType { expression: None, .. }, ..
        } => Diagnostic::new(format!("not every way through `{name}` returns a value")),
        _ => match message.split("Capabilities::").nth(1) {
            Some(of) => {
                let feature: String = of.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                Diagnostic::new(format!("kernels can't use {}", feature.to_lowercase()))
                    .with_help("adapters have 32-bit floats, half floats and integers of up to 64 bits; read other values as words")
            }
            None => Diagnostic::new(message),
        },
    };
    // The first place that was noted is the innermost, too. What naga calls itself is of no use to readers.
    let (span, label) = error.spans().next().cloned().unwrap_or_default();
    found.at(source, span, if label.contains("naga::") { "" } else { &label })
}

/// Shows every statement of a block and of the blocks in it.
pub(crate) fn each_statement(block: &Block, take: &mut dyn FnMut(&Statement, Span)) {
    for (statement, span) in block.span_iter() {
        take(statement, *span);
        for inner in blocks(statement) {
            each_statement(inner, take);
        }
    }
}

/// The blocks of a statement.
fn blocks(statement: &Statement) -> Vec<&Block> {
    match statement {
        Statement::Block(block) => vec![block],
        Statement::If { accept, reject, .. } => vec![accept, reject],
        Statement::Switch { cases, .. } => cases.iter().map(|case| &case.body).collect(),
        Statement::Loop { body, continuing, .. } => vec![body, continuing],
        _ => Vec::new(),
    }
}
