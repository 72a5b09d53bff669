//! What expressions and statements take, for everything that kernels may contain: no images, rays or cooperative matrices.

use naga::{AtomicFunction, Expression, Function, GatherMode, Handle, Statement};

use crate::parsed::each_statement;

/// Takes the operand of an expression or a statement.
pub(crate) type Take<'a> = &'a mut dyn FnMut(&mut Handle<Expression>);

/// The operands of an expression, to be changed.
pub(crate) fn of_expression(expression: &mut Expression, take: Take<'_>) {
    use Expression as E;
    match expression {
        E::Compose { components, .. } => components.iter_mut().for_each(take),
        E::Access { base, index } => [base, index].into_iter().for_each(take),
        E::AccessIndex { base: one, .. }
        | E::Splat { value: one, .. }
        | E::Swizzle { vector: one, .. }
        | E::Load { pointer: one }
        | E::Unary { expr: one, .. }
        | E::Derivative { expr: one, .. }
        | E::Relational { argument: one, .. }
        | E::As { expr: one, .. }
        | E::ArrayLength(one) => take(one),
        E::Binary { left, right, .. } => [left, right].into_iter().for_each(take),
        E::Select { condition, accept, reject } => [condition, accept, reject].into_iter().for_each(take),
        E::Math { arg, arg1, arg2, arg3, .. } => {
            [Some(arg), arg1.as_mut(), arg2.as_mut(), arg3.as_mut()].into_iter().flatten().for_each(take)
        }
        _ => {}
    }
}

/// The operands of a statement without its blocks and results, to be changed.
pub(crate) fn of_statement(statement: &mut Statement, take: Take<'_>) {
    use Statement as S;
    match statement {
        S::If { condition: one, .. } | S::Switch { selector: one, .. } => take(one),
        S::Loop { break_if, .. } => break_if.iter_mut().for_each(take),
        S::Return { value } => value.iter_mut().for_each(take),
        S::Store { pointer, value } => [pointer, value].into_iter().for_each(take),
        S::Atomic { pointer, fun, value, .. } => {
            take(pointer);
            if let AtomicFunction::Exchange { compare: Some(compare) } = fun {
                take(compare);
            }
            take(value);
        }
        S::WorkGroupUniformLoad { pointer, .. } => take(pointer),
        S::Call { arguments, .. } => arguments.iter_mut().for_each(take),
        S::SubgroupBallot { predicate, .. } => predicate.iter_mut().for_each(take),
        S::SubgroupGather { mode, argument, .. } => {
            take(argument);
            match mode {
                GatherMode::BroadcastFirst | GatherMode::QuadSwap(_) => {}
                GatherMode::Broadcast(at)
                | GatherMode::Shuffle(at)
                | GatherMode::ShuffleDown(at)
                | GatherMode::ShuffleUp(at)
                | GatherMode::ShuffleXor(at)
                | GatherMode::QuadBroadcast(at) => take(at),
            }
        }
        S::SubgroupCollectiveOperation { argument, .. } => take(argument),
        _ => {}
    }
}

/// The expression that holds what a statement results in, to be changed.
pub(crate) fn result(statement: &mut Statement) -> Option<&mut Handle<Expression>> {
    use Statement as S;
    match statement {
        S::Atomic { result, .. } | S::Call { result, .. } => result.as_mut(),
        S::WorkGroupUniformLoad { result, .. }
        | S::SubgroupBallot { result, .. }
        | S::SubgroupGather { result, .. }
        | S::SubgroupCollectiveOperation { result, .. } => Some(result),
        _ => None,
    }
}

/// The operands of an expression.
pub(crate) fn each(expression: &Expression) -> Vec<Handle<Expression>> {
    let mut all = Vec::new();
    of_expression(&mut expression.clone(), &mut |operand| all.push(*operand));
    all
}

/// The operands of a statement.
pub(crate) fn each_of_statement(statement: &Statement) -> Vec<Handle<Expression>> {
    let mut all = Vec::new();
    // Blocks are not cloned: they can be as long as the function.
    match statement {
        Statement::If { condition: one, .. } | Statement::Switch { selector: one, .. } => all.push(*one),
        Statement::Loop { break_if, .. } => all.extend(break_if),
        Statement::Block(_) => {}
        other => of_statement(&mut other.clone(), &mut |operand| all.push(*operand)),
    }
    all
}

/// Which expressions of a function matter to what it does, by their index. Others are left over from constants that naga
/// has computed.
pub(crate) fn used(function: &Function) -> Vec<bool> {
    let mut used = vec![false; function.expressions.len()];
    each_statement(&function.body, &mut |statement, _| {
        each_of_statement(statement).into_iter().for_each(|operand| used[operand.index()] = true);
    });
    for (handle, expression) in function.expressions.iter().rev() {
        if used[handle.index()] {
            each(expression).into_iter().for_each(|operand| used[operand.index()] = true);
        }
    }
    used
}
