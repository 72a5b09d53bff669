//! Early cutoff: keys made from the content of what a task takes in, where that is stored.
//!
//! Derivation keys move whenever code above moves. Where an edge is stored its content has a digest, and the same
//! formula over content digests gives a key that moves only when the bytes do.

use std::collections::HashMap;

use flowc_planner::key::{ColumnKey, Phase, RowsKey, SegmentKeys};
use flowc_planner::plan::StreamId;
use flowc_store::StoreError;

use crate::homes::{Home, Homes};
use crate::keys::{Deriver, concatenated};
use crate::task::{Root, Task, Work};

/// Content keys of one plan.
#[derive(Clone, Copy)]
pub(crate) struct Contents<'a> {
    /// Where columns are.
    pub homes: Homes<'a>,
    /// The formulas.
    pub deriver: &'a Deriver<'a>,
}

/// Per stage of a chain, per output port.
pub(crate) type LinkKeys = Vec<Vec<SegmentKeys>>;

impl Contents<'_> {
    /// The keys of all that a task gives, made from contents. `None` if something that it takes in is not there.
    pub(crate) fn of_task(&self, task: &Task) -> Result<Option<LinkKeys>, StoreError> {
        match &task.root {
            Root::Partials(partials) => self.of_partials(task, partials),
            Root::Nothing => self.of_chain(task, None),
            Root::Segment { stream, segment, columns } => match self.segment(*stream, *segment, columns)? {
                Some(keys) => self.of_chain(task, Some(keys)),
                None => Ok(None),
            },
        }
    }

    /// The keys of all that a task gives, derived as they are in the datasets.
    pub(crate) fn derived(&self, task: &Task) -> LinkKeys {
        let mut links: LinkKeys = Vec::new();
        for link in &task.chain[..task.chain.len() - 1] {
            let outputs = &self.homes.plan.stages[link.stage].outputs;
            let Work::Segment(segment) = task.id.work else { break };
            links.push(outputs.iter().filter_map(|o| self.homes.keys(o.stream, segment).cloned()).collect());
        }
        links.push(task.outputs.iter().map(|kept| kept.keys.clone()).collect());
        links
    }

    fn of_chain(&self, task: &Task, mut driving: Option<SegmentKeys>) -> Result<Option<LinkKeys>, StoreError> {
        let Some(whole) = self.whole_inputs(task)? else { return Ok(None) };
        let mut links = Vec::new();
        for link in &task.chain {
            let of = |stream: StreamId| whole.get(&stream).map_or(&[][..], Vec::as_slice);
            let stage = &self.homes.plan.stages[link.stage];
            let part = match (task.id.work, &driving) {
                (Work::Segment(part), None) => part as u64,
                _ => 0,
            };
            let invocation = self.deriver.invocation(link.stage, part, driving.as_ref(), &of);
            if stage.is_combining() {
                links.push(vec![self.deriver.partial(link.stage, &invocation)]);
                break;
            }
            let output = |(port, output): (usize, &flowc_planner::plan::Output)| {
                let joined = match (&driving, output.rows.input()) {
                    (None, Some(input)) => Some(concatenated(of(stage.inputs[input].stream))),
                    _ => None,
                };
                self.deriver.output(link.stage, port, &invocation, driving.as_ref().or(joined.as_ref()))
            };
            let outputs: Vec<SegmentKeys> = stage.outputs.iter().enumerate().map(output).collect();
            driving = outputs.first().cloned();
            links.push(outputs);
        }
        Ok(Some(links))
    }

    fn whole_inputs(&self, task: &Task) -> Result<Option<HashMap<StreamId, Vec<SegmentKeys>>>, StoreError> {
        let mut whole = HashMap::new();
        for link in &task.chain {
            let stage = &self.homes.plan.stages[link.stage];
            for (index, input) in stage.inputs.iter().enumerate().filter(|(_, input)| !input.class.is_driving()) {
                let columns = crate::task::input_columns(self.homes.plan, link.stage, index, &link.needed);
                let mut segments = Vec::new();
                for segment in 0..self.homes.segments(input.stream) {
                    match self.segment(input.stream, segment, &columns)? {
                        Some(keys) => segments.push(keys),
                        None => return Ok(None),
                    }
                }
                whole.insert(input.stream, segments);
            }
        }
        Ok(Some(whole))
    }

    /// A segment's keys with these columns' replaced by their contents'.
    fn segment(&self, stream: StreamId, segment: usize, columns: &[usize]) -> Result<Option<SegmentKeys>, StoreError> {
        let (Some(keys), Some(rows)) = (self.homes.keys(stream, segment), self.homes.rows(stream, segment)?) else {
            return Ok(None);
        };
        let mut contents = keys.columns.to_vec();
        for (&column, home) in columns.iter().zip(self.homes.locate(stream, segment, columns)?) {
            match home {
                Some(Home::Stored(stored)) => contents[column] = ColumnKey::of_content(&stored.content),
                // A source's key is made from its content already.
                Some(Home::Source { .. }) => {}
                None => return Ok(None),
            }
        }
        Ok(Some(SegmentKeys { rows: RowsKey::of_count(rows), columns: contents.into() }))
    }

    fn of_partials(&self, task: &Task, partials: &[SegmentKeys]) -> Result<Option<LinkKeys>, StoreError> {
        let mut contents = Vec::new();
        for keys in partials {
            let columns = self.homes.store.find_columns(&keys.columns)?;
            let Some(columns) = columns.into_iter().collect::<Option<Vec<_>>>() else { return Ok(None) };
            let rows = RowsKey::of_count(columns.first().map_or(0, |column| column.rows));
            let columns = columns.iter().map(|column| ColumnKey::of_content(&column.content)).collect();
            contents.push(SegmentKeys { rows, columns });
        }
        let stage = task.id.stage;
        if let Work::Merge { .. } = task.id.work {
            let invocation = self.deriver.of_partials(stage, Phase::Merge, &contents);
            return Ok(Some(vec![vec![self.deriver.partial(stage, &invocation)]]));
        }
        let invocation = self.deriver.of_partials(stage, Phase::Finish, &contents);
        let ports = 0..self.homes.plan.stages[stage].outputs.len();
        Ok(Some(vec![ports.map(|port| self.deriver.output(stage, port, &invocation, None)).collect()]))
    }
}
