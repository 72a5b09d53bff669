//! Which windows there are, and which segments have rows of them.

use flowc_planner::plan::EventTime;

use super::*;

const MINUTE: u64 = 60_000;

fn tumbling() -> WindowKind {
    WindowKind::Tumbling { size_ms: MINUTE, offset_ms: 0 }
}

fn days(zone: &str) -> WindowKind {
    WindowKind::Calendar { unit: CalendarUnit::Day, zone: zone.to_owned() }
}

fn at(text: &str) -> i64 {
    DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis()
}

/// Where the window of a time begins and ends.
fn bounds(kind: &WindowKind, text: &str) -> [String; 2] {
    let grid = Grid::new(kind);
    let window = grid.pane(at(text));
    let told = |time| DateTime::from_timestamp_millis(time).unwrap().format("%F %R").to_string();
    [told(grid.start(window)), told(grid.end(window))]
}

#[test]
fn windows_align_to_1970_also_before_it() {
    assert_eq!(bounds(&tumbling(), "2024-03-01T12:00:59.999Z"), ["2024-03-01 12:00", "2024-03-01 12:01"]);
    assert_eq!(bounds(&tumbling(), "1969-12-31T23:59:59.999Z"), ["1969-12-31 23:59", "1970-01-01 00:00"]);
    let offset = WindowKind::Tumbling { size_ms: 60 * MINUTE, offset_ms: 15 * MINUTE };
    assert_eq!(bounds(&offset, "2024-03-01T12:14:00Z"), ["2024-03-01 11:15", "2024-03-01 12:15"]);
}

#[test]
fn days_are_those_of_the_zone() {
    assert_eq!(bounds(&days("UTC"), "2024-03-01T23:30:00Z"), ["2024-03-01 00:00", "2024-03-02 00:00"]);
    assert_eq!(bounds(&days("Europe/Oslo"), "2024-03-01T23:30:00Z"), ["2024-03-01 23:00", "2024-03-02 23:00"]);
    // Clocks are put forward on this day: it has 23 hours.
    assert_eq!(bounds(&days("Europe/Oslo"), "2024-03-31T12:00:00Z"), ["2024-03-30 23:00", "2024-03-31 22:00"]);
    // Here that happens at midnight, so the day begins at one o'clock.
    assert_eq!(bounds(&days("America/Sao_Paulo"), "2018-11-04T12:00:00Z"), ["2018-11-04 03:00", "2018-11-05 02:00"]);
}

#[test]
fn weeks_begin_on_mondays_and_months_on_their_first_day() {
    let of = |unit| WindowKind::Calendar { unit, zone: "UTC".to_owned() };
    assert_eq!(bounds(&of(CalendarUnit::Week), "2024-03-03T12:00:00Z"), ["2024-02-26 00:00", "2024-03-04 00:00"]);
    assert_eq!(bounds(&of(CalendarUnit::Month), "2024-02-29T12:00:00Z"), ["2024-02-01 00:00", "2024-03-01 00:00"]);
    assert_eq!(bounds(&of(CalendarUnit::Month), "1969-12-31T12:00:00Z"), ["1969-12-01 00:00", "1970-01-01 00:00"]);
}

#[test]
fn every_time_is_within_its_window() {
    let sliding = WindowKind::Sliding { size_ms: MINUTE, slide_ms: 10_000, offset_ms: 3 };
    let kinds = [tumbling(), sliding, days("Pacific/Apia"), days("Africa/Monrovia"), days("America/Havana")];
    for kind in &kinds {
        let grid = Grid::new(kind);
        for time in (0..4000).map(|step| step * 7_654_321_987 - 15_000_000_000_000) {
            for window in grid.windows(grid.pane(time)) {
                assert!((grid.start(window)..grid.end(window)).contains(&time), "{kind:?} {time}");
            }
        }
    }
}

fn window(kind: WindowKind, delay_ms: u64, lateness_ms: u64) -> Window {
    Window { kind, lateness_ms, time: EventTime { column: 0, delay_ms, position: Default::default() } }
}

/// Segments of files, with the minutes of their rows.
fn clocks(window: &Window, segments: &[(&str, &[i64])]) -> Vec<SegmentClock> {
    let mut before: BTreeMap<&str, u64> = BTreeMap::new();
    let mut clocks = Vec::new();
    for &(file, minutes) in segments {
        let times = minutes.iter().map(|minute| minute * MINUTE as i64);
        let times = Arc::new(SegmentTimes::of(Grid::new(&window.kind), times));
        let rows = before.entry(file).or_default();
        clocks.push(SegmentClock { partition: file.into(), first_row: *rows, times });
        *rows += minutes.len() as u64;
    }
    clocks
}

