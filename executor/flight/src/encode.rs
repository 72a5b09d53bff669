//! Batches of an input as Flight messages.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_flight::{FlightData, FlightDescriptor, SchemaAsIpc};
use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions};
use arrow_schema::{ArrowError, SchemaRef};
use flowc_codec::{Codec, PackError};
use flowc_runner::StageFault;

use crate::memory::Memory;
use crate::transport::Transport;
use crate::wire::Note;

/// Encodes the batches of one stream. Dictionaries are sent as such, again where they change.
pub(crate) struct Encoder {
    schema: SchemaRef,
    codec: Option<Codec>,
    begun: bool,
    descriptor: Option<FlightDescriptor>,
    options: IpcWriteOptions,
    dictionaries: DictionaryTracker,
    context: IpcWriteContext,
    memory: Option<Arc<Memory>>,
}

impl Encoder {
    /// For a stream that starts with this descriptor, unless that was sent already.
    pub(crate) fn new(schema: SchemaRef, descriptor: Option<FlightDescriptor>, transport: &Transport) -> Self {
        let (options, context) = (IpcWriteOptions::default(), IpcWriteContext::default());
        let (codec, dictionaries) = (Codec::new(transport.serialization, &schema), DictionaryTracker::new(false));
        let memory = transport.memory.clone();
        Self { schema, codec, begun: false, descriptor, options, dictionaries, context, memory }
    }

    /// The fields of the batches.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// What has to be sent before the first batch, if it was not yet.
    pub(crate) fn begin(&mut self) -> Option<FlightData> {
        if self.begun {
            return None;
        }
        self.begun = true;
        // It gives the dictionaries of the schema their numbers, in the same order as the generator does for batches.
        let generator = IpcDataGenerator::default();
        let options = &self.options;
        let schema = self.codec.as_ref().map_or(&self.schema, Codec::packed);
        generator.schema_to_bytes_with_dictionary_tracker(schema, &mut self.dictionaries, options);
        let schema = FlightData::from(SchemaAsIpc::new(schema, options));
        Some(FlightData { flight_descriptor: self.descriptor.take(), ..schema })
    }

    /// A batch: where it lies in shared memory, or else itself after the dictionaries that it needs.
    pub(crate) fn encode(&mut self, batch: &RecordBatch) -> Result<Vec<FlightData>, EncodeError> {
        let packed = self.codec.as_mut().map(|codec| codec.pack(batch)).transpose()?;
        let batch = packed.as_ref().unwrap_or(batch);
        if let Some(memory) = &self.memory
            && let Some(block) = memory.lend(batch)?
        {
            let note = Note { block: Some(block), ..Note::default() };
            return Ok(vec![FlightData { app_metadata: note.write(), ..FlightData::default() }]);
        }
        let (dictionaries, batch) =
            IpcDataGenerator::default().encode(batch, &mut self.dictionaries, &self.options, &mut self.context)?;
        Ok(dictionaries.into_iter().chain([batch]).map(FlightData::from).collect())
    }
}

/// Why a batch is not sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EncodeError {
    #[error(transparent)]
    Pack(#[from] PackError),
    #[error(transparent)]
    Arrow(#[from] ArrowError),
}

impl EncodeError {
    /// A value that does not travel is nobody's breach of a contract; the rest is.
    pub(crate) fn fault(&self, of: &str) -> StageFault {
        let message = format!("{of}: {self}");
        match self {
            Self::Pack(PackError::Value { .. }) => StageFault::Problem { message, config_path: None },
            Self::Pack(PackError::Columns(_)) | Self::Arrow(_) => StageFault::Contract(message),
        }
    }
}
