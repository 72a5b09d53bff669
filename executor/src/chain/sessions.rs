//! Windows that rows make: the rows of a group of keys, brought together by key and by time, or by so many.

use arrow_row::{RowConverter, SortField};
use arrow_schema::ArrowError;
use flowc_planner::plan::{Window, WindowKind};
use flowc_runner::{Batch, Selection};

use crate::inputs::times::times;

/// The rows of one key without a gap between them, or so many of them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Session {
    /// The time of its first row; where rows are counted, its number among those of its key.
    pub start: i64,
    /// The gap after the time of its last row; where rows are counted, the number of the row that would be the first of the next window.
    pub end: i64,
    /// Its rows in the order of the input: the numbers of batches, and of rows in them.
    rows: Vec<(usize, u32)>,
}

impl Session {
    /// Its rows.
    ///
    /// # Errors
    /// If a column can't hold them.
    pub(crate) fn batches(&self, batches: &[Batch]) -> Result<Vec<Batch>, ArrowError> {
        let of_batch = |rows: &[(usize, u32)]| {
            let numbers: Vec<u32> = rows.iter().map(|(_, row)| *row).collect();
            batches[rows[0].0].select(&Selection::Take(numbers.into()))
        };
        self.rows.chunk_by(|a, b| a.0 == b.0).map(of_batch).collect()
    }
}

/// A row with its key and time, and where it is.
type Row = (Box<[u8]>, i64, usize, u32);

/// The windows that these rows make, by their begin and then by their key.
///
/// # Errors
/// If a key can't be compared.
pub(crate) fn sessions(batches: &[Batch], window: &Window) -> Result<Vec<Session>, ArrowError> {
    let mut sessions = match &window.kind {
        WindowKind::Session { gap_ms, .. } => by_gap(rows(batches, window)?, *gap_ms as i64),
        WindowKind::Count { rows: size, .. } => by_number(rows(batches, window)?, *size as i64),
        WindowKind::Tumbling { .. } | WindowKind::Sliding { .. } | WindowKind::Calendar { .. } => Vec::new(),
    };
    sessions.iter_mut().for_each(|(_, session)| session.rows.sort_unstable());
    sessions.sort_by(|(key, one), (other_key, other)| (one.start, key).cmp(&(other.start, other_key)));
    Ok(sessions.into_iter().map(|(_, session)| session).collect())
}

/// All rows that can be in a window, by key, and then by time, or in the order of the input where there is no time.
fn rows(batches: &[Batch], window: &Window) -> Result<Vec<Row>, ArrowError> {
    let mut rows: Vec<Row> = Vec::new();
    for (number, batch) in batches.iter().enumerate() {
        let times = match window.time {
            Some(time) => batch.column(time.column).map_or_else(Vec::new, |column| times(column)),
            None => vec![Some(0); batch.rows()],
        };
        let placed = (0..).zip(keys(batch, window.by())?).zip(times);
        rows.extend(placed.filter_map(|((row, key), time)| Some((key, time?, number, row))));
    }
    rows.sort_unstable();
    Ok(rows)
}

/// Two rows of a key are in one window if less than the gap is between them.
fn by_gap(rows: Vec<Row>, gap: i64) -> Vec<(Box<[u8]>, Session)> {
    let mut sessions: Vec<(Box<[u8]>, Session)> = Vec::new();
    for (key, time, batch, row) in rows {
        match sessions.last_mut() {
            Some((of, session)) if *of == key && time < session.end => {
                session.end = time + gap;
                session.rows.push((batch, row));
            }
            _ => sessions.push((key, Session { start: time, end: time + gap, rows: vec![(batch, row)] })),
        }
    }
    sessions
}

/// So many rows of a key are in one window.
fn by_number(rows: Vec<Row>, size: i64) -> Vec<(Box<[u8]>, Session)> {
    let mut windows: Vec<(Box<[u8]>, Session)> = Vec::new();
    for (key, _, batch, row) in rows {
        let start = match windows.last_mut() {
            Some((of, window)) if *of == key && (window.rows.len() as i64) < size => {
                window.rows.push((batch, row));
                continue;
            }
            Some((of, window)) if *of == key => window.end,
            _ => 0,
        };
        windows.push((key, Session { start, end: start + size, rows: vec![(batch, row)] }));
    }
    windows
}

