//! Hides from drivers what variables begin with that loops change.
//!
//! Drivers count the rounds of a loop ahead, from what its variables begin with, and unroll it. Some count wrongly where a number wraps or a float
//! grows no more: then a loop ends too early, without an error, and its counted iterations with it. What only the running kernel
//! knows can't be counted from. So such variables are combined with a zero before the loop that no driver knows to be one.

use std::collections::BTreeSet;

use naga::{
    AddressSpace, ArraySize, BinaryOperator, Block, Expression, Function, GlobalVariable, Handle, LocalVariable,
    Module, Scalar, ScalarKind, Statement, Type, TypeInner, VectorSize,
};

use super::code::{Code, Value};
use crate::parsed::each_statement;

/// The most parts of a variable that are hidden. Drivers keep larger ones in memory, from which nothing is counted.
const MOST_PARTS: usize = 16;

/// A variable, or a part of one, by the indices that lead there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    root: Root,
    path: Vec<u32>,
}

/// A variable of an invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Root {
    Local(Handle<LocalVariable>),
    Private(Handle<GlobalVariable>),
    /// Of whoever calls the function.
    Argument(u32),
}

/// A number, or a vector of some.
#[derive(Clone, Copy)]
struct Number {
    scalar: Scalar,
    size: Option<VectorSize>,
}

/// What a loop changes of the variables of a function, and of those that all functions share.
pub(super) fn changed(module: &Module, function: &Function, blocks: [&Block; 2]) -> BTreeSet<Place> {
    let (mut places, mut calls) = (BTreeSet::new(), false);
    for block in blocks {
        stored(module, function, block, &mut places, &mut calls);
    }
    if calls {
        // A function that is called may change any of those that all share.
        let mut others = BTreeSet::new();
        module.functions.iter().for_each(|(_, of)| stored(module, of, &of.body, &mut others, &mut calls));
        places.extend(others.into_iter().filter(|place| matches!(place.root, Root::Private(_))));
    }
    places
}

/// What a block stores to, or hands to a function that may.
fn stored(module: &Module, function: &Function, block: &Block, places: &mut BTreeSet<Place>, calls: &mut bool) {
    each_statement(block, &mut |statement, _| match statement {
        Statement::Store { pointer, .. } => places.extend(place(module, function, *pointer)),
        Statement::Call { arguments, .. } => {
            *calls = true;
            places.extend(arguments.iter().filter_map(|argument| place(module, function, *argument)));
        }
        _ => {}
    });
}

/// What a pointer points to.
fn place(module: &Module, function: &Function, pointer: Value) -> Option<Place> {
    Some(followed(module, function, pointer)?.0)
}

/// What a pointer points to, and whether that is all of an array, since nobody knows which element is meant.
fn followed(module: &Module, function: &Function, pointer: Value) -> Option<(Place, bool)> {
    let root = match function.expressions[pointer] {
        Expression::LocalVariable(variable) => Root::Local(variable),
        Expression::GlobalVariable(variable) if module.global_variables[variable].space == AddressSpace::Private => {
            Root::Private(variable)
        }
        Expression::FunctionArgument(argument) => Root::Argument(argument),
        Expression::AccessIndex { base, index } => {
            let (mut place, is_all) = followed(module, function, base)?;
            if !is_all {
                place.path.push(index);
            }
            return Some((place, is_all));
        }
        Expression::Access { base, .. } => return Some((followed(module, function, base)?.0, true)),
        _ => return None,
    };
    root_type(module, function, root).map(|_| (Place { root, path: Vec::new() }, false))
}

/// Hides what is in a place, by a zero that is loaded from `zero`.
pub(super) fn hide(code: &mut Code, module: &Module, function: &Function, place: &Place, zero: Value) {
    let Some(mut ty) = root_type(module, function, place.root) else { return };
    let mut path = Vec::new();
    for index in &place.path {
        // Of an element of a vector, all of the vector is hidden.
        let Some(of) = part(module, ty, *index) else { break };
        ty = of;
        path.push(*index);
    }
    let mut numbers = Vec::new();
    find(module, ty, path, &mut numbers);
    if numbers.len() > MOST_PARTS {
        return;
    }
    for (path, number) in numbers {
        let mut pointer = code.leaf(match place.root {
            Root::Local(variable) => Expression::LocalVariable(variable),
            Root::Private(variable) => Expression::GlobalVariable(variable),
            Root::Argument(argument) => Expression::FunctionArgument(argument),
        });
        for index in path {
            pointer = code.member(pointer, index);
        }
        let value = code.load(pointer);
        let hidden = number.hidden(code, value, zero);
        code.store(pointer, hidden);
    }
}

