//! Results under all the ways to cut inputs, to run the engine, and to put parts together: always the same bytes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use arrow_select::concat::concat_batches;
use flowc_planner::key::{Phase, StageDigest};
use flowc_planner::plan::{Class, Limits, OutputColumn, Rows};
use flowc_runner::{Batch, InputIdentity, InputPort, Invocation, Outlet, OutputPort, Runner, Secrets, StageError};
use flowc_sql_process::query::{Opening, Query};
use proptest::prelude::*;

use super::{SqlRunner, part_schema, shaped};
use crate::session::Room;
use crate::shape::{Run, Shape};
use crate::table::Table;

/// How a query is run.
#[derive(Clone, Debug)]
pub(super) struct Way {
    /// Rows of each batch that comes.
    batch: usize,
    /// Rows of a batch within the engine.
    engine_batch: usize,
    memory: Option<u64>,
    /// Rows of each segment, of which parts are made.
    segment: usize,
    /// Whether whole inputs are known again, so that they are given once.
    keeps: bool,
    /// Whether queries over whole inputs run in partitions.
    apart: bool,
}

impl Way {
    /// All rows at once, each time.
    const PLAIN: Self =
        Self { batch: 8192, engine_batch: 8192, memory: None, segment: usize::MAX, keeps: false, apart: false };

    /// So many rows at once, everywhere.
    pub(super) fn by(rows: usize) -> Self {
        Self { batch: rows, engine_batch: rows, segment: rows, ..Self::PLAIN }
    }

    fn runner(&self) -> SqlRunner {
        let apart = self.apart.then_some(0);
        SqlRunner { apart, ..SqlRunner::with_batches_of(self.engine_batch) }
    }
}

/// A statement over the tables `t` and `u`, ready to be run.
pub(super) struct Case {
    query: Query,
    tables: Vec<RecordBatch>,
    pub(super) shape: Shape,
    pub(super) schema: SchemaRef,
    partial: Option<SchemaRef>,
    /// Rows that were given to all invocations.
    given: AtomicUsize,
}

impl Case {
    pub(super) fn new(statement: &str, tables: &[(&str, RecordBatch)]) -> Self {
        Self::planned(statement, tables).unwrap_or_else(|problems| panic!("{statement}: {problems}"))
    }

    /// The same, or what is wrong with the statement.
    pub(super) fn planned(statement: &str, tables: &[(&str, RecordBatch)]) -> Result<Self, String> {
        let has = |name: &str| statement.split(|letter: char| !letter.is_alphanumeric()).any(|word| word == name);
        let used = tables.iter().filter(|(name, _)| has(name));
        let (names, tables): (Vec<_>, Vec<_>) = used.map(|(name, rows)| ((*name).to_owned(), rows.clone())).unzip();
        let query = Query { written: statement.to_owned(), normal: None, tables: names };
        let empty: Vec<_> = tables.iter().map(|rows| Arc::new(Table::planned(rows.schema()))).collect();
        let planned = shaped(&query, &empty, &serde_json::json!({}), &Room::default());
        let (planned, shape, schema) = planned.map_err(|problems| format!("{problems:?}"))?;
        let partial = match &shape.run {
            Run::Parts { plan, .. } => {
                let schemas: Vec<SchemaRef> = tables.iter().map(RecordBatch::schema).collect();
                Some(part_schema(&planned.context, plan, &schemas).unwrap())
            }
            _ => None,
        };
        Ok(Self { query, tables, shape, schema, partial, given: AtomicUsize::new(0) })
    }

    pub(super) fn answer(&self, way: &Way) -> Result<RecordBatch, String> {
        self.answer_of(&way.runner(), way)
    }

    fn answer_of(&self, runner: &SqlRunner, way: &Way) -> Result<RecordBatch, String> {
        match self.partial {
            None => self.run(runner, Phase::Run, &self.read(), &self.schema, way),
            Some(_) => self.answer_in_parts(runner, way),
        }
    }

