//! Queries that are ready for an invocation, and for the next ones.

use std::sync::Arc;

use arrow_schema::SchemaRef;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;
use flowc_runner::InputIdentity;

use crate::run::rows::Expressions;
use crate::shape::Order;
use crate::table::Table;

/// A query that can be run.
#[derive(Debug)]
pub(super) enum Ready {
    /// Row by row.
    Rows(Arc<Expressions>),
    /// When all rows are there.
    Query(Box<ReadyQuery>),
}

/// A query over tables.
pub(super) struct ReadyQuery {
    pub(super) context: SessionContext,
    pub(super) plan: LogicalPlan,
    pub(super) step: Step,
    /// The columns of the result.
    pub(super) schema: SchemaRef,
    /// What comes in.
    pub(super) given: Vec<Arc<Table>>,
    /// Per table: what rows it has from the last invocation.
    holds: Vec<Option<InputIdentity>>,
    pub(super) builds: Builds,
}

/// What joins built of the tables whose rows stay.
#[derive(Debug)]
pub(super) enum Builds {
    /// Nothing so far.
    Unknown,
    /// A plan whose joins have it after its first execution, of such inputs.
    Plan { plan: Arc<dyn ExecutionPlan>, of: Vec<Option<InputIdentity>>, used: usize },
    /// Nothing, as the plan is no such, or what was built was too large.
    Refused,
}

impl ReadyQuery {
    pub(super) fn new(
        context: SessionContext,
        plan: LogicalPlan,
        step: Step,
        schema: SchemaRef,
        given: Vec<Arc<Table>>,
    ) -> Self {
        let holds = vec![None; given.len()];
        Self { context, plan, step, schema, given, holds, builds: Builds::Unknown }
    }

    /// Keeps rows that an invocation with these inputs is to have, and lets go of all others. Says of which tables there are some.
    pub(super) fn turn_to(&mut self, identities: &[Option<InputIdentity>]) -> Vec<bool> {
        let is_held = |(has, due): (&Option<InputIdentity>, &Option<InputIdentity>)| has.is_some() && has == due;
        let held: Vec<bool> = self.holds.iter().zip(identities).map(is_held).collect();
        let others = self.given.iter().zip(&mut self.holds).zip(&held).filter(|(_, is_held)| !**is_held);
        others.for_each(|((table, holds), _)| {
            *holds = None;
            table.clear();
        });
        if matches!(&self.builds, Builds::Plan { of, .. } if of != identities) {
            self.builds = Builds::Unknown;
        }
        held
    }

    /// Keeps rows of inputs that are known, for the next invocation.
    pub(super) fn keep(&mut self, identities: &[Option<InputIdentity>]) {
        self.holds = identities.to_vec();
        self.given.iter().zip(&self.holds).filter(|(_, is)| is.is_none()).for_each(|(table, _)| table.clear());
    }
}

impl std::fmt::Debug for ReadyQuery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReadyQuery").field("step", &self.step).field("builds", &self.builds).finish_non_exhaustive()
    }
}

/// What of a query is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// All of it.
    All(Order),
    /// A part, of the rows of a segment.
    Part,
    /// One part of several.
    Merge,
    /// The result, of parts.
    Finish(Order),
}
