//! Modules of flowc's own, which bring what a kernel wrote into the form in which the next one reads it: what the processor does
//! with a column that comes back. They move bits, so they are the same on every adapter.

use std::sync::Arc;

use naga::valid::ValidationFlags;

use crate::build::{Access, Shader};
use crate::parsed::validated;

/// What is done to columns that stay on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pass {
    /// Packs words that say yes or no into bits. Buffers: words; bits; the number of values.
    Pack,
    /// Keeps the bits that others have, too. Buffers: the others; the bits; the number of words.
    And,
    /// Puts zero under nulls, and one NaN in the place of each. Buffers: the bitmap of validity, or anything; the values; the number of
    /// items, items of a row, what they are ([`Items`]), whether there are nulls.
    Settle,
    /// Moves rows of whole words together. Buffers: a bitmap of the rows that are kept; how many are kept before each word of it; where rows
    /// are; where they go; the number of words, words of a row.
    Keep,
    /// Moves rows of parts of words together, into zeros. Buffers as for [`Pass::Keep`]; then the number of values, values of a row, bits
    /// of a value.
    KeepNarrow,
    /// Finds rows of equal keys: each row gets the slot of a table that the first of them took. Buffers: keys, as a column has them; the
    /// bitmap of their validity, or anything; slots, all zero, twice as many as rows at least, a power of two; the slots of rows; two words,
    /// the second of which is set where a row found no slot; the number of rows, bits of a key, whether there are nulls, slots less one, and
    /// how many slots a row may try.
    Group,
    /// Numbers the slots that were taken. Buffers: slots; their numbers; two words, the first of which counts; the number of slots.
    Number,
    /// Says which row took a number, and the number of each row. Buffers: slots; their numbers; a row for each number; the slots of rows,
    /// which become numbers; the number of slots, and of rows.
    Place,
}

/// What [`Pass::Settle`] goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Items {
    /// Words of anything but floats.
    Words = 0,
    /// Floats of 32 bits.
    Floats = 1,
    /// Floats of 16 bits.
    Halves = 2,
    /// Floats of 64 bits.
    Doubles = 3,
}

/// Invocations of a workgroup.
const WORKGROUP: u32 = 256;

/// Workgroups along x. Those beyond are rows of workgroups along y, as adapters take few along one direction.
const ALONG_X: u32 = 1 << 15;

impl Pass {
    /// Those between two kernels.
    pub const BETWEEN: [Self; 5] = [Self::Pack, Self::And, Self::Settle, Self::Keep, Self::KeepNarrow];
    /// Those before a kernel that counts by groups.
    pub const GROUPING: [Self; 3] = [Self::Group, Self::Number, Self::Place];

    /// The workgroups, along x and y, of so many items.
    pub fn groups(items: u32) -> [u32; 2] {
        let groups = items.div_ceil(WORKGROUP).max(1);
        [groups.min(ALONG_X), groups.div_ceil(ALONG_X)]
    }

    /// The module that does it.
    ///
    /// # Panics
    /// Never: its text is tested.
    pub fn shader(self) -> Arc<Shader> {
        let text = format!("{HEAD}{}", self.text());
        let module = naga::front::wgsl::parse_str(&text).expect("a pass is WGSL");
        let info = validated(&module, ValidationFlags::all()).expect("a pass is valid");
        let access = (0..module.global_variables.len()).map(|binding| Access::of(&module, binding)).collect();
        Arc::new(Shader { module, info, workgroup: WORKGROUP, access })
    }

    fn text(self) -> &'static str {
        match self {
            Self::Pack => PACK,
            Self::And => AND,
            Self::Settle => SETTLE,
            Self::Keep => KEEP,
            Self::KeepNarrow => KEEP_NARROW,
            Self::Group => GROUP,
            Self::Number => NUMBER,
            Self::Place => PLACE,
        }
    }
}

/// The number of an invocation.
const HEAD: &str = "fn item(at: vec3<u32>) -> u32 { return (at.y << 23u) + at.x; }\n";