    /// The result over each segment of the driving table, put together.
    fn answer_by_segments(&self, runner: &SqlRunner, way: &Way) -> Result<RecordBatch, String> {
        let (read, driving) = (self.read(), self.driving().unwrap());
        let rows = &read[driving];
        let answer = |start: usize| {
            let mut inputs = read.clone();
            inputs[driving] = rows.slice(start, way.segment.min(rows.num_rows() - start));
            self.run(runner, Phase::Run, &inputs, &self.schema, way)
        };
        let answers: Vec<_> = (0..rows.num_rows()).step_by(way.segment).map(answer).collect::<Result<_, _>>()?;
        Ok(concat_batches(&self.schema, &answers).unwrap())
    }

    /// The table that is not taken whole.
    fn driving(&self) -> Option<usize> {
        self.shape.inputs.iter().position(|input| input.class != Class::Whole)
    }

    /// The columns of each table that are read.
    fn read(&self) -> Vec<RecordBatch> {
        let inputs = self.tables.iter().zip(&self.shape.inputs);
        inputs.map(|(rows, input)| rows.project(&input.reads).unwrap()).collect()
    }

    fn answer_in_parts(&self, runner: &SqlRunner, way: &Way) -> Result<RecordBatch, String> {
        let (read, partial) = (self.read(), self.partial.as_ref().unwrap());
        let rows = &read[0];
        let with_others = |segment| [&[segment], &read[1..]].concat();
        let starts = (0..rows.num_rows().max(1)).step_by(way.segment);
        let segments = starts.map(|start| rows.slice(start, way.segment.min(rows.num_rows() - start)));
        let mut parts = segments
            .map(|segment| self.run(runner, Phase::Partial, &with_others(segment), partial, way))
            .collect::<Result<Vec<_>, _>>()?;
        while parts.len() > 1 {
            let merge = |parts: &[RecordBatch]| {
                self.run(runner, Phase::Merge, &[concat_batches(&parts[0].schema(), parts).unwrap()], partial, way)
            };
            parts = parts.chunks(3).map(merge).collect::<Result<_, _>>()?;
        }
        self.run(runner, Phase::Finish, &parts, &self.schema, way)
    }

    fn run(
        &self,
        runner: &SqlRunner,
        phase: Phase,
        inputs: &[RecordBatch],
        schema: &SchemaRef,
        way: &Way,
    ) -> Result<RecordBatch, String> {
        let is_of_parts = matches!(phase, Phase::Merge | Phase::Finish);
        let tables = match &self.partial {
            Some(partial) if is_of_parts => vec![partial.clone()],
            _ => self.tables.iter().map(RecordBatch::schema).collect(),
        };
        let opening = Opening { config: serde_json::json!({}), tables: tables.clone() };
        let main = self.driving().filter(|_| !is_of_parts).or_else(|| inputs.len().checked_sub(1));
        let input = |(port, (schema, rows)): (usize, (&SchemaRef, &RecordBatch))| InputPort {
            schema: schema.clone(),
            reads: (0..rows.num_columns()).collect(),
            identity: (way.keeps && Some(port) != main).then(|| InputIdentity::new([port as u8; 32])),
        };
        let count = schema.fields().len();
        // Rows that are written, as the server of the protocol wants them.
        let (written, columns) = match &self.shape.run {
            Run::Rows(rows) => {
                let written: Vec<usize> = rows.written().collect();
                (Arc::new(schema.project(&written).unwrap()), vec![OutputColumn::Written; written.len()])
            }
            _ => (schema.clone(), vec![OutputColumn::Written; count]),
        };
        let output =
            OutputPort { schema: written.clone(), rows: Rows::New, needed: vec![true; columns.len()], columns };
        let invocation = Invocation {
            stage: self.query.name().into(),
            digest: StageDigest::new([0; 32]),
            config: serde_json::to_string(&opening).unwrap().into(),
            phase,
            part: 0,
            inputs: tables.iter().zip(inputs).enumerate().map(input).collect(),
            main_input: main,
            outputs: [output].into(),
            limits: Limits { memory: way.memory, ..Limits::default() },
            secrets: Secrets::default(),
        };
        let collected = Arc::new(Mutex::new(Vec::new()));
        let outlet = Box::new(Collecting(written.clone(), collected.clone()));
        let said = |error: StageError| error.to_string();
        let mut instance = runner.open(&invocation, outlet).map_err(said)?;
        let mut ports: Vec<usize> = (0..inputs.len()).collect();
        ports.sort_by_key(|port| Some(*port) == main);
        for (port, rows) in ports.into_iter().map(|port| (port, &inputs[port])) {
            let rows = if instance.holds(port) { rows.slice(0, 0) } else { rows.clone() };
            self.given.fetch_add(rows.num_rows(), Ordering::Relaxed);
            for start in (0..rows.num_rows()).step_by(way.batch) {
                let batch = rows.slice(start, way.batch.min(rows.num_rows() - start));
                instance.push(port, Batch::from_record_batch(&batch)).map_err(said)?;
            }
            instance.end_of_input(port).map_err(said)?;
        }
        instance.finish().map_err(said)?;
        let batches = collected.lock().unwrap();
        Ok(concat_batches(&written, batches.iter()).unwrap())
    }
}

