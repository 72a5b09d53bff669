//! Proves that a row of the output follows from the same row of the input alone.

use std::collections::HashMap;

use naga::{
    BinaryOperator, BuiltIn, Expression, Function, GlobalVariable, Handle, MathFunction, Span, Statement, StorageAccess,
};

use crate::facts::{Facts, Finding, builtins};
use crate::forms::{Form, Forms, Holds, of_all};
use crate::layout::Rows;
use crate::operands::{each, each_of_statement, used};
use crate::parsed::{Parsed, Place, each_statement};

/// A kernel whose variables have been matched.
pub(crate) struct Matched<'a> {
    pub(crate) parsed: &'a Parsed,
    /// Callers before what they call.
    pub(crate) reachable: &'a [Place],
    /// What the variables hold that are bound to buffers.
    pub(crate) holds: &'a HashMap<Handle<GlobalVariable>, Holds>,
}

impl Matched<'_> {
    /// What is known of the values of each function.
    pub(crate) fn forms(&self) -> Vec<Forms> {
        of_all(self.parsed, self.reachable, &|variable| self.holds.get(&variable).copied())
    }

    /// The first reason why rows may depend on other rows, or on how rows are grouped.
    pub(crate) fn why_not_row_wise(&self, facts: &Facts) -> Option<Finding> {
        if let Some(found) = facts.together.as_ref().or(facts.adapter.as_ref()) {
            return Some(found.clone());
        }
        let all = self.forms();
        let called = |(place, forms): (&Place, &'_ Forms)| match place {
            Place::Function(handle) => Some((*handle, forms.arguments.clone())),
            Place::Entry(_) => None,
        };
        let arguments: Arguments = self.reachable.iter().zip(&all).filter_map(called).collect();
        self.reachable.iter().zip(&all).find_map(|(place, forms)| {
            let (function, _) = self.parsed.function(*place);
            let body = Body { matched: self, function, forms, used: used(function), arguments: &arguments };
            body.builtins().or_else(|| body.expressions()).or_else(|| body.statements())
        })
    }

    /// The variable that is bound to a buffer and that a pointer leads into, with the first step.
    pub(crate) fn root(
        function: &Function,
        pointer: Handle<Expression>,
    ) -> Option<(Handle<GlobalVariable>, Handle<Expression>)> {
        let mut step = pointer;
        loop {
            let base = match function.expressions[step] {
                Expression::Access { base, .. } | Expression::AccessIndex { base, .. } => base,
                _ => return None,
            };
            match function.expressions[base] {
                Expression::GlobalVariable(variable) => return Some((variable, step)),
                _ => step = base,
            }
        }
    }

    /// Whether a kernel may write a variable, and others see it.
    pub(crate) fn is_output(&self, variable: Handle<GlobalVariable>) -> bool {
        let space = self.parsed.module.global_variables[variable].space;
        matches!(space, naga::AddressSpace::Storage { access } if access.contains(StorageAccess::STORE))
    }
}

/// What the calls of each function give it.
type Arguments = HashMap<Handle<Function>, Vec<Form>>;

/// A function that is looked at.
struct Body<'a> {
    matched: &'a Matched<'a>,
    function: &'a Function,
    forms: &'a Forms,
    used: Vec<bool>,
    arguments: &'a Arguments,
}