/// The type of what is in a variable. None of an argument that points to no variable of an invocation.
fn root_type(module: &Module, function: &Function, root: Root) -> Option<Handle<Type>> {
    match root {
        Root::Local(variable) => Some(function.local_variables[variable].ty),
        Root::Private(variable) => Some(module.global_variables[variable].ty),
        Root::Argument(argument) => match module.types[function.arguments.get(argument as usize)?.ty].inner {
            TypeInner::Pointer { base, space: AddressSpace::Function | AddressSpace::Private } => Some(base),
            _ => None,
        },
    }
}

/// The type of a part of a type, if that has parts that can be pointed to.
fn part(module: &Module, ty: Handle<Type>, index: u32) -> Option<Handle<Type>> {
    match &module.types[ty].inner {
        TypeInner::Array { base, .. } => Some(*base),
        TypeInner::Struct { members, .. } => members.get(index as usize).map(|member| member.ty),
        _ => None,
    }
}

/// The numbers of a type, but for those of matrices, with their paths. More than are hidden are not looked for.
fn find(module: &Module, ty: Handle<Type>, path: Vec<u32>, found: &mut Vec<(Vec<u32>, Number)>) {
    if found.len() > MOST_PARTS {
        return;
    }
    let with = |index: usize| path.iter().copied().chain([index as u32]).collect::<Vec<_>>();
    match &module.types[ty].inner {
        TypeInner::Scalar(scalar) => found.extend(Number::of(*scalar, None).map(|number| (path, number))),
        TypeInner::Vector { size, scalar } => {
            found.extend(Number::of(*scalar, Some(*size)).map(|number| (path, number)));
        }
        TypeInner::Array { base, size: ArraySize::Constant(count), .. } => {
            (0..count.get() as usize).take(MOST_PARTS + 1).for_each(|index| find(module, *base, with(index), found));
        }
        TypeInner::Struct { members, .. } => {
            let members = members.iter().enumerate();
            members.for_each(|(index, member)| find(module, member.ty, with(index), found));
        }
        _ => {}
    }
}

impl Number {
    fn of(scalar: Scalar, size: Option<VectorSize>) -> Option<Self> {
        let is_number = matches!(scalar.kind, ScalarKind::Sint | ScalarKind::Uint | ScalarKind::Float);
        let is_wide_float = scalar.kind == ScalarKind::Float && scalar.width > 4;
        (is_number && !is_wide_float).then_some(Self { scalar, size })
    }

    /// The same number, as far as anybody can know who does not know the zero.
    fn hidden(self, code: &mut Code, value: Value, zero: Value) -> Value {
        let cast = |code: &mut Code, expr: Value, kind: ScalarKind, convert: Option<u8>| {
            code.emit(Expression::As { expr, kind, convert })
        };
        let Scalar { kind, width } = self.scalar;
        let zero = match (kind, width) {
            (ScalarKind::Float, _) | (ScalarKind::Uint, 4) => zero,
            (_, 4) => cast(code, zero, kind, None),
            (_, width) => cast(code, zero, kind, Some(width)),
        };
        let zero = match self.size {
            Some(size) => code.emit(Expression::Splat { size, value: zero }),
            None => zero,
        };
        if kind != ScalarKind::Float {
            return code.binary(BinaryOperator::ExclusiveOr, value, zero);
        }
        // A half is a float, exactly.
        let wide = if width == 4 { value } else { cast(code, value, kind, Some(4)) };
        let bits = cast(code, wide, ScalarKind::Uint, None);
        let bits = code.binary(BinaryOperator::ExclusiveOr, bits, zero);
        let wide = cast(code, bits, kind, None);
        if width == 4 { wide } else { cast(code, wide, kind, Some(width)) }
    }
}
