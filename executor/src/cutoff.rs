//! Early cutoff: keys made from the content of what a task takes in, where that is stored.
//!
//! Derivation keys move whenever code above moves. Where an edge is stored its content has a digest, and the same
//! formula over content digests gives a key that moves only when the bytes do.

use std::borrow::Cow;

use flowc_planner::key::{ColumnKey, Phase, RowsKey, SegmentKeys};
use flowc_planner::plan::{KeyGroups, Plan, StreamId};
use flowc_store::StoreError;

use crate::Error;
use crate::groups::{Keyed, of_group};
use crate::homes::{Home, Homes};
use crate::keys::{Deriver, Taken};
use crate::read::Reading;
use crate::task::{Link, Root, Task, Work, input_columns};

/// Content keys of one plan.
#[derive(Clone, Copy)]
pub(crate) struct Contents<'a> {
    /// Reads what is to be parted.
    pub reading: Reading<'a>,
    /// The formulas.
    pub deriver: &'a Deriver<'a>,
}

/// Per stage of a chain, per output port.
pub(crate) type LinkKeys = Vec<Vec<SegmentKeys>>;

impl<'a> Contents<'a> {
    /// Where columns are.
    pub(crate) fn homes(&self) -> &Homes<'a> {
        &self.reading.homes
    }

    fn plan(&self) -> &'a Plan {
        self.reading.homes.plan
    }

    /// The keys of all that a task gives, made from contents. `None` if something that it takes in is not there.
    pub(crate) fn of_task(&self, task: &Task) -> Result<Option<LinkKeys>, Error> {
        match &task.root {
            Root::Partials(partials) => Ok(self.of_partials(task, partials)?),
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
            let outputs = &self.plan().stages[link.stage].outputs;
            let Work::Segment(segment) = task.id.work else { break };
            links.push(outputs.iter().filter_map(|o| self.homes().keys(o.stream, segment).cloned()).collect());
        }
        links.push(task.outputs.iter().map(|kept| kept.keys.clone()).collect());
        links
    }

    fn of_chain(&self, task: &Task, mut driving: Option<SegmentKeys>) -> Result<Option<LinkKeys>, Error> {
        let mut links = Vec::new();
        for link in &task.chain {
            let stage = &self.plan().stages[link.stage];
            let part = match (task.id.work, &driving) {
                (Work::Segment(part), None) => part as u64,
                _ => 0,
            };
            let Some(others) = self.others(link, part)? else { return Ok(None) };
            let place = stage.driving().map(|(place, _)| place);
            let taken = Taken { part, driving: place.zip(driving.as_ref()), others: &others };
            let invocation = self.deriver.invocation(link.stage, &taken);
            if stage.is_combining() {
                links.push(vec![self.deriver.partial(link.stage, &invocation)]);
                break;
            }
            let output = |port| self.deriver.output(link.stage, port, &invocation, &taken);
            let outputs: Vec<SegmentKeys> = (0..stage.outputs.len()).map(output).collect();
            driving = outputs.first().cloned();
            links.push(outputs);
        }
        Ok(Some(links))
    }

    /// What a stage takes in beside what drives it, input by input.
    fn others(&self, link: &Link, part: u64) -> Result<Option<Vec<Cow<'static, [SegmentKeys]>>>, Error> {
        let mut others = Vec::new();
        for (index, input) in self.plan().stages[link.stage].inputs.iter().enumerate() {
            let columns = input_columns(self.plan(), link.stage, index, &link.needed);
            let keys: Option<Vec<SegmentKeys>> = match &input.key {
                Some(key) => self.group(input.stream, key, &columns, part)?,
                None if input.class.is_driving() => Some(Vec::new()),
                None => self.whole(input.stream, &columns)?,
            };
            match keys {
                Some(keys) => others.push(Cow::Owned(keys)),
                None => return Ok(None),
            }
        }
        Ok(Some(others))
    }

    fn whole(&self, stream: StreamId, columns: &[usize]) -> Result<Option<Vec<SegmentKeys>>, Error> {
        let segments = 0..self.homes().segments(stream);
        Ok(segments.map(|segment| self.segment(stream, segment, columns)).collect::<Result<_, _>>()?)
    }

    /// The parts of a keyed input that are in a group. Those without rows are left out: an invocation does not see them.
    fn group(
        &self,
        stream: StreamId,
        key: &KeyGroups,
        columns: &[usize],
        group: u64,
    ) -> Result<Option<Vec<SegmentKeys>>, Error> {
        let keyed = Keyed { reading: self.reading, stream, key, columns };
        let mut parts = Vec::new();
        for segment in 0..self.homes().segments(stream) {
            let Some(part) = keyed.part(segment, group)? else { return Ok(None) };
            let Some(keys) = self.homes().keys(stream, segment) else { return Ok(None) };
            let mut contents = of_group(keys, key, group).columns.to_vec();
            for (&column, stored) in columns.iter().zip(&part.columns) {
                contents[column] = ColumnKey::of_content(&stored.content);
            }
            let keys = SegmentKeys { rows: RowsKey::of_count(part.rows), columns: contents.into() };
            parts.extend((part.rows > 0).then_some(keys));
        }
        Ok(Some(parts))
    }

    /// A segment's keys with these columns' replaced by their contents'.
    fn segment(&self, stream: StreamId, segment: usize, columns: &[usize]) -> Result<Option<SegmentKeys>, StoreError> {
        let (Some(keys), Some(rows)) = (self.homes().keys(stream, segment), self.homes().rows(stream, segment)?) else {
            return Ok(None);
        };
        let mut contents = keys.columns.to_vec();
        for (&column, home) in columns.iter().zip(self.homes().locate(stream, segment, columns)?) {
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
            let columns = self.homes().store.find_columns(&keys.columns)?;
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
        let ports = 0..self.plan().stages[stage].outputs.len();
        Ok(Some(vec![ports.map(|port| self.deriver.output(stage, port, &invocation, &Taken::default())).collect()]))
    }
}
