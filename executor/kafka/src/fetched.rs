//! Records of a partition, taken from librdkafka many at once. Its wrapper gives them one by one, each with an allocation of its own and two
//! looks at the clock, which takes longer than to copy a small record.

use std::ffi::{CStr, CString, c_int};
use std::marker::PhantomData;
use std::time::Duration;
use std::{ptr, slice};

use rdkafka::bindings as rd;
use rdkafka::consumer::Consumer;
use rdkafka::error::RDKafkaErrorCode;

use crate::cluster::{Headers, Record};
use crate::heard::Reader;

/// How many records are taken at once.
const MOST: usize = 1024;

/// What has been fetched of a partition. From when this is made, the records of the partition come here, and not to whoever polls the reader;
/// of assignments before and after that, too.
pub(crate) struct Fetched<'r> {
    queue: *mut rd::rd_kafka_queue_t,
    /// What was taken last. Each is one message that is not destroyed yet.
    taken: Vec<*mut rd::rd_kafka_message_t>,
    partition: i32,
    reader: PhantomData<&'r Reader>,
}

impl<'r> Fetched<'r> {
    /// The records that a reader fetches of a partition; none if there is no such partition.
    pub(crate) fn of(reader: &'r Reader, topic: &str, partition: i32) -> Option<Self> {
        let topic = CString::new(topic).ok()?;
        // SAFETY: the client lives as long as the reader, which outlives this value; the name as long as the call. The queue is looked at
        // before it is used.
        let queue = unsafe {
            let queue = rd::rd_kafka_queue_get_partition(reader.client().native_ptr(), topic.as_ptr(), partition);
            if queue.is_null() {
                return None;
            }
            rd::rd_kafka_queue_forward(queue, ptr::null_mut());
            queue
        };
        Some(Self { queue, taken: Vec::with_capacity(MOST), partition, reader: PhantomData })
    }

    /// Takes what has been fetched, instead of what was taken before; waits so long if there is nothing.
    pub(crate) fn take(&mut self, wait: Duration) {
        self.take_up_to(MOST, Duration::ZERO);
        if self.taken.is_empty() {
            // Who waits for many waits for all of them.
            self.take_up_to(1, wait);
        }
    }

    fn take_up_to(&mut self, most: usize, wait: Duration) {
        self.clear();
        let wait = c_int::try_from(wait.as_millis()).unwrap_or(c_int::MAX);
        // SAFETY: the queue is not destroyed before this value, and the vector has room for as many messages. The call fills in as many as
        // it says, and each is this value's from then on.
        unsafe {
            let count = rd::rd_kafka_consume_batch_queue(self.queue, wait, self.taken.as_mut_ptr(), most);
            self.taken.set_len(usize::try_from(count).unwrap_or(0));
        }
    }

    /// What was taken last, in order: records, or why there is none.
    pub(crate) fn messages(&self) -> impl Iterator<Item = Result<Message<'_>, RDKafkaErrorCode>> {
        self.taken.iter().filter_map(|&message| {
            // SAFETY: messages are not destroyed before this value is changed or dropped, and nobody else has them.
            let message = unsafe { message.as_ref() }?;
            match message.err {
                rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => {
                    (message.partition == self.partition).then_some(Ok(Message(message)))
                }
                error => Some(Err(error.into())),
            }
        })
    }

    fn clear(&mut self) {
        for message in self.taken.drain(..) {
            // SAFETY: each message is taken out of the vector, which has it once.
            unsafe { rd::rd_kafka_message_destroy(message) };
        }
    }
}

impl Drop for Fetched<'_> {
    fn drop(&mut self) {
        self.clear();
        // SAFETY: nobody else has this reference to the queue, and nothing uses it any more.
        unsafe { rd::rd_kafka_queue_destroy(self.queue) };
    }
}

/// A record, as librdkafka has it.
#[derive(Clone, Copy)]
pub(crate) struct Message<'m>(&'m rd::rd_kafka_message_t);

impl<'m> Message<'m> {
    /// Its place in the partition.
    pub(crate) fn offset(self) -> i64 {
        self.0.offset
    }

    /// Hands it on as a record.
    pub(crate) fn with<T>(self, act: impl FnOnce(&Record<'_>) -> T) -> T {
        let mut headers = ptr::null_mut();
        // SAFETY: the message is not destroyed while it is borrowed, and has its headers as long as it lives.
        let found = unsafe { rd::rd_kafka_message_headers(self.0, &mut headers) };
        match found {
            rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => act(&self.record(&Native(headers, PhantomData))),
            _ => act(&self.record(&())),
        }
    }

    fn record<'a>(self, headers: &'a dyn Headers) -> Record<'a>
    where
        'm: 'a,
    {
        let mut kind = rd::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is not destroyed while it is borrowed, and what it points to lies there as long.
        let (timestamp, key, value) = unsafe {
            let timestamp = rd::rd_kafka_message_timestamp(self.0, &mut kind);
            (timestamp, bytes(self.0.key.cast(), self.0.key_len), bytes(self.0.payload.cast(), self.0.len))
        };
        let has_time = kind != rd::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE && timestamp != -1;
        Record { offset: self.0.offset, timestamp: has_time.then_some(timestamp), key, value, headers }
    }
}

/// Bytes that may be absent.
///
/// # Safety
/// Where `start` is not null, so many bytes lie there for as long as the result is used.
unsafe fn bytes<'a>(start: *const u8, length: usize) -> Option<&'a [u8]> {
    // SAFETY: as the function asks.
    (!start.is_null()).then(|| unsafe { slice::from_raw_parts(start, length) })
}

/// The headers of a message.
struct Native<'m>(*const rd::rd_kafka_headers_t, PhantomData<&'m ()>);

impl Headers for Native<'_> {
    fn each(&self, take: &mut dyn FnMut(&str, Option<&[u8]>)) {
        for index in 0.. {
            let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
            // SAFETY: the headers live as long as their message. The places are filled in if there is a header of this number; its name
            // ends with a zero, and both lie in the message.
            unsafe {
                let found = rd::rd_kafka_header_get_all(self.0, index, &mut name, &mut value, &mut size);
                if found != rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                    return;
                }
                take(&CStr::from_ptr(name).to_string_lossy(), bytes(value.cast(), size));
            }
        }
    }
}
