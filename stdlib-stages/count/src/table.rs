//! A hash table from short byte strings to counts.
//!
//! Keys lie in order of first appearance, frequent ones therefore close together; what is hashed is their numbers. The
//! first sixteen bytes of a key lie beside its count, so that most keys are found without a branch that depends on their
//! length. The hash has a fixed seed; results don't depend on it.

/// Bytes of a key beside its count.
const HEAD: usize = 16;

/// Counts by key.
pub(crate) struct Table {
    /// Hashed places, a power of two of them.
    places: Vec<Place>,
    entries: Vec<Entry>,
    /// The bytes of all keys, one behind the other.
    arena: Vec<u8>,
}

/// A key's number and one more in the lower half, its hash in the upper; 0 if there is none.
type Place = u64;

/// A key and its count.
#[derive(Clone, Copy)]
#[repr(align(32))]
struct Entry {
    head: Head,
    count: u64,
    /// Where the key ends in the arena.
    end: u32,
    length: u32,
}

/// The first bytes of a key, zeros behind its end.
#[derive(Clone, Copy)]
struct Head {
    low: u64,
    high: u64,
}

impl Table {
    pub(crate) fn new() -> Self {
        Self { places: vec![0; 1 << 10], entries: Vec::new(), arena: Vec::new() }
    }

    /// Number of keys.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Counts the key `values[start..end]` `count` times more. It lies in a longer buffer so that its head can be read
    /// at once.
    #[inline]
    pub(crate) fn add(&mut self, values: &[u8], start: usize, end: usize, count: u64) {
        let length = end - start;
        if length > HEAD {
            return self.add_long(&values[start..end], count);
        }
        let head = Head::of(values, start, length);
        let hash = hash(head, length);
        match self.find(hash, |entry, _| entry.is(head, length)) {
            Ok(number) => self.entries[number].count += count,
            Err(at) => self.insert(at, hash, head, &values[start..end], count),
        }
    }

    /// A key that is longer than its head.
    #[inline(never)]
    fn add_long(&mut self, key: &[u8], count: u64) {
        let head = Head::of(key, 0, HEAD);
        let hash = hash_long(head, &key[HEAD..]);
        match self.find(hash, |entry, arena| entry.is(head, key.len()) && entry.key(arena) == key) {
            Ok(number) => self.entries[number].count += count,
            Err(at) => self.insert(at, hash, head, key, count),
        }
    }

    /// The number of the key with this hash that `is` the one, or the place where it is to go.
    #[inline]
    fn find(&self, hash: u32, is: impl Fn(&Entry, &[u8]) -> bool) -> Result<usize, usize> {
        let mut at = self.home(hash);
        loop {
            let place = self.places[at];
            if place == 0 {
                return Err(at);
            }
            let number = place as u32 as usize - 1;
            if (place >> 32) as u32 == hash && is(&self.entries[number], &self.arena) {
                return Ok(number);
            }
            at = (at + 1) & (self.places.len() - 1);
        }
    }

    #[cold]
    #[inline(never)]
    fn insert(&mut self, at: usize, hash: u32, head: Head, key: &[u8], count: u64) {
        self.arena.extend_from_slice(key);
        self.entries.push(Entry { head, count, end: self.arena.len() as u32, length: key.len() as u32 });
        self.places[at] = u64::from(hash) << 32 | self.entries.len() as u64;
        if self.entries.len() * 2 > self.places.len() {
            self.grow();
        }
    }

    fn grow(&mut self) {
        let larger = vec![0; self.places.len() * 2];
        for place in std::mem::replace(&mut self.places, larger).into_iter().filter(|place| *place != 0) {
            let mut at = self.home((place >> 32) as u32);
            while self.places[at] != 0 {
                at = (at + 1) & (self.places.len() - 1);
            }
            self.places[at] = place;
        }
    }

    /// Where a key with this hash is looked for first.
    #[inline]
    fn home(&self, hash: u32) -> usize {
        (hash >> (u32::BITS - self.places.len().ilog2())) as usize
    }

    /// The key with this number.
    pub(crate) fn key(&self, number: usize) -> &[u8] {
        self.entries[number].key(&self.arena)
    }

    /// The count of the key with this number.
    pub(crate) fn count(&self, number: usize) -> u64 {
        self.entries[number].count
    }

