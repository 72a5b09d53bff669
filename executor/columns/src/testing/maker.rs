//! Makes arrays: one source of chance for the content, another for the layout.

use arrow_array::{Array, ArrayRef, make_array};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer};
use arrow_data::transform::MutableArrayData;
use arrow_data::{ArrayData, ByteView, MAX_INLINE_VIEW_LEN};
use arrow_schema::{DataType, Field, UnionFields, UnionMode};

/// SplitMix64.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn text(&mut self) -> Vec<u8> {
        const WORDS: [&str; 6] = ["", "a", "ü€", "twelve bytes", "thirteen byte", "a text that no view holds inline"];
        let mut text = WORDS[self.below(WORDS.len())].as_bytes().to_vec();
        if self.one_in(3) {
            text.extend(self.below(1000).to_string().bytes());
        }
        text
    }

    fn bytes(&mut self, width: usize) -> Vec<u8> {
        let small = self.one_in(2);
        (0..width).map(|i| if small && i > 0 { 0 } else { self.next() as u8 }).collect()
    }
}

pub(super) struct Maker {
    content: Chance,
    layout: Chance,
}

/// Rows of one of two arrays.
type Picks = Vec<(usize, usize)>;

impl Maker {
    pub(super) fn new(content: u64, layout: u64) -> Self {
        Self { content: Chance(content), layout: Chance(layout) }
    }

    /// A column: as it comes, or a slice out of more rows.
    pub(super) fn column(&mut self, data_type: &DataType, rows: usize) -> ArrayRef {
        let array = self.array(data_type, rows, true);
        if self.layout.one_in(2) {
            return make_array(array);
        }
        let (before, after) = (self.layout.below(20), self.layout.below(9));
        let junk = self.junk(data_type, before + after, true);
        let junk_row = |row| (1, row);
        let picks = (0..before)
            .map(junk_row)
            .chain((0..rows).map(|row| (0, row)))
            .chain((before..before + after).map(junk_row));
        make_array(pick(&array, &junk, &picks.collect())).slice(before, rows)
    }

    /// Content that nobody should see.
    fn junk(&mut self, data_type: &DataType, rows: usize, nullable: bool) -> ArrayData {
        Maker::new(self.layout.next(), self.layout.next()).array(data_type, rows, nullable)
    }

    fn array(&mut self, data_type: &DataType, rows: usize, nullable: bool) -> ArrayData {
        match data_type {
            DataType::Null => ArrayData::new_null(data_type, rows),
            DataType::Boolean => self.booleans(rows, nullable),
            DataType::Utf8 | DataType::Binary => {
                self.texts(data_type, rows, nullable, |n| (n as i32).to_le_bytes().to_vec())
            }
            DataType::LargeUtf8 | DataType::LargeBinary => {
                self.texts(data_type, rows, nullable, |n| (n as i64).to_le_bytes().to_vec())
            }
            DataType::Utf8View | DataType::BinaryView => self.views(data_type, rows, nullable),
            DataType::List(child) | DataType::Map(child, _) => {
                self.lists(data_type, child, rows, nullable, |n| (n as i32).to_le_bytes().to_vec())
            }
            DataType::LargeList(child) => {
                self.lists(data_type, child, rows, nullable, |n| (n as i64).to_le_bytes().to_vec())
            }
            DataType::ListView(child) => {
                self.list_views(data_type, child, rows, nullable, |n| (n as i32).to_le_bytes().to_vec())
            }
            DataType::LargeListView(child) => {
                self.list_views(data_type, child, rows, nullable, |n| (n as i64).to_le_bytes().to_vec())
            }
            DataType::FixedSizeList(child, size) => self.fixed_lists(data_type, child, *size as usize, rows, nullable),
            DataType::Struct(fields) => {
                let nulls = self.nulls(rows, nullable);
                let children = fields.iter().map(|field| self.under(field, rows, nulls.as_ref())).collect();
                build(ArrayData::builder(data_type.clone()).len(rows).nulls(nulls).child_data(children))
            }
            DataType::Union(fields, mode) => self.unions(data_type, fields, *mode, rows),
            DataType::Dictionary(key, value) => self.dictionaries(data_type, key, value, rows, nullable),
            DataType::RunEndEncoded(ends, values) => self.runs(data_type, ends, values, rows),
            _ => self.fixed(data_type, rows, nullable),
        }
    }

