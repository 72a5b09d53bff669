//! Proves that a kernel gives the same bits on every adapter.

use std::collections::HashMap;

use naga::{Expression, Function, GlobalVariable, Handle, Span, Statement};

use crate::class::Matched;
use crate::counter::Operation;
use crate::facts::{Facts, Finding};
use crate::forms::{Form, Forms, Holds};
use crate::layout::Rows;
use crate::operands::used;
use crate::parsed::each_statement;

/// How sure it is that every adapter gives the same bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Numeric {
    /// Proven: integers alone, no order of invocations shows.
    Exact,
    /// The adapter may decide the last bits, so its identity is part of the key.
    Device {
        /// Why: "it computes with floats".
        because: String,
        /// The line in the kernel's text.
        line: Option<u32>,
    },
}

impl std::fmt::Display for Numeric {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exact => f.write_str("exact"),
            Self::Device { because, line: Some(line) } => write!(f, "device: {because} (line {line})"),
            Self::Device { because, line: None } => write!(f, "device: {because}"),
        }
    }
}

/// The first reason why adapters may give different bits.
pub(crate) fn why_not_exact(matched: &Matched<'_>, facts: &Facts) -> Option<Finding> {
    let found = facts.float.as_ref().or(facts.together.as_ref()).or(facts.adapter.as_ref());
    found.cloned().or_else(|| ways(matched).err())
}

/// How the variables are written that others see.
pub(crate) type Ways = HashMap<Handle<GlobalVariable>, Way>;

/// How a kernel writes its outputs: so that no order of invocations shows.
///
/// # Errors
/// The first reason why an order may show.
pub(crate) fn ways(matched: &Matched<'_>) -> Result<Ways, Finding> {
    let mut writes = Writes { matched, ways: HashMap::new() };
    let all = matched.forms();
    let mut places = matched.reachable.iter().zip(&all);
    match places.find_map(|(place, forms)| writes.of(matched.parsed.function(*place).0, forms)) {
        Some(found) => Err(found),
        None => Ok(writes.ways),
    }
}

/// How a kernel writes its outputs.
struct Writes<'a> {
    matched: &'a Matched<'a>,
    ways: Ways,
}

/// How a variable is written: in one way only, so that no order of invocations shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Each invocation writes elements of its row.
    ByRow,
    /// Atomic operations of one kind, which may come in any order.
    Atomic(Operation),
}

