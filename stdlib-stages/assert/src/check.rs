//! A check of one column.

use flowc_sdk::prelude::*;
use flowc_sdk::serde_json::Value as Json;
use stage_parts::{Format, Mistakes, Reader, Rows, converts, literal, plain, plain_type, text};

use crate::Check;

/// A check, ready to be made.
pub(crate) struct Checker {
    name: String,
    column: usize,
    not_null: bool,
    /// How values are compared; none if they are not.
    format: Option<Format>,
    min: Option<Bound>,
    max: Option<Bound>,
    among: Option<Vec<Bound>>,
}

/// A value, and its text.
struct Bound {
    rows: Rows,
    text: String,
}

impl Checker {
    /// What a check reads, with what is wrong with it.
    pub(crate) fn described(path: &str, check: &Check, input: &Columns, mistakes: &mut Mistakes) -> Option<Column> {
        let column = mistakes.take(input.find(&format!("{path}/column"), &check.column))?;
        let data_type = plain_type(column.data_type());
        let values = |key: &str, value: &Json, mistakes: &mut Mistakes| {
            let fits = literal(data_type, value).map_err(|problem| problem.blame(&format!("{path}/{key}")));
            mistakes.take(fits);
        };
        let bounds = [("min", &check.min), ("max", &check.max)];
        let has_values = check.among.is_some() || bounds.iter().any(|(_, bound)| bound.is_some());
        if !has_values && !check.not_null {
            mistakes.add(Problem::at(path, "there is nothing to check").help("`not-null #true`, `min`, `max` or `in`"));
        }
        if has_values && !converts(data_type, &DataType::Utf8) {
            let message = format!("column `{}` is {data_type}, which can only be `not-null`", check.column);
            mistakes.add(Problem::at(format!("{path}/column"), message));
            return Some(column);
        }
        for (key, bound) in bounds {
            bound.iter().for_each(|bound| values(key, bound, mistakes));
        }
        for (at, value) in check.among.iter().flatten().enumerate() {
            values(&format!("in/{at}"), value, mistakes);
        }
        Some(column)
    }

    pub(crate) fn new(check: &Check, columns: &Columns) -> Result<Self> {
        let column = columns.find("/check", &check.column)?;
        let data_type = plain_type(column.data_type()).clone();
        let has_values = check.among.is_some() || check.min.is_some() || check.max.is_some();
        let format = has_values.then(|| Format::new(&[field("", data_type.clone(), false)])).transpose()?;
        let bound = |value: &Json| {
            let value = literal(&data_type, value)?;
            let text = text(Reader::new(&value)?.value(0));
            let format = format.as_ref().ok_or_else(|| Problem::new("a check without values"))?;
            Ok::<_, Problem>(Bound { rows: format.rows(&[value], 1)?, text })
        };
        let among = check.among.as_ref().map(|all| all.iter().map(bound).collect::<Result<Vec<_>>>());
        Ok(Self {
            name: check.column.clone(),
            column: column.index,
            not_null: check.not_null,
            min: check.min.as_ref().map(bound).transpose()?,
            max: check.max.as_ref().map(bound).transpose()?,
            among: among.transpose()?,
            format,
        })
    }

    /// Calls `fails` with each row of which it does not hold, and the reason.
    pub(crate) fn check(&self, columns: &[ArrayRef], mut fails: impl FnMut(usize, String)) -> Result<()> {
        let column = plain(&columns[self.column])?;
        let nulls = column.logical_nulls();
        if self.not_null {
            let nulls = nulls.iter().flat_map(|nulls| (0..nulls.len()).filter(|&row| nulls.is_null(row)));
            nulls.for_each(|row| fails(row, format!("`{}` is null", self.name)));
        }
        let Some(format) = &self.format else { return Ok(()) };
        let rows = format.rows(std::slice::from_ref(&column), column.len())?;
        let reader = Reader::new(&column)?;
        for row in (0..column.len()).filter(|&row| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row))) {
            if let Some(reason) = self.misfit(&rows, row) {
                let all = text(reader.value(row));
                let start: String = all.chars().take(80).collect();
                let dots = if start.len() < all.len() { "..." } else { "" };
                fails(row, format!("`{}` is {start}{dots}, {reason}", self.name));
            }
        }
        Ok(())
    }

    /// Why a value may not be.
    fn misfit(&self, rows: &Rows, row: usize) -> Option<String> {
        let compared = |bound: &Bound| rows.compare(row, &bound.rows, 0);
        if let Some(min) = self.min.as_ref().filter(|min| compared(min).is_lt()) {
            return Some(format!("less than {}", min.text));
        }
        if let Some(max) = self.max.as_ref().filter(|max| compared(max).is_gt()) {
            return Some(format!("more than {}", max.text));
        }
        let among = self.among.as_ref()?;
        (!among.iter().any(|value| compared(value).is_eq())).then(|| {
            let texts: Vec<&str> = among.iter().take(10).map(|value| value.text.as_str()).collect();
            let dots = if among.len() > 10 { ", ..." } else { "" };
            format!("none of {}{dots}", texts.join(", "))
        })
    }
}
