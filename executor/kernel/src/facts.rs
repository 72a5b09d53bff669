//! What a kernel's code does that matters to its class, its numbers and the adapters that it runs on.

use std::collections::HashSet;

use naga::{
    AddressSpace, Binding, BuiltIn, Expression, Function, Handle, Scalar, ScalarKind, Span, Statement, Type, TypeInner,
};

use crate::diagnostic::Diagnostic;
use crate::operands::{self, used};
use crate::parsed::{Parsed, Place, each_statement};
use crate::waits;

/// Bytes of the variables that the invocations of a workgroup share, of those that functions use.
fn workgroup_memory(parsed: &Parsed, reachable: &[Place]) -> u32 {
    let mut shared = HashSet::new();
    for place in reachable {
        let (function, _) = parsed.function(*place);
        let used = used(function);
        let variables = function.expressions.iter().filter(|(handle, _)| used[handle.index()]);
        shared.extend(variables.filter_map(|(_, expression)| match expression {
            Expression::GlobalVariable(variable) => Some(*variable),
            _ => None,
        }));
    }
    let variables = shared.into_iter().map(|variable| &parsed.module.global_variables[variable]);
    let shared = variables.filter(|variable| variable.space == AddressSpace::WorkGroup);
    let bytes = |ty: Handle<Type>| parsed.module.types[ty].inner.try_size(parsed.module.to_ctx()).unwrap_or(u32::MAX);
    shared.fold(0, |sum, variable| sum.saturating_add(bytes(variable.ty)))
}

/// What an adapter must have to run a kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// 64-bit integers.
    pub int64: bool,
    /// Half floats.
    pub f16: bool,
    /// Operations among the invocations of a subgroup.
    pub subgroups: bool,
    /// Bytes of the largest variable of an invocation. CPU drivers compile large ones for minutes.
    pub largest_variable: u32,
    /// Bytes that the invocations of a workgroup share.
    pub workgroup_memory: u32,
}

/// Something that code does, and where it first does it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Finding {
    pub(crate) what: String,
    pub(crate) span: Span,
}

/// What all functions of a kernel do. Each finding is the first of its sort.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) needs: Needs,
    /// A value with floats in it is made or moved.
    pub(crate) float: Option<Finding>,
    /// Invocations see each other: subgroups, barriers, workgroup memory.
    pub(crate) together: Option<Finding>,
    /// A builtin that differs between adapters.
    pub(crate) adapter: Option<Finding>,
    /// Something that no kernel may do.
    pub(crate) refused: Vec<Diagnostic>,
}

/// A kernel's code, with all calls written out, is at most this many expressions: drivers write calls out.
const LONGEST: usize = 1 << 18;

impl Facts {
    /// What these functions do; callers come before what they call.
    pub(crate) fn of(parsed: &Parsed, reachable: &[Place]) -> Self {
        let mut facts = Self::default();
        // Columns are read and written by these types, whether the code uses their values or not.
        for (_, ty) in parsed.module.types.iter() {
            facts.types(parsed, &ty.inner);
        }
        for place in reachable {
            let (function, _) = parsed.function(*place);
            facts.values(parsed, *place);
            facts.statements(parsed, function);
            facts.variables(parsed, function);
            facts.arguments(parsed, function);
        }
        facts.needs.workgroup_memory = workgroup_memory(parsed, reachable);
        facts.limits(parsed, reachable);
        for span in waits::missed(parsed, reachable) {
            let found = Diagnostic::new("not all invocations of a workgroup come to where they wait for each other");
            let found = found.at(&parsed.source, span, "");
            facts.refused.push(found.with_help(
                "let all of them go on to it: put conditions around what rows past the last one read and write, and not around the barrier",
            ));
        }
        facts
    }

    fn values(&mut self, parsed: &Parsed, place: Place) {
        let (function, info) = parsed.function(place);
        let used = used(function);
        for (handle, expression) in function.expressions.iter() {
            if !used[handle.index()] {
                continue;
            }
            let span = function.expressions.get_span(handle);
            let inner = info[handle].ty.inner_with(&parsed.module.types);
            let scalars = self.types(parsed, inner);
            // A parameter is moved only if something takes it, be it to make no float of it; a part of one is a value by itself.
            let is_part = matches!(expression, Expression::Access { .. } | Expression::AccessIndex { .. });
            let is_float = |operand: &Handle<Expression>| {
                Scalars::of(parsed, info[*operand].ty.inner_with(&parsed.module.types)).float
            };
            let makes = scalars.float && !matches!(expression, Expression::FunctionArgument(_));
            if makes || !is_part && operands::each(expression).iter().any(is_float) {
                first(&mut self.float, "it computes with floats", span);
            }
            match expression {
                Expression::GlobalVariable(variable)
                    if parsed.module.global_variables[*variable].space == AddressSpace::WorkGroup =>
                {
                    first(&mut self.together, "it uses workgroup memory", span);
                }
                Expression::Access { index, .. }
                    if info[*index].ty.inner_with(&parsed.module.types).scalar_width() == Some(8) =>
                {
                    self.refuse(parsed, "an index has 32 bits: convert it with `u32(...)`", span);
                }
                Expression::Derivative { .. } => self.refuse(parsed, "derivatives are for pixels", span),
                _ => {}
            }
        }
    }

    /// Notes what an adapter must know to hold values of a type.
    fn types(&mut self, parsed: &Parsed, inner: &TypeInner) -> Scalars {
        let scalars = Scalars::of(parsed, inner);
        self.needs.int64 |= scalars.int64;
        self.needs.f16 |= scalars.f16;
        scalars
    }