/// Keeps what comes.
struct Collecting(SchemaRef, Arc<Mutex<Vec<RecordBatch>>>);

impl Outlet for Collecting {
    fn emit(&mut self, _: usize, batch: Batch) -> Result<(), StageError> {
        let all: Vec<usize> = (0..self.0.fields().len()).collect();
        self.1.lock().unwrap().push(batch.project(self.0.clone(), &all).unwrap());
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<(), StageError> {
        Ok(())
    }

    fn log(&mut self, _: &str, _: &str) {}
}

/// Rows with many ties, values that are no number, and floats whose sums depend on their order.
pub(super) fn rows(seed: u64, count: usize) -> RecordBatch {
    let mut seed = seed;
    let mut noise = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize
    };
    let floats = [0.0, -0.0, 0.1, 1e16, -1e16, 1e-9, 3.5, f64::NAN];
    let k: ArrayRef =
        Arc::new((0..count).map(|_| Some((noise() % 5) as i64).filter(|k| *k != 4)).collect::<Int64Array>());
    let g: ArrayRef = Arc::new((0..count).map(|_| Some(["a", "b", "", "ä"][noise() % 4])).collect::<StringArray>());
    let x: ArrayRef = Arc::new((0..count).map(|_| Some(floats[noise() % 7])).collect::<Float64Array>());
    let odd: ArrayRef = Arc::new((0..count).map(|_| Some(floats[noise() % 8])).collect::<Float64Array>());
    let n: ArrayRef = Arc::new((0..count).map(|_| Some((noise() % 40) as i64 - 20)).collect::<Int64Array>());
    let fields = [
        ("k", DataType::Int64),
        ("g", DataType::Utf8),
        ("x", DataType::Float64),
        ("odd", DataType::Float64),
        ("n", DataType::Int64),
    ];
    let fields: Vec<Field> = fields.map(|(name, data_type)| Field::new(name, data_type, true)).into();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), vec![k, g, x, odd, n]).unwrap()
}

