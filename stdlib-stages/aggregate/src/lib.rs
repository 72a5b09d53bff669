//! `aggregate@1`: counts, sums and other aggregates of groups of rows.
//!
//! A group's number leads to its states, one for each thing that is computed: [`state`] has the table of them. All of them
//! give the same bits in whatever order rows come and partials are merged.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod best;
mod big;
mod config;
mod distinct;
mod exact;
mod extreme;
mod moments;
mod numbers;
mod quantiles;
mod sketch;
mod state;
mod sum;

use flowc_sdk::prelude::*;
use stage_parts::Grouper;

use config::{Config, Item, Recipe};
use state::State;

/// Groups and what is kept of them.
pub struct Aggregate {
    groups: Grouper,
    /// Where the key columns lie in what is read.
    keys: Vec<usize>,
    states: Vec<Kept>,
    items: Vec<Item>,
}

/// A state, and where its columns lie in what is read.
struct Kept {
    state: Box<dyn State>,
    columns: Vec<usize>,
}

impl Combine for Aggregate {
    type Config = Config;
    const DOC: &'static str = "Computes counts, sums and other aggregates of groups of rows. Sums, means and variances are \
                               exact before they are rounded once, so nothing depends on how rows are cut. The result is \
                               sorted by the columns that make the groups, nulls first. Nulls are left out of what is \
                               computed. Of floats, -0.0 equals 0.0, and NaN equals NaN and is above all numbers.";

    fn describe(config: &Config, input: &Columns) -> Result<Combination> {
        config.check(input)?;
        let recipe = config.recipe();
        let mut reads: Vec<Column> = recipe.by.iter().map(|name| input.find("/by", name)).collect::<Result<_>>()?;
        let key_fields: Vec<FieldRef> = reads.iter().map(|column| column.field.clone()).collect();
        let mut partial = Grouper::new(&key_fields)?.fields().to_vec();
        let mut result = partial.clone();
        let mut states = Vec::new();
        for (number, spec) in recipe.states.iter().enumerate() {
            let columns = spec.columns.iter().map(|name| input.find("/compute", name)).collect::<Result<Vec<_>>>()?;
            let fields: Vec<FieldRef> = columns.iter().map(|column| column.field.clone()).collect();
            let state = state::new(spec.kind, &fields)?;
            partial.extend(state::partial_fields(number, state.as_ref(), &fields));
            states.push(state);
            reads.extend(columns);
        }
        result.extend(recipe.items.iter().map(|item| {
            let (data_type, nullable) = states[item.state].result_type(item.finish);
            field(&item.name, data_type, nullable)
        }));
        Ok(Combination { reads, partial: Arc::new(Schema::new(partial)), result: Arc::new(Schema::new(result)) })
    }

    fn new(config: Config, columns: Columns, phase: Phase) -> Result<Self> {
        let recipe = config.recipe();
        let (keys, states) = match phase {
            Phase::Run | Phase::Partial => of_input(&recipe, &columns)?,
            Phase::Merge | Phase::Finish => of_partial(&recipe, &columns)?,
        };
        let fields: Vec<FieldRef> = keys.iter().map(|&key| columns.schema.fields()[key].clone()).collect();
        let mut aggregate = Self { groups: Grouper::new(&fields)?, keys, states, items: recipe.items };
        if aggregate.keys.is_empty() {
            // All rows are one group, even where there are none.
            aggregate.numbers(&[], 1)?;
        }
        Ok(aggregate)
    }

    fn add(&mut self, columns: &[ArrayRef], rows: usize) -> Result<()> {
        let numbers = self.numbers(columns, rows)?;
        self.states.iter_mut().try_for_each(|kept| kept.state.add(&numbers, &picked(columns, &kept.columns)))
    }

    fn merge(&mut self, columns: &[ArrayRef], rows: usize) -> Result<()> {
        let numbers = self.numbers(columns, rows)?;
        self.states.iter_mut().try_for_each(|kept| kept.state.merge(&numbers, &picked(columns, &kept.columns)))
    }

    fn partial(&mut self, outputs: &mut Outputs) -> Result<()> {
        let groups: Vec<u32> = (0..self.groups.len() as u32).collect();
        for groups in groups.chunks(flowc_sdk::MAX_ROWS) {
            let mut columns = self.groups.columns(groups)?;
            for kept in &self.states {
                columns.extend(kept.state.partial(groups)?);
            }
            outputs.write(0, &columns)?;
        }
        Ok(())
    }

    fn finish(&mut self, outputs: &mut Outputs) -> Result<()> {
        for groups in self.groups.sorted().chunks(flowc_sdk::MAX_ROWS) {
            let mut columns = self.groups.columns(groups)?;
            for item in &self.items {
                columns.push(self.states[item.state].state.result(item.finish, groups)?);
            }
            outputs.write(0, &columns)?;
        }
        Ok(())
    }
}

impl Aggregate {
    /// The group of each row; there is room for all groups then.
    fn numbers(&mut self, columns: &[ArrayRef], rows: usize) -> Result<Vec<u32>> {
        let numbers = self.groups.numbers(&picked(columns, &self.keys), rows)?;
        self.states.iter_mut().for_each(|kept| kept.state.grow(self.groups.len()));
        Ok(numbers)
    }
}

fn picked(columns: &[ArrayRef], places: &[usize]) -> Vec<ArrayRef> {
    places.iter().map(|&place| columns[place].clone()).collect()
}

/// Places of the keys, and states.
type Parts = (Vec<usize>, Vec<Kept>);

fn of_input(recipe: &Recipe, columns: &Columns) -> Result<Parts> {
    let place = |name: &String| Ok(columns.find("/compute", name)?.index);
    let keys = recipe.by.iter().map(place).collect::<Result<_>>()?;
    let kept = |spec: &config::StateSpec| {
        let places = spec.columns.iter().map(place).collect::<Result<Vec<usize>>>()?;
        let fields: Vec<FieldRef> = places.iter().map(|&place| columns.schema.fields()[place].clone()).collect();
        Ok(Kept { state: state::new(spec.kind, &fields)?, columns: places })
    };
    Ok((keys, recipe.states.iter().map(kept).collect::<Result<_>>()?))
}

/// In a partial the keys come first, then the columns of one state after the other.
fn of_partial(recipe: &Recipe, columns: &Columns) -> Result<Parts> {
    let mut next = recipe.by.len();
    let kept = |spec: &config::StateSpec| {
        let first = columns.schema.fields().get(next).ok_or_else(|| Problem::new("a partial without its states"))?;
        let state = state::new(spec.kind, &state::input_of(first)?)?;
        let places = next..next + state.fields().len();
        next = places.end;
        Ok(Kept { state, columns: places.collect() })
    };
    let states = recipe.states.iter().map(kept).collect::<Result<_>>()?;
    Ok(((0..recipe.by.len()).collect(), states))
}

flowc_sdk::export!(Combining<Aggregate>);

#[cfg(test)]
mod tests;
