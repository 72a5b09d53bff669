//! What `aggregate@1` is told, and what it makes of it.

use flowc_sdk::prelude::*;
use serde::Deserialize;
use stage_parts::{Mistakes, is_ordered};

use crate::numbers::Kind;

/// What `aggregate@1` is told.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Columns whose distinct values make the groups. If left out, all rows are one group.
    #[serde(default)]
    by: Vec<String>,
    /// What is computed of each group, in order.
    compute: Vec<Compute>,
}

/// One column of the result.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Compute {
    /// What is computed.
    op: Op,
    /// Of which column. `count` needs none: it counts rows then.
    column: Option<String>,
    /// `first`, `last`, `top`, `bottom`: the column that orders the rows.
    by: Option<String>,
    /// `top`, `bottom`: how many values.
    k: Option<u32>,
    /// `approx-quantile`: which one, from 0 to 1; 0.5 is the median.
    at: Option<f64>,
    /// Name of the column; such as `sum-price` if left out.
    #[serde(rename = "as")]
    name: Option<String>,
}

/// An aggregate function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Op {
    /// Number of rows, or of values that are not null.
    Count,
    /// Number of distinct values.
    CountDistinct,
    /// Number of distinct values, by a sketch.
    ApproxCountDistinct,
    /// Sum.
    Sum,
    /// Mean.
    Mean,
    /// Variance of a sample.
    Variance,
    /// Standard deviation of a sample.
    Stddev,
    /// Least value.
    Min,
    /// Greatest value.
    Max,
    /// Value in the row that comes first by another column.
    First,
    /// Value in the row that comes last by another column.
    Last,
    /// Greatest values, or the values in the rows that come last by another column.
    Top,
    /// Least values, or the values in the rows that come first by another column.
    Bottom,
    /// Quantile, by a sketch.
    ApproxQuantile,
}

/// What is kept of each group. Several results may come from one state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StateSpec {
    pub(crate) kind: StateKind,
    /// The columns that it reads: the one that orders rows comes before the values.
    pub(crate) columns: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StateKind {
    Count,
    Sum,
    Moments,
    Extreme { greatest: bool },
    Best { greatest: bool, k: usize },
    Distinct,
    Sketch,
    Quantiles,
}

/// A column of the result.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) name: String,
    /// The number of its state.
    pub(crate) state: usize,
    pub(crate) finish: Finish,
}

/// How a result comes from a state that gives several.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Finish {
    Only,
    Sum,
    Mean,
    Variance,
    Stddev,
    Quantile(f64),
}

/// What is grouped by, what is kept, and what comes of it.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    pub(crate) by: Vec<String>,
    pub(crate) states: Vec<StateSpec>,
    pub(crate) items: Vec<Item>,
}

impl Config {
    /// All that is wrong with it for these columns.
    pub(crate) fn check(&self, input: &Columns) -> Result<()> {
        let mut mistakes = Mistakes::new();
        for (at, name) in self.by.iter().enumerate() {
            let path = format!("/by/{at}");
            mistakes.take(input.find(&path, name).and_then(ordered));
            if self.by[..at].contains(name) {
                mistakes.add(Problem::at(path, format!("`{name}` is named twice")));
            }
        }
        if self.compute.is_empty() {
            mistakes.add(Problem::at("/compute", "there is nothing to compute").help("write compute op=\"count\""));
        }
        let names: Vec<String> = self.by.iter().cloned().chain(self.compute.iter().map(Compute::name)).collect();
        for (at, compute) in self.compute.iter().enumerate() {
            let path = format!("/compute/{at}");
            compute.check(&path, input, &mut mistakes);
            let name = &names[self.by.len() + at];
            if names[..self.by.len() + at].contains(name) {
                let path = if compute.name.is_some() { format!("{path}/as") } else { path };
                let problem = Problem::at(path, format!("the output would have two columns `{name}`"));
                mistakes.add(problem.help("name one of them by `as`"));
            }
        }
        mistakes.check()
    }

    /// Of a config without mistakes.
    pub(crate) fn recipe(&self) -> Recipe {
        let mut states: Vec<StateSpec> = Vec::new();
        let item = |compute: &Compute| {
            let spec = compute.state();
            let state = states.iter().position(|other| *other == spec).unwrap_or_else(|| {
                states.push(spec);
                states.len() - 1
            });
            Item { name: compute.name(), state, finish: compute.finish() }
        };
        let items = self.compute.iter().map(item).collect();
        Recipe { by: self.by.clone(), states, items }
    }
}