/// Statements of every class, with all that could show an order.
const STATEMENTS: [&str; 35] = [
    "SELECT v, v * 2 AS w FROM generate_series(1, 5) AS s(v)",
    "SELECT k, n * 2 AS m, x + 1 AS y FROM t",
    "SELECT g, n FROM t WHERE n > 0",
    "SELECT k, sum(x) AS s, avg(x) AS m, stddev(x) AS d, count(*) AS c FROM t GROUP BY k",
    "SELECT sum(x) AS s, var_pop(x) AS v, min(odd) AS lo, max(odd) AS hi FROM t",
    "SELECT k, min(odd) AS lo, max(odd) AS hi, sum(odd) AS s FROM t GROUP BY k",
    "SELECT n % 3 AS r, sum(x) AS s FROM t GROUP BY n % 3",
    "SELECT k, g, count(DISTINCT n) AS c, sum(DISTINCT x) AS s FROM t GROUP BY k, g",
    "SELECT DISTINCT k, g FROM t",
    "SELECT k, n FROM t ORDER BY k LIMIT 7",
    "SELECT k, sum(n) AS s FROM t GROUP BY k LIMIT 2",
    "SELECT count(*) AS c, sum(x) AS s FROM (SELECT x FROM t WHERE n > 0 LIMIT 40) r",
    "SELECT k, n, row_number() OVER (PARTITION BY k ORDER BY g) AS r FROM t",
    "SELECT k, n, first_value(n) OVER (ORDER BY k) AS f, sum(x) OVER (ORDER BY k) AS s FROM t",
    "SELECT n, sum(x) OVER (ORDER BY n ROWS BETWEEN 3 PRECEDING AND CURRENT ROW) AS s FROM t",
    "SELECT k, array_agg(n) AS a, string_agg(g, ',') AS s, first_value(n ORDER BY g) AS f FROM t GROUP BY k",
    "SELECT t.n, u.n AS m FROM t JOIN u ON t.k = u.k",
    "SELECT t.n, u.g FROM t LEFT JOIN u ON t.k = u.k AND t.n > u.n",
    "SELECT t.n, u.n AS m FROM t FULL JOIN u ON t.k = u.k",
    "SELECT t.k, sum(u.x) AS s, count(*) AS c FROM t JOIN u ON t.k = u.k GROUP BY t.k",
    "SELECT n FROM t WHERE k NOT IN (SELECT k FROM u WHERE k > 1)",
    "SELECT k, x FROM t UNION ALL SELECT k, x FROM u",
    "SELECT k FROM t EXCEPT SELECT k FROM u",
    "SELECT k, max(s) AS s FROM (SELECT k, g, sum(x) AS s FROM t GROUP BY k, g) AS p GROUP BY k",
    "SELECT u.g, sum(t.x) AS s, max(t.n) AS m FROM t JOIN u ON t.k = u.k GROUP BY u.g",
    "SELECT g, sum(x) AS s FROM t WHERE k IN (SELECT k FROM u) GROUP BY g HAVING count(*) > 1 ORDER BY s DESC LIMIT 2",
    "SELECT k, s, rank() OVER (ORDER BY s) AS r FROM (SELECT k, sum(n) AS s FROM t GROUP BY k) AS p",
    "SELECT c, count(*) AS times FROM (SELECT t.k, count(u.n) AS c FROM t LEFT JOIN u ON t.n = u.n GROUP BY t.k) AS p GROUP BY c",
    "SELECT k, count(DISTINCT n) AS c FROM t GROUP BY k ORDER BY c DESC",
    "SELECT a.n, b.n AS m FROM t a JOIN t b ON a.n = b.n + 1",
    "SELECT n FROM t WHERE x > (SELECT avg(x) FROM t)",
    "SELECT window_start, sum(x) AS s FROM TUMBLE(t, arrow_cast(n, 'Timestamp(Second, None)'), INTERVAL '10' SECONDS) GROUP BY window_start",
    "SELECT k, n, window_end FROM HOP(t, arrow_cast(n, 'Timestamp(Second, None)'), INTERVAL '4' SECONDS, INTERVAL '10' SECONDS)",
    "SELECT k, window_start, count(*) AS c, median(x) AS m FROM SESSION(t, arrow_cast(n, 'Timestamp(Second, None)'), INTERVAL '3' SECONDS, k) GROUP BY k, window_start",
    "SELECT g, n, window_start FROM SESSION(t, arrow_cast(n, 'Timestamp(Second, None)'), INTERVAL '2' SECONDS)",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn results_are_the_same_however_queries_are_run(
        seed in any::<u64>(),
        count in 1_usize..300,
        batch in 1_usize..120,
        engine_batch in 1_usize..200,
        segment in 1_usize..150,
    ) {
        let tables = [("t", rows(seed, count)), ("u", rows(seed ^ 1, count / 3 + 1))];
        for statement in STATEMENTS {
            let (case, plain) = (Case::new(statement, &tables), Way::PLAIN);
            for (keeps, apart) in [(false, false), (true, false), (false, true)] {
                let other = Way { batch, engine_batch, memory: None, segment, keeps, apart };
                prop_assert_eq!(case.answer(&plain), case.answer(&other), "{}", statement);
            }
        }
    }
}

