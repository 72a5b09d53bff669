//! Kernels on the Vulkan driver that `FLOWC_VULKAN` names a program for.

#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod driver;

use std::path::Path;
use std::sync::{Arc, Mutex};

use arrow_array::cast::AsArray;
use arrow_array::types::ArrowPrimitiveType;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{Field, Schema, SchemaRef};
use flowc_code::{Reader, Tools};
use flowc_gpu::{Choice, Forgetful, Kernels};
use flowc_planner::catalogue::{Description, OutputDescription, Problem, Question};
use flowc_planner::key::{Phase, StageDigest};
use flowc_planner::plan::{Code, KernelColumns, Limits, OutputColumn, Rows};
use flowc_runner::conformance::{Keeper, Kept, run};
use flowc_runner::{
    Batch, BuildLog, ChainRunner, CodeContext, Edge, EdgeObserver, InputIdentity, InputPort, Instance, Invocation,
    Keep, OutputPort, Runner as _, Secrets, StageError, StageKind, open_stages,
};
use serde_json::{Value, json};

pub(crate) use driver::with_driver;

/// Where kernels lie.
struct Folder(tempfile::TempDir);

impl CodeContext for Folder {
    fn base(&self) -> &Path {
        self.0.path()
    }

    fn tools(&self) -> Tools<'_> {
        unreachable!("kernels are not built")
    }

    fn pinned(&self, _: &str) -> Option<&str> {
        None
    }

    fn with_reader(&self, _: &Path, _: Keep, _: &mut dyn FnMut(&Reader<'_>)) {
        unreachable!("a kernel is one file")
    }

    fn with_build(&self, _: &Code, _: &mut dyn FnMut(BuildLog<'_>) -> Result<(), Problem>) -> Result<(), Problem> {
        unreachable!("kernels are not built")
    }
}

/// The runner, with kernels that are texts.
pub(crate) struct Runner {
    pub(crate) kernels: Kernels,
    folder: Folder,
}

/// A kernel over some columns.
pub(crate) struct Stage<'a> {
    runner: &'a Runner,
    pub(crate) description: Description,
    invocation: Invocation,
}

impl Runner {
    pub(crate) fn new() -> Self {
        let kernels = Kernels::new(Choice::Cpu, Box::new(Forgetful), "a test");
        Self { kernels, folder: Folder(tempfile::tempdir().unwrap()) }
    }

    /// A kernel without a config.
    pub(crate) fn stage(&self, text: &str, schema: &SchemaRef) -> Stage<'_> {
        self.stage_with(text, schema, json!({}), Limits::default())
    }

    pub(crate) fn stage_with(&self, text: &str, schema: &SchemaRef, config: Value, limits: Limits) -> Stage<'_> {
        std::fs::write(self.folder.base().join("kernel.wgsl"), text).unwrap();
        let code = Code::Wgsl { path: "kernel.wgsl".to_owned(), columns: KernelColumns::default() };
        let digest = self.kernels.locate(&code, &self.folder).unwrap().digest;
        let question = Question { code, digest, config: config.clone(), inputs: vec![schema.clone()] };
        let description = self.kernels.describe(&question).unwrap();
        let inputs =
            vec![InputPort { schema: schema.clone(), reads: description.inputs[0].reads.clone(), identity: None }];
        let invocation = self.invocation(digest, &config, inputs, &description.outputs[0], limits);
        Stage { runner: self, description, invocation }
    }
}

/// A standard stage over rows and a table.
pub(crate) struct WithTable<'a> {
    runner: &'a Runner,
    pub(crate) description: Description,
    invocation: Invocation,
}

