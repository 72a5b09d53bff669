//! Sources and results as tables of versions: what a run would find, and what it would store.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::convert::Infallible;

use flowc_demand::{
    Ahead, ContentKeys, Datasets, Demand, Grid, KeyDeriver, Lineage, Locator, Lookup, NodeKey, Part, PartitionedInputs,
    Request, SegmentClock, SegmentTimes, Selection, SourceColumn, StoredPartition, Task,
};
use flowc_planner::key::{ColumnKey, ContentDigest, KeyHasher, RowsKey, SegmentKeys};
use flowc_planner::plan::{Plan, Producer, StreamId, WindowKind};
use flowc_planner::stored_edges;

/// Rows of every segment.
const ROWS: u64 = 10;

/// A segment of a source: how often it changed.
#[derive(Clone, Default)]
pub(crate) struct Segment {
    /// Made different from the other segments of the source.
    pub id: u64,
    /// Per changed column.
    pub columns: BTreeMap<usize, u64>,
    /// Per changed group of keys, for inputs that are keyed.
    pub groups: BTreeMap<u64, u64>,
    /// Whether its rows are others.
    pub rows: u64,
    /// The minutes of which it has rows.
    pub minutes: Vec<i64>,
}

/// A stored column.
#[derive(Clone, Copy)]
pub(crate) struct Stored(ContentDigest);

/// What there is.
#[derive(Clone)]
pub(crate) struct World {
    pub plan: Plan,
    /// Per source, its segments.
    pub sources: BTreeMap<usize, Vec<Segment>>,
    /// Per stage, how often its code changed.
    pub code: BTreeMap<usize, u64>,
    /// Stages whose results have one content, whatever they take in.
    pub constant: BTreeSet<usize>,
    /// Stages whose partials have about as many rows as what they are made of.
    pub unreduced: BTreeSet<usize>,
    pub columns: HashMap<ColumnKey, Stored>,
    pub rows: HashMap<RowsKey, u64>,
}

/// A task, and whether it runs.
pub(crate) struct Done {
    pub task: Task,
    pub after: Vec<usize>,
    /// The first task of its pass, if that is another one.
    pub with: Option<usize>,
    /// Not if results of equal content are stored.
    pub ran: bool,
}

fn hash(domain: &str, numbers: &[u64]) -> [u8; 32] {
    let mut hasher = KeyHasher::new(domain);
    for number in numbers {
        hasher.number(*number);
    }
    hasher.finish()
}

impl Segment {
    fn keys(&self, source: usize, columns: usize) -> SegmentKeys {
        let groups: u64 = self.groups.values().sum();
        let of = |column: usize| self.columns.get(&column).copied().unwrap_or_default();
        let column = |column| hash("column", &[source as u64, self.id, column as u64, of(column), groups, self.rows]);
        let rows = RowsKey::new(hash("rows", &[source as u64, self.id, self.rows]));
        SegmentKeys { rows, columns: (0..columns).map(|index| ColumnKey::new(column(index))).collect() }
    }
}

impl World {
    /// A source has one segment.
    pub(crate) fn new(plan: Plan) -> Self {
        let sources = (0..plan.sources.len()).map(|source| (source, vec![Segment::default()])).collect();
        let (code, constant, unreduced, columns, rows) = Default::default();
        Self { plan, sources, code, constant, unreduced, columns, rows }
    }