/// Rows of one input come with their numbers in a segment: however it is cut, rows of a join are those of the driving input one by one.
/// A runner that has kept the other input gives the same.
#[test]
fn segments_of_the_driving_input_may_be_cut_anywhere() {
    let (t, u) = (rows(3, 200), rows(4, 60));
    for statement in [
        "SELECT t.n, u.n AS m FROM t JOIN u ON t.k = u.k",
        "SELECT t.n, u.n AS m FROM u JOIN t ON t.k = u.k AND t.n > u.n",
        "SELECT t.n, u.g FROM t LEFT JOIN u ON t.n = u.n",
        "SELECT n FROM t WHERE k IN (SELECT k FROM u)",
        "SELECT n FROM t WHERE n NOT IN (SELECT n FROM u)",
        "SELECT n FROM t WHERE NOT EXISTS (SELECT 1 FROM u WHERE u.n = t.n)",
        "SELECT t.n, p.s FROM t JOIN (SELECT k, sum(x) AS s FROM u GROUP BY k ORDER BY s LIMIT 3) AS p ON t.k = p.k",
        "SELECT t.n FROM t CROSS JOIN (SELECT min(n) AS lo FROM u) AS p WHERE t.n > p.lo",
    ] {
        let case = Case::new(statement, &[("t", t.clone()), ("u", u.clone())]);
        assert_eq!(case.shape.inputs[0].class, Class::RowWise, "{statement}");
        let whole = case.answer(&Way::PLAIN).unwrap();
        for (segment, keeps) in [(1, true), (7, true), (77, false), (77, true), (199, false)] {
            let way = Way { batch: 50, segment, keeps, ..Way::PLAIN };
            assert_eq!(case.answer_by_segments(&way.runner(), &way).unwrap(), whole, "{statement}: {way:?}");
        }
    }
}

/// Inputs that are known again are not given again, and all of it stays within the stage's memory.
#[test]
fn what_is_known_again_is_given_once() {
    let (t, u) = (rows(3, 200), rows(4, 60));
    let statement = "SELECT u.g, sum(t.x) AS s FROM t JOIN u ON t.k = u.k GROUP BY u.g";
    let case = Case::new(statement, &[("t", t.clone()), ("u", u.clone())]);
    let way = Way { segment: 10, keeps: true, ..Way::PLAIN };
    assert_eq!(case.answer(&way), case.answer(&Way::PLAIN));
    // Both tables in each way, and parts.
    let given = case.given.load(Ordering::Relaxed);
    assert!((200 + 60..2 * (200 + 60) + 150).contains(&given), "{given} rows were given");

    // Other rows under another identity are no rows that are held.
    let (runner, other) = (way.runner(), Case::new(statement, &[("t", t), ("u", rows(5, 60))]));
    let first = case.answer_of(&runner, &way).unwrap();
    let again = other.answer_of(&runner, &Way { keeps: false, ..way.clone() }).unwrap();
    assert_eq!(again, other.answer(&Way::PLAIN).unwrap());
    assert_ne!(first, again);
    assert_eq!(case.answer_of(&runner, &way).unwrap(), first);
}

/// What does not fit is spilled, and shows nowhere.
#[test]
fn a_query_with_little_memory_gives_the_same() {
    let tables = [("t", rows(5, 60_000)), ("u", rows(6, 50))];
    for statement in [
        "SELECT k, g, x, n FROM t ORDER BY n",
        "SELECT n, sum(x) OVER (PARTITION BY k ORDER BY n) AS s FROM t",
        "SELECT x, n, g, k, sum(x) AS s, count(*) AS c FROM t WHERE g = (SELECT min(g) FROM t) GROUP BY x, n, g, k",
    ] {
        let case = Case::new(statement, &tables);
        let way = |memory| Way { batch: 5000, engine_batch: 1024, memory, ..Way::PLAIN };
        let little = case.answer(&way(Some(6 << 20)));
        assert!(little == case.answer(&way(None)), "{statement}: {:?}", little.err());
    }
}

/// Of narrow rows, what they are compared by takes as much as they do.
#[test]
fn narrow_rows_are_sorted_in_any_memory() {
    let case = Case::new("SELECT * FROM t ORDER BY x", &[("t", rows(7, 200_000))]);
    let way = |memory| Way { memory, ..Way::PLAIN };
    let whole = case.answer(&way(None));
    for mib in [6, 8, 12, 16, 24, 32] {
        let little = case.answer(&way(Some(mib << 20)));
        assert!(little == whole, "{mib} MiB: {:?}", little.err());
    }
}

