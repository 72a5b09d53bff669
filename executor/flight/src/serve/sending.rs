//! Where the batches of an instance go: to the client.

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::ArrowError;
use flowc_planner::plan::Rows;
use flowc_runner::{Batch, Outlet, PIECE_BYTES, StageError, StageFault};

use super::numbers::Numbers;
use super::opening::Opened;
use super::replies::{Gone, Replies};
use super::steps::ChainStep;
use crate::encode::{EncodeError, Encoder};
use crate::transport::Transport;
use crate::wire::Note;

/// The outlet of an instance.
pub(super) struct Sending {
    /// The first stream is the exchange's.
    outputs: Vec<Output>,
}

struct Output {
    encoder: Encoder,
    /// Which columns of the port are sent.
    columns: Vec<usize>,
    picks: bool,
    replies: Replies,
}

impl Sending {
    /// Sends what the last stage gives on these streams, one per output.
    pub(super) fn new(opened: &Opened, last: &ChainStep, replies: &[Replies], transport: &Transport) -> Self {
        let output = |(number, replies): (usize, &Replies)| Output {
            encoder: Encoder::new(opened.outputs[number].clone(), None, transport),
            columns: last.gives[number].clone(),
            picks: matches!(opened.rows[number], Rows::Subset { .. }),
            replies: replies.clone(),
        };
        Self { outputs: replies.iter().enumerate().map(output).collect() }
    }
}

impl Output {
    fn send(&mut self, batch: &Batch) -> Result<(), StageFault> {
        let broken = |error: EncodeError| error.fault("a batch of its output");
        let batch = self.record(batch).map_err(|error| broken(error.into()))?;
        let schema = self.encoder.begin();
        let messages = schema.into_iter().chain(self.encoder.encode(&batch).map_err(broken)?);
        let mut messages = messages.map(|message| self.replies.send(message));
        messages.try_for_each(|sent| sent.map_err(|Gone| StageFault::Cancelled))
    }

    /// The columns that are sent, the numbers of picked rows as numbers.
    fn record(&self, batch: &Batch) -> Result<RecordBatch, ArrowError> {
        let absent = || ArrowError::InvalidArgumentError("a column is missing".to_owned());
        let column = |(place, column): (usize, &Option<_>)| match column {
            Some(column) if place == 0 && self.picks => Numbers::read(column).ok_or_else(absent),
            Some(column) => Ok(column.clone()),
            None => Err(absent()),
        };
        let sent = batch.pick(&self.columns);
        let columns = sent.columns().iter().enumerate().map(column).collect::<Result<_, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.rows()));
        RecordBatch::try_new_with_options(self.encoder.schema().clone(), columns, &options)
    }
}

impl Outlet for Sending {
    fn emit(&mut self, port: usize, batch: Batch) -> Result<(), StageError> {
        let sent = match self.outputs.get_mut(port) {
            Some(output) => {
                let columns = output.columns.clone();
                batch.each_piece(&columns, PIECE_BYTES, &mut |piece| output.send(&piece))
            }
            None => Err(StageFault::Contract(format!("there is no output port {port}"))),
        };
        sent.map_err(|fault| StageError::new("", fault))
    }

    fn boundary(&mut self) -> Result<(), StageError> {
        let reached = Note { boundary: true, ..Note::default() };
        let mut told = self.outputs.iter().map(|output| output.replies.note(&reached));
        told.try_for_each(|told| told.map_err(|Gone| StageError::new("", StageFault::Cancelled)))
    }

    fn close(self: Box<Self>) -> Result<(), StageError> {
        Ok(())
    }

    fn log(&mut self, level: &str, message: &str) {
        let note = Note { log: vec![(level.to_owned(), message.to_owned())], ..Note::default() };
        // Who is gone hears no more of it; the next batch tells the instance.
        let _ = self.outputs.first().map(|output| output.replies.note(&note));
    }
}
