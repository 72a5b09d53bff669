//! Durations and sizes with their units, as people write them.

/// `500ms`, `5s`, `1.5m`, `2h`, in milliseconds.
pub(super) fn milliseconds(text: &str) -> Option<u64> {
    scaled(text, &[("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)])
}

/// `4096B`, `64KiB`, `256MiB`, `1.5GiB`, `200MB`, in bytes.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let binary = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];
    let decimal = [("KB", 1000), ("MB", 1_000_000), ("GB", 1_000_000_000), ("TB", 1_000_000_000_000)];
    scaled(text, &binary).or_else(|| scaled(text, &decimal)).or_else(|| scaled(text, &[("B", 1)]))
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
}
