//! Bytes of numbers, texts and names, looked at many at once.

/// A one in each byte of a word.
const ONES: u64 = u64::MAX / 255;

/// By how much a number grows when up to eight digits follow it.
const POWERS: [u64; 9] = [1, 10, 100, 1000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

/// The name of a member as objects mostly write it: in quotes, with a colon behind it, and a comma before it unless it is the first.
pub(super) struct MemberName {
    pub(super) first: Opening,
    pub(super) later: Opening,
}

/// Bytes that a text may begin with.
pub(super) struct Opening {
    bytes: Box<[u8]>,
    /// The first of the bytes, as many as there are up to 16, and which bits they are.
    word: u128,
    bits: u128,
}

impl Opening {
    fn new(text: String) -> Self {
        let bytes = text.into_bytes().into_boxed_slice();
        let (mut word, mut bits) = ([0; 16], [0; 16]);
        for (place, byte) in bytes.iter().enumerate().take(16) {
            (word[place], bits[place]) = (*byte, u8::MAX);
        }
        Self { bytes, word: u128::from_le_bytes(word), bits: u128::from_le_bytes(bits) }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether a text begins with these bytes.
    #[inline]
    pub(super) fn begins(&self, text: &[u8]) -> bool {
        match text.first_chunk() {
            Some(start) => {
                u128::from_le_bytes(*start) & self.bits == self.word
                    && (self.bytes.len() <= 16 || text.starts_with(&self.bytes))
            }
            None => text.starts_with(&self.bytes),
        }
    }
}

impl MemberName {
    /// None where a letter of it would have to be escaped.
    pub(super) fn new(name: &str) -> Option<Self> {
        let is_plain = name.chars().all(|letter| letter >= ' ' && !matches!(letter, '"' | '\\'));
        is_plain
            .then(|| Self { first: Opening::new(format!("\"{name}\":")), later: Opening::new(format!(",\"{name}\":")) })
    }
}

/// The number that the digits from a place on say behind those that are known already, and the place after them. Too many digits overflow.
#[inline]
pub(super) fn leading_digits(text: &[u8], from: usize, known: u64) -> (u64, usize) {
    let (mut value, mut end) = (known, from);
    while let Some(eight) = text.get(end..).and_then(<[u8]>::first_chunk) {
        let (digits, count) = digits_of_eight(*eight);
        value = value.wrapping_mul(POWERS[count]).wrapping_add(digits);
        end += count;
        if count < 8 {
            return (value, end);
        }
    }
    while let Some(digit) = text.get(end).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10) {
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
        end += 1;
    }
    (value, end)
}

/// The number that the digits at the start of eight bytes say, and how many they are. No branch depends on their count: it differs from
/// number to number.
#[inline]
fn digits_of_eight(text: [u8; 8]) -> (u64, usize) {
    let word = u64::from_le_bytes(text) ^ (ONES * 0x30);
    // Marks bytes that are no digits, and perhaps some above the first of them.
    let others = (word.wrapping_add(ONES * 0x76) | word) & (ONES << 7);
    let count = others.trailing_zeros() as usize / 8;
    // The digits move to the end, with zeros before them; then neighbours are put together three times.
    let digits = word.unbounded_shl(64 - 8 * count as u32);
    let pairs = (digits * 10 + (digits >> 8)) & 0x00FF_00FF_00FF_00FF;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_FFFF_0000_FFFF;
    ((fours * 10_000 + (fours >> 32)) & 0xFFFF_FFFF, count)
}

/// How many bytes come before the first quote, backslash or control character: many at once in long texts, then eight.
#[inline]
pub(super) fn plain_length(bytes: &[u8]) -> usize {
    const HIGHS: u64 = ONES << 7;
    // Marks bytes that are zero, and perhaps some above the first of them.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    let mut start = 0;
    while let Some(word) = bytes.get(start..).and_then(<[u8]>::first_chunk) {
        let word = u64::from_le_bytes(*word);
        let quotes = zeros(word ^ (ONES * u64::from(b'"')));
        let escapes = zeros(word ^ (ONES * u64::from(b'\\')));
        let controls = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        let found = quotes | escapes | controls;
        if found != 0 {
            return start + found.trailing_zeros() as usize / 8;
        }
        start += 8;
        // Short texts have ended.
        if start == 16 {
            start += plain_blocks(&bytes[start..]);
        }
    }
    start + bytes[start..].iter().position(is_special).unwrap_or(bytes.len() - start)
}

/// How many bytes at the start are of whole blocks without a special one: compilers look at a block at once.
#[inline]
fn plain_blocks(bytes: &[u8]) -> usize {
    let (blocks, _) = bytes.as_chunks::<32>();
    let is_plain = |block: &&[u8; 32]| !block.iter().fold(false, |found, byte| found | is_special(byte));
    blocks.iter().take_while(is_plain).count() * 32
}

/// Whether a byte can't stand for itself within a text.
#[inline]
fn is_special(byte: &u8) -> bool {
    // Not a pattern: compilers would look it up in a table.
    (*byte == b'"') | (*byte == b'\\') | (*byte < b' ')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_special_in_a_text_is_found(bytes in proptest::collection::vec(prop_oneof![60 => b' '..=u8::MAX, 1 => any::<u8>()], 0..150)) {
            let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..b' ');
            prop_assert_eq!(plain_length(&bytes), bytes.iter().position(is_special).unwrap_or(bytes.len()));
        }

        #[test]
        fn digits_are_counted_and_read_together(text in "[0-9]{0,8}", other in any::<[u8; 8]>()) {
            let mut eight = other;
            eight[..text.len()].copy_from_slice(text.as_bytes());
            let count = eight.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let digits = std::str::from_utf8(&eight[..count]).unwrap();
            prop_assert_eq!(digits_of_eight(eight), (digits.parse().unwrap_or(0), count));
        }

        #[test]
        fn names_are_known_by_all_their_letters(name in "[a-cé\"]{0,20}", text in "\"[a-cé]{0,20}\":[01]{0,9}") {
            if let Some(known) = MemberName::new(&name) {
                let is_name = text.starts_with(&format!("\"{name}\":"));
                prop_assert_eq!(known.first.begins(text.as_bytes()), is_name);
                prop_assert_eq!(known.later.begins(format!(",{text}").as_bytes()), is_name);
            }
        }
    }
}
