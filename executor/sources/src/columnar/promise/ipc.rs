//! Arrow IPC: each compressed buffer states its plain length.

use arrow_ipc::Message;
use arrow_schema::ArrowError;

/// Bytes before each compressed buffer: its plain length.
const PREFIX: usize = 8;

/// Checks that there is memory for each compressed buffer of a record batch or dictionary.
pub(crate) fn check_buffers(message: &Message<'_>, body: &[u8]) -> Result<(), ArrowError> {
    let dictionary = message.header_as_dictionary_batch().and_then(|dictionary| dictionary.data());
    let Some(batch) = message.header_as_record_batch().or(dictionary) else { return Ok(()) };
    if batch.compression().is_none() {
        return Ok(());
    }
    let mut lengths = batch.buffers().into_iter().flatten().filter_map(|place| plain_length(body, place));
    lengths.try_for_each(can_hold)
}

/// What the buffer's prefix states.
fn plain_length(body: &[u8], place: &arrow_ipc::Buffer) -> Option<usize> {
    let start = usize::try_from(place.offset()).ok()?;
    let prefix = body.get(start..)?.first_chunk::<PREFIX>()?;
    // A buffer without bytes has no prefix; -1 marks bytes that are not compressed.
    if place.length() == 0 { None } else { usize::try_from(i64::from_le_bytes(*prefix)).ok() }
}

fn can_hold(length: usize) -> Result<(), ArrowError> {
    let mut memory = Vec::<u8>::new();
    let refused =
        |_| ArrowError::IpcError(format!("a compressed buffer claims {length} bytes, more than there is memory for"));
    memory.try_reserve_exact(length).map_err(refused)?;
    // Memory that nobody looks at need not be asked for.
    std::hint::black_box(&memory);
    Ok(())
}
