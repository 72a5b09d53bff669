//! Messages of a stage as batches. What a stage sends is not trusted.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_buffer::Buffer;
use arrow_flight::FlightData;
use arrow_ipc::reader::{read_dictionary, read_record_batch};
use arrow_ipc::{BodyCompression, Message, MessageHeader, root_as_message};
use arrow_schema::{Schema, SchemaRef};
use flowc_codec::Codec;
use flowc_platform::guarded;

use crate::memory::Memory;
use crate::transport::Transport;
use crate::wire::{Block, Note};

/// What one message says.
#[derive(Debug, Default)]
pub(crate) struct Decoded {
    pub(crate) note: Note,
    pub(crate) batch: Option<RecordBatch>,
}

/// Decodes the messages of one stream.
pub(crate) struct Decoder {
    /// The columns of the messages.
    due: SchemaRef,
    /// Gets batches out of those, where they do not travel as they are.
    codec: Option<Codec>,
    begun: bool,
    dictionaries: HashMap<i64, ArrayRef>,
    memory: Option<Arc<Memory>>,
    /// Whether batches in shared memory are used where they lie.
    in_place: bool,
}

impl Decoder {
    /// For a stream of these columns.
    pub(crate) fn new(due: SchemaRef, transport: &Transport) -> Self {
        let codec = Codec::new(transport.serialization, &due);
        let due = codec.as_ref().map_or(due, |codec| codec.packed().clone());
        Self {
            due,
            codec,
            begun: false,
            dictionaries: HashMap::new(),
            memory: transport.memory.clone(),
            in_place: false,
        }
    }

    /// Has batches stay in shared memory, for a program that is soon done with them.
    pub(crate) fn in_place(self) -> Self {
        Self { in_place: true, ..self }
    }

    /// Decodes a message. Errors are breaches of the contract, in words.
    pub(crate) fn decode(&mut self, data: FlightData) -> Result<Decoded, String> {
        let note = Note::read(&data.app_metadata)?;
        // arrow-ipc panics on some well-formed messages that make no sense. After a panic the stream is given up.
        let batch = guarded(|| self.batch(data, note.block)).unwrap_or_else(|panic| Err(self.broken(panic)));
        // Where metadata can't be sent alone, what says that a boundary is reached comes with a batch without rows.
        let batch = batch?.filter(|batch| !note.boundary || batch.num_rows() > 0);
        let batch = match (batch, &self.codec) {
            (Some(packed), Some(codec)) => Some(codec.unpack(&packed)?),
            (batch, _) => batch,
        };
        Ok(Decoded { note, batch })
    }

    /// The batch that a message holds or stands for. Where it stands for one it may hold an empty one, since some libraries
    /// can't send metadata alone.
    fn batch(&mut self, data: FlightData, block: Option<Block>) -> Result<Option<RecordBatch>, String> {
        let batch = match data.data_header.is_empty() {
            true => None,
            false => self.payload(data)?,
        };
        match (block, &batch) {
            (None, _) => Ok(batch),
            (Some(_), Some(batch)) if batch.num_rows() > 0 => Err(self.broken("it holds a batch, and a block as well")),
            (Some(block), _) => self.block(block).map(Some),
        }
    }

    /// The batch of a block, which is a stream of its own.
    fn block(&self, block: Block) -> Result<RecordBatch, String> {
        let memory = self.memory.as_ref().ok_or_else(|| self.broken("no memory is shared that it could lie in"))?;
        let stream = if self.in_place { memory.borrow(block) } else { memory.take(block) };
        let stream = stream.ok_or_else(|| self.broken("it lies outside of the shared memory"))?;
        self.stream(stream)
    }

    /// The first batch of an IPC stream.
    pub(crate) fn stream(&self, mut rest: Buffer) -> Result<RecordBatch, String> {
        let mut decoder = Decoder::new(self.due.clone(), &Transport::default());
        while let Some((header, body, after)) = next_message(&rest) {
            if let Some(batch) = decoder.message(&header, &body)? {
                return Ok(batch);
            }
            rest = after;
        }
        Err(self.broken("its block holds no batch"))
    }

    fn payload(&mut self, data: FlightData) -> Result<Option<RecordBatch>, String> {
        self.message(&data.data_header, &Buffer::from(data.data_body))
    }