impl Runner {
    /// A standard stage over the columns `rows` and `table`.
    pub(crate) fn with_table(
        &self,
        name: &str,
        config: &Value,
        rows: &SchemaRef,
        table: &SchemaRef,
    ) -> Result<WithTable<'_>, Problem> {
        let code = Code::Std(name.to_owned());
        let digest = self.kernels.locate(&code, &self.folder).unwrap().digest;
        let inputs = vec![rows.clone(), table.clone()];
        let question = Question { code, digest, config: config.clone(), inputs: inputs.clone() };
        let description = self.kernels.describe(&question)?;
        let ports = inputs.into_iter().zip(&description.inputs);
        let ports = ports.map(|(schema, of)| InputPort { schema, reads: of.reads.clone(), identity: None }).collect();
        let invocation = self.invocation(digest, config, ports, &description.outputs[0], Limits::default());
        Ok(WithTable { runner: self, description, invocation })
    }

    fn invocation(
        &self,
        digest: StageDigest,
        config: &Value,
        inputs: Vec<InputPort>,
        output: &OutputDescription,
        limits: Limits,
    ) -> Invocation {
        Invocation {
            stage: "kernel".into(),
            digest,
            config: config.to_string().into(),
            phase: Phase::Run,
            part: 0,
            inputs: inputs.into(),
            main_input: Some(0),
            outputs: Arc::new([OutputPort {
                schema: output.schema.clone(),
                rows: output.rows,
                columns: output.columns.clone(),
                needed: vec![true; output.columns.len()],
            }]),
            limits,
            secrets: Secrets::default(),
        }
    }
}

impl WithTable<'_> {
    /// The same with a table whose rows are known by a number.
    pub(crate) fn known(mut self, number: u8) -> Self {
        let mut inputs = self.invocation.inputs.to_vec();
        inputs[1].identity = Some(InputIdentity::new([number; 32]));
        self.invocation.inputs = inputs.into();
        self
    }

    /// What it gives for rows that are pushed so many at a time, beside a table.
    pub(crate) fn rows(
        &self,
        rows: &RecordBatch,
        table: &RecordBatch,
        at_once: usize,
    ) -> Result<RecordBatch, StageError> {
        let kept = Arc::new(Mutex::new(Kept::default()));
        let keeper = Box::new(Keeper { kept: kept.clone(), fail_at: usize::MAX });
        let mut instance = self.runner.kernels.open(&self.invocation, keeper)?;
        let table = if instance.holds(1) { table.slice(0, 0) } else { table.clone() };
        let half = table.num_rows() / 2;
        for part in [table.slice(0, half), table.slice(half, table.num_rows() - half)] {
            instance.push(1, Batch::from_record_batch(&part))?;
        }
        instance.end_of_input(1)?;
        let all = Batch::from_record_batch(rows);
        for start in (0..all.rows()).step_by(at_once) {
            instance.push(0, all.slice(start, at_once.min(all.rows() - start)))?;
        }
        instance.end_of_input(0)?;
        instance.finish()?;
        let schema = &self.description.outputs[0].schema;
        let indices: Vec<usize> = (0..schema.fields().len()).collect();
        let kept = kept.lock().unwrap();
        let batches: Vec<RecordBatch> =
            kept.batches.iter().map(|(_, batch)| batch.project(schema.clone(), &indices).unwrap()).collect();
        Ok(arrow_select::concat::concat_batches(schema, &batches).unwrap())
    }
}

/// Kernels after each other.
pub(crate) struct Chain<'a> {
    runner: &'a Runner,
    invocations: Vec<Invocation>,
    /// The columns of the last one's output.
    pub(crate) schema: SchemaRef,
}

/// Counts the rows between two kernels.
struct Counter(Arc<Mutex<Vec<u64>>>, usize);

impl EdgeObserver for Counter {
    fn gave(&mut self, rows: u64) {
        self.0.lock().unwrap()[self.1] += rows;
    }

    fn log(&mut self, _: &str, _: &str) {}
}

/// What comes of a chain: its rows, and how many there were between its kernels; or how it fails.
pub(crate) type Outcome = Result<(RecordBatch, Vec<u64>), StageError>;