impl Compute {
    fn name(&self) -> String {
        let column = || self.column.as_ref().map(|column| format!("-{column}")).unwrap_or_default();
        self.name.clone().unwrap_or_else(|| format!("{}{}", self.op.name(), column()))
    }

    fn check(&self, path: &str, input: &Columns, mistakes: &mut Mistakes) {
        let op = self.op;
        let at = |key: &str| format!("{path}/{key}");
        let mut column = |key: &str, name: &Option<String>, may_be: fn(Column) -> Result<Column>| {
            if let Some(name) = name {
                mistakes.take(input.find(&at(key), name).and_then(may_be));
            }
        };
        column("column", &self.column, op.values());
        column("by", &self.by, ordered);
        let settings = [
            ("column", self.column.is_some(), op != Op::Count, true),
            ("by", self.by.is_some(), op.is_by_row(), op.is_by_row() || op.is_list()),
            ("k", self.k.is_some(), op.is_list(), op.is_list()),
            ("at", self.at.is_some(), op == Op::ApproxQuantile, op == Op::ApproxQuantile),
        ];
        for (key, is_given, is_needed, is_allowed) in settings {
            if is_needed && !is_given {
                mistakes.add(Problem::at(path, format!("`{}` needs `{key}`", op.name())));
            }
            if is_given && !is_allowed {
                mistakes.add(Problem::at(at(key), format!("`{}` takes no `{key}`", op.name())));
            }
        }
        if self.k == Some(0) {
            mistakes.add(Problem::at(at("k"), "`k` is at least 1"));
        }
        if self.at.is_some_and(|at| !(0.0..=1.0).contains(&at)) {
            mistakes.add(Problem::at(at("at"), "a quantile lies from 0 to 1"));
        }
    }

    fn state(&self) -> StateSpec {
        let k = self.k.unwrap_or(1) as usize;
        let kind = match self.op {
            Op::Count => StateKind::Count,
            Op::CountDistinct => StateKind::Distinct,
            Op::ApproxCountDistinct => StateKind::Sketch,
            Op::Sum | Op::Mean => StateKind::Sum,
            Op::Variance | Op::Stddev => StateKind::Moments,
            Op::Min | Op::First => StateKind::Extreme { greatest: false },
            Op::Max | Op::Last => StateKind::Extreme { greatest: true },
            Op::Bottom => StateKind::Best { greatest: false, k },
            Op::Top => StateKind::Best { greatest: true, k },
            Op::ApproxQuantile => StateKind::Quantiles,
        };
        StateSpec { kind, columns: self.by.iter().chain(&self.column).cloned().collect() }
    }

    fn finish(&self) -> Finish {
        match self.op {
            Op::Sum => Finish::Sum,
            Op::Mean => Finish::Mean,
            Op::Variance => Finish::Variance,
            Op::Stddev => Finish::Stddev,
            Op::ApproxQuantile => Finish::Quantile(self.at.unwrap_or_default()),
            _ => Finish::Only,
        }
    }
}

impl Op {
    fn name(self) -> &'static str {
        match self {
            Op::Count => "count",
            Op::CountDistinct => "count-distinct",
            Op::ApproxCountDistinct => "approx-count-distinct",
            Op::Sum => "sum",
            Op::Mean => "mean",
            Op::Variance => "variance",
            Op::Stddev => "stddev",
            Op::Min => "min",
            Op::Max => "max",
            Op::First => "first",
            Op::Last => "last",
            Op::Top => "top",
            Op::Bottom => "bottom",
            Op::ApproxQuantile => "approx-quantile",
        }
    }

    /// Whether it takes one row by another column.
    fn is_by_row(self) -> bool {
        matches!(self, Op::First | Op::Last)
    }

    /// Whether it gives lists.
    fn is_list(self) -> bool {
        matches!(self, Op::Top | Op::Bottom)
    }

    /// What a column must be for it.
    fn values(self) -> fn(Column) -> Result<Column> {
        match self {
            Op::Count => Ok,
            Op::Sum | Op::Mean | Op::Variance | Op::Stddev | Op::ApproxQuantile => {
                |column| column.expect("a number", |data_type| Kind::of(data_type).is_some())
            }
            _ => ordered,
        }
    }
}

fn ordered(column: Column) -> Result<Column> {
    column.expect("of a type whose values can be compared", is_ordered)
}
