//! Arrays to nodes and buffers.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowDictionaryKeyType, BinaryViewType, ByteArrayType, ByteViewType, Int16Type, Int32Type, Int64Type,
    RunEndIndexType, StringViewType,
};
use arrow_array::{
    Array, ArrayRef, GenericByteArray, GenericByteViewArray, GenericListViewArray, OffsetSizeTrait, RunArray,
    UnionArray, downcast_dictionary_array,
};
use arrow_buffer::{ArrowNativeType, Buffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, UnionMode};

use crate::{ArraysError, Fault, Flat, MAX_DEPTH, Node};

/// Writes arrays down flat. Buffers are shared with the arrays but for offsets that do not start at zero, bitmaps that
/// do not start at a byte, and view arrays of which little is left.
///
/// # Errors
/// If a type nests deeper than [`MAX_DEPTH`].
pub fn flatten(arrays: &[ArrayRef]) -> Result<Flat<Buffer>, ArraysError> {
    let mut output = Flat { nodes: Vec::new(), buffers: Vec::new(), variadic_counts: Vec::new() };
    for (i, array) in arrays.iter().enumerate() {
        let column = |fault| ArraysError::Column { column: i.to_string(), fault };
        Flattener(&mut output).array(array, 0).map_err(column)?;
    }
    Ok(output)
}

struct Flattener<'a>(&'a mut Flat<Buffer>);

