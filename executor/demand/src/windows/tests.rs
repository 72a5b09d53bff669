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
    Window {
        kind,
        lateness_ms,
        time: Some(EventTime { column: 0, delay_ms, position: Default::default(), marks: None }),
    }
}

/// Segments of files, with the minutes of their rows.
fn clocks(window: &Window, segments: &[(&str, &[i64])]) -> Vec<SegmentClock> {
    let mut before: BTreeMap<&str, u64> = BTreeMap::new();
    let mut clocks = Vec::new();
    for &(file, minutes) in segments {
        let times = minutes.iter().map(|minute| Some(minute * MINUTE as i64));
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
        let times = SegmentTimes::of(Grid::new(&of.kind), std::iter::once(Some(minute * MINUTE as i64))).into();
        SegmentClock { partition: partition.into(), first_row: 0, times }
    };
    let blocks = vec![block("bids-0", 9), block("bids-0", 1), block("bids-1", 1)];
    let latest: Vec<_> = beginnings(&blocks).iter().map(|of| of.latest).collect();
    assert_eq!(latest, [None, Some(9 * MINUTE as i64), None]);
    let parts = windows(&[Some((&of, blocks))]);
    assert_eq!(parts.iter().map(|part| part.segments[0].clone()).collect::<Vec<_>>(), [vec![2], vec![0]]);
}

/// Numbers that look like chance: the same in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// Times of rows that come in order, nearly in order, or in none; some rows have none.
fn times_of_rows(chance: &mut Chance) -> Vec<Option<i64>> {
    let disorder = [1, 5, 3000, 400_000][chance.below(4) as usize];
    let start = chance.below(1 << 20) as i64 - (1 << 19);
    let rows = chance.below(60) as i64;
    let time = |row, chance: &mut Chance| start + row * 7001 - chance.below(disorder) as i64;
    (0..rows).map(|row| (chance.below(20) > 0).then(|| time(row, chance))).collect()
}

fn kinds() -> [WindowKind; 6] {
    let sliding = |size_ms, slide_ms| WindowKind::Sliding { size_ms, slide_ms, offset_ms: 3 };
    let gap = WindowKind::Session { gap_ms: 9000, by: vec![] };
    [tumbling(), sliding(60_000, 10_000), sliding(20_000, 10_000), sliding(9000, 9000), days("Africa/Monrovia"), gap]
}

#[test]
fn the_slices_of_a_window_have_its_rows_in_their_order_and_none_is_empty() {
    let mut chance = Chance(1);
    let mut shared = 0;
    for _ in 0..4000 {
        let times = times_of_rows(&mut chance);
        let kind = kinds()[chance.below(5) as usize].clone();
        let window = window(kind, chance.below(3) * 4000, chance.below(3) * 5000);
        let grid = Grid::new(&window.kind);
        let layout = Layout::of(grid, times.iter().copied());
        let mut due: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
        let mut latest = None;
        for (row, time) in times.iter().enumerate().filter_map(|(row, time)| Some((row, (*time)?))) {
            for (number, end) in grid.of_row(time) {
                let rows = due.entry(number).or_default();
                rows.extend((!is_late(&window, latest, || end)).then_some(row));
            }
            latest = latest.max(Some(time));
        }
        assert!(layout.times.windows(grid).eq(due.keys().copied()), "{window:?} {times:?}");
        let mut slices = std::collections::BTreeMap::<Slice, usize>::new();
        for (number, due) in due {
            let of_window = layout.times.slices(&window, number);
            let rows: Vec<Vec<usize>> =
                of_window.iter().map(|slice| layout.rows(&window, slice).into_iter().flatten().collect()).collect();
            assert!(rows.iter().all(|rows| !rows.is_empty()), "{window:?} {times:?}");
            assert_eq!(rows.concat(), due, "{window:?} {times:?}");
            assert_eq!(layout.rows_of_window(&window, number).into_iter().flatten().collect::<Vec<_>>(), due);
            of_window.into_iter().for_each(|slice| *slices.entry(slice).or_default() += 1);
        }
        shared += slices.values().filter(|windows| **windows > 1).count();
    }
    assert!(shared > 10_000, "{shared}");
}

