//! Columns under construction: what each type makes of a JSON value, at any depth.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow_array::{ArrayRef, FixedSizeListArray, GenericListArray, MapArray, OffsetSizeTrait, StructArray};
use arrow_buffer::{NullBufferBuilder, OffsetBuffer};
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Fields};

use super::cursor::{Cursor, Token, repeated};
use super::leaf::{Leaf, misfit};
use super::scan::MemberName;
use crate::ignored::Ignored;

/// A column, to which values are appended.
pub(super) enum Column {
    Leaf(Leaf),
    List(List),
    Struct(Members),
    Map(Map),
    /// A column that nobody reads, with its length.
    Unread(usize),
}

impl Column {
    /// An empty column. `path` is that of its values, for messages.
    pub(super) fn new(data_type: &DataType, path: &str) -> Self {
        match data_type {
            DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => Self::List(List {
                data_type: data_type.clone(),
                items: Box::new(Self::new(item.data_type(), &format!("{path}[]"))),
                lengths: Vec::new(),
                nulls: NullBufferBuilder::new(0),
            }),
            DataType::Struct(fields) => Self::Struct(Members::new(fields, |_| true, &format!("{path}."))),
            DataType::Map(entries, sorted) => Self::Map(Map::new(entries, *sorted, path)),
            scalar => Self::Leaf(Leaf::new(scalar)),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Leaf(leaf) => leaf.len(),
            Self::List(list) => list.lengths.len(),
            Self::Struct(members) => members.len,
            Self::Map(map) => map.lengths.len(),
            Self::Unread(length) => *length,
        }
    }

    /// Appends the value at the cursor. `row` is the number of the row that it belongs to.
    #[inline]
    pub(super) fn append(&mut self, cursor: &mut Cursor<'_>, row: u64) -> Result<(), ArrowError> {
        match self {
            Self::Leaf(leaf) => leaf.append(cursor),
            Self::List(list) => list.append(cursor, row),
            Self::Struct(members) => members.append(cursor, row),
            Self::Map(map) => map.append(cursor, row),
            Self::Unread(length) => {
                *length += 1;
                cursor.skip()
            }
        }
    }

    fn append_null(&mut self) {
        match self {
            Self::Leaf(leaf) => leaf.append_null(),
            Self::List(list) => list.append_null(),
            Self::Struct(members) => members.append_null(),
            Self::Map(map) => map.append_null(),
            Self::Unread(length) => *length += 1,
        }
    }

    /// The values so far, which are taken out. A text that is no value of its type is found here.
    pub(super) fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        match self {
            Self::Leaf(leaf) => leaf.finish(),
            Self::List(list) => list.finish(),
            Self::Struct(members) => Ok(Arc::new(members.finish()?)),
            Self::Map(map) => map.finish(),
            Self::Unread(_) => Err(ArrowError::NotYetImplemented("a column that nobody reads has no values".into())),
        }
    }

    fn take_ignored(&mut self, ignored: &mut Ignored) {
        match self {
            Self::List(list) => list.items.take_ignored(ignored),
            Self::Struct(members) => members.take_ignored(ignored),
            Self::Map(map) => map.values.take_ignored(ignored),
            Self::Leaf(_) | Self::Unread(_) => {}
        }
    }
}

/// Lists of any layout.
pub(super) struct List {
    data_type: DataType,
    items: Box<Column>,
    lengths: Vec<usize>,
    nulls: NullBufferBuilder,
}

impl List {
    fn append(&mut self, cursor: &mut Cursor<'_>, row: u64) -> Result<(), ArrowError> {
        match cursor.token()? {
            Token::Null => self.append_null(),
            Token::List => {
                let before = self.items.len();
                while cursor.next_item()? {
                    self.items.append(cursor, row)?;
                }
                let length = self.items.len() - before;
                if self.fixed_length().is_some_and(|fixed| fixed != length) {
                    return Err(misfit(&self.data_type));
                }
                self.lengths.push(length);
                self.nulls.append_non_null();
            }
            _ => return Err(misfit(&self.data_type)),
        }
        Ok(())
    }

    fn append_null(&mut self) {
        let length = self.fixed_length().unwrap_or(0);
        (0..length).for_each(|_| self.items.append_null());
        self.lengths.push(length);
        self.nulls.append_null();
    }