    fn nulls(&mut self, rows: usize, nullable: bool) -> Option<NullBuffer> {
        let some = nullable && self.content.one_in(2);
        let nulls = NullBuffer::new(BooleanBuffer::collect_bool(rows, |_| !(some && self.content.one_in(4))));
        let shown = nulls.null_count() > 0 || (nullable && self.layout.one_in(3));
        shown.then_some(nulls)
    }

    /// A child whose rows under nulls are junk.
    fn under(&mut self, field: &Field, rows: usize, nulls: Option<&NullBuffer>) -> ArrayData {
        let child = self.array(field.data_type(), rows, field.is_nullable());
        let junk = self.junk(field.data_type(), rows, field.is_nullable());
        let from = |row| usize::from(nulls.is_some_and(|nulls| nulls.is_null(row)));
        pick(&child, &junk, &(0..rows).map(|row| (from(row), row)).collect())
    }

    fn booleans(&mut self, rows: usize, nullable: bool) -> ArrayData {
        let nulls = self.nulls(rows, nullable);
        let bits = BooleanBuffer::collect_bool(rows, |row| {
            let bit = self.content.one_in(2);
            if is_null(&nulls, row) { self.layout.one_in(2) } else { bit }
        });
        build(ArrayData::builder(DataType::Boolean).len(rows).nulls(nulls).add_buffer(bits.into_inner()))
    }

    fn fixed(&mut self, data_type: &DataType, rows: usize, nullable: bool) -> ArrayData {
        let width = match data_type {
            DataType::FixedSizeBinary(width) => *width as usize,
            other => other.primitive_width().unwrap_or(0),
        };
        let nulls = self.nulls(rows, nullable);
        let mut values = Vec::new();
        for row in 0..rows {
            let value = self.content.bytes(width);
            values.extend(if is_null(&nulls, row) { self.layout.bytes(width) } else { value });
        }
        build(ArrayData::builder(data_type.clone()).len(rows).nulls(nulls).add_buffer(aligned(values)))
    }

    fn texts(&mut self, data_type: &DataType, rows: usize, nullable: bool, offset: fn(usize) -> Vec<u8>) -> ArrayData {
        let nulls = self.nulls(rows, nullable);
        let mut values = self.layout.text();
        let mut offsets = offset(values.len());
        for row in 0..rows {
            let text = self.content.text();
            values.extend(if is_null(&nulls, row) { self.layout.text() } else { text });
            offsets.extend(offset(values.len()));
        }
        values.extend(self.layout.text());
        let builder = ArrayData::builder(data_type.clone()).len(rows).nulls(nulls);
        build(builder.add_buffer(aligned(offsets)).add_buffer(aligned(values)))
    }

    fn views(&mut self, data_type: &DataType, rows: usize, nullable: bool) -> ArrayData {
        let nulls = self.nulls(rows, nullable);
        let mut blocks = [self.layout.text(), self.layout.text()];
        let mut views = Vec::new();
        for row in 0..rows {
            let text = self.content.text();
            let text = if is_null(&nulls, row) { self.layout.text() } else { text };
            let block = self.layout.below(2);
            views.extend(view(&text, block, &mut blocks[block]).to_le_bytes());
        }
        let builder = ArrayData::builder(data_type.clone()).len(rows).nulls(nulls).add_buffer(aligned(views));
        build(builder.add_buffers(blocks.map(aligned)))
    }

    /// Lengths of lists; the picks of their elements, junk under nulls and around.
    fn elements(&mut self, rows: usize, nulls: &Option<NullBuffer>) -> (Vec<usize>, Picks, usize, usize) {
        let (mut lengths, mut picks) = (Vec::new(), Picks::new());
        let (mut real, mut junk) = (0, 0);
        for row in 0..rows {
            let length = self.content.below(4);
            if is_null(nulls, row) {
                let length = self.layout.below(3);
                lengths.push(length);
                picks.extend((junk..junk + length).map(|at| (1, at)));
                junk += length;
            } else {
                lengths.push(length);
                picks.extend((real..real + length).map(|at| (0, at)));
                real += length;
            }
        }
        (lengths, picks, real, junk)
    }

