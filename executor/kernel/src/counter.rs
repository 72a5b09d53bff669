//! What a kernel counts with: atomic operations of which any order gives the same, so that what was counted over some rows can be combined
//! with what was counted over others.

use std::collections::HashMap;

use naga::{AtomicFunction, Block, Function, GlobalVariable, Handle, Statement};

use crate::class::Matched;
use crate::forms::{Form, Forms};
use crate::parsed::Place;

/// The most rows of a block of a kernel whose rows can be cut anywhere. Where it has sums of 64 bits and is run once for each piece of a table, a row
/// counts as often.
pub const MOST_ROWS: u32 = 1 << 20;

/// An atomic operation of which any order gives the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Sums, which wrap.
    Sum,
    /// Bits that are set in all.
    And,
    /// Bits that are set in any.
    Or,
    /// Bits that are set in an odd number.
    Xor,
    /// The least.
    Min,
    /// The greatest.
    Max,
}

impl Operation {
    const NAMES: [(Self, &str); 6] = [
        (Self::Sum, "sum"),
        (Self::And, "and"),
        (Self::Or, "or"),
        (Self::Xor, "xor"),
        (Self::Min, "min"),
        (Self::Max, "max"),
    ];

    /// What partials call it.
    pub(crate) fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(operation, _)| *operation == self).map_or("", |(_, name)| name)
    }

    /// The operation of a name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, other)| *other == name).map(|(operation, _)| *operation)
    }

    /// The operation of an atomic function; none of an exchange, of which the order shows.
    pub(crate) fn of(function: AtomicFunction) -> Option<Self> {
        match function {
            AtomicFunction::Add | AtomicFunction::Subtract => Some(Self::Sum),
            AtomicFunction::And => Some(Self::And),
            AtomicFunction::InclusiveOr => Some(Self::Or),
            AtomicFunction::ExclusiveOr => Some(Self::Xor),
            AtomicFunction::Min => Some(Self::Min),
            AtomicFunction::Max => Some(Self::Max),
            AtomicFunction::Exchange { .. } => None,
        }
    }
}

/// How a column is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter {
    /// What is done with a value and another.
    pub operation: Operation,
    /// Whether its words are signed.
    pub is_signed: bool,
    /// Whether its sums have 64 bits. A block has too few rows to exceed 32 of them.
    pub is_wide: bool,
}

impl Counter {
    /// The word that changes nothing: what is counted begins with it.
    pub fn identity(self) -> u32 {
        match (self.operation, self.is_signed) {
            (Operation::Sum | Operation::Or | Operation::Xor, _) | (Operation::Max, false) => 0,
            (Operation::And, _) | (Operation::Min, false) => u32::MAX,
            (Operation::Min, true) => i32::MAX.cast_unsigned(),
            (Operation::Max, true) => i32::MIN.cast_unsigned(),
        }
    }

    /// What two parts give together. Unless it is wide, a value is a word.
    pub fn combined(self, one: u64, other: u64) -> u64 {
        let by_sign = |value: u64| i64::from((value as u32).cast_signed());
        match (self.operation, self.is_signed) {
            (Operation::Sum, _) if self.is_wide => one.wrapping_add(other),
            (Operation::Sum, _) => u64::from((one as u32).wrapping_add(other as u32)),
            (Operation::And, _) => one & other,
            (Operation::Or, _) => one | other,
            (Operation::Xor, _) => one ^ other,
            (Operation::Min, false) => one.min(other),
            (Operation::Max, false) => one.max(other),
            (Operation::Min, true) if by_sign(one) <= by_sign(other) => one,
            (Operation::Max, true) if by_sign(one) >= by_sign(other) => one,
            (Operation::Min | Operation::Max, true) => other,
        }
    }
}