impl Runner {
    /// Kernels, each over the columns of the one before.
    pub(crate) fn chain<T: AsRef<str>>(&self, texts: &[T], schema: &SchemaRef) -> Chain<'_> {
        let mut schema = schema.clone();
        let mut invocations = Vec::new();
        for (number, text) in texts.iter().enumerate() {
            let stage = self.stage(text.as_ref(), &schema);
            schema = stage.description.outputs[0].schema.clone();
            invocations.push(Invocation { stage: format!("stage {number}").into(), ..stage.invocation });
        }
        Chain { runner: self, invocations, schema }
    }
}

impl Chain<'_> {
    /// What it gives for all rows, pushed so many at a time, to one instance or to one for each kernel.
    pub(crate) fn rows(&self, columns: &[ArrayRef], at_once: usize, together: bool) -> Outcome {
        let kept = Arc::new(Mutex::new(Kept::default()));
        let keeper = Box::new(Keeper { kept: kept.clone(), fail_at: usize::MAX });
        let given = Arc::new(Mutex::new(vec![0; self.invocations.len() - 1]));
        let observer = |number: usize| Box::new(Counter(given.clone(), number)) as Box<dyn EdgeObserver>;
        let kernels = &self.runner.kernels;
        let mut instance = if together {
            let between = (1..self.invocations.len()).map(|number| observer(number - 1)).collect();
            kernels.open_chain(&self.invocations, between, keeper)?
        } else {
            let open = |number: usize, outlet| kernels.open(&self.invocations[number], outlet);
            open_stages(self.invocations.len(), keeper, open, |number| Edge { port: 0, observer: observer(number) })?
        };
        let all = Batch::new(columns[0].len(), columns.iter().cloned().map(Some).collect::<Vec<_>>());
        for start in (0..all.rows()).step_by(at_once) {
            instance.push(0, all.slice(start, at_once.min(all.rows() - start)))?;
        }
        instance.end_of_input(0)?;
        instance.finish()?;
        let indices: Vec<usize> = (0..self.schema.fields().len()).collect();
        let kept = kept.lock().unwrap();
        let batches: Vec<RecordBatch> =
            kept.batches.iter().map(|(_, batch)| batch.project(self.schema.clone(), &indices).unwrap()).collect();
        let rows = arrow_select::concat::concat_batches(&self.schema, &batches).unwrap();
        let given = given.lock().unwrap().clone();
        Ok((rows, given))
    }
}

impl Stage<'_> {
    /// What it gives for some batches.
    pub(crate) fn run(&self, batches: Vec<Batch>) -> (Result<(), StageError>, Kept) {
        run(&self.runner.kernels, &self.invocation, batches)
    }

    /// An instance of it.
    pub(crate) fn open(&self, keeper: Keeper) -> Box<dyn Instance> {
        self.runner.kernels.open(&self.invocation, Box::new(keeper)).unwrap()
    }

    /// What it gives for all rows, pushed so many at a time.
    pub(crate) fn rows(&self, columns: &[ArrayRef], at_once: usize) -> RecordBatch {
        let all = Batch::new(columns[0].len(), columns.iter().cloned().map(Some).collect::<Vec<_>>());
        let starts = (0..all.rows()).step_by(at_once);
        let batches = starts.map(|start| all.slice(start, at_once.min(all.rows() - start))).collect();
        let (outcome, kept) = self.run(batches);
        outcome.unwrap();
        let schema = &self.description.outputs[0].schema;
        let indices: Vec<usize> = (0..schema.fields().len()).collect();
        let batches: Vec<RecordBatch> =
            kept.batches.iter().map(|(_, batch)| batch.project(schema.clone(), &indices).unwrap()).collect();
        arrow_select::concat::concat_batches(schema, &batches).unwrap()
    }

    /// How it fails over these columns.
    pub(crate) fn error(&self, columns: &[ArrayRef]) -> StageError {
        let all = Batch::new(columns[0].len(), columns.iter().cloned().map(Some).collect::<Vec<_>>());
        self.run(vec![all]).0.unwrap_err()
    }
}

