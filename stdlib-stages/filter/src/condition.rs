//! Conditions as a pipeline states them.

use flowc_sdk::prelude::*;
use flowc_sdk::serde_json::Value;
use serde::Deserialize;

/// Either a comparison (`column`, `op`, `value`) or a combination (`all`, `any` or `not`).
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Condition {
    /// The column that is looked at.
    pub(crate) column: Option<String>,
    /// How it is compared.
    pub(crate) op: Option<Op>,
    /// With what: one value, or a list for `in`. Dates, times and decimals may be text.
    pub(crate) value: Option<Value>,
    /// Conditions that must all hold.
    pub(crate) all: Option<Vec<Condition>>,
    /// Conditions of which one must hold.
    pub(crate) any: Option<Vec<Condition>>,
    /// A condition that must not hold.
    pub(crate) not: Option<Box<Condition>>,
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub(crate) enum Op {
    /// Equal.
    #[serde(rename = "=")]
    Equal,
    /// Not equal.
    #[serde(rename = "!=")]
    NotEqual,
    /// Less.
    #[serde(rename = "<")]
    Less,
    /// Less or equal.
    #[serde(rename = "<=")]
    LessOrEqual,
    /// Greater.
    #[serde(rename = ">")]
    Greater,
    /// Greater or equal.
    #[serde(rename = ">=")]
    GreaterOrEqual,
    /// Equal to one of a list.
    #[serde(rename = "in")]
    In,
    /// Null; takes no value.
    #[serde(rename = "is-null")]
    IsNull,
    /// Not null; takes no value.
    #[serde(rename = "not-null")]
    NotNull,
    /// Text that has the value in it.
    #[serde(rename = "contains")]
    Contains,
    /// Text that starts with the value.
    #[serde(rename = "starts-with")]
    StartsWith,
    /// Text that ends with the value.
    #[serde(rename = "ends-with")]
    EndsWith,
}

impl Op {
    /// Whether it stands without a value.
    pub(crate) fn is_unary(self) -> bool {
        matches!(self, Op::IsNull | Op::NotNull)
    }

    /// Whether it is for text alone.
    pub(crate) fn is_textual(self) -> bool {
        matches!(self, Op::Contains | Op::StartsWith | Op::EndsWith)
    }
}
