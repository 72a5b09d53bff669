//! Where the invocations of a workgroup wait for each other, all of them have to come by. If some do not, some drivers wait for ever, and
//! others go on with what is not there yet. naga does not look for that.

use std::collections::HashSet;

use naga::{
    Binding, Block, BuiltIn, Expression, Function, FunctionArgument, Handle, LocalVariable, Module, Span, Statement,
    TypeInner,
};

use crate::operands::of_expression;
use crate::parsed::{Parsed, Place, each_statement};

/// The barriers that not all invocations of a workgroup come to, as far as it follows from what differs between them: their numbers, and what is computed
/// or read by these. `reachable`: callers before what they call.
pub(crate) fn missed(parsed: &Parsed, reachable: &[Place]) -> Vec<Span> {
    let mut waiting = vec![false; parsed.module.functions.len()];
    let mut missed = Vec::new();
    for place in reachable.iter().rev() {
        let (function, _) = parsed.function(*place);
        let mut walk = Walk { module: &parsed.module, function, waiting: &waiting, variables: HashSet::new() };
        missed.extend(walk.missed());
        if let Place::Function(handle) = place {
            let waits = waits(&function.body, &waiting);
            waiting[handle.index()] = waits;
        }
    }
    missed.sort_unstable_by_key(|span| span.to_range().map(|range| range.start));
    missed.dedup();
    missed
}

/// Whether a block waits. `waiting`: by function, whether it does.
fn waits(block: &Block, waiting: &[bool]) -> bool {
    let mut waits = false;
    each_statement(block, &mut |statement, _| waits |= is_wait(statement, waiting));
    waits
}

fn is_wait(statement: &Statement, waiting: &[bool]) -> bool {
    match statement {
        Statement::ControlBarrier(_) | Statement::WorkGroupUniformLoad { .. } => true,
        Statement::Call { function, .. } => waiting[function.index()],
        _ => false,
    }
}

/// A way through a function.
struct Walk<'a> {
    module: &'a Module,
    function: &'a Function,
    waiting: &'a [bool],
    /// The variables whose values differ between invocations.
    variables: HashSet<Handle<LocalVariable>>,
}

/// How some invocations of a workgroup left a block, while others did not.
#[derive(Clone, Copy, Default)]
struct Left {
    returned: bool,
    broke: bool,
    continued: bool,
}

impl Left {
    fn any(self) -> bool {
        self.returned || self.broke || self.continued
    }

    fn add(&mut self, other: Self) {
        self.returned |= other.returned;
        self.broke |= other.broke;
        self.continued |= other.continued;
    }
}

