//! `event-time "at" delay="5s"`, and `window "tumbling" size="1m" lateness="10s"` and other kinds.

use crate::diagnostic::{Problems, WindowProblem, suggest};
use crate::place::Place;
use crate::plan::{CalendarUnit, KafkaTopic, RecordField, TopicTime, WindowKind};
use crate::quantity;
use crate::read::form::{self, Form, Takes};
use crate::read::measure::{DURATION, Measure};
use crate::syntax::Node;

/// About a century: sums of such lengths and of points in time stay far from the ends of 64 bits.
const LONGEST_MS: u64 = 100 * 366 * 24 * 3_600_000;

/// The event time of a source, as declared.
#[derive(Debug)]
pub(crate) struct EventTimeDecl {
    pub(crate) column: String,
    pub(crate) delay_ms: u64,
    /// Of the column's name.
    pub(crate) place: Place,
}

/// The windows of an input, as declared.
#[derive(Clone, Debug)]
pub(crate) struct WindowDecl {
    pub(crate) kind: WindowKind,
    /// The columns whose values have windows of their own.
    pub(crate) by: Vec<(String, Place)>,
    pub(crate) lateness_ms: u64,
    pub(crate) place: Place,
}

/// A kind of windows: its name, the settings that it needs and those that it may have beside, and how it may look.
struct KindForm {
    name: &'static str,
    needs: &'static [&'static str],
    may: &'static [&'static str],
    example: &'static str,
}

const KINDS: [KindForm; 5] = [
    KindForm { name: "tumbling", needs: &["size"], may: &["offset"], example: "window \"tumbling\" size=\"1m\"" },
    KindForm {
        name: "sliding",
        needs: &["size", "slide"],
        may: &["offset"],
        example: "window \"sliding\" size=\"1m\" slide=\"10s\"",
    },
    KindForm {
        name: "calendar",
        needs: &["size"],
        may: &["zone"],
        example: "window \"calendar\" size=\"1d\" zone=\"Europe/Oslo\"",
    },
    KindForm { name: "session", needs: &["gap"], may: &["by"], example: "window \"session\" gap=\"30m\" by=\"user\"" },
    KindForm { name: COUNT, needs: &["rows"], may: &["by"], example: "window \"count\" rows=1000" },
];
const FORM: Form = Form {
    takes: Takes::One(KINDS[0].example),
    props: &["size", "slide", "offset", "zone", "gap", "rows", "by", LATENESS],
    ..Form::LEAF
};
/// A row is in at most so many sliding windows.
const MOST_STEPS: u64 = 10_000;
/// Numbers of rows stay far from the ends of 64 bits.
const MOST_ROWS: u64 = 1 << 48;
const COUNT: &str = "count";
const LATENESS: &str = "lateness";
const DELAY: &str = "delay";
const IDLE: &str = "idle";
/// In the place of a column: when the broker appended the record.
const LOG_APPEND: &str = "log-append";

impl EventTimeDecl {
    /// That of a source, if it has one. `topic` is what it reads, where that is a topic.
    pub(crate) fn read(source: &Node, topic: Option<&mut KafkaTopic>, problems: &mut Problems) -> Option<Self> {
        let node = source.child("event-time")?;
        let takes = Takes::One("event-time \"at\" delay=\"5s\"");
        Form { takes, props: &[DELAY, IDLE], ..Form::LEAF }.check(node, "`event-time`", problems);
        let arg = node.args.first()?;
        let mut column = form::string("event-time", arg, problems)?.to_owned();
        let delay_ms = node.prop(DELAY).map_or(Some(0), |arg| LENGTH.read(DELAY, arg, problems))?;
        // For how long others wait for a silent partition where a source has no end. Sources of a run have one, and nothing waits.
        node.prop(IDLE).map_or(Some(0), |arg| LENGTH.read(IDLE, arg, problems))?;
        if let Some(topic) = topic {
            topic.event_time = Some(TopicTime::Column);
            if column == LOG_APPEND {
                topic.event_time = Some(TopicTime::LogAppend);
                let Some(named) = topic.columns.iter().find(|column| column.field == RecordField::Timestamp) else {
                    problems.at(arg.place, WindowProblem::NoTimestamp);
                    return None;
                };
                column.clone_from(&named.name);
            }
        }
        Some(Self { column, delay_ms, place: arg.place })
    }
}

impl WindowDecl {
    /// Whether rows can come too late for them.
    pub(crate) fn has_late_rows(&self) -> bool {
        !matches!(self.kind, WindowKind::Count { .. })
    }

