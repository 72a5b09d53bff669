//! As much of FlatBuffers as a schema takes: tables of scalars, text and vectors.

use arrow_schema::ArrowError;

/// A value that lies elsewhere in the buffer than the offset that leads to it.
pub(super) enum Part {
    Table(Vec<Slot>),
    Tables(Vec<Part>),
    Numbers(Vec<i32>),
    Text(String),
}

/// What is in a slot of a table.
pub(super) enum Slot {
    Absent,
    Bool(bool),
    U8(u8),
    I16(i16),
    I32(i32),
    I64(i64),
    Part(Part),
}

impl From<Part> for Slot {
    fn from(part: Part) -> Self {
        Slot::Part(part)
    }
}

impl Slot {
    /// The bytes of a scalar; of an offset, those that are overwritten later.
    fn bytes(&self) -> Vec<u8> {
        match self {
            Slot::Absent => Vec::new(),
            Slot::Bool(value) => vec![u8::from(*value)],
            Slot::U8(value) => vec![*value],
            Slot::I16(value) => value.to_le_bytes().to_vec(),
            Slot::I32(value) => value.to_le_bytes().to_vec(),
            Slot::I64(value) => value.to_le_bytes().to_vec(),
            Slot::Part(_) => vec![0; OFFSET],
        }
    }
}

/// Bytes of an offset.
const OFFSET: usize = 4;

/// The greatest alignment of a scalar.
const GREATEST: usize = 8;

/// A buffer whose root is this table.
pub(super) fn buffer(root: &Part) -> Vec<u8> {
    let mut writer = Writer(vec![0; OFFSET]);
    writer.part(0, root);
    writer.0
}

struct Writer(Vec<u8>);

impl Writer {
    /// Writes a part at the end, and its offset at `place`.
    fn part(&mut self, place: usize, part: &Part) {
        let start = match part {
            Part::Table(slots) => self.table(slots),
            Part::Tables(tables) => self.tables(tables),
            Part::Numbers(numbers) => self.counted(numbers.len(), |bytes| {
                numbers.iter().for_each(|number| bytes.extend(number.to_le_bytes()));
            }),
            Part::Text(text) => self.counted(text.len(), |bytes| {
                bytes.extend(text.as_bytes());
                bytes.push(0);
            }),
        };
        // An offset counts from its own place.
        self.0[place..place + OFFSET].copy_from_slice(&((start - place) as u32).to_le_bytes());
    }

    /// A length, and what comes after it.
    fn counted(&mut self, length: usize, add: impl FnOnce(&mut Vec<u8>)) -> usize {
        self.pad(OFFSET);
        let start = self.0.len();
        self.0.extend((length as u32).to_le_bytes());
        add(&mut self.0);
        start
    }

    fn tables(&mut self, tables: &[Part]) -> usize {
        let start = self.counted(tables.len(), |bytes| bytes.resize(bytes.len() + tables.len() * OFFSET, 0));
        for (i, table) in tables.iter().enumerate() {
            self.part(start + OFFSET * (1 + i), table);
        }
        start
    }

    /// A table comes after the list of where its slots are.
    fn table(&mut self, slots: &[Slot]) -> usize {
        let (places, size) = layout(slots);
        self.pad(2);
        let list = self.0.len();
        let head = [2 * (slots.len() + 2), size];
        head.iter().chain(&places).for_each(|&number| self.0.extend((number as u16).to_le_bytes()));
        self.pad(GREATEST);
        let start = self.0.len();
        self.0.resize(start + size, 0);
        self.0[start..start + OFFSET].copy_from_slice(&((start - list) as i32).to_le_bytes());
        for (slot, place) in slots.iter().zip(&places) {
            let bytes = slot.bytes();
            self.0[start + place..start + place + bytes.len()].copy_from_slice(&bytes);
        }
        for (slot, place) in slots.iter().zip(places) {
            if let Slot::Part(part) = slot {
                self.part(start + place, part);
            }
        }
        start
    }

    fn pad(&mut self, alignment: usize) {
        self.0.resize(self.0.len().next_multiple_of(alignment), 0);
    }
}

/// Where slots lie in their table, 0 for those that are absent, and how long it is.
fn layout(slots: &[Slot]) -> (Vec<usize>, usize) {
    let mut end = OFFSET;
    let mut place = |slot: &Slot| match slot.bytes().len() {
        0 => 0,
        width => {
            let place = end.next_multiple_of(width);
            end = place + width;
            place
        }
    };
    (slots.iter().map(&mut place).collect(), end)
}

/// A table in a buffer. Whatever the bytes are, reading gives a value or an error.
#[derive(Clone, Copy)]
pub(super) struct Table<'a> {
    bytes: &'a [u8],
    start: usize,
    /// Where the list of its slots lies.
    list: usize,
}