    fn lists(
        &mut self,
        data_type: &DataType,
        child: &Field,
        rows: usize,
        nullable: bool,
        offset: fn(usize) -> Vec<u8>,
    ) -> ArrayData {
        let nulls = self.nulls(rows, nullable);
        let (lengths, mut picks, real, junk) = self.elements(rows, &nulls);
        let before = self.layout.below(3);
        picks.splice(0..0, (junk..junk + before).map(|at| (1, at)));
        let elements = self.array(child.data_type(), real, child.is_nullable());
        let junk = self.junk(child.data_type(), junk + before, child.is_nullable());
        let mut end = before;
        let mut offsets = offset(end);
        for length in lengths {
            end += length;
            offsets.extend(offset(end));
        }
        let builder = ArrayData::builder(data_type.clone()).len(rows).nulls(nulls).add_buffer(aligned(offsets));
        build(builder.add_child_data(pick(&elements, &junk, &picks)))
    }

    fn list_views(
        &mut self,
        data_type: &DataType,
        child: &Field,
        rows: usize,
        nullable: bool,
        number: fn(usize) -> Vec<u8>,
    ) -> ArrayData {
        let nulls = self.nulls(rows, nullable);
        let (lengths, picks, real, junk) = self.elements(rows, &nulls);
        let elements = self.array(child.data_type(), real, child.is_nullable());
        let junk = self.junk(child.data_type(), junk, child.is_nullable());
        // Laid out backwards, to be unlike lists.
        let ordered = pick(&elements, &junk, &picks);
        let total = picks.len();
        let mut backwards = Picks::new();
        let (mut start, mut starts) = (0, Vec::new());
        for &length in &lengths {
            backwards.splice(0..0, (start..start + length).map(|at| (0, at)));
            start += length;
            starts.push(total - start);
        }
        let child = pick(&ordered, &ordered, &backwards);
        let builder = ArrayData::builder(data_type.clone()).len(rows).nulls(nulls);
        let numbers = |numbers: Vec<usize>| aligned(numbers.into_iter().flat_map(number).collect());
        build(builder.add_buffer(numbers(starts)).add_buffer(numbers(lengths)).add_child_data(child))
    }

    fn fixed_lists(
        &mut self,
        data_type: &DataType,
        child: &Field,
        size: usize,
        rows: usize,
        nullable: bool,
    ) -> ArrayData {
        let nulls = self.nulls(rows, nullable);
        let expanded = nulls.as_ref().map(|nulls| nulls.expand(size)).filter(|_| size > 0);
        let child = self.under(child, rows * size, expanded.as_ref());
        build(ArrayData::builder(data_type.clone()).len(rows).nulls(nulls).add_child_data(child))
    }

    fn unions(&mut self, data_type: &DataType, fields: &UnionFields, mode: UnionMode, rows: usize) -> ArrayData {
        let ids: Vec<i8> = fields.iter().map(|(id, _)| id).collect();
        let types: Vec<i8> = (0..rows).map(|_| ids[self.content.below(ids.len())]).collect();
        let mut offsets = vec![0i32; rows];
        let mut children = Vec::new();
        for (id, field) in fields.iter() {
            let own: Vec<usize> = (0..rows).filter(|&row| types[row] == id).collect();
            let real = self.array(field.data_type(), own.len(), true);
            let before = self.layout.below(3);
            let junk = self.junk(field.data_type(), rows + before, true);
            let mut place = own.iter().enumerate();
            children.push(match mode {
                UnionMode::Sparse => {
                    let from =
                        |row| if types[row] == id { (0, place.next().map_or(0, |(at, _)| at)) } else { (1, row) };
                    pick(&real, &junk, &(0..rows).map(from).collect())
                }
                UnionMode::Dense => {
                    own.iter().enumerate().for_each(|(at, &row)| offsets[row] = (before + at) as i32);
                    pick(&real, &junk, &(0..before).map(|at| (1, at)).chain((0..own.len()).map(|at| (0, at))).collect())
                }
            });
        }
        let builder = ArrayData::builder(data_type.clone()).len(rows).add_buffer(Buffer::from_vec(types));
        let builder = if mode == UnionMode::Dense { builder.add_buffer(Buffer::from_vec(offsets)) } else { builder };
        build(builder.child_data(children))
    }

