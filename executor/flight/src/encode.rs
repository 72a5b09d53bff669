//! Batches of an input as Flight messages.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_flight::{FlightData, FlightDescriptor, SchemaAsIpc};
use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions};
use arrow_schema::{ArrowError, SchemaRef};

use crate::memory::Memory;
use crate::wire::Note;

/// Encodes the batches of one stream. Dictionaries are sent as such, again where they change.
pub(crate) struct Encoder {
    schema: SchemaRef,
    begun: bool,
    descriptor: Option<FlightDescriptor>,
    options: IpcWriteOptions,
    dictionaries: DictionaryTracker,
    context: IpcWriteContext,
    memory: Option<Arc<Memory>>,
}

impl Encoder {
    /// For a stream that starts with this descriptor, unless that was sent already.
    pub(crate) fn new(schema: SchemaRef, descriptor: Option<FlightDescriptor>, memory: Option<Arc<Memory>>) -> Self {
        let (options, context) = (IpcWriteOptions::default(), IpcWriteContext::default());
        Self { schema, begun: false, descriptor, options, dictionaries: DictionaryTracker::new(false), context, memory }
    }

    /// The fields of the stream.
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
        generator.schema_to_bytes_with_dictionary_tracker(&self.schema, &mut self.dictionaries, options);
        let schema = FlightData::from(SchemaAsIpc::new(&self.schema, options));
        Some(FlightData { flight_descriptor: self.descriptor.take(), ..schema })
    }

    /// A batch: where it lies in shared memory, or else itself after the dictionaries that it needs.
    pub(crate) fn encode(&mut self, batch: &RecordBatch) -> Result<Vec<FlightData>, ArrowError> {
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