impl Flattener<'_> {
    fn array(&mut self, array: &dyn Array, depth: usize) -> Result<(), Fault> {
        if depth > MAX_DEPTH {
            return Err(Fault::TooDeep);
        }
        self.node(array);
        let depth = depth + 1;
        use DataType::*;
        match array.data_type() {
            Null => {}
            Boolean => self.buffer(array.as_boolean().values().sliced()),
            Utf8 => self.bytes(array.as_string::<i32>()),
            LargeUtf8 => self.bytes(array.as_string::<i64>()),
            Binary => self.bytes(array.as_binary::<i32>()),
            LargeBinary => self.bytes(array.as_binary::<i64>()),
            Utf8View => self.views::<StringViewType>(array.as_byte_view()),
            BinaryView => self.views::<BinaryViewType>(array.as_byte_view()),
            List(_) => self.list(array.as_list::<i32>().offsets(), array.as_list::<i32>().values(), depth)?,
            LargeList(_) => self.list(array.as_list::<i64>().offsets(), array.as_list::<i64>().values(), depth)?,
            Map(..) => self.list(array.as_map().offsets(), array.as_map().entries(), depth)?,
            ListView(_) => self.list_view(array.as_list_view::<i32>(), depth)?,
            LargeListView(_) => self.list_view(array.as_list_view::<i64>(), depth)?,
            FixedSizeList(..) => self.array(array.as_fixed_size_list().values(), depth)?,
            Struct(_) => self.children(array.as_struct().columns(), depth)?,
            Union(_, mode) => self.union(array.as_union(), *mode, depth)?,
            Dictionary(..) => self.dictionary(array, depth)?,
            RunEndEncoded(ends, _) => match ends.data_type() {
                Int16 => self.runs::<Int16Type>(array.as_run(), depth)?,
                Int32 => self.runs::<Int32Type>(array.as_run(), depth)?,
                _ => self.runs::<Int64Type>(array.as_run(), depth)?,
            },
            _ => self.fixed_width(array),
        }
        Ok(())
    }

    /// The node, and its bitmap where the type has one.
    fn node(&mut self, array: &dyn Array) {
        let length = array.len() as u64;
        let null_count = match array.data_type() {
            DataType::Null => length,
            DataType::Union(..) | DataType::RunEndEncoded(..) => 0,
            _ => {
                let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0);
                self.buffer(nulls.map_or_else(|| Buffer::from_vec(Vec::<u8>::new()), |nulls| nulls.inner().sliced()));
                array.null_count() as u64
            }
        };
        self.0.nodes.push(Node { length, null_count });
    }

    fn buffer(&mut self, buffer: Buffer) {
        self.0.buffers.push(buffer);
    }

    fn children(&mut self, children: &[ArrayRef], depth: usize) -> Result<(), Fault> {
        children.iter().try_for_each(|child| self.array(child, depth))
    }

    /// Primitives and fixed-size binary: their values lie in one buffer. It begins with the array, and may be longer.
    fn fixed_width(&mut self, array: &dyn Array) {
        let width = array.data_type().primitive_width().or(match array.data_type() {
            DataType::FixedSizeBinary(width) => usize::try_from(*width).ok(),
            _ => None,
        });
        let length = array.len() * width.unwrap_or(0);
        let data = array.to_data();
        self.0.buffers.extend(data.buffers().first().map(|values| values.slice_with_length(0, length)));
    }

    fn bytes<T: ByteArrayType>(&mut self, array: &GenericByteArray<T>) {
        let (first, last) = ends(array.offsets());
        self.buffer(from_zero(array.offsets()));
        self.buffer(array.values().slice_with_length(first, last - first));
    }

    fn views<T: ByteViewType + ?Sized>(&mut self, array: &GenericByteViewArray<T>) {
        let held: usize = array.data_buffers().iter().map(Buffer::len).sum();
        if held > 2 * array.total_buffer_bytes_used() + 1024 {
            return self.view_buffers(&array.gc());
        }
        self.view_buffers(array);
    }

    fn view_buffers<T: ByteViewType + ?Sized>(&mut self, array: &GenericByteViewArray<T>) {
        self.buffer(array.views().inner().clone());
        self.0.buffers.extend(array.data_buffers().iter().cloned());
        self.0.variadic_counts.push(array.data_buffers().len() as u32);
    }

    fn list<O: OffsetSizeTrait>(
        &mut self,
        offsets: &OffsetBuffer<O>,
        values: &dyn Array,
        depth: usize,
    ) -> Result<(), Fault> {
        let (first, last) = ends(offsets);
        self.buffer(from_zero(offsets));
        self.array(&values.slice(first, last - first), depth)
    }

    /// Only the run of values that the views cover is kept.
    fn list_view<O: OffsetSizeTrait>(&mut self, array: &GenericListViewArray<O>, depth: usize) -> Result<(), Fault> {
        let spans = || array.offsets().iter().zip(array.sizes()).map(|(o, s)| (o.as_usize(), s.as_usize()));
        let used = || spans().filter(|(_, size)| *size > 0);
        let first = used().map(|(offset, _)| offset).min().unwrap_or(0);
        let last = used().map(|(offset, size)| offset + size).max().unwrap_or(0);
        let shift = |(offset, size)| O::usize_as(if size == 0 { 0 } else { offset - first });
        self.buffer(spans().map(shift).collect::<ScalarBuffer<O>>().into_inner());
        self.buffer(array.sizes().inner().clone());
        self.array(&array.values().slice(first, last - first), depth)
    }

    fn union(&mut self, array: &UnionArray, mode: UnionMode, depth: usize) -> Result<(), Fault> {
        self.buffer(array.type_ids().inner().clone());
        if mode == UnionMode::Dense {
            self.0.buffers.extend(array.offsets().map(|offsets| offsets.inner().clone()));
        }
        let DataType::Union(fields, _) = array.data_type() else { return Ok(()) };
        fields.iter().try_for_each(|(id, _)| self.array(array.child(id), depth))
    }

    fn dictionary(&mut self, array: &dyn Array, depth: usize) -> Result<(), Fault> {
        fn keys<K: ArrowDictionaryKeyType>(array: &arrow_array::DictionaryArray<K>) -> Buffer {
            array.keys().values().inner().clone()
        }
        downcast_dictionary_array!(
            array => {
                self.buffer(keys(array));
                self.array(array.values(), depth)
            }
            other => Err(Fault::Type(other.to_string()))
        )
    }

    /// A sliced run array shares the run ends of the whole: they are cut and counted from the slice's start.
    fn runs<R: RunEndIndexType>(&mut self, array: &RunArray<R>, depth: usize) -> Result<(), Fault> {
        let (offset, length) = (array.run_ends().offset(), array.len());
        let all = array.run_ends().values();
        let first = all.partition_point(|end| end.as_usize() <= offset);
        let end = |end: &R::Native| (end.as_usize() - offset).min(length);
        let runs = match length {
            0 => 0,
            _ => all[first..].iter().position(|e| end(e) == length).map_or(0, |last| last + 1),
        };
        let ends = all[first..first + runs].iter().map(|e| R::Native::usize_as(end(e)));
        self.0.nodes.push(Node { length: runs as u64, null_count: 0 });
        self.buffer(Buffer::from_vec(Vec::<u8>::new()));
        self.buffer(ends.collect::<ScalarBuffer<R::Native>>().into_inner());
        self.array(&array.values().slice(first.min(array.values().len()), runs), depth)
    }
}

fn ends<O: OffsetSizeTrait>(offsets: &OffsetBuffer<O>) -> (usize, usize) {
    let end = |offset: Option<&O>| offset.map_or(0, |offset| offset.as_usize());
    (end(offsets.first()), end(offsets.last()))
}

fn from_zero<O: OffsetSizeTrait>(offsets: &OffsetBuffer<O>) -> Buffer {
    match offsets.first() {
        Some(first) if *first != O::zero() => {
            offsets.iter().map(|&offset| offset - *first).collect::<ScalarBuffer<O>>().into_inner()
        }
        _ => offsets.inner().inner().clone(),
    }
}