#[test]
fn rows_in_order_are_taken_in_once_however_many_windows_they_are_in() {
    let sliding = window(WindowKind::Sliding { size_ms: 60_000, slide_ms: 10_000, offset_ms: 0 }, 0, 0);
    let layout = Layout::of(Grid::new(&sliding.kind), (0..600).map(|second| Some(second * 1000)));
    let windows: Vec<i64> = layout.times.windows(Grid::new(&sliding.kind)).collect();
    let slices = windows.iter().flat_map(|&number| layout.times.slices(&sliding, number));
    let slices: std::collections::BTreeSet<Slice> = slices.collect();
    assert_eq!((windows.len(), slices.len()), (65, 60));
    let rows: usize = slices.iter().flat_map(|slice| layout.rows(&sliding, slice)).map(|rows| rows.len()).sum();
    assert_eq!(rows, 600);
}

#[test]
fn rows_a_little_out_of_order_are_taken_in_a_few_times() {
    let sliding = window(WindowKind::Sliding { size_ms: 60_000, slide_ms: 10_000, offset_ms: 0 }, 3000, 0);
    let mut chance = Chance(2);
    let times: Vec<Option<i64>> = (0..6000).map(|row| Some(row * 100 - chance.below(3000) as i64)).collect();
    let layout = Layout::of(Grid::new(&sliding.kind), times.iter().copied());
    let windows = layout.times.windows(Grid::new(&sliding.kind));
    let slices: std::collections::BTreeSet<Slice> =
        windows.flat_map(|number| layout.times.slices(&sliding, number)).collect();
    let rows: usize = slices.iter().flat_map(|slice| layout.rows(&sliding, slice)).map(|rows| rows.len()).sum();
    assert!(rows < 6000 * 2, "{rows}");
}

#[test]
fn late_rows_are_looked_for_wherever_there_may_be_some() {
    let mut chance = Chance(3);
    let mut seen = [0, 0];
    for _ in 0..4000 {
        let times = times_of_rows(&mut chance);
        let kind = kinds()[chance.below(6) as usize].clone();
        let window = window(kind, chance.below(3) * 4000, chance.below(3) * 5000);
        let latest = (chance.below(2) > 0).then(|| chance.below(1 << 20) as i64 - (1 << 19));
        let known = SegmentTimes::of(Grid::new(&window.kind), times.iter().copied());
        let late = late_rows(&window, latest, times.iter().copied().flatten());
        assert_eq!(known.timeless, times.iter().filter(|time| time.is_none()).count() as u64);
        assert!(late == 0 || known.may_be_late(&window, latest), "{window:?} {latest:?} {times:?}");
        seen[usize::from(late > 0)] += 1;
    }
    assert!(seen.iter().all(|&seen| seen > 200), "{seen:?}");
}

#[test]
fn a_hundred_thousand_windows_are_found_with_their_slices() {
    let mut chance = Chance(4);
    let sliding = WindowKind::Sliding { size_ms: 2 * MINUTE, slide_ms: MINUTE, offset_ms: 0 };
    for kind in [tumbling(), sliding] {
        let of = window(kind, 1 << 40, 0);
        let times = (0..100_000).map(|minute| Some((minute ^ chance.below(4) as i64) * MINUTE as i64));
        let times = Arc::new(SegmentTimes::of(Grid::new(&of.kind), times));
        let clock = SegmentClock { partition: "a".into(), first_row: 0, times: times.clone() };
        let parts = windows(&[Some((&of, vec![clock]))]);
        assert!(parts.len() > 60_000, "{}", parts.len());
        assert!(parts.iter().all(|part| (1..=4).contains(&times.slices(&of, part.number).len())));
    }
}