/// Columns with their names.
pub(crate) fn schema(columns: &[(&str, &ArrayRef)]) -> SchemaRef {
    let field =
        |(name, array): &(&str, &ArrayRef)| Field::new(*name, array.data_type().clone(), array.null_count() > 0);
    Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
}

/// The values of a column.
pub(crate) fn values<T: ArrowPrimitiveType>(batch: &RecordBatch, column: &str) -> Vec<T::Native> {
    batch.column_by_name(column).unwrap().as_primitive::<T>().values().to_vec()
}

/// A kernel that counts, in the three parts of its life.
pub(crate) struct Counting<'a> {
    runner: &'a Runner,
    pub(crate) description: Description,
    partial: Invocation,
    merge: Invocation,
    finish: Invocation,
    /// The table beside the rows, if there is one.
    table: Option<RecordBatch>,
}

impl Runner {
    /// A standard stage that counts, or a kernel in a text.
    pub(crate) fn counting(&self, code: Code, config: &Value, rows: &SchemaRef) -> Result<Counting<'_>, Problem> {
        self.counting_over(code, config, vec![rows.clone()])
    }

    fn counting_over(&self, code: Code, config: &Value, inputs: Vec<SchemaRef>) -> Result<Counting<'_>, Problem> {
        let digest = self.kernels.locate(&code, &self.folder)?.digest;
        let question = Question { code, digest, config: config.clone(), inputs: inputs.clone() };
        let description = self.kernels.describe(&question)?;
        let ports = inputs.into_iter().zip(&description.inputs);
        let inputs: Vec<InputPort> =
            ports.map(|(schema, of)| InputPort { schema, reads: of.reads.clone(), identity: None }).collect();
        let finish = self.invocation(digest, config, inputs.clone(), &description.outputs[0], Limits::default());
        let schema = description.partial.clone().unwrap();
        let width = schema.fields().len();
        let parts = InputPort { schema: schema.clone(), reads: (0..width).collect(), identity: None };
        let columns = vec![OutputColumn::Written; width];
        let port = OutputPort { schema, rows: Rows::New, columns, needed: vec![true; width] };
        let partial = Invocation { phase: Phase::Partial, outputs: Arc::new([port]), ..finish.clone() };
        let merge = Invocation { phase: Phase::Merge, inputs: Arc::new([parts.clone()]), ..partial.clone() };
        let finish = Invocation { phase: Phase::Finish, inputs: Arc::new([parts]), ..finish };
        Ok(Counting { runner: self, description, partial, merge, finish, table: None })
    }

    /// A kernel in a text that counts rows beside a table.
    pub(crate) fn counting_beside(
        &self,
        text: &str,
        columns: KernelColumns,
        rows: &RecordBatch,
        table: &RecordBatch,
    ) -> Counting<'_> {
        std::fs::write(self.folder.base().join("kernel.wgsl"), text).unwrap();
        let code = Code::Wgsl { path: "kernel.wgsl".to_owned(), columns };
        let stage = self.counting_over(code, &json!({}), vec![rows.schema(), table.schema()]).unwrap();
        Counting { table: Some(table.clone()), ..stage }
    }

    pub(crate) fn counting_text(&self, text: &str, columns: KernelColumns, rows: &SchemaRef) -> Counting<'_> {
        std::fs::write(self.folder.base().join("kernel.wgsl"), text).unwrap();
        let code = Code::Wgsl { path: "kernel.wgsl".to_owned(), columns };
        self.counting(code, &json!({}), rows).unwrap()
    }
}