impl<'a> Table<'a> {
    /// The root of a buffer.
    pub(super) fn root(bytes: &'a [u8]) -> Result<Self, ArrowError> {
        Self::at(bytes, follow(bytes, 0)?)
    }

    fn at(bytes: &'a [u8], start: usize) -> Result<Self, ArrowError> {
        let back = i64::from(i32::from_le_bytes(scalar(bytes, start)?));
        let list = usize::try_from(start as i64 - back).map_err(|_| cut_off())?;
        Ok(Self { bytes, start, list })
    }

    /// Where a slot's value lies; nowhere if it is absent.
    fn place(&self, slot: usize) -> Result<Option<usize>, ArrowError> {
        let number = |place: usize| Ok::<_, ArrowError>(usize::from(u16::from_le_bytes(scalar(self.bytes, place)?)));
        let entry = 2 * (slot + 2);
        if entry + 2 > number(self.list)? {
            return Ok(None);
        }
        Ok(Some(number(self.list + entry)?).filter(|place| *place > 0).map(|place| self.start + place))
    }

    fn scalar<const N: usize>(&self, slot: usize) -> Result<Option<[u8; N]>, ArrowError> {
        self.place(slot)?.map(|place| scalar(self.bytes, place)).transpose()
    }

    fn part(&self, slot: usize) -> Result<Option<usize>, ArrowError> {
        self.place(slot)?.map(|place| follow(self.bytes, place)).transpose()
    }

    pub(super) fn bool(&self, slot: usize) -> Result<bool, ArrowError> {
        Ok(self.u8(slot)? != 0)
    }

    pub(super) fn u8(&self, slot: usize) -> Result<u8, ArrowError> {
        Ok(self.scalar(slot)?.map_or(0, u8::from_le_bytes))
    }

    pub(super) fn i16(&self, slot: usize, otherwise: i16) -> Result<i16, ArrowError> {
        Ok(self.scalar(slot)?.map_or(otherwise, i16::from_le_bytes))
    }

    pub(super) fn i32(&self, slot: usize, otherwise: i32) -> Result<i32, ArrowError> {
        Ok(self.scalar(slot)?.map_or(otherwise, i32::from_le_bytes))
    }

    pub(super) fn i64(&self, slot: usize) -> Result<i64, ArrowError> {
        Ok(self.scalar(slot)?.map_or(0, i64::from_le_bytes))
    }

    pub(super) fn table(&self, slot: usize) -> Result<Option<Self>, ArrowError> {
        self.part(slot)?.map(|start| Self::at(self.bytes, start)).transpose()
    }

    pub(super) fn text(&self, slot: usize) -> Result<Option<&'a str>, ArrowError> {
        let Some(start) = self.part(slot)? else { return Ok(None) };
        let text = self.bytes.get(start + OFFSET..).and_then(|rest| rest.get(..self.count(start).ok()?));
        let text = std::str::from_utf8(text.ok_or_else(cut_off)?);
        text.map(Some).map_err(|error| ArrowError::ParseError(format!("a text of the schema is not UTF-8: {error}")))
    }

    pub(super) fn tables(&self, slot: usize) -> Result<Vec<Self>, ArrowError> {
        let table = |place| Self::at(self.bytes, follow(self.bytes, place)?);
        self.items(slot)?.unwrap_or_default().into_iter().map(table).collect()
    }

    pub(super) fn numbers(&self, slot: usize) -> Result<Option<Vec<i32>>, ArrowError> {
        let number = |place| Ok(i32::from_le_bytes(scalar(self.bytes, place)?));
        self.items(slot)?.map(|items| items.into_iter().map(number).collect()).transpose()
    }

    /// Where the items of a vector lie, each of four bytes.
    fn items(&self, slot: usize) -> Result<Option<Vec<usize>>, ArrowError> {
        let Some(start) = self.part(slot)? else { return Ok(None) };
        let count = self.count(start)?;
        if count > self.bytes.len() / OFFSET {
            return Err(cut_off());
        }
        Ok(Some((0..count).map(|i| start + OFFSET * (1 + i)).collect()))
    }

    fn count(&self, start: usize) -> Result<usize, ArrowError> {
        Ok(u32::from_le_bytes(scalar(self.bytes, start)?) as usize)
    }
}

/// Where the offset at a place leads.
fn follow(bytes: &[u8], place: usize) -> Result<usize, ArrowError> {
    let offset = u32::from_le_bytes(scalar(bytes, place)?) as usize;
    place.checked_add(offset).filter(|start| *start < bytes.len()).ok_or_else(cut_off)
}

fn scalar<const N: usize>(bytes: &[u8], place: usize) -> Result<[u8; N], ArrowError> {
    bytes.get(place..).and_then(|rest| rest.first_chunk()).copied().ok_or_else(cut_off)
}

fn cut_off() -> ArrowError {
    ArrowError::ParseError("the message of a schema leads out of itself".to_owned())
}