/// The most that one invocation adds to an element of a variable; none where that depends on the data.
pub(crate) fn most_added(matched: &Matched<'_>, variable: Handle<GlobalVariable>) -> Option<u64> {
    // How often each function is called in an invocation: callers come first.
    let mut times: HashMap<Place, Option<u64>> = HashMap::new();
    let mut added = Some(0u64);
    for (number, (place, forms)) in matched.reachable.iter().zip(&matched.forms()).enumerate() {
        let (function, _) = matched.parsed.function(*place);
        let here = if number == 0 { Some(1) } else { times.get(place).copied().unwrap_or(Some(0)) };
        let mut walk = Walk { function, forms, variable, here, times: &mut times, added: &mut added };
        walk.block(&function.body, false);
    }
    added
}

/// Goes through a function, and adds up what its statements add.
struct Walk<'a> {
    function: &'a Function,
    forms: &'a Forms,
    variable: Handle<GlobalVariable>,
    here: Option<u64>,
    times: &'a mut HashMap<Place, Option<u64>>,
    added: &'a mut Option<u64>,
}

impl Walk<'_> {
    fn block(&mut self, block: &Block, in_loop: bool) {
        let here = if in_loop { None } else { self.here };
        for statement in block {
            match statement {
                Statement::Call { function, .. } => {
                    let times = self.times.entry(Place::Function(*function)).or_insert(Some(0));
                    *times = times.zip(here).and_then(|(so_far, more)| so_far.checked_add(more));
                }
                Statement::Atomic { pointer, fun, value, .. } => {
                    let into = Matched::root(self.function, *pointer).map(|(variable, _)| variable);
                    if into == Some(self.variable) {
                        let most = match (fun, self.forms[*value]) {
                            (AtomicFunction::Add, Form::Constant(value)) => {
                                here.and_then(|here| here.checked_mul(value.into()))
                            }
                            _ => None,
                        };
                        *self.added = self.added.zip(most).and_then(|(so_far, more)| so_far.checked_add(more));
                    }
                }
                Statement::Loop { body, continuing, .. } => {
                    self.block(body, true);
                    self.block(continuing, true);
                }
                Statement::Block(inner) => self.block(inner, in_loop),
                Statement::If { accept, reject, .. } => {
                    self.block(accept, in_loop);
                    self.block(reject, in_loop);
                }
                Statement::Switch { cases, .. } => cases.iter().for_each(|case| self.block(&case.body, in_loop)),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parts may be combined in any order and grouping, and what nothing was counted into changes nothing.
    #[test]
    fn parts_combine_in_any_order_and_the_identity_changes_nothing() {
        let words = [0, 1, 7, u32::MAX, i32::MIN.cast_unsigned(), i32::MAX.cast_unsigned(), 0xdead_beef];
        for (operation, name) in Operation::NAMES {
            assert_eq!((operation.name(), Operation::named(name)), (name, Some(operation)));
            for is_signed in [false, true] {
                let counter = Counter { operation, is_signed, is_wide: false };
                for one in words.map(u64::from) {
                    assert_eq!(counter.combined(one, counter.identity().into()), one, "{counter:?}");
                    for other in words.map(u64::from) {
                        let both = counter.combined(one, other);
                        assert_eq!(both, counter.combined(other, one), "{counter:?}");
                        for third in words.map(u64::from) {
                            let right = counter.combined(one, counter.combined(other, third));
                            assert_eq!(counter.combined(both, third), right, "{counter:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn sums_wrap_unless_they_are_wide_and_signs_count() {
        let sum = |is_wide| Counter { operation: Operation::Sum, is_signed: false, is_wide };
        assert_eq!(sum(false).combined(u32::MAX.into(), 2), 1);
        assert_eq!(sum(true).combined(u32::MAX.into(), 2), 1 << 32 | 1);
        let least = Counter { operation: Operation::Min, is_signed: true, is_wide: false };
        assert_eq!(least.combined(u64::from((-3i32).cast_unsigned()), 2), u64::from((-3i32).cast_unsigned()));
    }
}
