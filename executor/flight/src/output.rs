//! What a stage sends for an output, made batches of the stream: columns that are passed on are attached, rows that are
//! picked are taken, and what the stage promised of them is enforced.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{Array, ArrayRef, RecordBatch, UInt32Array};
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};
use flowc_planner::plan::{OutputColumn, Rows};
use flowc_runner::{Batch, Invocation, OutputPort, Selection};

use crate::pending::Pending;
use crate::wire::ROW;

/// An output of an invocation.
pub(crate) struct Output {
    all: Arc<[OutputPort]>,
    number: usize,
    /// What the stage sends: the written columns, after the row numbers where rows are picked.
    sent: SchemaRef,
    /// The next row of the input: those before are accounted for.
    next: u64,
    /// Whether the numbers of picked rows ascend.
    is_ordered: bool,
}

impl Output {
    /// The output with this number.
    pub(crate) fn new(invocation: &Invocation, number: usize) -> Self {
        let port = &invocation.outputs[number];
        let written = port.columns.iter().zip(port.schema.fields());
        let written = written.filter(|(origin, _)| **origin == OutputColumn::Written).map(|(_, field)| field.clone());
        let row: FieldRef = Field::new(ROW, DataType::UInt64, false).into();
        let row = matches!(port.rows, Rows::Subset { .. }).then_some(row);
        let sent = Arc::new(Schema::new(row.into_iter().chain(written).collect::<Vec<_>>()));
        Self { all: invocation.outputs.clone(), number, sent, next: 0, is_ordered: true }
    }

    /// What becomes of rows.
    pub(crate) fn rows(&self) -> Rows {
        self.port().rows
    }

    /// The columns of the stage's messages.
    pub(crate) fn sent(&self) -> &SchemaRef {
        &self.sent
    }

    /// The first row of the input that it may still refer to. None where its rows are new.
    pub(crate) fn position(&self) -> Option<(usize, u64)> {
        Some((self.rows().input()?, self.next))
    }

    /// Rows may be picked in any order: only what is settled is accounted for.
    pub(crate) fn expect_no_order(&mut self) {
        self.is_ordered = false;
    }

    /// The output will refer to none of the input's rows before this one any more.
    pub(crate) fn settle(&mut self, row: u64) {
        if matches!(self.rows(), Rows::Subset { .. }) {
            self.next = self.next.max(row);
        }
    }

    /// The batches of the stream that a batch of the stage gives. Errors are breaches, in words.
    pub(crate) fn accept(&mut self, sent: &RecordBatch, pending: &[Pending]) -> Result<Vec<Batch>, String> {
        self.check_nulls(sent)?;
        self.check_values(sent)?;
        match self.rows() {
            Rows::New => Ok(vec![self.batch(sent.num_rows(), sent.columns().to_vec(), |_| Ok(None))?]),
            Rows::Same { input } => self.accept_same(sent, &pending[input], input),
            Rows::Subset { input } => self.accept_subset(sent, &pending[input], input),
        }
    }

    /// Whether an output that keeps all rows has them.
    pub(crate) fn check_complete(&self, pending: &[Pending]) -> Result<(), String> {
        let Rows::Same { input } = self.rows() else { return Ok(()) };
        let (emitted, pushed) = (self.next, pending[input].end());
        match emitted == pushed {
            true => Ok(()),
            false => {
                Err(self.says(format!("keeps the rows of input port {input}: {emitted} of {pushed} were emitted")))
            }
        }
    }

    fn accept_same(&mut self, sent: &RecordBatch, pending: &Pending, input: usize) -> Result<Vec<Batch>, String> {
        let (first, end) = (self.next, self.next + sent.num_rows() as u64);
        if end > pending.end() {
            let given = pending.end();
            return Err(self.says(format!(
                "keeps the rows of input port {input}, each once and in order: {end} were emitted when {given} were given"
            )));
        }
        let mut batches = Vec::new();
        while self.next < end {
            let (batch, held) = self.held(pending, self.next)?;
            let rows = self.next..held.end.min(end);
            let (from, count) = ((rows.start - held.start) as usize, (rows.end - rows.start) as usize);
            let given = if count == batch.rows() { batch.clone() } else { batch.slice(from, count) };
            let written = sent.slice((rows.start - first) as usize, count).columns().to_vec();
            batches.push(self.batch(count, written, |column| Ok(given.column(column).cloned()))?);
            self.next = rows.end;
        }
        Ok(batches)
    }

    fn accept_subset(&mut self, sent: &RecordBatch, pending: &Pending, input: usize) -> Result<Vec<Batch>, String> {
        let numbers = sent.column(0).as_primitive::<UInt64Type>().values().clone();
        let ascend = numbers.first().is_none_or(|first| *first >= self.next) && numbers.is_sorted();
        if self.is_ordered && !ascend {
            return Err(self.says(format!("picks rows of input port {input} whose numbers do not ascend")));
        }
        if let Some(outside) = numbers.iter().find(|number| **number >= pending.end()) {
            let given = pending.end();
            return Err(self.says(format!("picks row {outside} of input port {input} when {given} were given")));
        }
        let (mut batches, mut at) = (Vec::new(), 0);
        while at < numbers.len() {
            let (batch, held) = self.held(pending, numbers[at])?;
            let count = numbers[at..].iter().take_while(|number| held.contains(number)).count();
            let picked = pick(batch, &numbers[at..at + count], &held)?;
            let written = sent.slice(at, count).columns()[1..].to_vec();
            batches.push(self.batch(count, written, |column| Ok(picked.column(column).cloned()))?);
            at += count;
        }
        if self.is_ordered {
            self.next = numbers.last().copied().unwrap_or(self.next);
        }
        Ok(batches)
    }

