//! Event time and windows: by which column the rows of an input are divided, and how.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use serde::{Deserialize, Serialize};

use crate::key::KeyHasher;
use crate::plan::Stage;
use crate::quantity::{count, duration};

/// The event time of a source's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventTime {
    /// Index of the column that holds it.
    pub column: usize,
    /// How far a row may be behind the latest row before it, in milliseconds.
    pub delay_ms: u64,
    /// What tells where a row is in its partition.
    #[serde(default, skip_serializing_if = "RowPosition::is_number")]
    pub position: RowPosition,
    /// Where stages above left out rows: the first of the columns that say how the rows were in the source ([`Marks`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marks: Option<Marks>,
}

/// Columns of a stream that stages, sinks and people do not see. They say of each row how it was in its source, which decides whether
/// it is late, where stages in between leave out rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    /// The latest time of the rows before it in its segment, in milliseconds since 1970; null where there is none.
    pub before: usize,
    /// The number of the row in its segment.
    pub row: usize,
}

/// In the metadata of columns that nobody sees.
const HIDDEN: &str = "flowc-hidden";

impl Marks {
    /// Those of a stream that has this many columns which are seen.
    pub(crate) fn behind(shown: usize) -> Self {
        Self { before: shown, row: shown + 1 }
    }

    /// The columns themselves.
    pub(crate) fn fields() -> [Field; 2] {
        let hidden = |field: Field| field.with_metadata([(HIDDEN.to_owned(), String::new())].into());
        [
            hidden(Field::new(".latest-before", DataType::Int64, true)),
            hidden(Field::new(".row", DataType::UInt64, false)),
        ]
    }

    /// Both.
    pub fn columns(&self) -> [usize; 2] {
        [self.before, self.row]
    }
}

/// The columns that are seen: those of [`Marks`] come last, and are not.
pub fn shown_columns(schema: &SchemaRef) -> SchemaRef {
    let is_shown = |field: &&Arc<Field>| !field.metadata().contains_key(HIDDEN);
    match schema.fields().iter().all(|field| is_shown(&field)) {
        true => schema.clone(),
        false => {
            let fields: Vec<_> = schema.fields().iter().filter(is_shown).cloned().collect();
            Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
        }
    }
}

/// What tells where a row is in its partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RowPosition {
    /// Its number among the rows of its file.
    #[default]
    Number,
    /// The offset of its record, which a column holds.
    Offset(usize),
    /// The offset of its record, which no column holds.
    Absent,
}

impl RowPosition {
    fn is_number(&self) -> bool {
        *self == Self::Number
    }
}

/// The windows of an input: each invocation is given the rows of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Which windows there are.
    pub kind: WindowKind,
    /// How long after its end a window still takes rows, in milliseconds of event time.
    pub lateness_ms: u64,
    /// The event time of the input's rows. `column` is a column of the input's stream. None where rows are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<EventTime>,
}

/// Which windows there are. Lengths are milliseconds of event time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WindowKind {
    /// One after the other.
    Tumbling {
        /// How long each is.
        size_ms: u64,
        /// Where the first after 1970-01-01 UTC begins.
        offset_ms: u64,
    },
    /// A row is in several.
    Sliding {
        /// How long each is: a multiple of the step.
        size_ms: u64,
        /// From the begin of one to the begin of the next.
        slide_ms: u64,
        /// Where the first after 1970-01-01 UTC begins.
        offset_ms: u64,
    },
    /// Days, weeks or months of a time zone.
    Calendar {
        /// Which.
        unit: CalendarUnit,
        /// The zone's name, as in the IANA database.
        zone: String,
    },
    /// From the first row to the last after which there is none for some time.
    Session {
        /// For how long.
        gap_ms: u64,
        /// Columns of the input's stream whose values have sessions of their own.
        by: Vec<usize>,
    },
    /// So many rows each, one window after the other, in the order of the input.
    Count {
        /// How many; the last window may have fewer.
        rows: u64,
        /// Columns of the input's stream whose values have windows of their own.
        by: Vec<usize>,
    },
}

/// A unit of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CalendarUnit {
    /// From midnight to midnight.
    Day,
    /// From Monday to Sunday.
    Week,
    /// From the first day to the last.
    Month,
}

/// The first columns of what a stage gives that works on windows.
pub const WINDOW_COLUMNS: [&str; 2] = ["window-start", "window-end"];

impl Stage {
    /// The windows that it picks the late rows of, if that is what it does.
    pub fn late_window(&self) -> Option<Window> {
        self.code.picks_late_rows().then(|| serde_json::from_value(self.config.clone()).ok()).flatten()
    }

    /// The windows that it is invoked by, if it is.
    pub fn window(&self) -> Option<&Window> {
        self.inputs.iter().find_map(|input| input.window.as_ref())
    }
}

impl Window {
    /// The columns that decide which rows it has.
    pub fn columns(&self) -> Vec<usize> {
        let mut columns = self.by().to_vec();
        columns.extend(self.time.map(|time| time.column));
        columns.extend(self.marks().map(|marks| marks.before));
        columns.sort_unstable();
        columns.dedup();
        columns
    }

