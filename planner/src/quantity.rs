//! Durations and sizes with their units, and numbers of things, as people write and read them.

/// Largest first.
const TIMES: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
/// Largest first.
const SIZES: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("KB", 1000),
    ("B", 1),
];

/// `500ms`, `5s`, `1.5m`, `2h`, in milliseconds.
pub fn milliseconds(text: &str) -> Option<u64> {
    scaled(text, &TIMES)
}

/// `4096B`, `64KiB`, `256MiB`, `1.5GiB`, `200MB`, in bytes.
pub fn bytes(text: &str) -> Option<u64> {
    scaled(text, &SIZES)
}

/// Milliseconds as a pipeline would say them: `5s`.
pub fn duration(milliseconds: u64) -> String {
    exact(milliseconds, &TIMES)
}

/// Bytes as a pipeline would say them: `64MiB`.
pub fn size(bytes: u64) -> String {
    exact(bytes, &SIZES)
}

/// `1 stage`, `2 stages`.
pub fn count(number: impl TryInto<u64>, noun: &str) -> String {
    let number = number.try_into().unwrap_or(u64::MAX);
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// The number in the largest unit that gives a whole one.
fn exact(number: u64, units: &[(&str, u64)]) -> String {
    let whole = units.iter().find(|(_, scale)| number >= *scale && number.is_multiple_of(*scale));
    match whole.or(units.last()) {
        Some((unit, scale)) => format!("{}{unit}", number / scale),
        None => number.to_string(),
    }
}

/// A positive number and one of the units.
fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = (&text[..split], text[split..].trim_start());
    let scale = units.iter().find(|(name, _)| *name == unit)?.1;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if fraction.is_empty() || fraction.len() > 9 || fraction.contains('.') {
        return None;
    }
    let part = u128::from(fraction.parse::<u64>().ok()?) * u128::from(scale) / 10u128.pow(fraction.len() as u32);
    let total = whole.parse::<u64>().ok()?.checked_mul(scale)?.checked_add(u64::try_from(part).ok()?)?;
    (total > 0).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_scale_exactly() {
        assert_eq!(milliseconds("5s"), Some(5000));
        assert_eq!(milliseconds("1.5m"), Some(90_000));
        assert_eq!(bytes("256MiB"), Some(256 << 20));
        assert_eq!(bytes("2 GB"), Some(2_000_000_000));
        for bad in ["", "5", "s", "-1s", "0s", "1..5s", "1.s", "5 days", "99999999999999999999h", "5S"] {
            assert_eq!(milliseconds(bad), None, "{bad}");
        }
    }

    #[test]
    fn numbers_are_said_exactly_and_read_back() {
        assert_eq!([duration(5000), duration(90_000), duration(1500), duration(0)], ["5s", "90s", "1500ms", "0ms"]);
        assert_eq!([size(64 << 20), size(200_000_000), size(1025), size(0)], ["64MiB", "200MB", "1025B", "0B"]);
        for number in [1, 999, 1000, 1024, 60_000, 123_456_789] {
            assert_eq!(milliseconds(&duration(number)), Some(number));
            assert_eq!(bytes(&size(number)), Some(number));
        }
    }
}
