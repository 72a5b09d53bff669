//! Messages that Google's library wrote, and what is wrong with others.

use std::sync::Arc;

use arrow_array::{ArrayRef, BinaryArray, RecordBatch, StringArray};
use arrow_schema::SchemaRef;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flowc_planner::plan::{ProtobufFormat, Registry};
use proptest::prelude::*;
use serde_json::Value;

use super::columns::{Message, columns};
use super::decode::ProtobufDecoder;
use super::encode::ProtobufEncoder;
use super::framing::put_varint;
use crate::fault::Fault;
use crate::testing::{text, values, written};

fn format(message: &str, is_framed: bool) -> ProtobufFormat {
    let registry = Registry { url: "http://r".to_owned(), subject: "s".to_owned(), version: None, login: None };
    let descriptors = STANDARD.encode(include_bytes!("../../tests/bytes/shop.desc"));
    ProtobufFormat { descriptors, message: message.to_owned(), registry: is_framed.then_some(registry) }
}

fn decoder(format: &ProtobufFormat) -> (ProtobufDecoder, SchemaRef) {
    let columns = columns(format).unwrap();
    let all: Vec<usize> = (0..columns.fields().len()).collect();
    (ProtobufDecoder::new(Message::new(format).unwrap(), &columns, &all), columns)
}

fn fixture() -> (Vec<Vec<u8>>, Vec<String>) {
    let told: Value = serde_json::from_str(include_str!("../../tests/bytes/protobuf.json")).unwrap();
    written(&told)
}

fn encode(format: &ProtobufFormat, id: Option<u32>, batch: &RecordBatch) -> Result<Vec<Vec<u8>>, String> {
    let (message, columns) = (Message::new(format).unwrap(), columns(format).unwrap());
    let encoder = ProtobufEncoder::new(message, &columns, id, &batch.schema());
    let mut records = Vec::new();
    let mut encoder = encoder.map_err(|error| error.to_string())?;
    encoder.encode(batch, &mut |record| records.push(record.to_vec())).map_err(|error| error.to_string())?;
    Ok(records)
}

#[test]
fn messages_become_rows_and_rows_the_same_messages() {
    let (messages, rows) = fixture();
    let format = format("shop.Bid", false);
    let (mut decoder, _) = decoder(&format);
    let batch = decoder.decode(&values(messages.iter().map(Vec::as_slice))).unwrap();
    assert_eq!(text(&batch), rows);
    assert_eq!(encode(&format, None, &batch).unwrap(), messages);
}

#[test]
fn messages_begin_with_the_way_to_their_type() {
    let (messages, rows) = fixture();
    let format = format("shop.Bid", true);
    let (mut decoder, _) = decoder(&format);
    // `Bid` is the second message of its file.
    let framed: Vec<Vec<u8>> = messages.iter().map(|body| [&[0, 0, 0, 0, 9, 2, 2][..], body].concat()).collect();
    let batch = decoder.decode(&values(framed.iter().map(Vec::as_slice))).unwrap();
    assert_eq!(text(&batch), rows);
    assert_eq!(encode(&format, Some(9), &batch).unwrap(), framed);
    let other = [&[0, 0, 0, 0, 9, 0][..], &messages[0]].concat();
    let cases = [
        (other, "it is message [0] of its file, and `shop.Bid` is message [1]"),
        (messages[1].clone(), "it does not begin with the id of a schema: its first byte is 8"),
        (vec![0, 0], "it is too short for the id of a schema"),
    ];
    for (record, expected) in cases {
        let Fault::Record(reason) = decoder.decode(&values([&record[..]])).unwrap_err() else { panic!() };
        assert!(reason.starts_with(expected), "{reason}");
    }
}

#[test]
fn what_is_wrong_with_a_message_is_told() {
    let (messages, _) = fixture();
    let (mut decoder, _) = decoder(&format("shop.Bid", false));
    let mut reason = |record: &[u8]| decoder.decode(&values([record])).unwrap_err().to_string();
    assert!(reason(&messages[1][..messages[1].len() - 1]).starts_with("it is no message `shop.Bid`"));
    assert_eq!(reason(&[0x30, 0x07]), "field `state`: the enum `shop.Bid.State` has no name for 7");
    assert!(reason(&[0x62, 0x02, 0x10, 0x80]).contains("no message"));
    // More nanoseconds than a timestamp has.
    let mut time = vec![0x08];
    put_varint(9_223_372_037, &mut time);
    let far = [&[0x62, time.len() as u8][..], &time].concat();
    assert!(reason(&far).starts_with("field `at`: the time of 9223372037 s and 0 ns is outside of 1677 to 2262"));
    assert!(decoder.decode(&BinaryArray::new_null(1)).is_err());
}

#[test]
fn messages_that_no_columns_hold_are_named() {
    let told = |message: &str| columns(&format(message, false)).unwrap_err().to_string();
    assert!(told("shop.Tree").contains("there is no message `shop.Tree` in the descriptors; they have"));
    let itself = told("shop.Bid.Tree");
    assert!(
        itself.starts_with("the field `children` of the schema is of the message `shop.Bid.Tree`, which holds itself"),
        "{itself}"
    );
    let broken = ProtobufFormat { descriptors: STANDARD.encode("x"), ..format("shop.Bid", false) };
    assert!(columns(&broken).unwrap_err().to_string().contains("protoc --include_imports --descriptor_set_out"));
}

#[test]
fn rows_that_messages_have_no_room_for_are_told() {
    let one = |column: ArrayRef| RecordBatch::try_from_iter_with_nullable([("text", column, true)]).unwrap();
    let other = format("shop.Other", false);
    let texts = |texts: &[Option<&str>]| one(Arc::new(StringArray::from(texts.to_vec())));
    assert_eq!(encode(&other, None, &texts(&[Some("a"), Some("")])).unwrap(), [vec![10, 1, b'a'], vec![]]);
    let told = encode(&other, None, &texts(&[Some("a"), None])).unwrap_err();
    assert_eq!(told, "row 1 of a batch, column `text`: null, where the message has no null");
    let numbers = one(Arc::new(arrow_array::Int64Array::from(vec![1])));
    let told = encode(&other, None, &numbers).unwrap_err();
    assert!(told.starts_with("the column `text` has type Int64, where the message has Utf8"), "{told}");
    let (mut decoder, _) = decoder(&format("shop.Bid", false));
    let (messages, _) = fixture();
    let bids = decoder.decode(&values(messages.iter().map(Vec::as_slice))).unwrap();
    let told = encode(&other, None, &bids).unwrap_err();
    assert!(told.starts_with("the column `id` is no field of the message"), "{told}");
}

proptest! {
    #[test]
    fn bytes_of_any_kind_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        for is_framed in [false, true] {
            let _ = decoder(&format("shop.Bid", is_framed)).0.decode(&values([&bytes[..]]));
        }
    }
}
