//! The second form of a kernel: a module with a `@compute` entry point, whose variables are named after columns.

use naga::{
    AddressSpace, ArraySize, GlobalVariable, Handle, Scalar, ShaderStage, Span, StorageAccess, Type, TypeInner,
};

use crate::config::Config;
use crate::diagnostic::Diagnostic;
use crate::layout::{Element, Unfit, written};
use crate::parsed::Parsed;

/// The name of the entry point.
const ENTRY: &str = "main";

/// The name of the structure that holds the number of rows.
const BATCH: &str = "Batch";

/// The name of the structure that holds the number of rows of a table, and the piece of it that is at hand.
const TABLE: &str = "Table";

/// What names of variables begin with that hold columns of a table.
pub(crate) const OF_TABLE: &str = "table_";

/// The name of the variable with the number of each row's group, where rows are counted by groups.
pub(crate) const GROUP: &str = "group";

/// The constant that says how many rows a piece of a table has.
const PIECE: &str = "PIECE";

/// A module with an entry point.
#[derive(Clone, Debug)]
pub(crate) struct ModuleForm {
    /// Index of the entry point.
    pub(crate) entry: usize,
    pub(crate) variables: Vec<Variable>,
    /// Whether it has a second input, a table, as a variable of `struct Table` says.
    pub(crate) has_table: bool,
    /// Rows of a piece of the table; none where it is taken as one.
    pub(crate) piece: Option<u32>,
}

/// A variable that is bound to a buffer.
#[derive(Clone, Debug)]
pub(crate) struct Variable {
    pub(crate) global: Handle<GlobalVariable>,
    pub(crate) name: String,
    pub(crate) span: Span,
    pub(crate) role: Role,
}

/// What a variable is for, as far as its type tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// A part of a column of the input.
    Read(Element),
    /// A column of the output, or what belongs to one.
    Write(Element),
    /// Elements that are counted into: as many as the type says.
    Bins {
        element: Element,
        length: u32,
    },
    Config,
    Batch,
    /// The rows of the table.
    Table,
}