/// The key of each row, as bytes; without columns all rows have one.
fn keys(batch: &Batch, by: &[usize]) -> Result<Vec<Box<[u8]>>, ArrowError> {
    if by.is_empty() {
        return Ok(vec![Box::default(); batch.rows()]);
    }
    let columns: Vec<_> = by.iter().filter_map(|&column| batch.column(column)).collect();
    let columns = columns.into_iter().map(flowc_arrays::comparable).collect::<Result<Vec<_>, _>>()?;
    let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
    let rows = RowConverter::new(fields)?.convert_columns(&columns)?;
    Ok(rows.iter().map(|row| row.as_ref().into()).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, StringArray, TimestampMillisecondArray};
    use flowc_planner::plan::EventTime;

    use super::*;

    fn batch(rows: &[(&str, i64)]) -> Batch {
        let times = TimestampMillisecondArray::from_iter_values(rows.iter().map(|(_, time)| *time));
        let users = StringArray::from_iter_values(rows.iter().map(|(user, _)| *user));
        Batch::new(rows.len(), [Arc::new(times) as ArrayRef, Arc::new(users)].map(Some).to_vec())
    }

    fn window(kind: WindowKind) -> Window {
        let time = EventTime { column: 0, delay_ms: 0, position: Default::default(), marks: None };
        Window { kind, lateness_ms: 0, time: Some(time) }
    }

    #[test]
    fn rows_are_counted_by_key_in_the_order_of_the_input() {
        let rows = [batch(&[("a", 9), ("b", 5), ("a", 3)]), batch(&[("a", 1), ("b", 14), ("a", 2)])];
        let counted = |by: Vec<usize>| {
            let window = Window { time: None, ..window(WindowKind::Count { rows: 2, by }) };
            let found = sessions(&rows, &window).unwrap().into_iter();
            found.map(|of| (of.start, of.end, of.rows)).collect::<Vec<_>>()
        };
        assert_eq!(
            counted(vec![]),
            [(0, 2, vec![(0, 0), (0, 1)]), (2, 4, vec![(0, 2), (1, 0)]), (4, 6, vec![(1, 1), (1, 2)])]
        );
        assert_eq!(
            counted(vec![1]),
            [(0, 2, vec![(0, 0), (0, 2)]), (0, 2, vec![(0, 1), (1, 1)]), (2, 4, vec![(1, 0), (1, 2)])]
        );
    }

    /// Start, end, and rows by batch.
    type Found = (i64, i64, Vec<(usize, u32)>);

    fn found(by: Vec<usize>, batches: &[Batch]) -> Vec<Found> {
        let window = window(WindowKind::Session { gap_ms: 10, by });
        sessions(batches, &window).unwrap().into_iter().map(|of| (of.start, of.end, of.rows)).collect()
    }

    #[test]
    fn a_session_ends_where_the_next_row_of_its_key_is_the_gap_away() {
        let rows = [batch(&[("a", 0), ("b", 5), ("a", 9)]), batch(&[("a", 19), ("b", 14)])];
        assert_eq!(
            found(vec![1], &rows),
            [(0, 19, vec![(0, 0), (0, 2)]), (5, 24, vec![(0, 1), (1, 1)]), (19, 29, vec![(1, 0)]),]
        );
    }

    #[test]
    fn without_a_key_all_rows_make_sessions_together() {
        assert_eq!(
            found(vec![], &[batch(&[("a", 20), ("b", 0), ("c", 12)])]),
            [(0, 10, vec![(0, 1)]), (12, 30, vec![(0, 0), (0, 2)]),]
        );
    }

    #[test]
    fn the_rows_of_a_session_keep_their_order() {
        let rows = [batch(&[("a", 5)]), batch(&[("a", 0), ("a", 3)])];
        let window = window(WindowKind::Session { gap_ms: 10, by: vec![1] });
        let found = sessions(&rows, &window).unwrap();
        let batches = found[0].batches(&rows).unwrap();
        let of_batches: Vec<_> = batches.iter().flat_map(|batch| times(batch.column(0).unwrap())).collect();
        assert_eq!(of_batches, [Some(5), Some(0), Some(3)]);
    }
}