impl Body<'_> {
    fn found(&self, what: impl Into<String>, span: Span) -> Option<Finding> {
        Some(Finding { what: what.into(), span })
    }

    fn builtins(&self) -> Option<Finding> {
        let other = builtins(self.matched.parsed, self.function).into_iter();
        let (span, _) = other.into_iter().find(|(_, built_in)| *built_in != BuiltIn::GlobalInvocationId)?;
        self.found("it asks how invocations are grouped", span)
    }

    fn expressions(&self) -> Option<Finding> {
        let used = self.function.expressions.iter().filter(|(handle, _)| self.used[handle.index()]);
        used.into_iter().find_map(|(handle, expression)| {
            let span = self.function.expressions.get_span(handle);
            self.access(expression, span).or_else(|| {
                let kept = self.forms[handle].is_watched() || self.is_harmless(expression);
                let watched =
                    each(expression).into_iter().map(|operand| self.forms[operand]).find(|form| form.is_watched());
                watched.filter(|_| !kept).and_then(|form| self.found(used_as_value(form), span))
            })
        })
    }

    /// What is wrong with an access to a buffer. A row may read what it wrote itself.
    fn access(&self, expression: &Expression, span: Span) -> Option<Finding> {
        let (base, index) = match expression {
            Expression::Access { base, index } => (*base, Some(self.forms[*index])),
            Expression::AccessIndex { base, .. } => (*base, None),
            _ => return None,
        };
        let variable = self.variable(base)?;
        match (self.matched.holds.get(&variable), index) {
            (Some(Holds::Rows(Rows::Apart { elements })), Some(Form::Row { scale, plus }))
                if *elements == scale && plus < scale =>
            {
                None
            }
            (Some(Holds::Rows(Rows::Packed { rows })), Some(Form::RowOver { by })) if *rows == by => None,
            (Some(Holds::Rows(_)), _) => {
                self.found(format!("`{}` is not accessed at the invocation's row alone", self.name(variable)), span)
            }
            (Some(Holds::Texts), _) => self.found(format!("`{}` is not accessed by rows", self.name(variable)), span),
            (Some(Holds::Group), index) if index != Some(Form::ROW) => {
                self.found(format!("`{}` is not accessed at the invocation's row alone", self.name(variable)), span)
            }
            (Some(Holds::Bins { by_groups: true }), index) if index != Some(Form::Group) => {
                self.found(format!("`{}` is not accessed at the row's group alone", self.name(variable)), span)
            }
            _ => None,
        }
    }

    fn variable(&self, base: Handle<Expression>) -> Option<Handle<GlobalVariable>> {
        match &self.function.expressions[base] {
            Expression::GlobalVariable(variable) => Some(*variable),
            _ => None,
        }
    }

    /// Whether a pointer leads to something that is counted into.
    fn is_bin(&self, pointer: Handle<Expression>) -> bool {
        let root = Matched::root(self.function, pointer);
        root.is_some_and(|(variable, _)| matches!(self.matched.holds.get(&variable), Some(Holds::Bins { .. })))
    }

    fn name(&self, variable: Handle<GlobalVariable>) -> &str {
        self.matched.parsed.module.global_variables[variable].name.as_deref().unwrap_or_default()
    }

    /// Whether a result tells nothing of the row's number and of other rows, though operands do.
    fn is_harmless(&self, expression: &Expression) -> bool {
        use BinaryOperator as B;
        let form = |operand: &Handle<Expression>| self.forms[*operand];
        match expression {
            // The index of an access has been looked at.
            Expression::Access { base, .. } => self.variable(*base).is_some_and(|variable| {
                let held = self.matched.holds.get(&variable);
                matches!(held, Some(Holds::Rows(_) | Holds::Group | Holds::Bins { by_groups: true }))
            }),
            Expression::Binary { op, left, right } => match (op, form(left), form(right)) {
                (B::Less | B::LessEqual | B::Greater | B::GreaterEqual, Form::ROW, Form::RowCount)
                | (B::Less | B::LessEqual | B::Greater | B::GreaterEqual, Form::RowCount, Form::ROW) => true,
                (B::And, Form::Shifted { rows }, Form::Constant(mask))
                | (B::And, Form::Constant(mask), Form::Shifted { rows }) => Some(mask) == mask_of(rows),
                _ => false,
            },
            Expression::Math { fun: MathFunction::ExtractBits, arg, arg1: Some(from), arg2: Some(count), .. } => {
                match (form(arg), form(from), form(count)) {
                    (Form::Word { rows }, Form::RowWithin { by, times }, Form::Constant(bits)) => {
                        rows == by && times == bits && rows.checked_mul(bits) == Some(32)
                    }
                    _ => false,
                }
            }
            _ => false,
        }
    }

    fn statements(&self) -> Option<Finding> {
        let mut found = None;
        each_statement(&self.function.body, &mut |statement, span| {
            if found.is_none() {
                found = self.statement(statement, span);
            }
        });
        found
    }

    fn statement(&self, statement: &Statement, span: Span) -> Option<Finding> {
        let forms =
            |operands: &[Handle<Expression>]| -> Vec<Form> { operands.iter().map(|one| self.forms[*one]).collect() };
        let lost = match statement {
            Statement::Atomic { pointer, .. } if !self.is_bin(*pointer) => return self.found("it uses atomics", span),
            Statement::Call { function, arguments, .. } => {
                let known = self.arguments.get(function).map_or(&[][..], Vec::as_slice);
                let given = forms(arguments).into_iter().zip(known);
                given.into_iter().find(|(given, known)| given.is_watched() && given != *known).map(|(given, _)| given)
            }
            _ => forms(&each_of_statement(statement)).into_iter().find(|form| form.is_watched()),
        };
        self.found(used_as_value(lost?), span)
    }
}

/// The bits of one row among so many in a word.
fn mask_of(rows: u32) -> Option<u32> {
    let bits = 32u32.checked_div(rows)?;
    1u32.checked_shl(bits)?.checked_sub(1)
}

fn used_as_value(form: Form) -> &'static str {
    match form {
        Form::RowCount => "it uses the number of rows",
        Form::Group => "it uses the number of the group",
        Form::Together => "it uses the length of a buffer",
        Form::Word { .. } | Form::Shifted { .. } => "it uses a word that holds other rows, too",
        _ => "it uses the number of the row",
    }
}