impl ModuleForm {
    /// Reads the variables of a module with entry points.
    pub(crate) fn new(parsed: &Parsed, config: Option<&Config>) -> Result<Self, Vec<Diagnostic>> {
        let mut problems = Vec::new();
        let mut keep = |result: Result<(), Diagnostic>| problems.extend(result.err());
        keep(entry(parsed));
        let mut variables = Vec::new();
        for (global, variable) in parsed.module.global_variables.iter() {
            if matches!(variable.space, AddressSpace::Private | AddressSpace::WorkGroup) {
                continue;
            }
            let span = parsed.module.global_variables.get_span(global);
            let name = variable.name.clone().unwrap_or_default();
            match role(parsed, variable, config) {
                Ok(role) => variables.push(Variable { global, name, span, role }),
                Err(problem) => keep(Err(problem.at(&parsed.source, span, ""))),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let has_table = variables.iter().any(|variable| variable.role == Role::Table);
        Ok(Self { entry: 0, variables, has_table, piece: piece(parsed) })
    }
}

fn entry(parsed: &Parsed) -> Result<(), Diagnostic> {
    let [entry] = &parsed.module.entry_points[..] else {
        let names: Vec<String> = parsed.module.entry_points.iter().map(|entry| format!("`{}`", entry.name)).collect();
        return Err(Diagnostic::new(format!("the kernel has several entry points: {}", names.join(", ")))
            .with_help(format!("keep one, `{ENTRY}`: a kernel gives at most one row for each row")));
    };
    if entry.stage != ShaderStage::Compute {
        return Err(Diagnostic::new(format!("`{}` is no `@compute` entry point", entry.name)));
    }
    if entry.name != ENTRY {
        return Err(
            Diagnostic::new(format!("the entry point is `{}`", entry.name)).with_help(format!("name it `{ENTRY}`"))
        );
    }
    match entry.workgroup_size {
        [1..=1024, 1, 1] => Ok(()),
        [x, y, z] => Err(Diagnostic::new(format!("the workgroup is {x} x {y} x {z} invocations"))
            .with_help("rows are numbered by `global_invocation_id.x`: make it one number up to 1024, as in `@workgroup_size(256)`")),
    }
}

fn role(parsed: &Parsed, variable: &GlobalVariable, config: Option<&Config>) -> Result<Role, Diagnostic> {
    let name = variable.name.as_deref().unwrap_or_default();
    let access = match variable.space {
        AddressSpace::Storage { access } => access,
        AddressSpace::Uniform => StorageAccess::LOAD,
        _ => return Err(Diagnostic::new(format!("`{name}` is no buffer")).with_help(
            "declare columns as `var<storage, read> name: array<...>`; there are no textures, samplers and immediates",
        )),
    };
    let writes = access.contains(StorageAccess::STORE);
    if config.is_some_and(|config| config.ty == variable.ty) {
        return if writes { Err(read_alone(name)) } else { Ok(Role::Config) };
    }
    if is_of_words(parsed, variable.ty, BATCH, &["rows"]) {
        return if writes { Err(read_alone(name)) } else { Ok(Role::Batch) };
    }
    if is_of_words(parsed, variable.ty, TABLE, &["rows", "start", "end"]) {
        return if writes { Err(read_alone(name)) } else { Ok(Role::Table) };
    }
    if let TypeInner::Array { base, size: ArraySize::Constant(length), .. } = parsed.module.types[variable.ty].inner
        && writes
        && let Ok(element) = Element::of(&parsed.module.types, base, true)
    {
        return Ok(Role::Bins { element, length: length.get() });
    }
    let TypeInner::Array { base, size: ArraySize::Dynamic, .. } = parsed.module.types[variable.ty].inner else {
        let ty = written(&parsed.module.types, variable.ty);
        return Err(Diagnostic::new(format!("`{name}` is {ty}, and no column")).with_help(
            "a column is an `array<...>` without a length, and what is counted into an `array<atomic<u32>, ...>` with one; `Config`, `Batch { rows: u32 }` and `Table { rows: u32, start: u32, end: u32 }` are the \
             structures that there are",
        ));
    };
    match Element::of(&parsed.module.types, base, true) {
        Ok(element) if writes => Ok(Role::Write(element)),
        Ok(element) => Ok(Role::Read(element)),
        Err(Unfit::Padded) => Err(padded(parsed, name, base)),
        Err(Unfit::Other) => Err(Diagnostic::new(format!(
            "`{name}` has elements of {}, which no column has",
            written(&parsed.module.types, base)
        ))),
    }
}

fn read_alone(name: &str) -> Diagnostic {
    Diagnostic::new(format!("`{name}` can be read alone"))
        .with_help("declare it as `var<storage, read>` or `var<uniform>`")
}

fn padded(parsed: &Parsed, name: &str, base: Handle<Type>) -> Diagnostic {
    let ty = written(&parsed.module.types, base);
    Diagnostic::new(format!("`{name}` has elements of {ty}, with gaps between them"))
        .with_help("a vector of three takes the room of four; columns have no gaps: use `array<..., 3>` instead")
}

/// Whether a type is the structure of this name, of these words.
fn is_of_words(parsed: &Parsed, ty: Handle<Type>, name: &str, words: &[&str]) -> bool {
    let ty = &parsed.module.types[ty];
    let TypeInner::Struct { members, .. } = &ty.inner else { return false };
    let is_word =
        |member: &naga::StructMember| matches!(parsed.module.types[member.ty].inner, TypeInner::Scalar(Scalar::U32));
    let names = members.iter().map(|member| member.name.as_deref().unwrap_or_default());
    ty.name.as_deref() == Some(name) && names.eq(words.iter().copied()) && members.iter().all(is_word)
}

/// Rows of a piece of the table, as a constant says.
fn piece(parsed: &Parsed) -> Option<u32> {
    let is_it = |(_, constant): &(Handle<naga::Constant>, &naga::Constant)| constant.name.as_deref() == Some(PIECE);
    let (_, constant) = parsed.module.constants.iter().find(is_it)?;
    match parsed.module.global_expressions[constant.init] {
        naga::Expression::Literal(naga::Literal::U32(rows)) => Some(rows.max(1)),
        _ => None,
    }
}