    fn message(&mut self, header: &[u8], body: &Buffer) -> Result<Option<RecordBatch>, String> {
        let message = root_as_message(header).map_err(|error| self.broken(error))?;
        match message.header_type() {
            MessageHeader::NONE => Ok(None),
            MessageHeader::Schema => self.schema(&message).map(|()| None),
            MessageHeader::DictionaryBatch if self.begun => {
                let batch = message.header_as_dictionary_batch().ok_or_else(|| self.broken("it has no dictionary"))?;
                self.expect_plain(batch.data().and_then(|values| values.compression()))?;
                let read = read_dictionary(body, batch, &self.due, &mut self.dictionaries, &message.version());
                read.map(|()| None).map_err(|error| self.broken(error))
            }
            MessageHeader::RecordBatch if self.begun => {
                let batch = message.header_as_record_batch().ok_or_else(|| self.broken("it has no rows"))?;
                self.expect_plain(batch.compression())?;
                let (due, version) = (Arc::clone(&self.due), message.version());
                let read = read_record_batch(body, batch, due, &self.dictionaries, None, &version);
                read.map(Some).map_err(|error| self.broken(error))
            }
            other => Err(self.broken(format!("it is {other:?}, which is not due"))),
        }
    }

    /// A few bytes that are compressed can claim to be more than there is memory.
    fn expect_plain(&self, compression: Option<BodyCompression<'_>>) -> Result<(), String> {
        compression.map_or(Ok(()), |_| Err(self.broken("it is compressed, which the protocol does not allow")))
    }

    fn schema(&mut self, message: &Message<'_>) -> Result<(), String> {
        let schema = message.header_as_schema().ok_or_else(|| self.broken("it has no schema"))?;
        let found = arrow_ipc::convert::fb_to_schema(schema);
        expect_schema(&found, &self.due)?;
        self.begun = true;
        Ok(())
    }

    /// arrow's errors don't say which column, so the columns are listed.
    fn broken(&self, error: impl std::fmt::Display) -> String {
        format!("a message can't be read as columns {}: {error}", names(&self.due))
    }
}

/// The next message of an IPC stream: its header, its body, and what comes after it.
fn next_message(stream: &Buffer) -> Option<(Buffer, Buffer, Buffer)> {
    const MARK: [u8; 4] = [0xff; 4];
    let length = u32::from_le_bytes(stream.get(4..8)?.try_into().ok()?) as usize;
    let (start, end) = (8, 8_usize.checked_add(length)?);
    let header = (stream.get(..4)? == MARK && end <= stream.len() && length > 0)
        .then(|| stream.slice_with_length(start, length))?;
    let body = usize::try_from(root_as_message(&header).ok()?.bodyLength()).ok()?;
    let after = end.checked_add(body).filter(|&after| after <= stream.len())?;
    Some((header, stream.slice_with_length(end, body), stream.slice(after)))
}

/// Whether a stream has the columns that are due: their names and types. Whether there are nulls is seen in the batches.
fn expect_schema(found: &Schema, due: &Schema) -> Result<(), String> {
    let difference = (0..found.fields().len().max(due.fields().len())).find_map(|column| {
        let of = |schema: &Schema| schema.fields().get(column).map(|f| (f.name().clone(), f.data_type().clone()));
        let say = |field: Option<(String, arrow_schema::DataType)>| {
            field.map_or("none".to_owned(), |(name, data_type)| format!("`{name}` {data_type}"))
        };
        let (found, due) = (of(found), of(due));
        (found != due).then(|| format!("column {column} is {}, where {} is due", say(found), say(due)))
    });
    difference.map_or(Ok(()), Err)
}

fn names(schema: &Schema) -> String {
    let names = schema.fields().iter().map(|field| format!("`{}`", field.name()));
    if schema.fields().is_empty() { "(none)".to_owned() } else { names.collect::<Vec<_>>().join(", ") }
}

#[cfg(test)]
mod tests {
    use arrow_array::{DictionaryArray, Int32Array, StringArray, types::Int8Type};
    use arrow_ipc::CompressionType;
    use arrow_ipc::writer::{IpcWriteOptions, StreamEncoder};
    use arrow_schema::{DataType, Field};

    use super::*;
    use crate::encode::Encoder;

    fn decode_all(messages: Vec<FlightData>, due: SchemaRef) -> Result<Vec<RecordBatch>, String> {
        let mut decoder = Decoder::new(due, &Transport::default());
        let decoded = messages.into_iter().map(|message| decoder.decode(message));
        decoded.filter_map(|decoded| decoded.map(|decoded| decoded.batch).transpose()).collect()
    }

    fn messages(batches: &[RecordBatch]) -> Vec<FlightData> {
        let mut encoder = Encoder::new(batches[0].schema(), None, &Transport::default());
        let mut messages: Vec<FlightData> = encoder.begin().into_iter().collect();
        batches.iter().for_each(|batch| messages.extend(encoder.encode(batch).unwrap()));
        messages
    }

    fn words(words: &[&str]) -> RecordBatch {
        let words: DictionaryArray<Int8Type> = words.iter().copied().collect();
        RecordBatch::try_from_iter([("word", Arc::new(words) as ArrayRef)]).unwrap()
    }

