//! Conditions, checked against the columns and ready to run.

use flowc_sdk::arrow::compute::kernels::boolean;
use flowc_sdk::prelude::*;
use flowc_sdk::serde_json::Value;

use crate::compare::compare;
use crate::condition::{Condition, Op};
use crate::literal::literal;

/// A condition on the columns read, by their place among them.
#[derive(Clone)]
pub(crate) enum Test {
    /// A column against one value or several.
    Compare { column: usize, op: Op, values: Vec<ArrayRef> },
    /// All of them.
    All(Vec<Test>),
    /// One of them.
    Any(Vec<Test>),
    /// The contrary.
    Not(Box<Test>),
}

impl Test {
    /// True, false or null for each row.
    pub(crate) fn run(&self, columns: &[ArrayRef], rows: usize) -> Result<BooleanArray> {
        match self {
            Test::Compare { column, op, values } => test(&columns[*column], *op, values),
            Test::Not(test) => Ok(boolean::not(&test.run(columns, rows)?)?),
            Test::All(tests) => {
                let mut masks = tests.iter().map(|test| test.run(columns, rows));
                masks.try_fold(constant(true, rows), |all, mask| Ok(boolean::and_kleene(&all, &mask?)?))
            }
            Test::Any(tests) => {
                let mut masks = tests.iter().map(|test| test.run(columns, rows));
                masks.try_fold(constant(false, rows), |any, mask| Ok(boolean::or_kleene(&any, &mask?)?))
            }
        }
    }
}

fn constant(value: bool, rows: usize) -> BooleanArray {
    BooleanArray::from(vec![value; rows])
}

/// Whether the comparison holds with one of the values.
fn test(column: &ArrayRef, op: Op, values: &[ArrayRef]) -> Result<BooleanArray> {
    match op {
        Op::IsNull => return Ok(boolean::is_null(column)?),
        Op::NotNull => return Ok(boolean::is_not_null(column)?),
        _ => {}
    }
    let column = flowc_sdk::comparable(column)?;
    let mut masks = values.iter().map(|value| compare(&column, op, value));
    let Some(first) = masks.next() else { return Ok(constant(false, column.len())) };
    masks.try_fold(first?, |any, mask| Ok(boolean::or_kleene(&any, &mask?)?))
}

/// Checks conditions and notes which columns they read.
pub(crate) struct Compiler<'a> {
    input: &'a Columns,
    reads: Vec<Column>,
}

impl<'a> Compiler<'a> {
    pub(crate) fn new(input: &'a Columns) -> Self {
        Self { input, reads: Vec::new() }
    }

    /// The columns read, in the order of their places.
    pub(crate) fn reads(self) -> Vec<Column> {
        self.reads
    }

    pub(crate) fn all(&mut self, path: &str, conditions: &[Condition]) -> Result<Test> {
        self.list(path, conditions).map(Test::All)
    }

    fn list(&mut self, path: &str, conditions: &[Condition]) -> Result<Vec<Test>> {
        if conditions.is_empty() {
            return Err(
                Problem::at(path, "there is no condition in it").help("write one: column \"age\"; op \">=\"; value 18")
            );
        }
        conditions.iter().enumerate().map(|(i, condition)| self.test(&format!("{path}/{i}"), condition)).collect()
    }

    fn test(&mut self, path: &str, condition: &Condition) -> Result<Test> {
        match (&condition.column, &condition.all, &condition.any, &condition.not) {
            (Some(column), None, None, None) => self.comparison(path, column, condition),
            _ if condition.op.is_some() || condition.value.is_some() => {
                Err(Problem::at(path, "`op` and `value` go with a `column`, and not with `all`, `any` or `not`"))
            }
            (None, Some(all), None, None) => self.all(&format!("{path}/all"), all),
            // `any { all { A }; all { B } }` is one condition: `all` of A and B.
            (None, None, Some(any), None) if any.len() == 1 => {
                Err(Problem::at(format!("{path}/any"), "`any` has one condition alone")
                    .help("write `any` once for each of them: any { ... }; any { ... }"))
            }
            (None, None, Some(any), None) => self.list(&format!("{path}/any"), any).map(Test::Any),
            (None, None, None, Some(not)) => Ok(Test::Not(Box::new(self.test(&format!("{path}/not"), not)?))),
            _ => Err(Problem::at(path, "a condition has either a `column`, or one of `all`, `any` and `not`")),
        }
    }

    fn comparison(&mut self, path: &str, name: &str, condition: &Condition) -> Result<Test> {
        let mut column = self.input.find(&format!("{path}/column"), name)?;
        let op = condition.op.ok_or_else(|| Problem::at(path, "the `op` is missing"))?;
        if op.is_textual() {
            column = column.expect("text", |data_type| flowc_sdk::is_text(plain(data_type)))?;
        }
        let path = format!("{path}/value");
        let values: Vec<&Value> = match (&condition.value, op) {
            (None, op) if op.is_unary() => Vec::new(),
            (Some(_), op) if op.is_unary() => return Err(Problem::at(path, "this `op` takes no value")),
            (None, _) => return Err(Problem::at(path, "the `value` is missing")),
            (Some(Value::Array(values)), Op::In) => values.iter().collect(),
            (Some(value), _) => vec![value],
        };
        let literal = |value| literal(plain(column.data_type()), value).map_err(|problem| problem.blame(&path));
        let values = values.into_iter().map(literal).map(|value| Ok(flowc_sdk::comparable(&value?)?));
        let values = values.collect::<Result<_>>()?;
        Ok(Test::Compare { column: self.place(column), op, values })
    }

    /// A column's place among those read.
    fn place(&mut self, column: Column) -> usize {
        let known = self.reads.iter().position(|read| read.index == column.index);
        known.unwrap_or_else(|| {
            self.reads.push(column);
            self.reads.len() - 1
        })
    }
}

/// The type of a column's values, however they are encoded.
fn plain(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::Dictionary(_, values) => values,
        other => other,
    }
}