    /// The columns whose values have windows of their own.
    pub fn by(&self) -> &[usize] {
        match &self.kind {
            WindowKind::Session { by, .. } | WindowKind::Count { by, .. } => by,
            WindowKind::Tumbling { .. } | WindowKind::Sliding { .. } | WindowKind::Calendar { .. } => &[],
        }
    }

    /// The columns that say how its rows were in the source, where stages above left out some.
    pub fn marks(&self) -> Option<Marks> {
        self.time?.marks
    }

    /// Whether rows decide where it begins and ends, so that these alone tell which windows there are.
    pub fn is_made_by_rows(&self) -> bool {
        matches!(self.kind, WindowKind::Session { .. } | WindowKind::Count { .. })
    }

    /// Up to where rows are late for a window: by this much the latest time before a row may be past the window's end, in milliseconds.
    pub fn patience_ms(&self) -> i64 {
        (self.lateness_ms + self.time.map_or(0, |time| time.delay_ms)) as i64
    }

    /// The window in words. `schema` has the columns of the input's stream.
    pub fn words(&self, schema: &Schema) -> String {
        let Self { kind, lateness_ms, time } = self;
        let names = |columns: &[usize]| {
            columns.iter().map(|&column| schema.field(column).name().as_str()).collect::<Vec<_>>().join(", ")
        };
        let of = if self.by().is_empty() { String::new() } else { format!(" of {}", names(self.by())) };
        let by = time.map_or_else(String::new, |time| format!(" by {}", names(&[time.column])));
        let lateness = if *lateness_ms == 0 { String::new() } else { format!(", lateness {}", duration(*lateness_ms)) };
        format!("{kind}{of}{by}{lateness}")
    }

    /// Whether two inputs have the same windows, so that those of one can meet those of the other.
    pub fn matches(&self, other: &Self) -> bool {
        self.kind == other.kind && self.lateness_ms == other.lateness_ms
    }
}

impl Window {
    /// Adds all that decides which rows of a segment a window has.
    pub fn hash_into(&self, hasher: &mut KeyHasher) {
        let Self { kind, lateness_ms, time } = self;
        kind.hash_into(hasher);
        hasher.number(*lateness_ms);
        // Which columns they are is in the keys of rows.
        if let Some(EventTime { column: _, delay_ms, position: _, marks: _ }) = time {
            hasher.number(*delay_ms);
        }
    }
}

impl WindowKind {
    /// Adds all that decides where windows begin and end.
    pub fn hash_into(&self, hasher: &mut KeyHasher) {
        match self {
            WindowKind::Tumbling { size_ms, offset_ms } => {
                hasher.bytes(b"tumbling").number(*size_ms).number(*offset_ms);
            }
            WindowKind::Sliding { size_ms, slide_ms, offset_ms } => {
                hasher.bytes(b"sliding").number(*size_ms).number(*slide_ms).number(*offset_ms);
            }
            WindowKind::Calendar { unit, zone } => {
                hasher.bytes(b"calendar").number(*unit as u64).bytes(zone.as_bytes());
            }
            // Which columns they are is in the keys of rows.
            WindowKind::Session { gap_ms, by } => {
                hasher.bytes(b"session").number(*gap_ms).number(by.len() as u64);
            }
            WindowKind::Count { rows, by } => {
                hasher.bytes(b"count").number(*rows).number(by.len() as u64);
            }
        }
    }
}

/// Whether values of a type are points in time.
pub fn is_time(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(..) | DataType::Date32 | DataType::Date64)
}

impl Window {
    /// The type of its bounds, `schema` having the columns of the input's stream: a time, or the number of a row where rows are counted.
    pub fn bound_type(&self, schema: &Schema) -> DataType {
        self.time.map_or(DataType::UInt64, |time| bound_type(schema.field(time.column).data_type()))
    }
}

/// The type of the bounds of windows of a time: whole milliseconds, in the zone of the event time. Nanoseconds would not reach far enough.
pub(crate) fn bound_type(time: &DataType) -> DataType {
    match time {
        DataType::Timestamp(TimeUnit::Second | TimeUnit::Millisecond, zone) => {
            DataType::Timestamp(TimeUnit::Millisecond, zone.clone())
        }
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        _ => DataType::Timestamp(TimeUnit::Millisecond, None),
    }
}

impl std::fmt::Display for WindowKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let offset = match self {
            WindowKind::Tumbling { size_ms, offset_ms } => {
                write!(f, "tumbling {}", duration(*size_ms))?;
                *offset_ms
            }
            WindowKind::Sliding { size_ms, slide_ms, offset_ms } => {
                write!(f, "sliding {} every {}", duration(*size_ms), duration(*slide_ms))?;
                *offset_ms
            }
            WindowKind::Calendar { unit, zone } => {
                let unit = match unit {
                    CalendarUnit::Day => "days",
                    CalendarUnit::Week => "weeks",
                    CalendarUnit::Month => "months",
                };
                write!(f, "{unit} of {zone}")?;
                0
            }
            WindowKind::Session { gap_ms, by: _ } => {
                write!(f, "sessions with gaps of {}", duration(*gap_ms))?;
                0
            }
            WindowKind::Count { rows, by: _ } => {
                f.write_str(&count(*rows, "row"))?;
                0
            }
        };
        if offset > 0 { write!(f, " from {}", duration(offset)) } else { Ok(()) }
    }
}
