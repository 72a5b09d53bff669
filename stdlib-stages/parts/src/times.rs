//! Dates and times as text, in the Gregorian calendar, and back.

/// Nanoseconds of a day.
pub const DAY: i128 = 86_400 * 1_000_000_000;

/// The day with this number since 1970-01-01: year, month, day of the month.
fn civil(days: i64) -> (i64, u32, u32) {
    // Years begin in March here, so that the day that some of them have more is their last.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month as u32, day as u32)
}

/// The number of a day since 1970-01-01.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The number that some digits stand for, as many as that.
fn digits(text: &str, count: usize) -> Option<i64> {
    let is_number = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

/// `2024-02-29` as days since 1970-01-01. Years may have a sign, and more than four digits then.
pub fn parse_date(text: &str) -> Option<i64> {
    let (sign, plain) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    let mut parts = plain.split('-');
    let year = parts.next()?;
    let is_long = plain.len() < text.len() && (5..=6).contains(&year.len());
    let year = sign * digits(year, if is_long { year.len() } else { 4 })?;
    let (month, day) = (digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    let number = days(year, month, day);
    // A day that the month does not have is another one when it comes back.
    let is_there =
        parts.next().is_none() && (1..=12).contains(&month) && civil(number) == (year, month as u32, day as u32);
    is_there.then_some(number)
}

/// `23:59`, `23:59:59` or `23:59:59.123456789` as nanoseconds.
pub fn parse_time(text: &str) -> Option<i128> {
    let (whole, fraction) = text.split_once('.').map_or((text, None), |(whole, fraction)| (whole, Some(fraction)));
    let parts: Vec<&str> = whole.split(':').collect();
    let (hours, minutes, seconds) = match parts[..] {
        [hours, minutes] if fraction.is_none() => (digits(hours, 2)?, digits(minutes, 2)?, 0),
        [hours, minutes, seconds] => (digits(hours, 2)?, digits(minutes, 2)?, digits(seconds, 2)?),
        _ => return None,
    };
    let nanoseconds = match fraction {
        None => 0,
        Some(fraction) if (1..=9).contains(&fraction.len()) => {
            digits(fraction, fraction.len())? * 10_i64.pow(9 - fraction.len() as u32)
        }
        Some(_) => return None,
    };
    let is_time = hours < 24 && minutes < 60 && seconds < 60;
    is_time.then(|| i128::from(hours * 3600 + minutes * 60 + seconds) * 1_000_000_000 + i128::from(nanoseconds))
}

/// A date, with a time behind `T` or a space, with `Z` or an offset behind that, as nanoseconds since 1970-01-01 in UTC. Without
/// an offset it is UTC.
pub fn parse_instant(text: &str) -> Option<i128> {
    let Some((date, rest)) = text.split_once(['T', 't', ' ']) else {
        return Some(i128::from(parse_date(text)?) * DAY);
    };
    let end = rest.find(['Z', 'z', '+', '-', ' ']).unwrap_or(rest.len());
    let (time, zone) = rest.split_at(end);
    let offset = match zone.trim_start() {
        "" | "Z" | "z" => 0,
        zone => {
            let sign = if zone.starts_with('-') { -1 } else { 1 };
            let hours = zone.get(1..3).and_then(|hours| digits(hours, 2)).filter(|hours| *hours < 24)?;
            let minutes = match zone.get(3..)? {
                "" => 0,
                minutes => digits(minutes.strip_prefix(':').unwrap_or(minutes), 2).filter(|minutes| *minutes < 60)?,
            };
            zone.starts_with(['+', '-']).then_some(sign * (hours * 3600 + minutes * 60))?
        }
    };
    Some(i128::from(parse_date(date)?) * DAY + parse_time(time)? - i128::from(offset) * 1_000_000_000)
}

/// A day since 1970-01-01 as text.
pub fn date_text(days: i64) -> String {
    let (year, month, day) = civil(days);
    match year {
        0..=9999 => format!("{year:04}-{month:02}-{day:02}"),
        _ => format!("{year:+05}-{month:02}-{day:02}"),
    }
}

/// A time of day as text, with as many digits of a second as it has.
pub fn time_text(nanoseconds: i128) -> String {
    let (seconds, fraction) = (nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000);
    let text = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    match fraction {
        0 => text,
        fraction if fraction % 1_000_000 == 0 => format!("{text}.{:03}", fraction / 1_000_000),
        fraction if fraction % 1000 == 0 => format!("{text}.{:06}", fraction / 1000),
        fraction => format!("{text}.{fraction:09}"),
    }
}

/// A time stamp as text, in UTC if it is in a zone.
pub fn instant_text(nanoseconds: i128, is_zoned: bool) -> String {
    let (days, time) = (nanoseconds.div_euclid(DAY), nanoseconds.rem_euclid(DAY));
    format!("{}T{}{}", date_text(days as i64), time_text(time), if is_zoned { "Z" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_a_thousand_years_comes_back() {
        let mut last = parse_date("1599-12-31").unwrap();
        for year in 1600..2600 {
            for month in 1..=12 {
                for day in 1..=31 {
                    let text = format!("{year}-{month:02}-{day:02}");
                    if let Some(number) = parse_date(&text) {
                        assert_eq!((number, date_text(number)), (last + 1, text));
                        last = number;
                    }
                }
            }
        }
        assert_eq!(parse_date("2000-03-01"), Some(11_017));
        assert_eq!(date_text(parse_date("-0001-01-01").unwrap()), "-0001-01-01");
        assert_eq!(date_text(parse_date("+12345-12-31").unwrap()), "+12345-12-31");
    }

    #[test]
    fn texts_that_are_no_times_are_told() {
        for text in ["", "2024", "2024-02-30", "2023-02-29", "2024-13-01", "2024-1-1", "24-01-01", "2024-01-01-", "x"] {
            assert_eq!(parse_date(text), None, "{text}");
        }
        for text in ["", "24:00", "1:00", "12:60", "12:00:60", "12:00:00.", "12:00.5", "12:00:00.1234567890"] {
            assert_eq!(parse_time(text), None, "{text}");
        }
        for text in
            ["2024-01-01T", "2024-01-01T12", "2024-01-01T12:00X", "2024-01-01T12:00+1", "2024-01-01T12:00+25:00"]
        {
            assert_eq!(parse_instant(text), None, "{text}");
        }
    }

    #[test]
    fn instants_have_offsets_and_fractions() {
        let noon = parse_instant("2024-02-29T12:00:00").unwrap();
        for same in [
            "2024-02-29 12:00",
            "2024-02-29T12:00:00Z",
            "2024-02-29T14:30:00+02:30",
            "2024-02-29 07:00:00-0500",
            "2024-02-29 12:00:00 Z",
        ] {
            assert_eq!(parse_instant(same), Some(noon), "{same}");
        }
        assert_eq!(instant_text(noon + 1_500_000, true), "2024-02-29T12:00:00.001500Z");
        assert_eq!(instant_text(-1, false), "1969-12-31T23:59:59.999999999");
        assert_eq!(parse_instant("1969-12-31T23:59:59.999999999"), Some(-1));
        assert_eq!(parse_instant("1970-01-02"), Some(DAY));
    }
}