impl Counting<'_> {
    /// What is counted over some rows, pushed so many at a time.
    pub(crate) fn part(&self, rows: &RecordBatch, at_once: usize) -> Result<RecordBatch, StageError> {
        let starts = (0..rows.num_rows()).step_by(at_once);
        let batches = starts.map(|start| rows.slice(start, at_once.min(rows.num_rows() - start)));
        self.run(&self.partial, &batches.collect::<Vec<_>>())
    }

    pub(crate) fn merged(&self, parts: &[RecordBatch]) -> RecordBatch {
        self.run(&self.merge, parts).unwrap()
    }

    pub(crate) fn finished(&self, parts: &[RecordBatch]) -> RecordBatch {
        self.run(&self.finish, parts).unwrap()
    }

    /// All of it over some rows.
    pub(crate) fn rows(&self, rows: &RecordBatch) -> RecordBatch {
        self.finished(&[self.part(rows, rows.num_rows().max(1)).unwrap()])
    }

    fn run(&self, invocation: &Invocation, batches: &[RecordBatch]) -> Result<RecordBatch, StageError> {
        let batches: Vec<Batch> = batches.iter().map(Batch::from_record_batch).collect();
        let kept = match self.table.as_ref().filter(|_| invocation.inputs.len() > 1) {
            None => {
                let (outcome, kept) = run(&self.runner.kernels, invocation, batches);
                outcome?;
                kept
            }
            Some(table) => {
                let kept = Arc::new(Mutex::new(Kept::default()));
                let keeper = Box::new(Keeper { kept: kept.clone(), fail_at: usize::MAX });
                let mut instance = self.runner.kernels.open(invocation, keeper)?;
                instance.push(1, Batch::from_record_batch(table))?;
                instance.end_of_input(1)?;
                batches.into_iter().try_for_each(|batch| instance.push(0, batch))?;
                instance.end_of_input(0)?;
                instance.finish()?;
                std::mem::take(&mut *kept.lock().unwrap())
            }
        };
        let schema = &invocation.outputs[0].schema;
        let indices: Vec<usize> = (0..schema.fields().len()).collect();
        let batches: Vec<RecordBatch> =
            kept.batches.iter().map(|(_, batch)| batch.project(schema.clone(), &indices).unwrap()).collect();
        Ok(arrow_select::concat::concat_batches(schema, &batches).unwrap())
    }
}

impl<'a> Counting<'a> {
    /// A kernel, and one that counts what it gives: in one instance, or in one for each.
    pub(crate) fn after(&self, first: &Stage<'a>, columns: &[ArrayRef], together: bool) -> RecordBatch {
        let kept = Arc::new(Mutex::new(Kept::default()));
        let keeper = Box::new(Keeper { kept: kept.clone(), fail_at: usize::MAX });
        let invocations = [first.invocation.clone(), self.partial.clone()];
        let given = Arc::new(Mutex::new(vec![0]));
        let observer = || Box::new(Counter(given.clone(), 0)) as Box<dyn EdgeObserver>;
        let kernels = &self.runner.kernels;
        let mut instance = if together {
            kernels.open_chain(&invocations, vec![observer()], keeper).unwrap()
        } else {
            let open = |number: usize, outlet| kernels.open(&invocations[number], outlet);
            open_stages(2, keeper, open, |_| Edge { port: 0, observer: observer() }).unwrap()
        };
        let all = Batch::new(columns[0].len(), columns.iter().cloned().map(Some).collect::<Vec<_>>());
        instance.push(0, all).unwrap();
        instance.end_of_input(0).unwrap();
        instance.finish().unwrap();
        let schema = &self.partial.outputs[0].schema;
        let indices: Vec<usize> = (0..schema.fields().len()).collect();
        let kept = kept.lock().unwrap();
        let batches: Vec<RecordBatch> =
            kept.batches.iter().map(|(_, batch)| batch.project(schema.clone(), &indices).unwrap()).collect();
        self.finished(&[arrow_select::concat::concat_batches(schema, &batches).unwrap()])
    }
}
