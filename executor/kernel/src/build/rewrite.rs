//! Writes functions anew with all that can go wrong in them checked.

use naga::proc::IndexableLength;
use naga::valid::FunctionInfo;
use naga::{
    BinaryOperator, Block, Expression, Function, GlobalVariable, Handle, Literal, Module, Scalar, ScalarKind, Span,
    Statement, SwitchCase, TypeInner,
};

use super::checks::Checks;
use super::code::{Code, Value};
use super::{Fault, Site, opaque};
use crate::diagnostic::Source;
use crate::operands::{of_expression, of_statement, result};
use crate::parsed::each_statement;

/// What all functions of a module are written with.
pub(super) struct Rewriter<'a> {
    pub(super) source: &'a Source,
    /// The module as it was.
    pub(super) module: &'a Module,
    pub(super) checks: Checks,
    /// The variable with the number of rows, in a kernel that counts them.
    pub(super) batch: Option<Handle<GlobalVariable>>,
    /// The new functions by the index of the old ones, and whether a workgroup waits in them.
    pub(super) functions: Vec<Option<(Handle<Function>, bool)>>,
    pub(super) sites: Vec<Site>,
}

impl Rewriter<'_> {
    /// A function with checks, after what `begin` writes. `Code` is the new function, with the head of the old one.
    pub(super) fn function(
        &mut self,
        old: &Function,
        info: &FunctionInfo,
        begin: impl FnOnce(&mut Code, &Checks),
    ) -> Function {
        let mut code = Code::new("", None);
        code.take_head(old);
        let mut body = Body { rewriter: self, old, info, values: vec![None; old.expressions.len()], code };
        let values = &mut body.values;
        body.code.initialise(|code, value| taken(old, values, code, value));
        begin(&mut body.code, &body.rewriter.checks);
        body.statements(&old.body);
        body.code.finish()
    }

    /// Whether a workgroup waits for all of it in a block.
    pub(super) fn waits(&self, block: &Block) -> bool {
        let mut waits = false;
        each_statement(block, &mut |statement, _| {
            waits |= match statement {
                Statement::ControlBarrier(_) | Statement::WorkGroupUniformLoad { .. } => true,
                Statement::Call { function, .. } => self.functions[function.index()].is_some_and(|(_, waits)| waits),
                _ => false,
            }
        });
        waits
    }

    fn site(&mut self, fault: Fault, span: Span) -> u32 {
        self.sites.push(Site { fault, excerpt: self.source.excerpt(span, "") });
        u32::try_from(self.sites.len() - 1).unwrap_or(u32::MAX)
    }
}

/// A function that is written anew.
struct Body<'a, 'b> {
    rewriter: &'a mut Rewriter<'b>,
    old: &'a Function,
    info: &'a FunctionInfo,
    /// The new values by the index of the old ones.
    values: Vec<Option<Value>>,
    code: Code,
}

/// The new value for an old one that was computed before, or is constant.
fn taken(old: &Function, values: &mut [Option<Value>], code: &mut Code, value: Value) -> Value {
    if let Some(new) = values[value.index()] {
        return new;
    }
    let mut new = old.expressions[value].clone();
    of_expression(&mut new, &mut |operand| *operand = taken(old, values, code, *operand));
    let new = code.leaf(new);
    values[value.index()] = Some(new);
    new
}

impl Body<'_, '_> {
    fn taken(&mut self, value: Value) -> Value {
        taken(self.old, &mut self.values, &mut self.code, value)
    }

    fn inner(&self, value: Value) -> &TypeInner {
        self.info[value].ty.inner_with(&self.rewriter.module.types)
    }

    fn block(&mut self, block: &Block) -> Block {
        self.block_after(block, |_| {})
    }

    fn block_after(&mut self, block: &Block, begin: impl FnOnce(&mut Self)) -> Block {
        self.code.open();
        begin(self);
        self.statements(block);
        self.code.close()
    }