    pub(crate) fn deriver(&self) -> KeyDeriver<'_> {
        KeyDeriver::new(&self.plan, |stage| self.code.get(&stage).map(|&version| hash("code", &[version])))
    }

    pub(crate) fn datasets(&self, deriver: &KeyDeriver<'_>) -> Datasets {
        deriver.datasets(&|producer| self.source_keys(producer, &BTreeSet::new()), &|column, kind| {
            Some(self.clocks(column, kind))
        })
    }

    fn source_keys(&self, producer: Producer, unknown: &BTreeSet<usize>) -> Option<Vec<SegmentKeys>> {
        let width = |source: usize| self.plan.stream(self.plan.sources[source].stream).schema.fields().len();
        match producer {
            Producer::Source { source } if !unknown.contains(&source) => {
                Some(self.sources[&source].iter().map(|segment| segment.keys(source, width(source))).collect())
            }
            Producer::Rejects { source } if !unknown.contains(&source) => Some(Vec::new()),
            _ => None,
        }
    }

    /// Each segment is a file.
    fn clocks(&self, column: SourceColumn, kind: &WindowKind) -> Vec<SegmentClock> {
        let clock = |(file, segment): (usize, &Segment)| {
            let times = segment.minutes.iter().map(|minute| Some(minute * 60_000));
            let times = SegmentTimes::of(Grid::new(kind), times).into();
            SegmentClock { partition: file.to_string().into(), first_row: 0, times }
        };
        self.sources[&column.source].iter().enumerate().map(clock).collect()
    }

    fn stored(&self) -> Vec<bool> {
        stored_edges(&self.plan).iter().map(Option::is_some).collect()
    }

    /// Does what a selection needs.
    pub(crate) fn run(&mut self, selection: &Selection) -> Vec<Done> {
        let demand = self.demand(selection);
        self.perform_all(demand, selection)
    }

    /// Does what is due when a segment of a source arrives, over a world that has no other of its source.
    pub(crate) fn arrive(&mut self, source: usize, segment: usize, reading: &BTreeSet<usize>) -> Vec<Done> {
        let mut alone = self.clone();
        alone.sources.insert(source, vec![self.sources[&source][segment].clone()]);
        let unknown: BTreeSet<usize> = reading.iter().copied().filter(|&other| other != source).collect();
        let done = alone.early(&unknown, |ahead, locator, stored| {
            ahead.of_segment(locator, stored, source, &self.unreduced).unwrap()
        });
        (self.columns, self.rows) = (alone.columns, alone.rows);
        done
    }

    /// Does what is due when a source has ended, while these are being read.
    pub(crate) fn end(&mut self, source: usize, reading: &BTreeSet<usize>) -> Vec<Done> {
        let (plan, lineage) = (self.plan.clone(), Lineage::of(&self.plan));
        self.early(reading, |ahead, locator, stored| {
            let streams = ahead.at_end(&plan, &lineage, source, &|source| !reading.contains(&source));
            ahead.of_streams(locator, stored, &streams, &BTreeSet::new()).unwrap()
        })
    }

    fn early(
        &mut self,
        unknown: &BTreeSet<usize>,
        due: impl Fn(&Ahead, Locator<'_, &World>, &[bool]) -> Demand,
    ) -> Vec<Done> {
        let all = Request { only: &[], until: &[], force: &[], verify: &[] };
        let selection = Selection::new(&self.plan, &all).unwrap();
        let deriver = self.deriver();
        let clocks = |column, kind: &WindowKind| Some(self.clocks(column, kind));
        let datasets = deriver.datasets(&|producer| self.source_keys(producer, unknown), &clocks);
        let lineage = Lineage::of(&self.plan);
        let locator = Locator { plan: &self.plan, lineage: &lineage, datasets: &datasets, lookup: &*self };
        let demand = due(&Ahead::new(&self.plan, &selection), locator, &self.stored());
        self.perform_all(demand, &selection)
    }

    fn perform_all(&mut self, demand: Demand, selection: &Selection) -> Vec<Done> {
        let passes = demand.passes();
        let with = |number: usize| {
            let first = passes.iter().find(|pass| pass.contains(&number)).unwrap()[0];
            (first != number).then_some(first)
        };
        let done = demand.tasks.into_iter().zip(demand.after).enumerate().map(|(number, (task, after))| {
            let ran = self.perform(&task, selection);
            Done { task, after, with: with(number), ran }
        });
        done.collect()
    }

    pub(crate) fn demand(&self, selection: &Selection) -> Demand {
        let deriver = self.deriver();
        let datasets = self.datasets(&deriver);
        let lineage = Lineage::of(&self.plan);
        let stored = self.stored();
        let locator = Locator { plan: &self.plan, lineage: &lineage, datasets: &datasets, lookup: self };
        flowc_demand::demand(locator, &stored, selection, &self.unreduced).unwrap()
    }

    /// Stores what a task gives. Tells whether it had to run for that.
    fn perform(&mut self, task: &Task, selection: &Selection) -> bool {
        let world: &World = self;
        let deriver = world.deriver();
        let datasets = world.datasets(&deriver);
        let lineage = Lineage::of(&world.plan);
        let locator = Locator { plan: &world.plan, lineage: &lineage, datasets: &datasets, lookup: world };
        let keys = ContentKeys { locator, parted: world, deriver: &deriver };
        let derived = keys.derived(task);
        let contents = keys.of_task(task).unwrap().expect("what a task takes in is there when it runs");
        let is_constant = self.constant.contains(&task.id.stage);
        let is_forced = task.chain.iter().any(|link| selection.forced.contains(&link.stage));
        let (mut columns, mut ran) = (Vec::new(), is_forced);
        let last = derived.last().unwrap().iter().zip(contents.last().unwrap());
        for (port, (output, (derived, contents))) in task.outputs.iter().zip(last).enumerate() {
            for &column in &output.columns {
                let known = self.columns.get(&contents.columns[column]).copied();
                ran |= known.is_none();
                let content = match is_constant {
                    true => hash("constant", &[task.id.stage as u64, port as u64, column as u64]),
                    false => hash_of("content", &contents.columns[column]),
                };
                let stored = known.unwrap_or(Stored(ContentDigest::new(content)));
                columns.extend([derived.columns[column], contents.columns[column]].map(|key| (key, stored)));
            }
        }
        let keys = derived.iter().chain(&contents).flatten().map(|keys| (keys.rows, ROWS)).collect::<Vec<_>>();
        self.columns.extend(columns);
        self.rows.extend(keys);
        ran
    }
}