    fn fixed_length(&self) -> Option<usize> {
        match self.data_type {
            DataType::FixedSizeList(_, length) => Some(length as usize),
            _ => None,
        }
    }

    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let (values, nulls) = (self.items.finish()?, self.nulls.finish());
        let lengths = std::mem::take(&mut self.lengths);
        match &self.data_type {
            DataType::FixedSizeList(item, size) => {
                let list = FixedSizeListArray::try_new_with_length(item.clone(), *size, values, nulls, lengths.len())?;
                Ok(Arc::new(list))
            }
            DataType::LargeList(item) => list::<i64>(item, lengths, values, nulls),
            DataType::List(item) => list::<i32>(item, lengths, values, nulls),
            other => Err(misfit(other)),
        }
    }
}

fn list<O: OffsetSizeTrait>(
    item: &FieldRef,
    lengths: Vec<usize>,
    values: ArrayRef,
    nulls: Option<arrow_buffer::NullBuffer>,
) -> Result<ArrayRef, ArrowError> {
    let offsets = OffsetBuffer::<O>::from_lengths(lengths);
    Ok(Arc::new(GenericListArray::try_new(item.clone(), offsets, values, nulls)?))
}

/// The members of objects, as columns.
pub(super) struct Members {
    fields: Fields,
    /// The names of the fields as objects mostly write them, where they can.
    names: Vec<Option<MemberName>>,
    columns: Vec<Column>,
    places: HashMap<String, usize>,
    nulls: NullBufferBuilder,
    /// Objects so far, nulls among them.
    len: usize,
    ignored: IgnoredMembers,
}

impl Members {
    /// Columns for these fields, of which only some are read. `path` comes before the members' names in messages.
    pub(super) fn new(fields: &Fields, is_read: impl Fn(usize) -> bool, path: &str) -> Self {
        let column = |(place, field): (usize, &FieldRef)| match is_read(place) {
            true => Column::new(field.data_type(), &format!("{path}{}", field.name())),
            false => Column::Unread(0),
        };
        Self {
            fields: fields.clone(),
            names: fields.iter().map(|field| MemberName::new(field.name())).collect(),
            columns: fields.iter().enumerate().map(column).collect(),
            places: fields.iter().enumerate().map(|(place, field)| (field.name().clone(), place)).collect(),
            nulls: NullBufferBuilder::new(0),
            len: 0,
            ignored: IgnoredMembers { path: path.to_owned(), rows: 0, last_row: None, names: HashMap::new() },
        }
    }

    fn append(&mut self, cursor: &mut Cursor<'_>, row: u64) -> Result<(), ArrowError> {
        match cursor.token()? {
            Token::Null => self.append_null(),
            Token::Object => return self.append_members(cursor, row),
            _ => return Err(misfit(&DataType::Struct(self.fields.clone()))),
        }
        Ok(())
    }

    /// Appends the members of an object that the cursor has entered.
    pub(super) fn append_members(&mut self, cursor: &mut Cursor<'_>, row: u64) -> Result<(), ArrowError> {
        // Objects mostly have their members in one order, and are written without a space.
        let mut next = self.append_expected(cursor, row)?;
        let has_all = next == self.columns.len();
        while let Some(name) = cursor.next_member()? {
            let Some(place) = self.place(&name, next) else {
                self.ignored.append(name, cursor, row, self.len)?;
                continue;
            };
            if self.columns[place].len() > self.len {
                return Err(repeated(&name));
            }
            self.columns[place].append(cursor, row)?;
            next = place + 1;
        }
        if !has_all {
            for column in self.columns.iter_mut().filter(|column| column.len() == self.len) {
                column.append_null();
            }
        }
        self.nulls.append_non_null();
        self.len += 1;
        Ok(())
    }

    /// Appends the first members of an object, as long as they are the fields one after the other. Gives how many they are.
    fn append_expected(&mut self, cursor: &mut Cursor<'_>, row: u64) -> Result<usize, ArrowError> {
        for (place, (column, name)) in self.columns.iter_mut().zip(&self.names).enumerate() {
            match name {
                Some(name) if cursor.is_next_member(name) => column.append(cursor, row)?,
                _ => return Ok(place),
            }
        }
        Ok(self.columns.len())
    }

    /// Objects mostly have their members in one order: `next` is where this one is expected.
    fn place(&self, name: &str, next: usize) -> Option<usize> {
        match self.fields.get(next) {
            Some(field) if field.name() == name => Some(next),
            _ => self.places.get(name).copied(),
        }
    }

    /// Appends an object that is null.
    pub(super) fn append_null(&mut self) {
        self.columns.iter_mut().for_each(Column::append_null);
        self.nulls.append_null();
        self.len += 1;
    }

    fn finish(&mut self) -> Result<StructArray, ArrowError> {
        let (length, nulls) = (self.len, self.nulls.finish());
        let columns = (0..self.columns.len()).map(|place| self.finish_column(place)).collect::<Result<Vec<_>, _>>()?;
        self.len = 0;
        StructArray::try_new_with_length(self.fields.clone(), columns, nulls, length)
    }

