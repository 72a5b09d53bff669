//! Early cutoff: keys made from the content of what a task takes in, where that is stored.
//!
//! Derivation keys move whenever code above moves. Where an edge is stored its content has a digest, and the same
//! formula over content digests gives a key that moves only when the bytes do.

use flowc_planner::key::{ColumnKey, KeyHasher, Phase, RowsKey, SegmentKeys};
use flowc_planner::plan::{Plan, StreamId};

use crate::groups::Part;
use crate::keys::{InvocationInputs, KeyDeriver};
use crate::location::{ColumnLocation, Locator, Lookup};
use crate::segments::Segments;
use crate::task::{ChainStage, Root, Task, Work, ascending, input_columns};

/// Divides the segments of inputs into partitions, one for each group of keys or window.
pub trait PartitionedInputs {
    /// A column that is stored.
    type Column;
    /// Why a segment can't be partitioned.
    type Error;

    /// The partition of a segment for one group of keys or window. `columns` are the wanted columns of the stream. None if the segment
    /// is not there.
    ///
    /// # Errors
    /// If the segment can't be read, or its partitions can't be stored.
    fn partition(
        &self,
        stream: StreamId,
        segment: usize,
        columns: &[usize],
        part: Part<'_>,
    ) -> Result<Option<StoredPartition<Self::Column>>, Self::Error>;
}

/// The stored rows of a segment that are in one group of keys or window.
pub struct StoredPartition<C> {
    /// Number of rows.
    pub rows: u64,
    /// The columns that are wanted.
    pub columns: Vec<C>,
}

/// Derives content keys of one plan.
#[derive(Clone, Copy)]
pub struct ContentKeys<'a, L, P> {
    /// Where columns are.
    pub locator: Locator<'a, L>,
    /// Divides keyed inputs into partitions.
    pub parted: P,
    /// The formulas of the plan's keys.
    pub deriver: &'a KeyDeriver<'a>,
}

/// Rows that are known by their number and by the content of columns that decide what becomes of them.
fn rows_of<'k>(rows: u64, deciding: impl ExactSizeIterator<Item = &'k ColumnKey>) -> RowsKey {
    let rows = RowsKey::of_count(rows);
    if deciding.len() == 0 {
        return rows;
    }
    let mut hasher = KeyHasher::new("flowc deciding columns 1");
    hasher.digest(rows.as_bytes());
    deciding.for_each(|column| {
        hasher.digest(column.as_bytes());
    });
    RowsKey::new(hasher.finish())
}

/// Per stage of a chain, per output port.
pub type ChainKeys = Vec<Vec<SegmentKeys>>;