    fn statements(&mut self, block: &Block) {
        for (statement, span) in block.span_iter() {
            self.code.span = *span;
            self.statement(statement, *span);
        }
    }

    fn statement(&mut self, statement: &Statement, span: Span) {
        let new = match statement {
            Statement::Emit(range) => {
                range.clone().for_each(|value| self.expression(value));
                return;
            }
            Statement::Block(block) => Statement::Block(self.block(block)),
            Statement::If { condition, accept, reject } => Statement::If {
                condition: self.taken(*condition),
                accept: self.block(accept),
                reject: self.block(reject),
            },
            Statement::Switch { selector, cases } => {
                let selector = self.taken(*selector);
                let case = |case: &SwitchCase| SwitchCase { body: self.block(&case.body), ..*case };
                Statement::Switch { selector, cases: cases.iter().map(case).collect() }
            }
            Statement::Loop { body, continuing, break_if } => {
                let joint = self.rewriter.waits(body) || self.rewriter.waits(continuing);
                let site = self.rewriter.site(Fault::Endless, span);
                self.hide(body, continuing);
                Statement::Loop {
                    body: self.block_after(body, |this| this.rewriter.checks.count(&mut this.code, site, joint)),
                    continuing: self.block(continuing),
                    break_if: break_if.map(|value| self.taken(value)),
                }
            }
            Statement::Atomic { result, .. } => match self.rewriter.batch {
                Some(batch) => {
                    self.count(statement, *result, batch);
                    return;
                }
                None => self.plain(statement),
            },
            other => self.plain(other),
        };
        self.code.span = span;
        self.code.push(new);
    }

    /// An atomic operation on what is counted, by invocations for rows alone.
    fn count(&mut self, statement: &Statement, result: Option<Value>, batch: Handle<GlobalVariable>) {
        let is_for_a_row = self.rewriter.checks.is_for_a_row(&mut self.code, batch);
        // Code that comes to nothing may name the result all the same, outside of the block.
        let kept = result.and_then(|result| match self.old.expressions[result] {
            Expression::AtomicResult { ty, .. } => Some((result, self.code.local("flowc_result", ty))),
            _ => None,
        });
        self.code.open();
        let new = self.plain(statement);
        self.code.push(new);
        if let Some((result, kept)) = kept {
            let value = self.taken(result);
            self.code.store(kept, value);
        }
        let accept = self.code.close();
        self.code.push(Statement::If { condition: is_for_a_row, accept, reject: Block::new() });
        if let Some((result, kept)) = kept {
            self.values[result.index()] = Some(self.code.load(kept));
        }
    }

    /// Hides what variables begin with that a loop changes.
    fn hide(&mut self, body: &Block, continuing: &Block) {
        let changed = opaque::changed(self.rewriter.module, self.old, [body, continuing]);
        if changed.is_empty() {
            return;
        }
        let zero = self.rewriter.checks.zero(&mut self.code);
        for place in &changed {
            opaque::hide(&mut self.code, self.rewriter.module, self.old, place, zero);
        }
    }

    /// A statement without blocks.
    fn plain(&mut self, statement: &Statement) -> Statement {
        let mut new = statement.clone();
        of_statement(&mut new, &mut |value| *value = self.taken(*value));
        if let Some(result) = result(&mut new) {
            let mut made = self.old.expressions[*result].clone();
            if let Expression::CallResult(function) = &mut made {
                *function = self.called(*function);
            }
            let value = self.code.leaf(made);
            self.values[result.index()] = Some(value);
            *result = value;
        }
        if let Statement::Call { function, .. } = &mut new {
            *function = self.called(*function);
        }
        new
    }

    fn called(&self, function: Handle<Function>) -> Handle<Function> {
        // Functions are written before those that call them.
        self.rewriter.functions[function.index()].map_or(function, |(new, _)| new)
    }

