//! What messages begin with where a registry is used: a zero, the id of the schema, and the way to the message in its file.

use prost_reflect::MessageDescriptor;

/// The places of a message and of those around it, outermost first, each in what holds it.
pub(super) fn indexes(message: &MessageDescriptor) -> Vec<u64> {
    let of = |message: &MessageDescriptor| -> u64 {
        let place = message.path().last().copied().unwrap_or_default();
        u64::try_from(place).unwrap_or_default()
    };
    let mut indexes = vec![of(message)];
    let mut around = message.parent_message();
    while let Some(outer) = around {
        indexes.insert(0, of(&outer));
        around = outer.parent_message();
    }
    indexes
}

/// Appends what comes before a message.
pub(super) fn put(id: u32, indexes: &[u64], out: &mut Vec<u8>) {
    out.push(0);
    out.extend_from_slice(&id.to_be_bytes());
    // The first message of a file is so common that its way is one byte.
    if indexes == [0] {
        return out.push(0);
    }
    put_zigzag(indexes.len() as u64, out);
    indexes.iter().for_each(|index| put_zigzag(*index, out));
}

/// Takes off what comes before a message: the indexes, and the message.
///
/// # Errors
/// What is wrong with it.
pub(super) fn take(record: &[u8]) -> Result<(Vec<u64>, &[u8]), String> {
    let mut rest = match record.split_first_chunk::<5>() {
        Some(([0, ..], rest)) => rest,
        Some(([first, ..], _)) => {
            return Err(format!("it does not begin with the id of a schema: its first byte is {first}, not 0"));
        }
        None => return Err("it is too short for the id of a schema".to_owned()),
    };
    let cut = || "it ends in the middle of the way to its message".to_owned();
    let count = take_zigzag(&mut rest).ok_or_else(cut)?;
    if count == 0 {
        return Ok((vec![0], rest));
    }
    let mut indexes = Vec::new();
    for _ in 0..count {
        indexes.push(take_zigzag(&mut rest).ok_or_else(cut)?);
    }
    Ok((indexes, rest))
}

fn put_zigzag(value: u64, out: &mut Vec<u8>) {
    put_varint(value << 1, out);
}

fn take_zigzag(bytes: &mut &[u8]) -> Option<u64> {
    let (mut value, mut shift) = (0u64, 0);
    loop {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f).checked_shl(shift)?;
        if first & 0x80 == 0 {
            // Negative ones are no indexes.
            return (value & 1 == 0).then_some(value >> 1);
        }
        shift += 7;
        if shift > 28 {
            return None;
        }
    }
}

/// Appends a number in as many bytes as it needs.
pub(super) fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_come_back_and_the_first_message_is_one_byte() {
        for way in [vec![0], vec![1], vec![0, 3], vec![2, 0, 300]] {
            let mut bytes = Vec::new();
            put(7, &way, &mut bytes);
            bytes.push(9);
            assert_eq!(take(&bytes), Ok((way.clone(), &[9][..])), "{way:?}");
            assert_eq!(bytes[..5], [0, 0, 0, 0, 7]);
        }
        let mut bytes = Vec::new();
        put(7, &[0], &mut bytes);
        assert_eq!(bytes.len(), 6);
    }

    #[test]
    fn what_is_no_frame_is_told() {
        assert!(take(&[0, 0, 0]).unwrap_err().contains("too short"));
        assert!(take(&[8, 0, 0, 0, 1, 0]).unwrap_err().contains("first byte is 8"));
        assert!(take(&[0, 0, 0, 0, 1]).is_err());
        assert!(take(&[0, 0, 0, 0, 1, 4, 2]).is_err());
        assert!(take(&[0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]).is_err());
    }
}