const PACK: &str = "
@group(0) @binding(0) var<storage, read> words: array<u32>;
@group(0) @binding(1) var<storage, read_write> bits: array<u32>;
@group(0) @binding(2) var<storage, read> numbers: array<u32>;
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) at: vec3<u32>) {
    let to = item(at);
    if to >= (numbers[0] + 31u) / 32u { return; }
    var word = 0u;
    for (var bit = 0u; bit < 32u; bit++) {
        let value = to * 32u + bit;
        if value < numbers[0] && words[value] != 0u { word |= 1u << bit; }
    }
    bits[to] = word;
}
";

const AND: &str = "
@group(0) @binding(0) var<storage, read> others: array<u32>;
@group(0) @binding(1) var<storage, read_write> bits: array<u32>;
@group(0) @binding(2) var<storage, read> numbers: array<u32>;
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) at: vec3<u32>) {
    let word = item(at);
    if word < numbers[0] { bits[word] &= others[word]; }
}
";

const SETTLE: &str = "
@group(0) @binding(0) var<storage, read> bits: array<u32>;
@group(0) @binding(1) var<storage, read_write> values: array<u32>;
@group(0) @binding(2) var<storage, read> numbers: array<u32>;
fn is_there(item: u32) -> bool {
    let row = item / numbers[1];
    return numbers[3] == 0u || ((bits[row >> 5u] >> (row & 31u)) & 1u) == 1u;
}
fn half(item: u32, bits: u32) -> u32 {
    if item >= numbers[0] || !is_there(item) { return 0u; }
    return select(bits, 0x7e00u, (bits & 0x7fffu) > 0x7c00u);
}
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) at: vec3<u32>) {
    let i = item(at);
    if numbers[2] == 2u {
        if 2u * i >= numbers[0] { return; }
        let word = values[i];
        values[i] = half(2u * i, word & 0xffffu) | (half(2u * i + 1u, word >> 16u) << 16u);
        return;
    }
    if i >= numbers[0] { return; }
    let there = is_there(i);
    if numbers[2] == 3u {
        let low = values[2u * i];
        let high = values[2u * i + 1u];
        let size = high & 0x7fffffffu;
        let nan = size > 0x7ff00000u || (size == 0x7ff00000u && low != 0u);
        values[2u * i] = select(0u, select(low, 0u, nan), there);
        values[2u * i + 1u] = select(0u, select(high, 0x7ff80000u, nan), there);
        return;
    }
    let word = values[i];
    let nan = numbers[2] == 1u && (word & 0x7fffffffu) > 0x7f800000u;
    values[i] = select(0u, select(word, 0x7fc00000u, nan), there);
}
";

const KEEP: &str = "
@group(0) @binding(0) var<storage, read> bits: array<u32>;
@group(0) @binding(1) var<storage, read> before: array<u32>;
@group(0) @binding(2) var<storage, read> values: array<u32>;
@group(0) @binding(3) var<storage, read_write> kept: array<u32>;
@group(0) @binding(4) var<storage, read> numbers: array<u32>;
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) at: vec3<u32>) {
    let i = item(at);
    if i >= numbers[0] { return; }
    let row = i / numbers[1];
    let word = bits[row >> 5u];
    let bit = 1u << (row & 31u);
    if (word & bit) == 0u { return; }
    let to = before[row >> 5u] + countOneBits(word & (bit - 1u));
    kept[to * numbers[1] + i % numbers[1]] = values[i];
}
";

const KEEP_NARROW: &str = "
@group(0) @binding(0) var<storage, read> bits: array<u32>;
@group(0) @binding(1) var<storage, read> before: array<u32>;
@group(0) @binding(2) var<storage, read> values: array<u32>;
@group(0) @binding(3) var<storage, read_write> kept: array<atomic<u32>>;
@group(0) @binding(4) var<storage, read> numbers: array<u32>;
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) at: vec3<u32>) {
    let i = item(at);
    if i >= numbers[0] { return; }
    let row = i / numbers[1];
    let word = bits[row >> 5u];
    let bit = 1u << (row & 31u);
    if (word & bit) == 0u { return; }
    let to = (before[row >> 5u] + countOneBits(word & (bit - 1u))) * numbers[1] + i % numbers[1];
    let each = 32u / numbers[2];
    let value = (values[i / each] >> ((i % each) * numbers[2])) & ((1u << numbers[2]) - 1u);
    atomicOr(&kept[to / each], value << ((to % each) * numbers[2]));
}
";