fn hash_of(domain: &str, key: &ColumnKey) -> [u8; 32] {
    KeyHasher::new(domain).digest(key.as_bytes()).finish()
}

impl Lookup for &World {
    type Column = Stored;
    type Error = Infallible;

    fn columns(&self, keys: &[ColumnKey]) -> Result<Vec<Option<Stored>>, Infallible> {
        Ok(keys.iter().map(|key| self.columns.get(key).copied()).collect())
    }

    fn rows(&self, keys: &[RowsKey]) -> Result<Vec<Option<u64>>, Infallible> {
        Ok(keys.iter().map(|key| self.rows.get(key).copied()).collect())
    }

    fn source_rows(&self, source: usize, segment: usize) -> Option<u64> {
        self.sources[&source].get(segment).map(|_| ROWS)
    }

    /// Everything is looked up, whatever was found before.
    fn noted(&self, _node: &NodeKey) -> Option<u64> {
        None
    }

    fn note(&self, _node: NodeKey, _rows: u64) {}

    fn content(column: &Stored) -> ContentDigest {
        column.0
    }

    fn length(_: &Stored) -> u64 {
        ROWS
    }
}

impl PartitionedInputs for &World {
    type Column = Stored;
    type Error = Infallible;

    /// The groups of a segment of a source have versions; the rest of a group's content is the segment's.
    fn partition(
        &self,
        stream: StreamId,
        segment: usize,
        columns: &[usize],
        part: Part<'_>,
    ) -> Result<Option<StoredPartition<Stored>>, Infallible> {
        let deriver = self.deriver();
        let keys = match self.plan.stream(stream).producer {
            Producer::Source { source } => {
                let group = match part {
                    Part::Group { group, .. } => group,
                    Part::Window { number, .. } => number as u64,
                    Part::Sessions { group, .. } => group,
                };
                let version = self.sources[&source][segment].groups.get(&group).copied().unwrap_or_default();
                let unchanged =
                    Segment { groups: BTreeMap::from([(0, version)]), ..self.sources[&source][segment].clone() };
                unchanged.keys(source, self.plan.stream(stream).schema.fields().len())
            }
            _ => self.datasets(&deriver).streams[&stream].segment(segment).unwrap(),
        };
        let keys = part.keys(segment, &keys);
        let content = |&column: &usize| Stored(ContentDigest::new(hash_of("group", &keys.columns[column])));
        Ok(Some(StoredPartition { rows: ROWS, columns: columns.iter().map(content).collect() }))
    }
}
