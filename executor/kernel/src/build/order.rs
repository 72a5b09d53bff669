//! Runs the invocations of a kernel in the opposite order, if it is told to as it runs.
//!
//! A kernel whose invocations race gives what the order makes of it, and may give the same for years on one adapter. So it is run in both
//! orders, and compared. It is the same program both times, as another one might round floats otherwise: a word beside the faults decides.

use std::collections::HashMap;

use naga::{BinaryOperator, Binding, BuiltIn, Expression, Function, Handle, Module, TypeInner};

use super::NOWHERE;
use super::checks::Checks;
use super::code::{Code, Value};
use super::entry::{add, invocation_type};

/// An entry point that does what another one does, whose invocations have each other's numbers where the word at `place` in the buffer of
/// faults is 0: the first one those of the last one.
pub(super) fn either_way(
    module: &mut Module,
    mut entry: Function,
    workgroup: u32,
    (checks, place): (&Checks, u32),
) -> Function {
    let arguments = entry.arguments.clone();
    entry.name = Some("flowc_numbered".to_owned());
    entry.arguments.iter_mut().for_each(|argument| argument.binding = None);
    let entry = module.functions.append(entry, NOWHERE);
    let vector = add(module, invocation_type());
    let mut code = Code::new("main", None);
    let (mut values, mut known) = (Vec::new(), HashMap::new());
    for argument in &arguments {
        let name = argument.name.clone().unwrap_or_default();
        let value = code.argument(&name, argument.ty, argument.binding.clone());
        for (member, builtin) in builtins(module, argument) {
            known.insert(builtin, member.map_or(value, |member| code.member(value, member)));
        }
        values.push(value);
    }
    let own = |code: &mut Code, name: &str, builtin: BuiltIn| match known.get(&builtin) {
        Some(value) => *value,
        None => code.argument(name, vector, Some(Binding::BuiltIn(builtin))),
    };
    let at = own(&mut code, "flowc_at", BuiltIn::GlobalInvocationId);
    let groups = own(&mut code, "flowc_groups", BuiltIn::NumWorkGroups);
    let order = checks.word(&mut code, place);
    let numbers = Numbers::write(&mut code, (at, groups, order), workgroup, vector);
    for (argument, value) in arguments.iter().zip(&mut values) {
        match (&argument.binding, &module.types[argument.ty].inner) {
            (Some(Binding::BuiltIn(builtin)), _) => *value = numbers.of(&mut code, *builtin).unwrap_or(*value),
            (None, TypeInner::Struct { members, .. }) => {
                let member = |(index, member): (u32, &naga::StructMember)| match &member.binding {
                    Some(Binding::BuiltIn(builtin)) => {
                        numbers.of(&mut code, *builtin).unwrap_or_else(|| code.member(*value, index))
                    }
                    _ => code.member(*value, index),
                };
                let components = (0..).zip(members).map(member).collect();
                *value = code.emit(Expression::Compose { ty: argument.ty, components });
            }
            _ => {}
        }
    }
    code.run(entry, values);
    code.finish()
}

/// What an argument of an entry point is given: by the member of the structure that it is, or as a whole.
fn builtins(module: &Module, argument: &naga::FunctionArgument) -> Vec<(Option<u32>, BuiltIn)> {
    let builtin = |binding: &Option<Binding>| match binding {
        Some(Binding::BuiltIn(builtin)) => Some(*builtin),
        _ => None,
    };
    match &module.types[argument.ty].inner {
        TypeInner::Struct { members, .. } => {
            let members = (0..).zip(members);
            members.filter_map(|(index, member)| Some((Some(index), builtin(&member.binding)?))).collect()
        }
        _ => builtin(&argument.binding).map(|builtin| (None, builtin)).into_iter().collect(),
    }
}

/// The numbers that an invocation goes by.
struct Numbers {
    vector: Handle<naga::Type>,
    workgroup: u32,
    /// That of the invocation.
    x: Value,
    /// Zeros: workgroups lie along x.
    rest: [Value; 2],
}

impl Numbers {
    fn write(
        code: &mut Code,
        (at, groups, order): (Value, Value, Value),
        workgroup: u32,
        vector: Handle<naga::Type>,
    ) -> Self {
        let [x, groups] = [at, groups].map(|of| code.member(of, 0));
        let rest = [1, 2].map(|index| code.member(at, index));
        let (size, one, zero) = (code.literal(workgroup), code.literal(1), code.literal(0));
        let all = code.binary(BinaryOperator::Multiply, groups, size);
        let last = code.binary(BinaryOperator::Subtract, all, one);
        let reject = x;
        let accept = code.binary(BinaryOperator::Subtract, last, x);
        let condition = code.binary(BinaryOperator::Equal, order, zero);
        let x = code.emit(Expression::Select { condition, accept, reject });
        Self { vector, workgroup, x, rest }
    }

    /// What a builtin is by these numbers. None for those that do not tell invocations apart.
    fn of(&self, code: &mut Code, builtin: BuiltIn) -> Option<Value> {
        let size = code.literal(self.workgroup);
        let part = |code: &mut Code, op: BinaryOperator| code.binary(op, self.x, size);
        let x = match builtin {
            BuiltIn::GlobalInvocationId => self.x,
            BuiltIn::WorkGroupId => part(code, BinaryOperator::Divide),
            BuiltIn::LocalInvocationId => part(code, BinaryOperator::Modulo),
            BuiltIn::LocalInvocationIndex => return Some(part(code, BinaryOperator::Modulo)),
            _ => return None,
        };
        let components = vec![x, self.rest[0], self.rest[1]];
        Some(code.emit(Expression::Compose { ty: self.vector, components }))
    }
}
