//! Hash tables that number distinct keys in the order of their first appearance. Their hashes have no seed; results do not
//! depend on them.

use crate::word::{Word, hash_bytes};

/// Places of a new table.
const PLACES: usize = 1 << 10;

/// Keys that are numbers.
#[derive(Debug)]
pub(crate) struct Words<W> {
    /// Keys with their numbers and one more, 0 where there is none; a power of two of them.
    places: Vec<(W, u32)>,
    keys: Vec<W>,
}

impl<W: Word> Words<W> {
    pub(crate) fn new() -> Self {
        Self { places: vec![(W::default(), 0); PLACES], keys: Vec::new() }
    }

    pub(crate) fn keys(&self) -> &[W] {
        &self.keys
    }

    /// The number of a key, a new one if it was not there.
    #[inline]
    pub(crate) fn number(&mut self, key: W) -> u32 {
        let last = self.places.len() - 1;
        let mut at = home(key.hash64(), self.places.len());
        loop {
            let (other, number) = self.places[at];
            if number == 0 {
                return self.insert(at, key);
            }
            if other == key {
                return number - 1;
            }
            at = (at + 1) & last;
        }
    }

    /// A number for what is no key and is never found.
    pub(crate) fn reserve(&mut self) -> u32 {
        self.keys.push(W::default());
        self.keys.len() as u32 - 1
    }

    #[cold]
    #[inline(never)]
    fn insert(&mut self, at: usize, key: W) -> u32 {
        self.keys.push(key);
        let number = self.keys.len() as u32;
        self.places[at] = (key, number);
        if self.keys.len() * 2 > self.places.len() {
            let larger = vec![(W::default(), 0); self.places.len() * 2];
            for place in std::mem::replace(&mut self.places, larger).into_iter().filter(|place| place.1 != 0) {
                let free = free(home(place.0.hash64(), self.places.len()), &self.places, |place| place.1 == 0);
                self.places[free] = place;
            }
        }
        number - 1
    }
}

/// Keys that are bytes.
#[derive(Debug)]
pub(crate) struct Strings {
    /// The upper halves of hashes, and keys' numbers and one more; 0 where there is none.
    places: Vec<(u32, u32)>,
    hashes: Vec<u64>,
    /// The bytes of all keys, one behind the other.
    data: Vec<u8>,
    ends: Vec<usize>,
}

impl Strings {
    pub(crate) fn new() -> Self {
        Self { places: vec![(0, 0); PLACES], hashes: Vec::new(), data: Vec::new(), ends: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn key(&self, number: usize) -> &[u8] {
        let start = if number == 0 { 0 } else { self.ends[number - 1] };
        &self.data[start..self.ends[number]]
    }

    /// The first bytes of a key, as a number in their order.
    pub(crate) fn head(&self, number: usize) -> u64 {
        let (key, mut head) = (self.key(number), [0; 8]);
        let length = key.len().min(8);
        head[..length].copy_from_slice(&key[..length]);
        u64::from_be_bytes(head)
    }

    /// The number of a key, a new one if it was not there.
    #[inline]
    pub(crate) fn number(&mut self, key: &[u8]) -> u32 {
        let hash = hash_bytes(key);
        let last = self.places.len() - 1;
        let mut at = home(hash, self.places.len());
        loop {
            let (other, number) = self.places[at];
            if number == 0 {
                return self.insert(at, hash, key);
            }
            if other == hash as u32 && self.key(number as usize - 1) == key {
                return number - 1;
            }
            at = (at + 1) & last;
        }
    }

    #[cold]
    #[inline(never)]
    fn insert(&mut self, at: usize, hash: u64, key: &[u8]) -> u32 {
        self.data.extend_from_slice(key);
        self.ends.push(self.data.len());
        self.hashes.push(hash);
        let number = self.len() as u32;
        self.places[at] = (hash as u32, number);
        if self.len() * 2 > self.places.len() {
            let mut larger = vec![(0, 0); self.places.len() * 2];
            for (hash, number) in self.hashes.iter().zip(1..) {
                let free = free(home(*hash, larger.len()), &larger, |place| place.1 == 0);
                larger[free] = (*hash as u32, number);
            }
            self.places = larger;
        }
        number - 1
    }
}

/// Where a key with this hash is looked for first.
#[inline]
fn home(hash: u64, places: usize) -> usize {
    (hash >> (u64::BITS - places.ilog2())) as usize
}

fn free<P>(mut at: usize, places: &[P], is_free: impl Fn(&P) -> bool) -> usize {
    while !is_free(&places[at]) {
        at = (at + 1) & (places.len() - 1);
    }
    at
}