    /// Those that a block of `in` names, if it has one.
    pub(crate) fn read(input: &Node, problems: &mut Problems) -> Option<Self> {
        let node = input.child("window")?;
        FORM.check(node, "`window`", problems);
        let arg = node.args.first()?;
        let name = form::string("window", arg, problems)?;
        let Some(kind) = KINDS.iter().find(|kind| kind.name == name) else {
            let help = suggest(name, KINDS.iter().map(|kind| kind.name)).unwrap_or_default();
            form::bad_value("kind of window", arg, help, problems);
            return None;
        };
        let before = problems.len();
        kind.check(node, problems);
        let lateness_ms = node.prop(LATENESS).map_or(Some(0), |arg| LENGTH.read(LATENESS, arg, problems));
        let read = (problems.len() == before).then(|| kind.read(node, problems))??;
        let by = node.props.iter().filter(|prop| prop.name == "by");
        let by = by.filter_map(|prop| Some((form::string("by", &prop.arg, problems)?.to_owned(), prop.arg.place)));
        Some(Self { kind: read, by: by.collect(), lateness_ms: lateness_ms?, place: node.place })
    }
}

impl KindForm {
    /// Says which settings are missing, and which mean nothing here.
    fn check(&self, node: &Node, problems: &mut Problems) {
        let (kind, example) = (|| self.name.to_owned(), self.example);
        for setting in self.needs.iter().copied().filter(|setting| node.prop(setting).is_none()) {
            problems.at(node.place, WindowProblem::Missing { kind: kind(), setting, example });
        }
        let may_be_late = self.name != COUNT;
        let is_known =
            |name: &str| name == LATENESS && may_be_late || self.needs.contains(&name) || self.may.contains(&name);
        let stray = node.props.iter().filter(|prop| FORM.props.contains(&prop.name.as_str()) && !is_known(&prop.name));
        for prop in stray {
            let setting = prop.name.clone();
            problems.at(prop.arg.place, WindowProblem::Stray { kind: kind(), setting, example });
        }
    }

    fn read(&self, node: &Node, problems: &mut Problems) -> Option<WindowKind> {
        if self.name == "calendar" {
            return calendar(node, problems);
        }
        if let Some(arg) = node.prop("rows") {
            let rows =
                u64::try_from(form::integer("rows", arg, problems)?).ok().filter(|rows| (1..=MOST_ROWS).contains(rows));
            if rows.is_none() {
                form::bad_value("number of rows of a window", arg, "a number from 1 on", problems);
            }
            return Some(WindowKind::Count { rows: rows?, by: Vec::new() });
        }
        if let Some(gap) = node.prop("gap") {
            return Some(WindowKind::Session { gap_ms: LENGTH.read("gap", gap, problems)?, by: Vec::new() });
        }
        let size_ms = SIZE.read("size", node.prop("size")?, problems)?;
        let offset_ms = node.prop("offset").map_or(Some(0), |arg| LENGTH.read("offset", arg, problems))?;
        let Some(slide) = node.prop("slide") else {
            return Some(WindowKind::Tumbling { size_ms, offset_ms: offset_ms % size_ms });
        };
        let slide_ms = LENGTH.read("slide", slide, problems)?;
        let windows = size_ms / slide_ms;
        if windows > MOST_STEPS {
            let (size, slide_text) = (quantity::duration(size_ms), quantity::duration(slide_ms));
            let problem = WindowProblem::TooManySteps { windows, size, slide: slide_text, most: MOST_STEPS };
            problems.at(slide.place, problem);
            return None;
        }
        if !size_ms.is_multiple_of(slide_ms) {
            let (size, slide_text) = (quantity::duration(size_ms), quantity::duration(slide_ms));
            problems.at(slide.place, WindowProblem::Undivided { size, slide: slide_text });
            return None;
        }
        Some(WindowKind::Sliding { size_ms, slide_ms, offset_ms: offset_ms % slide_ms })
    }
}

fn calendar(node: &Node, problems: &mut Problems) -> Option<WindowKind> {
    let size = node.prop("size")?;
    let unit = match form::string("size", size, problems)? {
        "1d" => CalendarUnit::Day,
        "1w" => CalendarUnit::Week,
        "1mo" => CalendarUnit::Month,
        _ => {
            form::bad_value("size of a calendar window", size, "\"1d\", \"1w\" or \"1mo\"", problems);
            return None;
        }
    };
    let Some(arg) = node.prop("zone") else { return Some(WindowKind::Calendar { unit, zone: "UTC".to_owned() }) };
    let zone = form::string("zone", arg, problems)?;
    if zone.parse::<chrono_tz::Tz>().is_err() {
        form::bad_value("time zone", arg, "a name of the IANA database, such as \"Europe/Oslo\" or \"UTC\"", problems);
        return None;
    }
    Some(WindowKind::Calendar { unit, zone: zone.to_owned() })
}

/// A length of time that is not zero.
const LENGTH: Measure = Measure {
    help: "a positive number and one of ms, s, m, h: \"500ms\", \"5s\"; for none, leave it out",
    parse: |text| quantity::milliseconds(text).filter(|&length| (1..=LONGEST_MS).contains(&length)),
    ..DURATION
};

/// The length of a window.
const SIZE: Measure = Measure {
    help: "a positive number and one of ms, s, m, h: \"5m\", \"24h\"; days as calendars have them are `window \"calendar\" size=\"1d\"`",
    ..LENGTH
};