    /// One column of the rows so far, which are taken out of it.
    pub(super) fn finish_column(&mut self, place: usize) -> Result<ArrayRef, ArrowError> {
        self.columns[place].finish()
    }

    /// Forgets the rows so far, after their columns have been taken out.
    pub(super) fn clear(&mut self) {
        self.nulls = NullBufferBuilder::new(0);
        self.len = 0;
        for column in &mut self.columns {
            if let Column::Unread(length) = column {
                *length = 0;
            }
        }
    }

    /// Takes out the counts of what no column takes.
    pub(super) fn take_ignored(&mut self, ignored: &mut Ignored) {
        self.ignored.take(ignored);
        self.columns.iter_mut().for_each(|column| column.take_ignored(ignored));
    }
}

/// Members of objects that no column takes.
struct IgnoredMembers {
    path: String,
    /// Rows that have any.
    rows: u64,
    last_row: Option<u64>,
    names: HashMap<String, Occurrences>,
}

/// Where a member was seen.
struct Occurrences {
    rows: u64,
    last_row: u64,
    /// The number of the object that had it last.
    last_object: usize,
}

impl IgnoredMembers {
    fn append(
        &mut self,
        name: Cow<'_, str>,
        cursor: &mut Cursor<'_>,
        row: u64,
        object: usize,
    ) -> Result<(), ArrowError> {
        cursor.skip()?;
        if self.last_row.replace(row) != Some(row) {
            self.rows += 1;
        }
        match self.names.get_mut(name.as_ref()) {
            Some(seen) if seen.last_object == object => return Err(repeated(&name)),
            Some(seen) => {
                seen.rows += u64::from(seen.last_row != row);
                (seen.last_row, seen.last_object) = (row, object);
            }
            None => {
                self.names.insert(name.into_owned(), Occurrences { rows: 1, last_row: row, last_object: object });
            }
        }
        Ok(())
    }

    fn take(&mut self, ignored: &mut Ignored) {
        let names = self.names.drain().map(|(name, seen)| (name, seen.rows));
        ignored.add(&self.path, std::mem::take(&mut self.rows), names);
        self.last_row = None;
    }
}

/// Objects whose members are entries.
pub(super) struct Map {
    entries: FieldRef,
    sorted: bool,
    keys: Leaf,
    values: Box<Column>,
    lengths: Vec<usize>,
    nulls: NullBufferBuilder,
}

impl Map {
    fn new(entries: &FieldRef, sorted: bool, path: &str) -> Self {
        let (key, value) = key_and_value(entries);
        Self {
            entries: entries.clone(),
            sorted,
            keys: Leaf::new(key.data_type()),
            values: Box::new(Column::new(value.data_type(), &format!("{path}.*"))),
            lengths: Vec::new(),
            nulls: NullBufferBuilder::new(0),
        }
    }

    fn append(&mut self, cursor: &mut Cursor<'_>, row: u64) -> Result<(), ArrowError> {
        match cursor.token()? {
            Token::Null => self.append_null(),
            Token::Object => {
                let mut names = HashSet::new();
                while let Some(name) = cursor.next_member()? {
                    self.keys.append_text(&name);
                    self.values.append(cursor, row)?;
                    if let Some(name) = names.replace(name) {
                        return Err(repeated(&name));
                    }
                }
                self.lengths.push(names.len());
                self.nulls.append_non_null();
            }
            _ => return Err(ArrowError::JsonError("not an object".to_owned())),
        }
        Ok(())
    }

    fn append_null(&mut self) {
        self.lengths.push(0);
        self.nulls.append_null();
    }

    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let columns = vec![self.keys.finish()?, self.values.finish()?];
        let DataType::Struct(fields) = self.entries.data_type() else { return Err(misfit(self.entries.data_type())) };
        let entries = StructArray::try_new(fields.clone(), columns, None)?;
        let offsets = OffsetBuffer::from_lengths(std::mem::take(&mut self.lengths));
        let (entry, nulls) = (self.entries.clone(), self.nulls.finish());
        Ok(Arc::new(MapArray::try_new(entry, offsets, entries, nulls, self.sorted)?))
    }
}

/// The two fields of a map's entries.
fn key_and_value(entries: &Field) -> (&FieldRef, &FieldRef) {
    match entries.data_type() {
        DataType::Struct(fields) if fields.len() == 2 => (&fields[0], &fields[1]),
        other => unreachable!("Arrow has no map with entries of type {other}"),
    }
}
