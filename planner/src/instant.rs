//! Points in time, as people write them.

/// Milliseconds since 1970 of `2026-11-01`, `2026-11-01T12:30Z` or `2026-11-01T12:30:15.250+01:00`. A date alone is its
/// beginning in UTC; a time needs a zone.
pub(crate) fn instant(text: &str) -> Option<i64> {
    let (date, time) = text.split_once(['T', ' ']).map_or((text, None), |(date, time)| (date, Some(time)));
    let days = days(date)?;
    let within = time.map_or(Some(0), milliseconds)?;
    days.checked_mul(86_400_000)?.checked_add(within)
}

/// Milliseconds since 1970 as a pipeline would say them, in UTC.
pub(crate) fn text(milliseconds: i64) -> String {
    let (days, within) = (milliseconds.div_euclid(86_400_000), milliseconds.rem_euclid(86_400_000));
    // The inverse of `days`.
    let from_march = days + 719_468;
    let (era, of_era) = (from_march.div_euclid(146_097), from_march.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (year, month) = (year + era * 400 + i64::from(month >= 10), (month + 2) % 12 + 1);
    let (second, fraction) = (within / 1000, within % 1000);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let fraction = if fraction == 0 { String::new() } else { format!(".{fraction:03}") };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

/// Days since 1970 of `YYYY-MM-DD`, in the Gregorian calendar.
fn days(text: &str) -> Option<i64> {
    let mut parts = text.split('-');
    let (year, month, day) = (digits(parts.next()?, 4)?, digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let lengths = [31, if is_leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let length = *lengths.get(usize::try_from(month).ok()?.checked_sub(1)?)?;
    if parts.next().is_some() || !(1..=length).contains(&day) {
        return None;
    }
    // Years begin in March, so that the day of a leap year is their last.
    let years = if month > 2 { year } else { year - 1 };
    let (era, of_era) = (years.div_euclid(400), years.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

/// Milliseconds since the day's beginning in UTC of `12:30`, `12:30:15` or `12:30:15.250`, with its zone.
fn milliseconds(text: &str) -> Option<i64> {
    let at = text.find(['Z', '+', '-'])?;
    let (clock, zone) = text.split_at(at);
    let offset = match zone {
        "Z" => 0,
        _ => {
            let (hours, minutes) = zone[1..].split_once(':')?;
            let minutes = digits(hours, 2)? * 60 + digits(minutes, 2).filter(|minutes| *minutes < 60)?;
            if zone.starts_with('-') { -minutes } else { minutes }
        }
    };
    let (clock, fraction) = clock.split_once('.').map_or((clock, "0"), |(clock, fraction)| (clock, fraction));
    let mut parts = clock.split(':');
    let (hour, minute) = (digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    let second = parts.next().map_or(Some(0), |text| digits(text, 2))?;
    let fraction =
        digits(fraction, fraction.len()).filter(|_| fraction.len() <= 3)? * 10_i64.pow(3 - fraction.len() as u32);
    if parts.next().is_some() || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    Some((hour * 60 + minute - offset) * 60_000 + second * 1000 + fraction)
}

/// A number of just so many digits.
fn digits(text: &str, length: usize) -> Option<i64> {
    let is_number = text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_zone() {
        for (text, expected) in [
            ("1970-01-01", 0),
            ("2026-11-01", 1_793_491_200_000),
            ("2026-11-01T00:00Z", 1_793_491_200_000),
            ("2026-11-01T01:30+01:30", 1_793_491_200_000),
            ("2026-10-31 23:00:00.5-01:00", 1_793_491_200_500),
            ("2000-02-29T00:00:01.250Z", 951_782_401_250),
            ("1969-12-31T23:59:59.999Z", -1),
        ] {
            assert_eq!(instant(text), Some(expected), "{text}");
            assert_eq!(instant(&super::text(expected)), Some(expected), "{text}");
        }
        assert_eq!(super::text(1_793_491_200_500), "2026-11-01T00:00:00.500Z");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "now",
            "2026",
            "2026-13-01",
            "2026-02-29",
            "2026-11-01T12:00",
            "2026-11-01T24:00Z",
            "2026-11-01T1:00Z",
            "2026-11-01T12:00:00.1234Z",
        ] {
            assert_eq!(instant(text), None, "{text}");
        }
    }
}