impl Writes<'_> {
    fn of(&mut self, function: &Function, forms: &Forms) -> Option<Finding> {
        let used = used(function);
        let reads = |(handle, expression): (Handle<Expression>, &Expression)| {
            let Expression::Load { pointer } = expression else { return None };
            let (variable, step) = Matched::root(function, *pointer).filter(|_| used[handle.index()])?;
            if !self.matched.is_output(variable) {
                return None;
            }
            // A row may read what it wrote itself, if no other row writes there.
            let by_row = *self.ways.entry(variable).or_insert(Way::ByRow) == Way::ByRow;
            let what = format!("it reads `{}`, which it writes", self.name(variable));
            let is_own = by_row && self.is_own(function, forms, variable, step);
            (!is_own).then(|| Finding { what, span: function.expressions.get_span(handle) })
        };
        if let Some(found) = function.expressions.iter().find_map(reads) {
            return Some(found);
        }
        let mut found = None;
        each_statement(&function.body, &mut |statement, span| {
            if found.is_none() {
                found = self.write(function, forms, &used, statement, span);
            }
        });
        found
    }

    fn write(
        &mut self,
        function: &Function,
        forms: &Forms,
        used: &[bool],
        statement: &Statement,
        span: Span,
    ) -> Option<Finding> {
        let finding = |what: String| Some(Finding { what, span });
        let (pointer, way) = match statement {
            Statement::Store { pointer, .. } => (*pointer, Some(Way::ByRow)),
            Statement::Atomic { result: Some(result), .. } if used[result.index()] => {
                return finding("it uses the result of an atomic operation".to_owned());
            }
            Statement::Atomic { pointer, fun, .. } => (*pointer, Operation::of(*fun).map(Way::Atomic)),
            _ => return None,
        };
        let (variable, step) =
            Matched::root(function, pointer).filter(|(variable, _)| self.matched.is_output(*variable))?;
        let name = self.name(variable);
        let Some(way) = way else { return finding(format!("it exchanges values of `{name}`")) };
        if *self.ways.entry(variable).or_insert(way) != way {
            return finding(format!("it writes `{name}` in ways of which the order shows"));
        }
        let apart = way != Way::ByRow || self.is_own(function, forms, variable, step);
        if apart { None } else { finding(format!("several rows may write the same element of `{name}`")) }
    }

    /// Whether an element belongs to the invocation's row alone.
    fn is_own(
        &self,
        function: &Function,
        forms: &Forms,
        variable: Handle<GlobalVariable>,
        step: Handle<Expression>,
    ) -> bool {
        let Expression::Access { index, .. } = function.expressions[step] else { return false };
        match (self.matched.holds.get(&variable), forms[index]) {
            (Some(Holds::Rows(Rows::Apart { elements })), Form::Row { scale, plus }) => {
                *elements == scale && plus < scale
            }
            _ => false,
        }
    }

    fn name(&self, variable: Handle<GlobalVariable>) -> String {
        self.matched.parsed.module.global_variables[variable].name.clone().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use arrow_schema::{DataType, Field, Schema};
    use flowc_planner::plan::KernelColumns;

    use super::*;
    use crate::{Kernel, Source};

    fn numeric(text: &str) -> Numeric {
        let list = DataType::FixedSizeList(Field::new("item", DataType::Float32, false).into(), 2);
        let columns = [("x", DataType::Float32), ("y", DataType::Float32), ("v", list), ("n", DataType::Int32)];
        let fields = columns.map(|(name, data_type)| Field::new(name, data_type, false));
        let kernel = Kernel::parse(Source::new("k.wgsl", text)).unwrap_or_else(|wrong| panic!("{text}: {wrong:?}"));
        kernel.bind(&[&Schema::new(fields.to_vec())], &KernelColumns::default()).unwrap().numeric
    }

    /// Adapters may take a small number for 0, and have their own idea of NaN: that shows in integers as well.
    #[test]
    fn floats_of_which_integers_are_made_are_floats() {
        let row = |result: &str, value: &str| {
            format!(
                "struct Config {{ least: f32, most: f32, count: i32 }}\nstruct Out {{ z: {result} }}\n\
                 fn less(a: f32, b: f32) -> bool {{ return a < b; }}\nfn whole(a: f32) -> i32 {{ return i32(a); }}\n\
                 fn row(x: f32, y: f32, v: vec2<f32>, n: i32, config: Config) -> Out {{ return Out({value}); }}\n"
            )
        };
        let of_device = [
            ("bool", "x > y"),
            ("bool", "x == y"),
            ("bool", "x != x"),
            ("i32", "i32(x)"),
            ("u32", "u32(x)"),
            ("bool", "bool(x)"),
            ("u32", "bitcast<u32>(x)"),
            ("u32", "pack2x16float(v)"),
            ("u32", "pack2x16snorm(v)"),
            ("bool", "any(v < v.yx)"),
            ("i32", "i32(v[n])"),
            ("bool", "less(x, y)"),
            ("i32", "whole(y)"),
            ("i32", "select(1, 2, x < y)"),
            ("bool", "config.least < config.most"),
            ("f32", "x"),
        ];
        for (result, value) in of_device {
            let found = numeric(&row(result, value));
            assert!(matches!(found, Numeric::Device { .. }), "{value}: {found}");
        }
        for (result, value) in [("i32", "n"), ("i32", "n + config.count"), ("u32", "u32(n) << 3u"), ("bool", "n > 4")] {
            assert_eq!(numeric(&row(result, value)), Numeric::Exact, "{value}");
        }
        let keeps = "struct Out { keep: bool }\nfn row(x: f32, y: f32) -> Out { return Out(x > y); }\n";
        assert!(matches!(numeric(keeps), Numeric::Device { .. }));
    }
}