const GROUP: &str = "
@group(0) @binding(0) var<storage, read> keys: array<u32>;
@group(0) @binding(1) var<storage, read> bits: array<u32>;
@group(0) @binding(2) var<storage, read_write> slots: array<atomic<u32>>;
@group(0) @binding(3) var<storage, read_write> groups: array<u32>;
@group(0) @binding(4) var<storage, read_write> counts: array<atomic<u32>>;
@group(0) @binding(5) var<storage, read> numbers: array<u32>;
fn is_there(row: u32) -> bool {
    return numbers[2] == 0u || ((bits[row >> 5u] >> (row & 31u)) & 1u) == 1u;
}
fn low(row: u32) -> u32 {
    let width = numbers[1];
    if width == 64u { return keys[2u * row]; }
    if width == 32u { return keys[row]; }
    let each = 32u / width;
    return (keys[row / each] >> ((row % each) * width)) & ((1u << width) - 1u);
}
fn high(row: u32) -> u32 {
    if numbers[1] == 64u { return keys[2u * row + 1u]; }
    return 0u;
}
fn mixed(word: u32) -> u32 {
    var h = word;
    h = (h ^ (h >> 16u)) * 0x85ebca6bu;
    h = (h ^ (h >> 13u)) * 0xc2b2ae35u;
    return h ^ (h >> 16u);
}
fn is_same(one: u32, other: u32) -> bool {
    return is_there(one) == is_there(other) && low(one) == low(other) && high(one) == high(other);
}
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) at: vec3<u32>) {
    let row = item(at);
    if row >= numbers[0] { return; }
    var slot = mixed(mixed(low(row)) + high(row)) & numbers[3];
    for (var tried = 0u; tried < numbers[4]; tried++) {
        var taken = atomicLoad(&slots[slot]);
        if taken == 0u {
            let found = atomicCompareExchangeWeak(&slots[slot], 0u, row + 1u);
            if found.exchanged { taken = row + 1u; } else { taken = found.old_value; }
        }
        // An exchange may fail without a reason.
        if taken == 0u { continue; }
        if is_same(taken - 1u, row) {
            groups[row] = slot;
            return;
        }
        slot = (slot + 1u) & numbers[3];
    }
    atomicStore(&counts[1], 1u);
}
";

const NUMBER: &str = "
@group(0) @binding(0) var<storage, read> slots: array<u32>;
@group(0) @binding(1) var<storage, read_write> ids: array<u32>;
@group(0) @binding(2) var<storage, read_write> counts: array<atomic<u32>>;
@group(0) @binding(3) var<storage, read> numbers: array<u32>;
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) at: vec3<u32>) {
    let slot = item(at);
    if slot < numbers[0] && slots[slot] != 0u { ids[slot] = atomicAdd(&counts[0], 1u); }
}
";

const PLACE: &str = "
@group(0) @binding(0) var<storage, read> slots: array<u32>;
@group(0) @binding(1) var<storage, read> ids: array<u32>;
@group(0) @binding(2) var<storage, read_write> firsts: array<u32>;
@group(0) @binding(3) var<storage, read_write> groups: array<u32>;
@group(0) @binding(4) var<storage, read> numbers: array<u32>;
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) at: vec3<u32>) {
    let i = item(at);
    if i < numbers[0] && slots[i] != 0u { firsts[ids[i]] = slots[i] - 1u; }
    if i < numbers[1] { groups[i] = ids[groups[i]]; }
}
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_are_valid_and_see_their_buffers_as_they_need() {
        let shapes = |passes: &[Pass]| -> Vec<(usize, usize)> {
            let shape = |pass: &Pass| {
                let access = pass.shader().access.clone();
                (access.iter().filter(|access| **access == Access::Write).count(), access.len())
            };
            passes.iter().map(shape).collect()
        };
        assert_eq!(shapes(&Pass::BETWEEN), [(1, 3), (1, 3), (1, 3), (1, 5), (1, 5)]);
        assert_eq!(shapes(&Pass::GROUPING), [(3, 6), (2, 4), (2, 5)]);
    }

    #[test]
    fn many_items_have_workgroups_in_two_directions() {
        assert_eq!(Pass::groups(0), [1, 1]);
        assert_eq!(Pass::groups(257), [2, 1]);
        assert_eq!(Pass::groups((1 << 23) + 1), [1 << 15, 2]);
    }
}
