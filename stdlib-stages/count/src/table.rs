//! A hash table from short byte strings to counts.
//!
//! The first and the last eight bytes of a key lie in its slot, so that a key of up to sixteen bytes is found with one
//! look at memory. The hash has a fixed seed; results don't depend on it.

/// Counts by key. `None` is a key, too.
pub(crate) struct Table {
    slots: Vec<Slot>,
    used: usize,
    /// The bytes of all keys, in order of first appearance.
    arena: Vec<u8>,
    nulls: u64,
}

/// A key and its count; empty while the count is 0.
#[derive(Clone, Copy, Default)]
struct Slot {
    first: u64,
    last: u64,
    count: u64,
    offset: u32,
    length: u32,
}

/// A key with its count.
pub(crate) struct Group<'a> {
    /// The key's bytes; `None` is null.
    pub(crate) key: Option<&'a [u8]>,
    /// How often it came.
    pub(crate) count: u64,
}

const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;

impl Table {
    pub(crate) fn new() -> Self {
        Self { slots: vec![Slot::default(); 1024], used: 0, arena: Vec::new(), nulls: 0 }
    }

    /// Counts null `count` times more.
    pub(crate) fn add_null(&mut self, count: u64) {
        self.nulls += count;
    }

    /// Counts the key `values[start..end]` `count` times more. It lies in a longer buffer so that eight bytes can be
    /// read at once.
    #[inline]
    pub(crate) fn add(&mut self, values: &[u8], start: usize, end: usize, count: u64) {
        let length = end - start;
        let first = word(values, start, length);
        let last = if length > 8 { load(values, end - 8) } else { 0 };
        let rest = if length > 16 { &values[start + 8..end - 8] } else { &[] };
        let mask = self.slots.len() - 1;
        let mut at = (hash(first, last, rest, length) as usize) & mask;
        loop {
            let slot = &mut self.slots[at];
            if slot.count == 0 {
                return self.insert(
                    at,
                    Slot { first, last, count, offset: 0, length: length as u32 },
                    &values[start..end],
                );
            }
            let same = slot.first == first && slot.last == last && slot.length as usize == length;
            if same && (rest.is_empty() || slot.rest(&self.arena) == rest) {
                slot.count += count;
                return;
            }
            at = (at + 1) & mask;
        }
    }

    #[cold]
    fn insert(&mut self, at: usize, slot: Slot, key: &[u8]) {
        if slot.count == 0 {
            return; // A count of nothing leaves the slot free.
        }
        self.slots[at] = Slot { offset: self.arena.len() as u32, ..slot };
        self.arena.extend_from_slice(key);
        self.used += 1;
        if self.used * 2 > self.slots.len() {
            self.grow();
        }
    }

    fn grow(&mut self) {
        let double = vec![Slot::default(); self.slots.len() * 2];
        let mask = double.len() - 1;
        for slot in std::mem::replace(&mut self.slots, double).into_iter().filter(|slot| slot.count > 0) {
            let rest = slot.rest(&self.arena);
            let mut at = (hash(slot.first, slot.last, rest, slot.length as usize) as usize) & mask;
            while self.slots[at].count > 0 {
                at = (at + 1) & mask;
            }
            self.slots[at] = slot;
        }
    }

    /// All keys in order of their first appearance. (Not in order of the slots: a table that is filled in that order
    /// piles them up.)
    pub(crate) fn in_order_of_appearance(&self) -> Vec<Group<'_>> {
        let mut slots = self.filled();
        slots.sort_unstable_by_key(|slot| (slot.offset, slot.length));
        self.groups(&slots)
    }

    /// All keys by their bytes, null first.
    pub(crate) fn sorted(&self) -> Vec<Group<'_>> {
        let mut slots = self.filled();
        let head = |slot: &Slot| slot.first.swap_bytes();
        slots.sort_unstable_by(|a, b| head(a).cmp(&head(b)).then_with(|| a.key(&self.arena).cmp(b.key(&self.arena))));
        self.groups(&slots)
    }

    fn filled(&self) -> Vec<Slot> {
        self.slots.iter().filter(|slot| slot.count > 0).copied().collect()
    }

    fn groups(&self, slots: &[Slot]) -> Vec<Group<'_>> {
        let null = (self.nulls > 0).then_some(Group { key: None, count: self.nulls });
        let keys = slots.iter().map(|slot| Group { key: Some(slot.key(&self.arena)), count: slot.count });
        null.into_iter().chain(keys).collect()
    }
}

impl Slot {
    fn key<'a>(&self, arena: &'a [u8]) -> &'a [u8] {
        &arena[self.offset as usize..][..self.length as usize]
    }

    /// What is in neither of the two words.
    fn rest<'a>(&self, arena: &'a [u8]) -> &'a [u8] {
        match self.key(arena) {
            key if key.len() > 16 => &key[8..key.len() - 8],
            _ => &[],
        }
    }
}

fn load(values: &[u8], at: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&values[at..at + 8]);
    u64::from_le_bytes(bytes)
}

/// The first eight bytes of a key, zeros behind its end.
fn word(values: &[u8], start: usize, length: usize) -> u64 {
    if start + 8 <= values.len() {
        let bits = load(values, start);
        return if length >= 8 { bits } else { bits & ((1 << (8 * length)) - 1) };
    }
    let mut bytes = [0; 8];
    let length = length.min(8);
    bytes[..length].copy_from_slice(&values[start..start + length]);
    u64::from_le_bytes(bytes)
}

fn hash(first: u64, last: u64, rest: &[u8], length: usize) -> u64 {
    let mix = |hash: u64, bits: u64| (hash.rotate_left(29) ^ bits).wrapping_mul(MULTIPLIER);
    let hash = mix(mix(length as u64, first), last);
    let hash = rest.chunks(8).fold(hash, |hash, chunk| mix(hash, word(chunk, 0, chunk.len())));
    hash ^ (hash >> 32)
}