/// Rows that differ in all columns.
fn wide_rows(count: usize) -> RecordBatch {
    let ids: ArrayRef = Arc::new((0..count as i64).map(|id| Some(id * 7 % count as i64)).collect::<Int64Array>());
    let texts: ArrayRef = Arc::new((0..count).map(|row| Some(format!("{row:080}"))).collect::<StringArray>());
    let fields = vec![Field::new("id", DataType::Int64, true), Field::new("text", DataType::Utf8, true)];
    RecordBatch::try_new(Arc::new(Schema::new(fields)), vec![ids, texts]).unwrap()
}

/// A join of which no side fits sorts both. One that can't is an error with what to set.
#[test]
fn a_join_with_little_memory_gives_the_same() {
    let tables = [("t", wide_rows(100_003)), ("u", wide_rows(100_003))];
    let way = |memory| Way { batch: 5000, engine_batch: 1024, memory, ..Way::PLAIN };
    for statement in [
        "SELECT t.id, t.text, u.text AS other FROM t JOIN u ON t.id = u.id",
        "SELECT t.id, u.text FROM t LEFT JOIN u ON t.id = u.id AND u.text > t.text",
        "SELECT max(t.text) AS m, count(*) AS c FROM t FULL JOIN u ON t.id = u.id + 1",
    ] {
        let case = Case::new(statement, &tables);
        let little = case.answer(&way(Some(10 << 20)));
        assert!(little == case.answer(&way(None)), "{statement}: {:?}", little.err());
        for memory in [Some(10 << 20), Some(90 << 20), Some(400 << 20), None] {
            let apart = case.answer(&Way { apart: true, ..way(memory) });
            assert!(apart == little, "{statement} in {memory:?} bytes: {:?}", apart.err());
        }
    }
    let case = Case::new("SELECT t.id FROM t WHERE text NOT IN (SELECT text FROM u)", &tables);
    let error = case.answer(&way(Some(2 << 20))).err().unwrap();
    assert!(error.contains("a join needs more memory than the stage's limit of 2MiB: at least "), "{error}");
    assert!(error.contains("; set `memory \"64MiB\"` in the stage"), "{error}");
}

/// What is kept of other inputs is let go where a query needs its memory, and what does not fit is not kept.
#[test]
fn a_query_that_keeps_inputs_in_little_memory_gives_the_same() {
    let tables = [("t", wide_rows(40_003)), ("u", wide_rows(40_003))];
    for statement in [
        "SELECT t.id, t.text, u.text AS other FROM t JOIN u ON t.id = u.id",
        "SELECT length(u.text) AS l, max(t.text) AS m, count(*) AS c FROM t JOIN u ON t.id = u.id GROUP BY length(u.text)",
    ] {
        let case = Case::new(statement, &tables);
        let way = |memory| Way { batch: 5000, engine_batch: 1024, memory, segment: 10_000, keeps: true, ..Way::PLAIN };
        let whole = case.answer(&Way::PLAIN).unwrap();
        for memory in [5 << 20, 12 << 20, 40 << 20] {
            let way = way(Some(memory));
            let answer = match case.partial {
                Some(_) => case.answer(&way),
                None => case.answer_by_segments(&way.runner(), &way),
            };
            assert!(answer.as_ref() == Ok(&whole), "{statement} in {memory} bytes: {:?}", answer.err());
        }
    }
}

/// Processors give a quotient that is not a number other bits than files and texts do.
#[test]
fn all_that_is_not_a_number_is_one_value_above_all_others() {
    let made = "(SELECT CASE WHEN odd = 0 THEN odd / odd ELSE odd END AS q FROM t) r";
    let tables = [("t", rows(3, 1000))];
    for (statement, count) in [
        (format!("SELECT DISTINCT q FROM {made} WHERE q > 1e300"), 1),
        (format!("SELECT q, count(*) AS c FROM {made} WHERE q > 1e300 GROUP BY q"), 1),
        (format!("SELECT m FROM (SELECT min(q) AS m, max(q) AS n FROM {made}) s WHERE m < 1e300 AND n > 1e300"), 1),
        (format!("SELECT q FROM {made} WHERE q = 'NaN' LIMIT 3"), 3),
        (format!("SELECT q FROM {made} WHERE q > 1e300 AND -q = q LIMIT 3"), 3),
    ] {
        let answer = Case::new(&statement, &tables).answer(&Way::PLAIN).unwrap();
        assert_eq!(answer.num_rows(), count, "{statement}");
    }
}
