//! CSV that is read in the wrong dialect without an error: fields by another delimiter make one column, and a first row in
//! place of a header makes names of values. Only what no ordinary file looks like is doubted.

use flowc_planner::plan::{CsvDialect, Format, SourceSpec};

use crate::files::part_bytes::PartBytes;
use crate::infer::csv_types::{CsvColumns, Kind};
use crate::infer::schema::{CsvSample, Sample};
use crate::text::framing::{CsvFraming, Framing};

/// How many bytes of a file are looked at, and how many of its records.
const BYTES: u64 = 1 << 16;
const RECORDS: usize = 100;

/// Delimiters that files have in place of commas.
const DELIMITERS: [char; 4] = [',', ';', '\t', '|'];

/// Whole numbers that name columns as years do.
const YEARS: std::ops::RangeInclusive<i64> = 1800..=2200;

/// What is odd about a CSV file as its dialect reads it, and what to set; none where nothing is, or where the file can't be
/// read.
pub(crate) fn doubt(file: &impl PartBytes, spec: &SourceSpec) -> Option<String> {
    let Format::Csv(dialect) = &spec.format else { return None };
    let sample = Sample::of(file, spec, BYTES).ok().filter(|_| dialect.header)?;
    let read = CsvSample::read(&sample, dialect).ok()?;
    let name = file.name();
    match &read.names[..] {
        [header] => wrong_delimiter(&sample, dialect, header).map(|(delimiter, fields)| {
            format!(
                "{name} is read as one column, {header:?}, but each line has {fields} fields with `{}` between them: say \
                 `format \"csv\" delimiter={:?}`",
                delimiter.escape_default(),
                delimiter.to_string()
            )
        }),
        names => is_row(names, &read.rows, dialect).then(|| {
            let shown: Vec<String> = names.iter().take(5).map(|name| format!("{name:?}")).collect();
            let more = if names.len() > shown.len() { ", ..." } else { "" };
            format!(
                "the first line of {name} looks like a row, not like names of columns ({}{more}): `format \"csv\" \
                 header=#false` reads it as one",
                shown.join(", ")
            )
        }),
    }
}

/// The delimiter by which the header and all records have the same number of fields, more than one; and that number.
fn wrong_delimiter(sample: &Sample, dialect: &CsvDialect, header: &str) -> Option<(char, usize)> {
    let others = DELIMITERS.into_iter().filter(|other| *other != dialect.delimiter && header.contains(*other));
    let marks = [Some(dialect.quote), dialect.escape, dialect.comment];
    others.filter(|other| !marks.contains(&Some(*other))).find_map(|delimiter| {
        let other = CsvDialect { delimiter, header: false, ..dialect.clone() };
        let framing = Framing::Csv(CsvFraming::new(&other));
        let text = sample.records(framing).take(RECORDS).collect::<Vec<_>>().concat();
        let rows = crate::text::dialect::records(&other, &text[..]).into_byte_records();
        let fields: Vec<usize> = rows.map_while(Result::ok).map(|row| row.len()).collect();
        let is_even = fields.len() > 1 && fields[0] > 1 && fields.iter().all(|number| *number == fields[0]);
        is_even.then(|| (delimiter, fields[0]))
    })
}

/// Whether names of columns are values of their columns: each column that is no text has a name that is a value of its type.
/// Numbers that count up or down, and years, name columns in ordinary files.
fn is_row(names: &[String], rows: &[csv::ByteRecord], dialect: &CsvDialect) -> bool {
    let mut columns = CsvColumns::new(names.len(), Some(&dialect.null));
    rows.iter().take(RECORDS).for_each(|row| columns.add(row));
    let typed = (0..names.len()).filter_map(|place| match columns.kind(place)? {
        Kind::Text => None,
        kind => Some((place, kind)),
    });
    let typed: Vec<(usize, Kind)> = typed.collect();
    let is_value = |&(place, kind): &(usize, Kind)| {
        let has_digits = names[place].bytes().any(|byte| byte.is_ascii_digit());
        let name = Kind::of(&names[place]);
        (has_digits || name == Kind::Truth) && name != Kind::Text && name.join(kind) != Kind::Text
    };
    if typed.is_empty() || !typed.iter().all(is_value) {
        return false;
    }
    let wholes = typed.iter().map(|(place, _)| names[*place].parse::<i64>());
    match wholes.collect::<Result<Vec<i64>, _>>() {
        Ok(wholes) => !are_names(&wholes) || holds_years(&typed, rows),
        Err(_) => true,
    }
}

/// Whether whole numbers are as those that name columns.
fn are_names(wholes: &[i64]) -> bool {
    let (up, down) = (wholes.is_sorted_by(|a, b| a < b), wholes.is_sorted_by(|a, b| a > b));
    let are_years = wholes.iter().all(|whole| YEARS.contains(whole));
    let are_places =
        wholes.len() > 1 && matches!(wholes[0], 0 | 1) && wholes.windows(2).all(|two| two[1] - two[0] == 1);
    (up || down) && (are_years || are_places || wholes.len() > 2)
}