    fn held<'a>(&self, pending: &'a Pending, row: u64) -> Result<(&'a Batch, Range<u64>), String> {
        pending.holder(row).ok_or_else(|| self.says(format!("refers to row {row}, which it said was settled")))
    }

    /// Puts written and passed columns together.
    fn batch(
        &self,
        rows: usize,
        written: Vec<ArrayRef>,
        passed: impl Fn(usize) -> Result<Option<ArrayRef>, String>,
    ) -> Result<Batch, String> {
        let port = self.port();
        let mut written = written.into_iter();
        let column = |(origin, needed): (&OutputColumn, &bool)| match origin {
            OutputColumn::Written => Ok(written.next().filter(|_| *needed)),
            OutputColumn::Passed { .. } if !needed => Ok(None),
            OutputColumn::Passed { column } => passed(*column)?
                .map(Some)
                .ok_or_else(|| self.says(format!("passes on column {column} of its input, which was not handed over"))),
        };
        let columns = port.columns.iter().zip(&port.needed).map(column).collect::<Result<Vec<_>, _>>()?;
        Ok(Batch::new(rows, columns))
    }

    fn check_nulls(&self, sent: &RecordBatch) -> Result<(), String> {
        let columns = self.sent.fields().iter().zip(sent.columns());
        let mut nulls = columns.filter(|(field, column)| !field.is_nullable() && column.logical_null_count() > 0);
        match nulls.next() {
            None => Ok(()),
            Some((field, _)) => {
                Err(self.says(format!("has a null in `{}`, which is declared to have none", field.name())))
            }
        }
    }

    /// Values that the columnar format can hold, but their type can't.
    fn check_values(&self, sent: &RecordBatch) -> Result<(), String> {
        let columns = self.sent.fields().iter().zip(sent.columns());
        let mut checked = columns.map(|(field, column)| (field, flowc_arrays::check_values(&column.to_data())));
        match checked.find_map(|(field, checked)| Some((field, checked.err()?))) {
            None => Ok(()),
            Some((field, fault)) => Err(self.says(format!("has a wrong value in `{}`: {fault}", field.name()))),
        }
    }

    fn port(&self) -> &OutputPort {
        &self.all[self.number]
    }

    fn says(&self, what: String) -> String {
        format!("output port {} {what}", self.number)
    }
}

/// The rows of a batch with these numbers, counted as those that it holds.
fn pick(batch: &Batch, numbers: &[u64], held: &Range<u64>) -> Result<Batch, String> {
    let (first, last) = (numbers[0], numbers[numbers.len() - 1]);
    let is_run = || numbers.windows(2).all(|pair| pair[1] == pair[0] + 1);
    if last.checked_sub(first) == Some(numbers.len() as u64 - 1) && is_run() {
        return Ok(batch.slice((first - held.start) as usize, numbers.len()));
    }
    // A batch has fewer than 2^32 rows: the engine cuts them to thousands.
    let indices = UInt32Array::from_iter_values(numbers.iter().map(|number| (number - held.start) as u32));
    batch.select(&Selection::Take(indices)).map_err(|error| format!("rows can't be picked: {error}"))
}

#[cfg(test)]
mod tests {
    use arrow_array::types::Int64Type;
    use arrow_array::{Int64Array, RecordBatchOptions, UInt64Array};
    use flowc_planner::key::{Phase, StageDigest};
    use flowc_planner::plan::Limits;
    use flowc_runner::InputPort;

    use super::*;

    fn output(rows: Rows, columns: Vec<OutputColumn>) -> Output {
        let field = |i: usize| Field::new(format!("c{i}"), DataType::Int64, i == 0);
        let schema = Arc::new(Schema::new((0..columns.len()).map(field).collect::<Vec<_>>()));
        let needed = vec![true; columns.len()];
        let inputs = Arc::new([InputPort { schema: schema.clone(), reads: vec![0], identity: None }]);
        let invocation = Invocation {
            stage: "s".into(),
            digest: StageDigest::new([0; 32]),
            config: "{}".into(),
            phase: Phase::Run,
            part: 0,
            inputs,
            outputs: Arc::new([OutputPort { schema, rows, columns, needed }]),
            main_input: Some(0),
            limits: Limits::default(),
            secrets: flowc_runner::Secrets::default(),
        };
        Output::new(&invocation, 0)
    }

