//! Hash tables that number distinct keys in the order of their first appearance. Their hashes have no seed; results do not
//! depend on them.

use crate::word::{Word, hash_bytes};

/// Places of a new table.
const PLACES: usize = 1 << 10;

/// Places of keys that lie close together, where there are few of them.
const FEW_PLACES: usize = 1 << 15;
/// Places for each key that lies close to others, at most: about what a hash table takes.
const PLACES_OF_A_KEY: usize = 4;
/// New keys that are not near before it is asked again whether all lie close together.
const ASK_AFTER: usize = 1 << 10;

/// Keys that are numbers.
#[derive(Debug)]
pub(crate) struct Words<W> {
    keys: Vec<W>,
    /// Keys that are near, all that there are between the first and the last place.
    near: Near<W>,
    /// The others, with their numbers and one more, 0 where there is none; a power of two of them.
    places: Vec<(W, u32)>,
    /// How many keys are in the places.
    far: usize,
    /// The number of such keys at which it is asked whether all keys lie close together.
    ask_at: usize,
    /// The number that is no key's.
    reserved: Option<u32>,
}

/// Numbers of keys by their distance from the first: where keys lie close together there is no faster table.
#[derive(Debug, Default)]
struct Near<W> {
    first: W,
    /// Numbers and one more, 0 where there is none.
    numbers: Vec<u32>,
}

impl<W: Word> Words<W> {
    pub(crate) fn new() -> Self {
        let (keys, near, places) = (Vec::new(), Near::default(), vec![(W::default(), 0); PLACES]);
        Self { keys, near, places, far: 0, ask_at: 0, reserved: None }
    }

    pub(crate) fn keys(&self) -> &[W] {
        &self.keys
    }

    /// Prepares for keys that are about to be numbered: has all keys found by their distance from the least, if they lie close together.
    pub(crate) fn expect(&mut self, coming: impl Iterator<Item = W>) {
        if self.far < self.ask_at {
            return;
        }
        let mut keys = self.numbered().map(|(key, _)| key).chain(coming);
        let Some(first) = keys.next() else { return };
        let (mut least, mut most, mut count) = (first, first, 1);
        for key in keys {
            (least, most, count) = (least.min(key), most.max(key), count + 1);
        }
        self.ask_at = ASK_AFTER.max(2 * self.far);
        let span = most.above(least).saturating_add(1);
        if span > FEW_PLACES.max(PLACES_OF_A_KEY * count) {
            return;
        }
        // As much room again, on both sides: where keys ascend or descend it is not made with every batch.
        let mut near = Near { first: least.below(span / 2), numbers: vec![0; 2 * span] };
        for (key, number) in self.numbered() {
            near.numbers[key.above(near.first)] = number + 1;
        }
        self.near = near;
        (self.places, self.far, self.ask_at) = (vec![(W::default(), 0); PLACES], 0, ASK_AFTER);
    }

    /// All keys with their numbers.
    fn numbered(&self) -> impl Iterator<Item = (W, u32)> {
        self.keys.iter().copied().zip(0..).filter(|(_, number)| self.reserved != Some(*number))
    }

    /// The numbers of keys, new ones of those that were not there.
    pub(crate) fn numbers(&mut self, keys: &[W]) -> Vec<u32> {
        self.expect(keys.iter().copied());
        keys.iter().map(|&key| self.number(key)).collect()
    }

    /// The number of a key, a new one if it was not there.
    #[inline(always)]
    pub(crate) fn number(&mut self, key: W) -> u32 {
        match self.near.numbers.get_mut(key.above(self.near.first)) {
            Some(0) => self.insert_near(key),
            Some(number) => *number - 1,
            None => self.number_far(key),
        }
    }

    // What is rarely needed would keep the rest from being compiled into loops.
    #[inline(never)]
    fn number_far(&mut self, key: W) -> u32 {
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

    /// A number for what is no key and is never found. There is one at most.
    pub(crate) fn reserve(&mut self) -> u32 {
        self.keys.push(W::default());
        let number = self.keys.len() as u32 - 1;
        self.reserved = Some(number);
        number
    }

    /// The numbers of all keys in the order of the keys; the one that is no key's comes first.
    pub(crate) fn sorted(&self) -> Vec<u32> {
        let all = self.reserved.into_iter();
        if self.far == 0 {
            return all.chain(self.near.numbers.iter().filter_map(|number| number.checked_sub(1))).collect();
        }
        let mut keys: Vec<(W, u32)> = self.numbered().collect();
        keys.sort_unstable();
        all.chain(keys.into_iter().map(|(_, number)| number)).collect()
    }

    #[cold]
    #[inline(never)]
    fn insert_near(&mut self, key: W) -> u32 {
        self.keys.push(key);
        let number = self.keys.len() as u32;
        self.near.numbers[key.above(self.near.first)] = number;
        number - 1
    }

    #[cold]
    #[inline(never)]
    fn insert(&mut self, at: usize, key: W) -> u32 {
        self.keys.push(key);
        let number = self.keys.len() as u32;
        self.places[at] = (key, number);
        self.far += 1;
        if self.far * 2 > self.places.len() {
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