/// Whether all values of all these columns are years, too.
fn holds_years(typed: &[(usize, Kind)], rows: &[csv::ByteRecord]) -> bool {
    let is_year = |field: Option<&[u8]>| {
        let text = field.and_then(|field| std::str::from_utf8(field).ok());
        text.and_then(|text| text.parse().ok()).is_some_and(|whole: i64| YEARS.contains(&whole))
    };
    rows.iter().take(RECORDS).all(|row| typed.iter().all(|(place, _)| is_year(row.get(*place))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Folder, csv, gzip, spec};

    fn doubted(name: &str, bytes: impl AsRef<[u8]>, format: Format) -> Option<String> {
        doubt(&Folder::new().write(name, bytes), &spec(format))
    }

    #[test]
    fn another_delimiter_is_told() {
        for (text, delimiter) in [
            ("id;name\n1;Ann\n", ";"),
            ("id;price\n1;2,5\n2;3,75\n", ";"),
            ("a\tb\tc\r\n1\t2\t3\r\n", "\\t"),
            ("a|b\n\"x|y\"|2\n", "|"),
            ("id;name\n1;\"Ann\nBob\"\n", ";"),
        ] {
            let doubt = doubted("a.csv", text, csv()).unwrap();
            assert!(doubt.contains(&format!("say `format \"csv\" delimiter=\"{delimiter}\"`")), "{text}: {doubt}");
            assert_eq!(doubted("a.csv.gz", gzip(text.as_bytes()), csv()), Some(doubt.replace("a.csv", "a.csv.gz")));
        }
        let semicolon = Format::Csv(CsvDialect { delimiter: ';', ..CsvDialect::default() });
        let doubt = doubted("a", "a,b\n1,2\n", semicolon.clone()).unwrap();
        assert!(doubt.contains("delimiter=\",\""), "{doubt}");
        assert_eq!(doubted("a", "a;b\n1;2\n", semicolon), None);
    }

    #[test]
    fn a_row_in_place_of_a_header_is_told() {
        for text in [
            "1,Ann\n2,Bob\n",
            "Ann,34,5.5\nBob,28,6.1\n",
            "2024-01-01,7\n2024-01-02,9\n",
            "5,3,9\n2,8,1\n",
            "Rome,true\nOslo,false\n",
            "1,2,3.5\n4,5,6.5\n",
            "2019,foo\n2020,bar\n",
            "7,7,x\n8,9,y\n",
            "2024-01-01T00:00:00Z,x\n2024-01-02T00:00:00Z,y\n",
        ] {
            let doubt = doubted("a.csv", text, csv());
            assert!(doubt.as_ref().is_some_and(|doubt| doubt.contains("header=#false")), "{text}: {doubt:?}");
            let without = Format::Csv(CsvDialect { header: false, ..CsvDialect::default() });
            assert_eq!(doubted("a.csv", text, without), None);
        }
    }

    #[test]
    fn ordinary_files_are_not_doubted() {
        for text in [
            "",
            "a\n",
            "a;b\n",
            "a,b\n",
            "id,name\n1,Ann\n",
            "name\nAnn\n",
            "note\na;b\nc;d\n",
            "a;b\nx\ny;z\n",
            "a;b,c\n1,2\n",
            "country,2019,2020,2021\nA,1,2,3\n",
            "country,2021,2019\nA,1.5,2\n",
            "country,2019\nA,5\n",
            ",0,1,2\n0,5,6,7\n",
            "0,1,2\n5,6,7\n",
            "city,10,20,30\nRome,1,2,3\n",
            "Province,Lat,1/22/20,1/23/20\nHubei,30.9,444,444\n",
            "city,2024-01-01,2024-01-02\nRome,1,2\n",
            "id,5,3\n1,2,9\n",
            "a,b\nx,y\n",
            "Ann,Rome\nBob,Oslo\n",
            "inf,nan\n1.5,2.5\n",
            "1,2\n,\n",
            "{\"a\":1;\"b\":2}\n",
        ] {
            assert_eq!(doubted("a.csv", text, csv()), None, "{text}");
        }
        assert_eq!(doubted("a.jsonl", "{\"a\":1}\n", Format::JsonLines), None);
    }

    proptest::proptest! {
        #[test]
        fn names_that_are_words_are_never_doubted(
            names in proptest::collection::btree_set("[A-Za-z_][A-Za-z_ ]{0,8}[a-z]", 1..6),
            rows in proptest::collection::vec(proptest::collection::vec("[a-z0-9.;|-]{0,6}", 6), 0..6),
        ) {
            let line = |fields: &[String]| fields[..names.len()].join(",") + "\n";
            let header: Vec<String> = names.iter().cloned().collect();
            let text = line(&header) + &rows.iter().map(|row| line(row)).collect::<String>();
            let is_truth = |name: &String| name.eq_ignore_ascii_case("true") || name.eq_ignore_ascii_case("false");
            proptest::prop_assume!(!header.iter().any(is_truth));
            proptest::prop_assert_eq!(doubted("a.csv", text, csv()), None);
        }
    }
}