    fn numbers(numbers: impl IntoIterator<Item = i64>) -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(numbers))
    }

    /// An input of 0, 1, ... in batches of these sizes.
    fn pending(sizes: &[i64]) -> Vec<Pending> {
        let mut pending = Pending::default();
        let mut start = 0;
        for size in sizes {
            pending.push(Batch::new(*size as usize, vec![Some(numbers(start..start + size))]));
            start += size;
        }
        vec![pending]
    }

    fn sent(output: &Output, rows: usize, columns: Vec<ArrayRef>) -> RecordBatch {
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(output.sent().clone(), columns, &options).unwrap()
    }

    fn column(batches: &[Batch], column: usize) -> Vec<i64> {
        let arrays =
            batches.iter().map(|batch| batch.column(column).unwrap().as_primitive::<Int64Type>().values().to_vec());
        arrays.collect::<Vec<_>>().concat()
    }

    const PASSED: OutputColumn = OutputColumn::Passed { column: 0 };

    #[test]
    fn kept_rows_meet_what_is_passed_on_however_they_are_cut() {
        let mut output = output(Rows::Same { input: 0 }, vec![PASSED, OutputColumn::Written]);
        let pending = pending(&[3, 4]);
        let mut batches = Vec::new();
        for rows in [0..2, 2..5, 5..7] {
            let batch = sent(&output, rows.clone().count(), vec![numbers(rows.map(|row| row * 10))]);
            batches.extend(output.accept(&batch, &pending).unwrap());
        }
        assert_eq!(column(&batches, 0), [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(column(&batches, 1), [0, 10, 20, 30, 40, 50, 60]);
        output.check_complete(&pending).unwrap();
    }

    #[test]
    fn kept_rows_are_neither_more_nor_fewer() {
        let mut output = output(Rows::Same { input: 0 }, vec![PASSED]);
        let pending = pending(&[3]);
        let error = output.accept(&sent(&output, 4, vec![]), &pending).unwrap_err();
        assert!(error.contains("each once and in order: 4 were emitted when 3 were given"), "{error}");
        output.accept(&sent(&output, 2, vec![]), &pending).unwrap();
        assert!(output.check_complete(&pending).unwrap_err().contains("2 of 3 were emitted"));
    }

    #[test]
    fn rows_are_picked_by_number() {
        let mut output = output(Rows::Subset { input: 0 }, vec![PASSED, OutputColumn::Written]);
        let pending = pending(&[3, 4]);
        let picks: ArrayRef = Arc::new(UInt64Array::from(vec![1, 2, 2, 6]));
        let batch = sent(&output, 4, vec![picks, numbers(0..4)]);
        let batches = output.accept(&batch, &pending).unwrap();
        assert_eq!((column(&batches, 0), column(&batches, 1)), (vec![1, 2, 2, 6], vec![0, 1, 2, 3]));
        assert_eq!(output.position(), Some((0, 6)));
        let pick = |row: u64| vec![Arc::new(UInt64Array::from(vec![row])) as ArrayRef, numbers(0..1)];
        assert!(output.accept(&sent(&output, 1, pick(5)), &pending).unwrap_err().contains("do not ascend"));
        assert!(output.accept(&sent(&output, 1, pick(7)), &pending).unwrap_err().contains("row 7"));
    }

    #[test]
    fn rows_may_be_picked_in_any_order_where_that_is_said() {
        let mut output = output(Rows::Subset { input: 0 }, vec![PASSED]);
        output.expect_no_order();
        let mut pending = pending(&[3, 4]);
        let pick = |rows: &[u64]| vec![Arc::new(UInt64Array::from(rows.to_vec())) as ArrayRef];
        let batches = output.accept(&sent(&output, 5, pick(&[6, 1, 0, 4, 5])), &pending).unwrap();
        assert_eq!(column(&batches, 0), [6, 1, 0, 4, 5]);
        assert_eq!(output.position(), Some((0, 0)));
        assert!(output.accept(&sent(&output, 2, pick(&[7, 0])), &pending).unwrap_err().contains("picks row 7"));
        output.settle(3);
        pending[0].release(3);
        assert!(output.accept(&sent(&output, 1, pick(&[1])), &pending).unwrap_err().contains("row 1, which it said"));
    }

    #[test]
    fn values_that_their_type_cannot_have_are_refused() {
        let mut output = output(Rows::New, vec![OutputColumn::Written]);
        let time: ArrayRef = Arc::new(arrow_array::Time32SecondArray::from(vec![90_000]));
        let batch = RecordBatch::try_from_iter([("c0", time.clone())]).unwrap();
        output.sent = batch.schema();
        let error = output.accept(&batch, &[]).unwrap_err();
        assert_eq!(
            error,
            "output port 0 has a wrong value in `c0`: 90000 is no value of Time32(s): it has to lie within a day"
        );
    }

    #[test]
    fn new_rows_may_hold_nulls_only_where_declared() {
        let mut output = output(Rows::New, vec![OutputColumn::Written, OutputColumn::Written]);
        let null: ArrayRef = Arc::new(Int64Array::from(vec![None]));
        let batch = RecordBatch::try_from_iter_with_nullable([("c0", null.clone(), true), ("c1", null, true)]).unwrap();
        assert!(output.accept(&batch, &[]).unwrap_err().contains("a null in `c1`"));
    }
}