    /// Computes an old value anew.
    fn expression(&mut self, value: Value) {
        let span = self.old.expressions.get_span(value);
        let mut new = self.old.expressions[value].clone();
        of_expression(&mut new, &mut |operand| *operand = self.taken(*operand));
        let new = match (&self.old.expressions[value], new) {
            (Expression::Access { base, index }, Expression::Access { base: new_base, index: new_index }) => {
                let index = self.index(*base, new_base, *index, new_index, span);
                Expression::Access { base: new_base, index }
            }
            (Expression::AccessIndex { base, .. }, Expression::AccessIndex { base: new_base, index })
                if self.length(*base).is_none() =>
            {
                let index = self.code.literal(index);
                let index = self.in_range(*base, new_base, index, span);
                Expression::Access { base: new_base, index }
            }
            (
                Expression::Binary { left, .. },
                Expression::Binary {
                    op: op @ (BinaryOperator::ShiftLeft | BinaryOperator::ShiftRight),
                    left: value,
                    right,
                },
            ) => Expression::Binary { op, left: value, right: self.shift(*left, right) },
            (_, new) => new,
        };
        self.code.span = span;
        self.values[value.index()] = Some(self.code.emit(new));
    }

    /// The length of what is indexed, unless only the adapter knows it; 0 of what is not indexed.
    fn length(&self, base: Value) -> Option<u32> {
        match self.inner(base).indexable_length(self.rewriter.module) {
            Ok(IndexableLength::Known(length)) => Some(length),
            Ok(IndexableLength::Dynamic) => None,
            Err(_) => Some(0),
        }
    }

    /// An index as it is if it is known to be in range, else a checked one.
    fn index(&mut self, base: Value, new_base: Value, index: Value, new_index: Value, span: Span) -> Value {
        let is_literal = matches!(self.old.expressions[index], Expression::Literal(_));
        if is_literal && self.length(base).is_some() {
            return new_index;
        }
        let signed = matches!(self.inner(index), TypeInner::Scalar(scalar) if scalar.kind == ScalarKind::Sint);
        // What is negative becomes too large.
        let word = Expression::As { expr: new_index, kind: ScalarKind::Uint, convert: Some(4) };
        let new_index = if signed { self.code.emit(word) } else { new_index };
        self.in_range(base, new_base, new_index, span)
    }

    fn in_range(&mut self, base: Value, new_base: Value, index: Value, span: Span) -> Value {
        self.code.span = span;
        let known = self.length(base);
        let length = match known {
            Some(length) => self.code.literal(length),
            None => self.code.emit(Expression::ArrayLength(new_base)),
        };
        let site = self.rewriter.site(Fault::OutOfRange { variable: self.name(base), length: known }, span);
        self.rewriter.checks.checked(&mut self.code, index, length, site)
    }

    /// The name of a variable that is indexed.
    fn name(&self, base: Value) -> Option<String> {
        match self.old.expressions[base] {
            Expression::GlobalVariable(variable) => self.rewriter.module.global_variables[variable].name.clone(),
            Expression::LocalVariable(variable) => self.old.local_variables[variable].name.clone(),
            _ => self.old.named_expressions.get(&base).cloned(),
        }
    }

    /// An amount that is less than the bits of what is shifted: WGSL takes it modulo these, drivers do as they like.
    fn shift(&mut self, left: Value, amount: Value) -> Value {
        let (size, scalar) = match *self.inner(left) {
            TypeInner::Vector { size, scalar } => (Some(size), scalar),
            TypeInner::Scalar(scalar) => (None, scalar),
            _ => (None, Scalar::U32),
        };
        let mask = self.code.leaf(Expression::Literal(Literal::U32(u32::from(scalar.width) * 8 - 1)));
        let mask = match size {
            Some(size) => self.code.emit(Expression::Splat { size, value: mask }),
            None => mask,
        };
        self.code.binary(BinaryOperator::And, amount, mask)
    }
}