    /// The numbers of all keys by the keys' bytes.
    pub(crate) fn sorted(&self) -> Vec<u32> {
        let entries = self.entries.iter().zip(0..);
        let mut keys: Vec<(u64, u32)> = entries.map(|(entry, number)| (entry.head.low.swap_bytes(), number)).collect();
        let whole = |number: u32| self.key(number as usize);
        keys.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| whole(a.1).cmp(whole(b.1))));
        keys.into_iter().map(|(_, number)| number).collect()
    }
}

impl Entry {
    #[inline]
    fn is(&self, head: Head, length: usize) -> bool {
        (self.head.low ^ head.low) | (self.head.high ^ head.high) | u64::from(self.length ^ length as u32) == 0
    }

    fn key<'a>(&self, arena: &'a [u8]) -> &'a [u8] {
        &arena[(self.end - self.length) as usize..self.end as usize]
    }
}

/// By length, which bits of a head are of the key.
const MASKS: [[u64; 2]; HEAD + 1] = {
    let mut masks = [[0; 2]; HEAD + 1];
    let mut length = 0;
    while length <= HEAD {
        let bits = if length == HEAD { u128::MAX } else { (1 << (8 * length)) - 1 };
        masks[length] = [bits as u64, (bits >> 64) as u64];
        length += 1;
    }
    masks
};

impl Head {
    /// Of the key of this length, up to [`HEAD`], that begins at `start`.
    #[inline]
    fn of(values: &[u8], start: usize, length: usize) -> Self {
        match values[start..].first_chunk::<HEAD>() {
            Some(bytes) => Self::new(*bytes, MASKS[length]),
            None => {
                let mut bytes = [0; HEAD];
                bytes[..length].copy_from_slice(&values[start..start + length]);
                Self::new(bytes, MASKS[HEAD])
            }
        }
    }

    #[inline]
    fn new(bytes: [u8; HEAD], mask: [u64; 2]) -> Self {
        let bits = u128::from_le_bytes(bytes);
        Self { low: bits as u64 & mask[0], high: (bits >> 64) as u64 & mask[1] }
    }
}

const PRIME: u64 = 0x9E37_79B9_7F4A_7C15;

/// The hash of a key that is all in its head. Two multiplications side by side, and one to spread them.
#[inline]
fn hash(head: Head, length: usize) -> u32 {
    (mix(head, length) >> 32) as u32
}

#[inline]
fn mix(head: Head, length: usize) -> u64 {
    let low = head.low.wrapping_mul(PRIME);
    let high = (head.high ^ length as u64).wrapping_mul(0xC2B2_AE3D_27D4_EB4F);
    let hash = low ^ high.rotate_left(32);
    (hash ^ (hash >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93)
}

fn hash_long(head: Head, rest: &[u8]) -> u32 {
    let hash = rest.chunks(8).fold(mix(head, HEAD + rest.len()), |hash, chunk| {
        let mut bytes = [0; 8];
        bytes[..chunk.len()].copy_from_slice(chunk);
        (hash.rotate_left(29) ^ u64::from_le_bytes(bytes)).wrapping_mul(PRIME)
    });
    (hash >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Adds keys that lie one behind the other, so that each has others' bytes behind it.
    fn table(keys: &[&str]) -> Table {
        let values = keys.concat();
        let (mut table, mut start) = (Table::new(), 0);
        for key in keys {
            table.add(values.as_bytes(), start, start + key.len(), 1);
            start += key.len();
        }
        table
    }

    #[test]
    fn keys_that_differ_in_length_or_behind_the_head_are_different() {
        let long = "0123456789abcdef";
        let keys = ["", "\0", "\0\0", "a", "a\0", long, &format!("{long}\0"), &format!("{long}x"), &format!("{long}y")];
        let table = table(&[keys, keys].concat());
        assert_eq!(table.len(), keys.len());
        for (number, key) in keys.iter().enumerate() {
            assert_eq!((table.key(number), table.count(number)), (key.as_bytes(), 2));
        }
    }

    #[test]
    fn keys_survive_growth_and_are_sorted_by_their_bytes() {
        let keys: Vec<String> = (0..20_000).map(|i| format!("{}{i}", "prefix".repeat(i % 5))).collect();
        let table = table(&keys.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(table.len(), 20_000);
        assert!((0..20_000).all(|number| table.count(number) == 1));
        let mut sorted = keys.clone();
        sorted.sort();
        assert!(table.sorted().iter().map(|&number| &keys[number as usize]).eq(&sorted));
    }
}