    #[test]
    fn batches_come_back_with_dictionaries_that_change() {
        let batches = [words(&["a", "b", "a"]), words(&["c"]), words(&[]), words(&["a", "b", "a"])];
        assert_eq!(decode_all(messages(&batches), batches[0].schema()).unwrap(), batches);
    }

    #[test]
    fn other_columns_are_named() {
        let batch = RecordBatch::try_from_iter([("n", Arc::new(Int32Array::from(vec![1])) as ArrayRef)]).unwrap();
        let due = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));
        let error = decode_all(messages(&[batch]), due).unwrap_err();
        assert_eq!(error, "column 0 is `n` Int32, where `n` Int64 is due");
    }

    #[test]
    fn no_type_stands_for_another() {
        use flowc_columns::testing::{array, every_type};
        let item = |name: &str, nullable| DataType::List(Arc::new(Field::new(name, DataType::Int64, nullable)));
        let near_misses = [item("item", true), item("item", false), item("element", true), DataType::Decimal128(9, 1)];
        let types = [every_type(), near_misses.to_vec()].concat();
        let column = |data_type: &DataType| Arc::new(Schema::new(vec![Field::new("x", data_type.clone(), true)]));
        for given in &types {
            let batch = RecordBatch::try_new(column(given), vec![array(given, 3, 1, 1)]).unwrap();
            let messages = messages(&[batch]);
            for due in &types {
                let decoded = decode_all(messages.clone(), column(due));
                match decoded {
                    Ok(batches) => assert!(due == given && batches[0].column(0).data_type() == due, "{due}, {given}"),
                    Err(error) => assert!(due != given && error.contains("is due"), "{due}, {given}: {error}"),
                }
            }
        }
    }

    #[test]
    fn damaged_messages_are_errors() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["one", "two", "three"]));
        let batch = RecordBatch::try_from_iter([("text", texts)]).unwrap();
        let good = messages(std::slice::from_ref(&batch));
        let last = good.len() - 1;
        for i in 0..good[last].data_header.len() {
            let mut bad = good.clone();
            let mut header = bad[last].data_header.to_vec();
            header[i] ^= 0xff;
            bad[last].data_header = header.into();
            // Some bytes are padding. What counts is that nothing panics.
            let _ = decode_all(bad, batch.schema());
        }
        let mut bad = good;
        let mut body = bad[last].data_body.to_vec();
        body[4] = 0x7f;
        bad[last].data_body = body.into();
        let error = decode_all(bad, batch.schema()).unwrap_err();
        assert!(error.contains("`text`"), "{error}");
    }

    #[test]
    fn a_block_is_read_only_where_memory_is_shared() {
        let batch = words(&["a"]);
        let note = Note { block: Some([0, 64]), ..Note::default() };
        let message = FlightData { app_metadata: note.write(), ..FlightData::default() };
        let error = decode_all(vec![message], batch.schema()).unwrap_err();
        assert!(error.contains("no memory is shared"), "{error}");
    }

    #[test]
    fn compressed_messages_are_refused_unread() {
        let batch = RecordBatch::try_from_iter([("n", Arc::new(Int32Array::from(vec![1; 1000])) as ArrayRef)]).unwrap();
        let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME)).unwrap();
        let mut encoder = StreamEncoder::try_new_with_options(&batch.schema(), options).unwrap();
        let mut rest =
            Buffer::from(encoder.encode(&batch).unwrap().iter().flat_map(|b| b.to_vec()).collect::<Vec<_>>());
        let mut decoder = Decoder::new(batch.schema(), &Transport::default());
        let mut said = Vec::new();
        while let Some((header, body, after)) = next_message(&rest) {
            said.push(decoder.message(&header, &body));
            rest = after;
        }
        assert_eq!(said.len(), 2);
        assert!(said[1].as_ref().unwrap_err().contains("it is compressed"), "{said:?}");
    }

    #[test]
    fn a_stream_is_cut_into_its_messages() {
        let batch = words(&["a", "b"]);
        let stream: Vec<u8> = StreamEncoder::try_new(&batch.schema())
            .unwrap()
            .encode(&batch)
            .unwrap()
            .iter()
            .flat_map(|b| b.to_vec())
            .collect();
        let whole = Buffer::from(stream.clone());
        let mut decoder = Decoder::new(batch.schema(), &Transport::default());
        let (mut rest, mut found) = (whole, None);
        while let Some((header, body, after)) = next_message(&rest) {
            found = decoder.message(&header, &body).unwrap().or(found);
            rest = after;
        }
        assert_eq!(found, Some(batch));
        for length in 0..stream.len() {
            let mut rest = Buffer::from(stream[..length].to_vec());
            while let Some((.., after)) = next_message(&rest) {
                rest = after;
            }
        }
    }
}