impl Walk<'_> {
    /// The barriers that some miss.
    fn missed(&mut self) -> Vec<Span> {
        loop {
            let (differing, known, mut missed) = (self.differing(), self.variables.len(), Vec::new());
            self.block(&self.function.body, false, &differing, &mut missed);
            // What differs makes more differ: each round finds another variable, or is the last.
            if self.variables.len() == known {
                return missed;
            }
        }
    }

    /// By expression, whether its values differ between the invocations of a workgroup.
    fn differing(&self) -> Vec<bool> {
        let mut differing: Vec<bool> = Vec::with_capacity(self.function.expressions.len());
        for (_, expression) in self.function.expressions.iter() {
            let own = match expression {
                Expression::FunctionArgument(argument) => {
                    self.function.arguments.get(*argument as usize).is_some_and(|of| self.is_number(of))
                }
                Expression::LocalVariable(variable) => self.variables.contains(variable),
                Expression::AtomicResult { .. } => true,
                _ => false,
            };
            let mut any = own;
            of_expression(&mut expression.clone(), &mut |operand| any |= differing[operand.index()]);
            differing.push(any);
        }
        differing
    }

    /// Whether an argument tells invocations of a workgroup from each other.
    fn is_number(&self, argument: &FunctionArgument) -> bool {
        let is_number = |binding: &Option<Binding>| {
            use BuiltIn as B;
            let own = [B::GlobalInvocationId, B::LocalInvocationId, B::LocalInvocationIndex, B::SubgroupInvocationId];
            matches!(binding, Some(Binding::BuiltIn(built_in)) if own.contains(built_in))
        };
        match &self.module.types[argument.ty].inner {
            TypeInner::Struct { members, .. } => members.iter().any(|member| is_number(&member.binding)),
            _ => is_number(&argument.binding),
        }
    }

    /// Goes through a block, where `apart` says whether some invocations are elsewhere. Gives how some leave it that others do not.
    fn block(&mut self, block: &Block, mut apart: bool, differing: &[bool], missed: &mut Vec<Span>) -> Left {
        let mut left = Left::default();
        for (statement, span) in block.span_iter() {
            if apart && is_wait(statement, self.waiting) {
                missed.push(*span);
            }
            let gone = self.statement(statement, apart, differing, missed);
            apart |= gone.any();
            left.add(gone);
        }
        left
    }

    fn statement(&mut self, statement: &Statement, apart: bool, differing: &[bool], missed: &mut Vec<Span>) -> Left {
        let differs = |value: Handle<Expression>| differing[value.index()];
        match statement {
            Statement::Block(block) => self.block(block, apart, differing, missed),
            Statement::If { condition, accept, reject } => {
                let apart = apart || differs(*condition);
                let mut left = self.block(accept, apart, differing, missed);
                left.add(self.block(reject, apart, differing, missed));
                left
            }
            Statement::Switch { selector, cases } => {
                let (apart, mut left) = (apart || differs(*selector), Left::default());
                cases.iter().for_each(|case| left.add(self.block(&case.body, apart, differing, missed)));
                Left { broke: false, ..left }
            }
            Statement::Loop { body, continuing, break_if } => {
                let mut left = self.block(body, apart, differing, missed);
                left.add(self.block(continuing, apart, differing, missed));
                left.broke |= break_if.is_some_and(differs);
                if left.broke || left.returned {
                    // Some are gone in the second round.
                    self.block(body, true, differing, missed);
                    self.block(continuing, true, differing, missed);
                }
                Left { returned: left.returned, ..Left::default() }
            }
            Statement::Store { pointer, value } => {
                if (apart || differs(*value) || differs(*pointer))
                    && let Some(variable) = self.variable(*pointer)
                {
                    self.variables.insert(variable);
                }
                Left::default()
            }
            Statement::Call { arguments, .. } => {
                // A function may write what differs to what it is given a pointer to.
                if apart || arguments.iter().any(|argument| differs(*argument)) {
                    let variables: Vec<_> = arguments.iter().filter_map(|argument| self.variable(*argument)).collect();
                    self.variables.extend(variables);
                }
                Left::default()
            }
            Statement::Return { .. } => Left { returned: apart, ..Left::default() },
            Statement::Break => Left { broke: apart, ..Left::default() },
            Statement::Continue => Left { continued: apart, ..Left::default() },
            _ => Left::default(),
        }
    }

    /// The variable that a pointer points into.
    fn variable(&self, pointer: Handle<Expression>) -> Option<Handle<LocalVariable>> {
        match self.function.expressions[pointer] {
            Expression::LocalVariable(variable) => Some(variable),
            Expression::Access { base, .. } | Expression::AccessIndex { base, .. } => self.variable(base),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Source;

    const HEAD: &str = "struct Batch { rows: u32 }\nvar<storage, read> x: array<u32>;\nvar<storage, read_write> y: array<u32>;\n\
                        var<uniform> batch: Batch;\nvar<workgroup> s: array<u32, 64>;\nfn wait() { workgroupBarrier(); }\n";

    fn lines(body: &str) -> Vec<u32> {
        let text = format!(
            "{HEAD}@compute @workgroup_size(64)\nfn main(@builtin(global_invocation_id) at: vec3<u32>, \
             @builtin(workgroup_id) group: vec3<u32>) {{\n{body}\n}}\n"
        );
        let parsed = Parsed::new(Source::new("k.wgsl", &text)).map_err(|problem| problem.to_string()).unwrap();
        let reachable = parsed.reachable(Place::Entry(0));
        let found = missed(&parsed, &reachable);
        found.iter().map(|span| parsed.source.line(span.to_range().unwrap().start) - 8).collect()
    }

    #[test]
    fn barriers_that_some_invocations_miss_are_found() {
        let missed = [
            ("if at.x < 3u { workgroupBarrier(); }", vec![1]),
            ("if x[at.x] > 1u {\nworkgroupBarrier(); }", vec![2]),
            ("if at.x >= batch.rows { return; }\nworkgroupBarrier();", vec![2]),
            ("if at.x < 3u { wait(); }", vec![1]),
            ("for (var i = 0u; i < at.x; i++) {\nworkgroupBarrier(); }", vec![2]),
            ("var n = 1u;\nif at.x > 4u { n = 2u; }\nfor (var i = 0u; i < n; i++) {\nworkgroupBarrier(); }", vec![4]),
            ("switch at.x { case 1u: { workgroupBarrier(); } default: {} }", vec![1]),
            ("loop {\nif at.x > 4u { break; }\nworkgroupBarrier(); }", vec![3]),
            ("loop {\nworkgroupBarrier();\nif at.x > 4u { break; } }", vec![2]),
            (
                "let v = workgroupUniformLoad(&s[0]);\nif v + at.x > 1u { let w = workgroupUniformLoad(&s[1]); }",
                vec![2],
            ),
        ];
        for (body, expected) in missed {
            assert_eq!(lines(body), expected, "{body}");
        }
    }

    #[test]
    fn barriers_that_all_come_to_are_none_of_them() {
        let reached = [
            "if at.x < batch.rows { s[0] = x[at.x]; }\nworkgroupBarrier();",
            "for (var step = 32u; step > 0u; step = step >> 1u) { if at.x < step { s[0] += 1u; } workgroupBarrier(); }",
            "if batch.rows > 3u { workgroupBarrier(); }",
            "if batch.rows > 3u { return; }\nworkgroupBarrier();",
            "for (var i = 0u; i < arrayLength(&x); i += 64u) { workgroupBarrier(); }",
            "if group.x > 1u { return; }\nworkgroupBarrier();",
            "for (var i = 0u; i < 4u; i++) { if at.x == i { continue; } s[i] = i; }\nworkgroupBarrier();",
            "switch batch.rows { case 1u: { workgroupBarrier(); } default: {} }",
            "if workgroupUniformLoad(&s[0]) > 1u { workgroupBarrier(); }",
        ];
        for body in reached {
            assert_eq!(lines(body), [0; 0], "{body}");
        }
    }
}