    fn statements(&mut self, parsed: &Parsed, function: &Function) {
        each_statement(&function.body, &mut |statement, span| match statement {
            Statement::SubgroupBallot { .. }
            | Statement::SubgroupGather { .. }
            | Statement::SubgroupCollectiveOperation { .. } => {
                self.needs.subgroups = true;
                first(&mut self.together, "it uses a subgroup", span);
            }
            Statement::ControlBarrier(_) | Statement::MemoryBarrier(_) | Statement::WorkGroupUniformLoad { .. } => {
                first(&mut self.together, "it waits for its workgroup", span);
            }
            Statement::Kill => self.refuse(parsed, "`discard` is for pixels", span),
            _ => {}
        });
    }

    fn variables(&mut self, parsed: &Parsed, function: &Function) {
        let locals = function.local_variables.iter().map(|(_, variable)| variable.ty);
        let globals = parsed.module.global_variables.iter();
        let private = globals.filter(|(_, variable)| variable.space == AddressSpace::Private);
        for ty in locals.chain(private.map(|(_, variable)| variable.ty)) {
            let bytes = parsed.module.types[ty].inner.try_size(parsed.module.to_ctx()).unwrap_or(u32::MAX);
            self.needs.largest_variable = self.needs.largest_variable.max(bytes);
        }
    }

    fn arguments(&mut self, parsed: &Parsed, function: &Function) {
        for (span, built_in) in builtins(parsed, function) {
            use BuiltIn as B;
            if matches!(built_in, B::NumSubgroups | B::SubgroupId | B::SubgroupSize | B::SubgroupInvocationId) {
                self.needs.subgroups = true;
                first(&mut self.adapter, "it asks how its subgroup is made up", span);
            }
        }
    }

    /// Checks what would keep a compiler from ending.
    fn limits(&mut self, parsed: &Parsed, reachable: &[Place]) {
        let mut lengths = vec![0usize; parsed.module.functions.len()];
        for place in reachable.iter().rev() {
            let (function, _) = parsed.function(*place);
            let mut length = function.expressions.len();
            each_statement(&function.body, &mut |statement, _| {
                if let Statement::Call { function, .. } = statement {
                    length = length.saturating_add(lengths[function.index()]);
                }
            });
            match place {
                Place::Function(handle) => lengths[handle.index()] = length,
                Place::Entry(_) => {}
            }
            if length > LONGEST {
                let found = Diagnostic::new("the kernel is too long once its calls are written out, as drivers do")
                    .with_help("call in a loop what is called many times");
                self.refused.push(found);
                return;
            }
        }
    }

    fn refuse(&mut self, parsed: &Parsed, why: &str, span: Span) {
        self.refused.push(Diagnostic::new(why).at(&parsed.source, span, ""));
    }
}

/// The builtins that the arguments of an entry point are, with the places of the arguments.
pub(crate) fn builtins(parsed: &Parsed, function: &Function) -> Vec<(Span, BuiltIn)> {
    let mut found = Vec::new();
    for (at, argument) in function.arguments.iter().enumerate() {
        let span = argument_span(function, at);
        let mut add = |binding: &Option<Binding>| {
            if let Some(Binding::BuiltIn(built_in)) = binding {
                found.push((span, *built_in));
            }
        };
        add(&argument.binding);
        if let TypeInner::Struct { members, .. } = &parsed.module.types[argument.ty].inner {
            members.iter().for_each(|member| add(&member.binding));
        }
    }
    found
}

/// The place of a function's argument.
pub(crate) fn argument_span(function: &Function, at: usize) -> Span {
    let is_it = |(_, expression): &(Handle<Expression>, &Expression)| matches!(expression, Expression::FunctionArgument(index) if *index as usize == at);
    let found = function.expressions.iter().find(is_it);
    found.map_or(Span::UNDEFINED, |(handle, _)| function.expressions.get_span(handle))
}

/// Keeps the first finding of its sort, and rather one with a place in the text: naga has none for some constants.
fn first(finding: &mut Option<Finding>, what: &str, span: Span) {
    if finding.as_ref().is_none_or(|known| !known.span.is_defined() && span.is_defined()) {
        *finding = Some(Finding { what: what.to_owned(), span });
    }
}

/// The scalars that a value has in it.
#[derive(Default)]
struct Scalars {
    float: bool,
    f16: bool,
    int64: bool,
}

impl Scalars {
    fn of(parsed: &Parsed, inner: &TypeInner) -> Self {
        let mut scalars = Self::default();
        scalars.add(parsed, inner);
        scalars
    }

    fn add(&mut self, parsed: &Parsed, inner: &TypeInner) {
        let types = &parsed.module.types;
        // Each type once: structures of structures would be walked exponentially often.
        let (mut seen, mut open) = (HashSet::new(), Vec::new());
        let mut next = Some(inner);
        while let Some(inner) = next {
            let mut add = |ty: Handle<Type>| {
                if seen.insert(ty) {
                    open.push(ty);
                }
            };
            match inner {
                TypeInner::Scalar(scalar)
                | TypeInner::Vector { scalar, .. }
                | TypeInner::Matrix { scalar, .. }
                | TypeInner::Atomic(scalar) => self.add_scalar(*scalar),
                TypeInner::Array { base, .. } => add(*base),
                TypeInner::Struct { members, .. } => members.iter().for_each(|member| add(member.ty)),
                _ => {}
            }
            next = open.pop().map(|ty| &types[ty].inner);
        }
    }

    fn add_scalar(&mut self, scalar: Scalar) {
        self.float |= matches!(scalar.kind, ScalarKind::Float | ScalarKind::AbstractFloat);
        self.f16 |= scalar == Scalar::F16;
        self.int64 |= scalar.kind != ScalarKind::Bool && scalar.width == 8 && scalar.kind != ScalarKind::AbstractInt;
    }
}