    fn dictionaries(
        &mut self,
        data_type: &DataType,
        key: &DataType,
        value: &DataType,
        rows: usize,
        nullable: bool,
    ) -> ArrayData {
        let nulls = self.nulls(rows, nullable);
        let pool = 1 + self.content.below(8);
        let values = self.array(value, pool, nullable);
        let picks: Vec<usize> = (0..rows).map(|_| self.content.below(pool)).collect();
        // Each value somewhere in the second half, and any value anywhere before.
        let shift = self.layout.below(pool);
        let mut order: Picks = (0..self.layout.below(5)).map(|_| (0, self.layout.below(pool))).collect();
        let base = order.len();
        order.extend((0..pool).map(|at| (0, (at + shift) % pool)));
        let width = key.primitive_width().unwrap_or(1);
        let mut keys = Vec::new();
        for (row, &wanted) in picks.iter().enumerate() {
            let place = base + (wanted + pool - shift) % pool;
            let other = order[..base].iter().position(|&(_, at)| at == wanted).filter(|_| self.layout.one_in(2));
            let key = if is_null(&nulls, row) { 0 } else { other.unwrap_or(place) };
            keys.extend(&(key as u64).to_le_bytes()[..width]);
        }
        let builder = ArrayData::builder(data_type.clone()).len(rows).nulls(nulls).add_buffer(aligned(keys));
        build(builder.add_child_data(pick(&values, &values, &order)))
    }

    fn runs(&mut self, data_type: &DataType, ends: &Field, values: &Field, rows: usize) -> ArrayData {
        let mut runs = Vec::new();
        let mut row = 0;
        while row < rows {
            row = (row + 1 + self.content.below(5)).min(rows);
            runs.push(row);
        }
        let real = self.array(values.data_type(), runs.len(), true);
        let (mut split, mut picks, mut start) = (Vec::new(), Picks::new(), 0);
        for (run, &end) in runs.iter().enumerate() {
            if end - start > 1 && self.layout.one_in(2) {
                split.push(start + 1);
                picks.push((0, run));
            }
            split.push(end);
            picks.push((0, run));
            start = end;
        }
        let width = ends.data_type().primitive_width().unwrap_or(2);
        let bytes = split.iter().flat_map(|&end| (end as u64).to_le_bytes()[..width].to_vec()).collect();
        let ends = build(ArrayData::builder(ends.data_type().clone()).len(split.len()).add_buffer(aligned(bytes)));
        let values = pick(&real, &real, &picks);
        build(ArrayData::builder(data_type.clone()).len(rows).child_data(vec![ends, values]))
    }
}

fn is_null(nulls: &Option<NullBuffer>, row: usize) -> bool {
    nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
}

/// A buffer aligned for every type.
fn aligned(bytes: Vec<u8>) -> Buffer {
    Buffer::from_slice_ref(&bytes)
}

fn view(text: &[u8], block: usize, bytes: &mut Vec<u8>) -> u128 {
    let length = text.len() as u32;
    if length <= MAX_INLINE_VIEW_LEN {
        let mut view = [0; 16];
        view[..4].copy_from_slice(&length.to_le_bytes());
        view[4..4 + text.len()].copy_from_slice(text);
        return u128::from_le_bytes(view);
    }
    let offset = bytes.len() as u32;
    bytes.extend(text);
    let prefix = u32::from_le_bytes([text[0], text[1], text[2], text[3]]);
    ByteView { length, prefix, buffer_index: block as u32, offset }.as_u128()
}

fn pick(first: &ArrayData, second: &ArrayData, picks: &Picks) -> ArrayData {
    let mut rows = MutableArrayData::new(vec![first, second], false, picks.len());
    for &(from, row) in picks {
        rows.try_extend(from, row, row + 1).expect("arrays of a test are small");
    }
    rows.freeze()
}

fn build(builder: arrow_data::ArrayDataBuilder) -> ArrayData {
    let data = builder.build().expect("a made array is valid");
    data.validate_full().expect("a made array is valid in full");
    data
}
