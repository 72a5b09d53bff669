//! What the wrapper of librdkafka does not ask for, or asks for with a runtime alone: the id of a topic, and its settings.

use std::ffi::{CStr, CString};
use std::ptr;
use std::time::Duration;

use rdkafka::bindings as rd;
use rdkafka::error::RDKafkaErrorCode;

/// The id of a topic, as Kafka's tools print it; none if the cluster has none.
///
/// # Errors
/// If the cluster does not tell in this time.
pub(crate) fn topic_id(
    client: *mut rd::rd_kafka_t,
    topic: &str,
    timeout: Duration,
) -> Result<Option<String>, RDKafkaErrorCode> {
    let name = CString::new(topic).map_err(|_| RDKafkaErrorCode::InvalidTopic)?;
    let mut names = [name.as_ptr()];
    // SAFETY: `client` lives as long as the call. Every object is made here, checked before it is used, and destroyed
    // once, after the last use of what it owns.
    unsafe {
        let queue = rd::rd_kafka_queue_new(client);
        let topics = rd::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
        rd::rd_kafka_DescribeTopics(client, topics, ptr::null(), queue);
        rd::rd_kafka_TopicCollection_destroy(topics);
        answer(queue, timeout, |event| id_in(event)).unwrap_or(Err(RDKafkaErrorCode::OperationTimedOut))
    }
}

/// A setting of a topic; none if the cluster does not tell it to this user, or not in this time.
pub(crate) fn topic_setting(
    client: *mut rd::rd_kafka_t,
    topic: &str,
    setting: &str,
    timeout: Duration,
) -> Option<String> {
    let name = CString::new(topic).ok()?;
    // SAFETY: as in `topic_id`.
    unsafe {
        let queue = rd::rd_kafka_queue_new(client);
        let kind = rd::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC;
        let mut resources = [rd::rd_kafka_ConfigResource_new(kind, name.as_ptr())];
        rd::rd_kafka_DescribeConfigs(client, resources.as_mut_ptr(), resources.len(), ptr::null(), queue);
        rd::rd_kafka_ConfigResource_destroy(resources[0]);
        answer(queue, timeout, |event| setting_in(event, setting)).flatten()
    }
}

/// Takes what is wanted from the next event of a queue, and ends the queue; none if there is no event in this time.
///
/// # Safety
/// `queue` is not destroyed yet, and nobody else uses it. `take` is given an event that is not destroyed yet.
unsafe fn answer<T>(
    queue: *mut rd::rd_kafka_queue_t,
    timeout: Duration,
    take: impl FnOnce(*mut rd::rd_kafka_event_t) -> T,
) -> Option<T> {
    // SAFETY: both objects are destroyed once, after their last use.
    unsafe {
        let event = rd::rd_kafka_queue_poll(queue, i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX));
        let taken = (!event.is_null()).then(|| take(event));
        if !event.is_null() {
            rd::rd_kafka_event_destroy(event);
        }
        rd::rd_kafka_queue_destroy(queue);
        taken
    }
}

/// The value of a setting in an answer.
///
/// # Safety
/// `event` is an event that is not destroyed yet.
unsafe fn setting_in(event: *mut rd::rd_kafka_event_t, setting: &str) -> Option<String> {
    // SAFETY: librdkafka owns what it gives here until the event is destroyed; pointers are checked before they are followed.
    unsafe {
        let result = rd::rd_kafka_event_DescribeConfigs_result(event);
        if result.is_null() {
            return None;
        }
        let mut count = 0;
        let resources = rd::rd_kafka_DescribeConfigs_result_resources(result, &mut count);
        if resources.is_null() || count == 0 {
            return None;
        }
        let entries = rd::rd_kafka_ConfigResource_configs(*resources, &mut count);
        (0..if entries.is_null() { 0 } else { count }).find_map(|at| {
            let entry = *entries.add(at);
            let (name, value) = (rd::rd_kafka_ConfigEntry_name(entry), rd::rd_kafka_ConfigEntry_value(entry));
            let is_it = !name.is_null() && !value.is_null() && CStr::from_ptr(name).to_bytes() == setting.as_bytes();
            is_it.then(|| CStr::from_ptr(value).to_string_lossy().into_owned())
        })
    }
}

/// The id in an answer.
///
/// # Safety
/// `event` is an event that is not destroyed yet.
unsafe fn id_in(event: *mut rd::rd_kafka_event_t) -> Result<Option<String>, RDKafkaErrorCode> {
    // SAFETY: librdkafka owns what it gives here until the event is destroyed; pointers are checked before they are followed.
    unsafe {
        match RDKafkaErrorCode::from(rd::rd_kafka_event_error(event)) {
            RDKafkaErrorCode::NoError => {}
            RDKafkaErrorCode::UnsupportedFeature | RDKafkaErrorCode::UnsupportedVersion => return Ok(None),
            code => return Err(code),
        }
        let result = rd::rd_kafka_event_DescribeTopics_result(event);
        if result.is_null() {
            return Err(RDKafkaErrorCode::Fail);
        }
        let mut count = 0;
        let described = rd::rd_kafka_DescribeTopics_result_topics(result, &mut count);
        if described.is_null() || count == 0 {
            return Err(RDKafkaErrorCode::Fail);
        }
        let topic = *described;
        let error = rd::rd_kafka_TopicDescription_error(topic);
        if !error.is_null() && rd::rd_kafka_error_code(error) != rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(RDKafkaErrorCode::from(rd::rd_kafka_error_code(error)));
        }
        let id = rd::rd_kafka_TopicDescription_topic_id(topic);
        if id.is_null() {
            return Ok(None);
        }
        let is_zero =
            rd::rd_kafka_Uuid_most_significant_bits(id) == 0 && rd::rd_kafka_Uuid_least_significant_bits(id) == 0;
        let text = rd::rd_kafka_Uuid_base64str(id);
        if is_zero || text.is_null() {
            return Ok(None);
        }
        Ok(Some(CStr::from_ptr(text).to_string_lossy().into_owned()))
    }
}