impl<'a, L, P> ContentKeys<'a, L, P>
where
    L: Lookup,
    P: PartitionedInputs<Column = L::Column>,
    P::Error: From<L::Error>,
{
    fn plan(&self) -> &'a Plan {
        self.locator.plan
    }

    /// The keys of all that a task gives, made from contents. `None` if something that it takes in is not there.
    ///
    /// # Errors
    /// If the store can't be asked, or a keyed input can't be partitioned.
    pub fn of_task(&self, task: &Task) -> Result<Option<ChainKeys>, P::Error> {
        match &task.root {
            Root::Partials(partials) => Ok(self.of_partials(task, partials)?),
            Root::Nothing => self.of_chain(task, None),
            Root::Segment { stream, segment, columns } => match self.segment(*stream, *segment, columns)? {
                Some(keys) if matches!(task.id.work, Work::Slices(_)) => Ok(self.of_slices(task, &keys)),
                Some(keys) => self.of_chain(task, Some(keys)),
                None => Ok(None),
            },
            Root::Segments { stream, segments, columns, .. } => {
                let mut partials = Vec::new();
                for segment in segments.clone() {
                    let Some(keys) = self.segment(*stream, segment, columns)? else { return Ok(None) };
                    let Some(links) = self.of_chain(task, Some(keys))? else { return Ok(None) };
                    partials.extend(links.into_iter().flatten());
                }
                let invocation = self.deriver.of_partials(task.id.stage, Phase::Merge, 0, &partials);
                Ok(Some(vec![vec![self.deriver.partial(task.id.stage, &invocation)]]))
            }
        }
    }

    /// The keys of all that a task gives, derived as they are in the datasets.
    pub fn derived(&self, task: &Task) -> ChainKeys {
        let mut links: ChainKeys = Vec::new();
        for link in &task.chain[..task.chain.len() - 1] {
            let outputs = &self.plan().stages[link.stage].outputs;
            let Work::Segment(segment) = task.id.work else { break };
            links.push(outputs.iter().filter_map(|o| self.locator.keys(o.stream, segment)).collect());
        }
        links.push(task.outputs.iter().map(|kept| kept.keys.clone()).collect());
        links
    }

    /// The partials of slices of a segment with these keys.
    fn of_slices(&self, task: &Task, segment: &SegmentKeys) -> Option<ChainKeys> {
        let partial = |slice| self.deriver.of_slice(task.id.stage, slice, segment);
        Some(vec![task.slices.iter().map(partial).collect::<Option<_>>()?])
    }

    fn of_chain(&self, task: &Task, mut driving: Option<SegmentKeys>) -> Result<Option<ChainKeys>, P::Error> {
        let mut links = Vec::new();
        for link in &task.chain {
            let stage = &self.plan().stages[link.stage];
            let number = match (task.id.work, &driving) {
                (Work::Segment(number), None) => number,
                _ => 0,
            };
            let Some(others) = self.others(link, number)? else { return Ok(None) };
            let part = self.locator.datasets.part(link.stage, number);
            if let (Some(keys), Some(beginnings), Work::Segment(segment)) =
                (&driving, self.locator.datasets.beginnings.get(&link.stage), task.id.work)
            {
                driving = Some(beginnings[segment].placed(keys));
            }
            let place = stage.driving().map(|(place, _)| place);
            let taken = InvocationInputs { part, driving: place.zip(driving.as_ref()), others: &others };
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
    fn others(&self, link: &ChainStage, number: usize) -> Result<Option<Vec<Segments>>, P::Error> {
        let mut others = Vec::new();
        for (index, input) in self.plan().stages[link.stage].inputs.iter().enumerate() {
            let columns = input_columns(self.plan(), link.stage, index, &link.needed);
            let keys: Option<Vec<SegmentKeys>> = match self.locator.datasets.part_of(link.stage, input, number) {
                Some(part) => {
                    let columns = ascending([columns, part.deciding_columns()].concat());
                    let segments = self.locator.datasets.segments_of(self.plan(), link.stage, index, number);
                    self.partitions(input.stream, &segments, &columns, part)?
                }
                None if input.is_driving() => Some(Vec::new()),
                None => self.whole(input.stream, &columns)?,
            };
            match keys {
                Some(keys) => others.push(self.deriver.segments(input.stream, keys)),
                None => return Ok(None),
            }
        }
        Ok(Some(others))
    }

    fn whole(&self, stream: StreamId, columns: &[usize]) -> Result<Option<Vec<SegmentKeys>>, P::Error> {
        let segments = 0..self.locator.segments(stream);
        Ok(segments.map(|segment| self.segment(stream, segment, columns)).collect::<Result<_, _>>()?)
    }

    /// The partitions of these segments for one invocation. Those without rows are left out: an invocation does not see them.
    fn partitions(
        &self,
        stream: StreamId,
        segments: &[usize],
        columns: &[usize],
        part: Part<'_>,
    ) -> Result<Option<Vec<SegmentKeys>>, P::Error> {
        let mut partitions = Vec::new();
        for &segment in segments {
            let Some(partition) = self.parted.partition(stream, segment, columns, part)? else { return Ok(None) };
            let Some(keys) = self.locator.keys(stream, segment) else { return Ok(None) };
            let mut contents = part.keys(segment, &keys).columns.to_vec();
            for (&column, stored) in columns.iter().zip(&partition.columns) {
                contents[column] = ColumnKey::of_content(&L::content(stored));
            }
            let rows = rows_of(partition.rows, part.deciding_columns().into_iter().map(|column| &contents[column]));
            let keys = SegmentKeys { rows, columns: contents.into() };
            partitions.extend((partition.rows > 0).then_some(keys));
        }
        Ok(Some(partitions))
    }

    /// A segment's keys with these columns' replaced by their contents'.
    fn segment(&self, stream: StreamId, segment: usize, columns: &[usize]) -> Result<Option<SegmentKeys>, L::Error> {
        let (Some(keys), Some(rows)) = (self.locator.keys(stream, segment), self.locator.rows(stream, segment)?) else {
            return Ok(None);
        };
        let mut contents = keys.columns.to_vec();
        for (&column, location) in columns.iter().zip(self.locator.locate(stream, segment, columns)?) {
            match location {
                Some(ColumnLocation::Stored(stored)) => contents[column] = ColumnKey::of_content(&L::content(&stored)),
                // A source's key is made from its content already.
                Some(ColumnLocation::Source { .. }) => {}
                None => return Ok(None),
            }
        }
        Ok(Some(SegmentKeys { rows: RowsKey::of_count(rows), columns: contents.into() }))
    }

    fn of_partials(&self, task: &Task, partials: &[SegmentKeys]) -> Result<Option<ChainKeys>, L::Error> {
        let mut contents = Vec::new();
        for keys in partials {
            let columns = self.locator.lookup.columns(&keys.columns)?;
            let Some(columns) = columns.into_iter().collect::<Option<Vec<_>>>() else { return Ok(None) };
            let rows = RowsKey::of_count(columns.first().map_or(0, L::length));
            let columns = columns.iter().map(|column| ColumnKey::of_content(&L::content(column))).collect();
            contents.push(SegmentKeys { rows, columns });
        }
        let stage = task.id.stage;
        if let Work::Merge { .. } = task.id.work {
            let invocation = self.deriver.of_partials(stage, Phase::Merge, 0, &contents);
            return Ok(Some(vec![vec![self.deriver.partial(stage, &invocation)]]));
        }
        let part = match task.id.work {
            Work::Segment(window) => self.locator.datasets.part(stage, window),
            _ => 0,
        };
        let invocation = self.deriver.of_partials(stage, Phase::Finish, part, &contents);
        let ports = 0..self.plan().stages[stage].outputs.len();
        Ok(Some(vec![
            ports.map(|port| self.deriver.output(stage, port, &invocation, &InvocationInputs::default())).collect(),
        ]))
    }
}
