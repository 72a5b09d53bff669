//! The bytes of a record while it waits. What tells records from others is in them, so their digest is the records'.

use flowc_kafka::NewRecord;

const PARTITION: u8 = 1;
const TIMESTAMP: u8 = 2;
const KEY: u8 = 4;
const VALUE: u8 = 8;

/// Appends a record to what waits.
pub(super) fn put(record: &NewRecord<'_>, out: &mut Vec<u8>) {
    let flag = |is_there: bool, flag: u8| if is_there { flag } else { 0 };
    out.push(
        flag(record.partition.is_some(), PARTITION)
            | flag(record.timestamp.is_some(), TIMESTAMP)
            | flag(record.key.is_some(), KEY)
            | flag(record.value.is_some(), VALUE),
    );
    out.extend(record.partition.into_iter().flat_map(i32::to_le_bytes));
    out.extend(record.timestamp.into_iter().flat_map(i64::to_le_bytes));
    record.key.iter().chain(&record.value).for_each(|bytes| put_bytes(bytes, out));
    out.extend((record.headers.len() as u32).to_le_bytes());
    for (name, value) in &record.headers {
        put_bytes(name.as_bytes(), out);
        out.push(u8::from(value.is_some()));
        value.iter().for_each(|value| put_bytes(value, out));
    }
}

fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend((bytes.len() as u64).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// Takes the first record off what waits; none if it does not begin with one.
pub(super) fn take<'a>(bytes: &mut &'a [u8]) -> Option<NewRecord<'a>> {
    let [flags] = array(bytes)?;
    let has = |flag: u8| flags & flag != 0;
    let partition = if has(PARTITION) { Some(i32::from_le_bytes(array(bytes)?)) } else { None };
    let timestamp = if has(TIMESTAMP) { Some(i64::from_le_bytes(array(bytes)?)) } else { None };
    let key = if has(KEY) { Some(take_bytes(bytes)?) } else { None };
    let value = if has(VALUE) { Some(take_bytes(bytes)?) } else { None };
    let mut headers = Vec::new();
    for _ in 0..u32::from_le_bytes(array(bytes)?) {
        let name = std::str::from_utf8(take_bytes(bytes)?).ok()?;
        let value = if array(bytes)? == [1] { Some(take_bytes(bytes)?) } else { None };
        headers.push((name, value));
    }
    Some(NewRecord { partition, timestamp, key, value, headers })
}

/// How many bytes the first record has of what waits.
pub(super) fn first(bytes: &[u8]) -> Option<usize> {
    let mut rest = bytes;
    take(&mut rest)?;
    Some(bytes.len() - rest.len())
}

fn take_bytes<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(u64::from_le_bytes(array(bytes)?)).ok()?;
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

fn array<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_as_they_were() {
        let full = NewRecord {
            partition: Some(3),
            timestamp: Some(-1),
            key: Some(b"k"),
            value: Some(b""),
            headers: vec![("trace", Some(b"7431")), ("none", None)],
        };
        let empty = NewRecord { partition: None, timestamp: None, key: None, value: None, headers: Vec::new() };
        let mut bytes = Vec::new();
        [&full, &empty].into_iter().for_each(|record| put(record, &mut bytes));
        let length = first(&bytes).unwrap();
        assert_eq!(take(&mut &bytes[length..]).as_ref(), Some(&empty));
        let mut rest = &bytes[..];
        assert_eq!((take(&mut rest), take(&mut rest)), (Some(full), Some(empty)));
        assert_eq!((rest, take(&mut rest)), (&b""[..], None));
    }
}