fn found(window: &Window, segments: &[(&str, &[i64])]) -> Vec<(i64, Vec<usize>)> {
    let parts = windows(&[Some((window, clocks(window, segments)))]);
    parts.into_iter().map(|part| (part.number, part.segments[0].clone())).collect()
}

#[test]
fn a_window_has_the_segments_that_have_rows_of_it() {
    let patient = window(tumbling(), 60 * MINUTE, 0);
    let segments: &[(&str, &[i64])] = &[("a", &[0, 1]), ("a", &[1, 5]), ("b", &[0])];
    assert_eq!(found(&patient, segments), [(0, vec![0, 2]), (1, vec![0, 1]), (5, vec![1])]);
}

#[test]
fn what_comes_before_a_segment_in_its_file_alone_can_make_all_its_rows_of_a_window_late() {
    let segments: &[(&str, &[i64])] = &[("a", &[0, 9]), ("a", &[1, 9]), ("b", &[1])];
    let strict = window(tumbling(), 0, 0);
    assert_eq!(found(&strict, segments), [(0, vec![0]), (1, vec![2]), (9, vec![0, 1])]);
    assert_eq!(found(&window(tumbling(), 0, 7 * MINUTE + 1), segments)[1], (1, vec![1, 2]));
    assert_eq!(found(&window(tumbling(), 7 * MINUTE + 1, 0), segments)[1], (1, vec![1, 2]));
    assert_eq!(found(&window(tumbling(), 7 * MINUTE, 0), segments)[1], (1, vec![2]));
}

#[test]
fn a_row_is_in_all_windows_that_slide_over_it() {
    let sliding = WindowKind::Sliding { size_ms: 3 * MINUTE, slide_ms: MINUTE, offset_ms: 0 };
    let parts = found(&window(sliding, 0, 0), &[("a", &[10])]);
    assert_eq!(parts.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [8, 9, 10]);
}

#[test]
fn windows_of_two_inputs_are_those_of_either() {
    let of = window(tumbling(), 0, 0);
    let inputs =
        [Some((&of, clocks(&of, &[("a", &[1])]))), None, Some((&of, clocks(&of, &[("b", &[1]), ("c", &[2])])))];
    let parts = windows(&inputs);
    let segments: Vec<_> = parts.iter().map(|part| part.segments.clone()).collect();
    assert_eq!(segments, [vec![vec![0], vec![], vec![0]], vec![vec![], vec![], vec![1]]]);
}

#[test]
fn times_far_apart_make_no_windows_between() {
    let far = window(tumbling(), 0, 0);
    let parts = found(&far, &[("a", &[-100_000_000_000, 0, 100_000_000_000])]);
    assert_eq!(parts.len(), 3);
}

#[test]
fn where_a_segment_begins_is_told_by_the_rows_before_it_in_its_file() {
    let of = window(tumbling(), 0, 0);
    let clocks = clocks(&of, &[("a", &[5, 2]), ("a", &[]), ("a", &[3]), ("b", &[1])]);
    let told: Vec<_> = beginnings(&clocks).iter().map(|of| (of.latest, of.first_row)).collect();
    let five = Some(5 * MINUTE as i64);
    assert_eq!(told, [(None, 0), (five, 2), (five, 2), (None, 0)]);
}

#[test]
fn the_watermark_of_a_partition_goes_on_from_block_to_block() {
    let of = window(tumbling(), 0, 0);
    let block = |partition: &str, minute| {
        let times = SegmentTimes::of(Grid::new(&of.kind), std::iter::once(minute * MINUTE as i64)).into();
        SegmentClock { partition: partition.into(), first_row: 0, times }
    };
    let blocks = vec![block("bids-0", 9), block("bids-0", 1), block("bids-1", 1)];
    let latest: Vec<_> = beginnings(&blocks).iter().map(|of| of.latest).collect();
    assert_eq!(latest, [None, Some(9 * MINUTE as i64), None]);
    let parts = windows(&[Some((&of, blocks))]);
    assert_eq!(parts.iter().map(|part| part.segments[0].clone()).collect::<Vec<_>>(), [vec![2], vec![0]]);
}
