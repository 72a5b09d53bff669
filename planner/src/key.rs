//! Keys: hashes of everything that may change a value (DESIGN section 4).
//!
//! Every key is BLAKE3 over a canonical, length-prefixed encoding that starts with the key's own domain name, so that
//! keys of different kinds never collide by construction. What is left out on purpose: a segment's position, thread
//! counts, the machine, paths of the project, locale, and which edges are stored.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_schema::{DataType, Field};
use serde::{Deserialize, Serialize};

use crate::secret::SecretSource;

macro_rules! digest_newtype {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub struct $name(#[serde(with = "crate::digest_form")] [u8; 32]);

        impl $name {
            /// Wraps the 32 bytes of a BLAKE3 hash.
            pub const fn new(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The raw bytes.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// The first 12 hex digits, for people.
            pub fn short(&self) -> String {
                self.to_string()[..12].to_owned()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.short())
            }
        }

        impl std::str::FromStr for $name {
            type Err = blake3::HexError;
            fn from_str(hex: &str) -> Result<Self, Self::Err> {
                Ok(Self(*blake3::Hash::from_hex(hex)?.as_bytes()))
            }
        }
    )*};
}

digest_newtype! {
    /// Identity of a stage's code: component bytes, image id, SQL text with its engine version, ...
    StageDigest;
    /// What stays equal over all invocations of one stage: code, config and the runner's identity.
    StageKey;
    /// One invocation of a stage: its stage key and the keys of exactly what it reads.
    InvocationKey;
    /// Derivation key of one column of one segment.
    ColumnKey;
    /// Derivation key of the rows of one segment: which rows there are, whatever their columns.
    RowsKey;
    /// Hash of a column's logical content, independent of batch layout (DESIGN section 4).
    ContentDigest;
    /// Hash of raw bytes as they lie in a source file.
    RawDigest;
    /// Hash of a field: name, type, nullability, and metadata in sorted order at every depth.
    FieldDigest;
    /// Hash of the canonical plan.
    PlanHash;
}

/// The keys of one segment of a stream: one for its rows, one per column in the stream's column order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentKeys {
    /// Which rows.
    pub rows: RowsKey,
    /// One key per column of the stream's schema, in order. Shared: streams have thousands of segments, and hand them on.
    pub columns: Arc<[ColumnKey]>,
}

/// What a stage takes in from one input when its invocation key is made.
#[derive(Clone, Copy, Debug)]
pub struct ReadKeys<'a> {
    /// The segments given to the invocation: one for a driving input, several partials for a merge. An input that is `whole` is given
    /// as one, with the keys of all its segments.
    pub segments: &'a [SegmentKeys],
    /// Indices of the columns that the stage reads.
    pub reads: &'a [usize],
}

/// The part of a combining stage's life, or the plain run of any other stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// A stage without a combining input: inputs to outputs.
    Run,
    /// Combining: one segment to one partial.
    Partial,
    /// Combining: several partials, in order, to one.
    Merge,
    /// Combining: the last partial to the outputs.
    Finish,
}

/// An incremental BLAKE3 over length-prefixed fields. Most keys are short, and hashed at once: that takes a fraction of the time that
/// an incremental hasher takes, which also hashes many bytes faster than a few.
pub struct KeyHasher {
    /// Bytes that have not been hashed.
    pending: Vec<u8>,
    /// What came before them, in keys that are longer.
    hashed: Option<Box<blake3::Hasher>>,
}

impl KeyHasher {
    /// Bytes that wait to be hashed together.
    const PENDING: usize = 16 * 1024;

    /// Starts a key of the given kind. The domain carries the version of the formula.
    pub fn new(domain: &str) -> Self {
        let mut hasher = Self { pending: Vec::with_capacity(256), hashed: None };
        hasher.bytes(domain.as_bytes());
        hasher
    }

    /// Adds bytes, prefixed by their length.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.number(bytes.len() as u64).add(bytes)
    }

    /// Adds a number.
    pub fn number(&mut self, number: u64) -> &mut Self {
        self.add(&number.to_le_bytes())
    }

    /// Adds a digest of fixed length.
    pub fn digest(&mut self, digest: &[u8; 32]) -> &mut Self {
        self.add(digest)
    }

    /// Adds a field.
    pub fn field(&mut self, field: &Field) -> &mut Self {
        self.digest(&FieldDigest::of(field).0)
    }

    fn add(&mut self, bytes: &[u8]) -> &mut Self {
        if self.pending.len() + bytes.len() <= Self::PENDING {
            self.pending.extend_from_slice(bytes);
        } else {
            self.hashed.get_or_insert_default().update(&self.pending).update(bytes);
            self.pending.clear();
        }
        self
    }

    /// The finished hash.
    pub fn finish(&self) -> [u8; 32] {
        let hash = match &self.hashed {
            None => blake3::hash(&self.pending),
            Some(hashed) => hashed.clone().update(&self.pending).finalize(),
        };
        *hash.as_bytes()
    }
}

/// Removes what equal fields may differ in: IPC numbers its dictionaries and says whether they are sorted. (Metadata of
/// those names is text and stays.)
fn strip_dictionary_ids(json: &mut serde_json::Value) {
    match json {
        serde_json::Value::Object(members) => {
            members.retain(|name, value| match name.as_str() {
                "dict_id" => !value.is_number(),
                "dict_is_ordered" => !value.is_boolean(),
                _ => true,
            });
            members.values_mut().for_each(strip_dictionary_ids);
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(strip_dictionary_ids),
        _ => {}
    }
}

/// Writes JSON with the members of every object sorted by name and no spaces: equal values, equal text.
pub fn canonical_json(value: &serde_json::Value) -> String {
    let mut text = String::new();
    write_canonical(value, &mut text);
    text
}

fn write_canonical(value: &serde_json::Value, text: &mut String) {
    use serde_json::Value;
    match value {
        Value::Object(members) => {
            let sorted: BTreeMap<_, _> = members.iter().collect();
            text.push('{');
            for (i, (name, member)) in sorted.into_iter().enumerate() {
                if i > 0 {
                    text.push(',');
                }
                text.push_str(&Value::String(name.clone()).to_string());
                text.push(':');
                write_canonical(member, text);
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    text.push(',');
                }
                write_canonical(item, text);
            }
            text.push(']');
        }
        scalar => text.push_str(&scalar.to_string()),
    }
}

impl FieldDigest {
    /// To be made once where it is needed for many segments: it goes through the field's text.
    pub fn of(field: &Field) -> Self {
        let mut json = serde_json::to_value(field).expect("a field is plain data");
        strip_dictionary_ids(&mut json);
        Self(KeyHasher::new("flowc field 1").bytes(canonical_json(&json).as_bytes()).finish())
    }
}

impl StageKey {
    /// `runner` names what identifies the runner where that matters for the bytes (an interpreter, a GPU adapter, the
    /// version of a host kernel); it is empty for a proven stage. `reads` are the columns that it reads, input by
    /// input: a stage knows their names, types and metadata, which a [`ColumnKey`] does not hold. `secrets` enter by what
    /// they are and never by their values: a hash of a value would give it away to whoever guesses it.
    pub fn derive(
        code: &StageDigest,
        config: &serde_json::Value,
        runner: &BTreeMap<String, String>,
        reads: &[Vec<&Field>],
        secrets: &BTreeMap<String, SecretSource>,
    ) -> Self {
        let mut hasher = KeyHasher::new("flowc stage 1");
        hasher.digest(code.as_bytes()).bytes(canonical_json(config).as_bytes()).number(runner.len() as u64);
        for (name, value) in runner {
            hasher.bytes(name.as_bytes()).bytes(value.as_bytes());
        }
        hasher.number(reads.len() as u64);
        for fields in reads {
            hasher.number(fields.len() as u64);
            fields.iter().for_each(|field| {
                hasher.field(field);
            });
        }
        for (name, source) in secrets {
            let (kind, place) = match source {
                SecretSource::Env(variable) => ("env", variable),
                SecretSource::File(path) => ("file", path),
            };
            hasher.bytes(name.as_bytes()).bytes(kind.as_bytes()).bytes(place.as_bytes());
        }
        Self(hasher.finish())
    }
}

impl StageKey {
    /// The same stage, with a mark that tells its results from those of its other runs: they may depend on more than is in the key.
    #[must_use]
    pub fn marked(&self, mark: &[u8; 32]) -> Self {
        Self(KeyHasher::new("flowc marked stage 1").digest(&self.0).digest(mark).finish())
    }

    /// The same stage over windows: what it gives begins with their bounds, which `add_kind` adds. Which rows a window has, [`RowsKey`]s
    /// say.
    #[must_use]
    pub fn windowed(&self, add_kind: impl FnOnce(&mut KeyHasher)) -> Self {
        let mut hasher = KeyHasher::new("flowc windowed stage 1");
        add_kind(hasher.digest(&self.0));
        Self(hasher.finish())
    }
}

impl InvocationKey {
    /// `part` is the number of the invocation for a stage without a driving input; it is 0 elsewhere.
    pub fn derive(stage: &StageKey, phase: Phase, part: u64, inputs: &[ReadKeys<'_>]) -> Self {
        let mut hasher = KeyHasher::new("flowc invocation 1");
        hasher.digest(stage.as_bytes()).number(phase as u64).number(part).number(inputs.len() as u64);
        for ReadKeys { segments, reads } in inputs {
            hasher.number(segments.len() as u64).number(reads.len() as u64);
            for SegmentKeys { rows, columns } in *segments {
                hasher.digest(rows.as_bytes());
                for &column in *reads {
                    hasher.digest(columns[column].as_bytes());
                }
            }
        }
        Self(hasher.finish())
    }

    /// The key of a column that this invocation writes on an output port.
    pub fn written_column(&self, port: usize, column: usize, field: &FieldDigest) -> ColumnKey {
        let mut hasher = KeyHasher::new("flowc column 1");
        ColumnKey(hasher.digest(&self.0).number(port as u64).number(column as u64).digest(&field.0).finish())
    }

    /// The key of the rows that this invocation makes or selects on an output port.
    pub fn written_rows(&self, port: usize) -> RowsKey {
        RowsKey(KeyHasher::new("flowc rows 1").digest(&self.0).number(port as u64).finish())
    }
}

impl ColumnKey {
    /// A column whose content is known: at a source, or at a stored edge. The digest covers the type; the column's
    /// name enters where a stage reads it ([`StageKey`]), so renaming a column changes nothing by itself.
    pub fn of_content(content: &ContentDigest) -> Self {
        Self(KeyHasher::new("flowc content column 1").digest(content.as_bytes()).finish())
    }

    /// A source's column, known by its stored bytes without decoding. `reader` names the reader and its version.
    pub fn of_raw(raw: &RawDigest, reader: &str, field: &Field) -> Self {
        let mut hasher = KeyHasher::new("flowc raw column 1");
        Self(hasher.digest(raw.as_bytes()).bytes(reader.as_bytes()).field(field).finish())
    }

    /// A column of a stream without segments.
    pub fn of_nothing(data_type: &DataType) -> Self {
        Self(KeyHasher::new("flowc empty column 1").field(&Field::new("", data_type.clone(), true)).finish())
    }

    /// A column passed through a selection of rows.
    pub fn selected(&self, selection: &RowsKey) -> Self {
        Self(KeyHasher::new("flowc selected column 1").digest(selection.as_bytes()).digest(&self.0).finish())
    }
}

impl RowsKey {
    /// Rows that are known by their number alone: at a source, or at a stored edge.
    pub fn of_count(rows: u64) -> Self {
        Self(KeyHasher::new("flowc row count 1").number(rows).finish())
    }
}

impl PlanHash {
    /// The hash of a plan's canonical JSON.
    pub fn of(canonical: &str) -> Self {
        Self(KeyHasher::new("flowc plan 1").bytes(canonical.as_bytes()).finish())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Configs and plans are kept and handed on as JSON.
    #[test]
    fn floats_come_back_from_their_json() {
        let mut bits = 1_u64;
        for _ in 0..10_000 {
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let float = f64::from_bits(bits);
            if float.is_finite() {
                let json = canonical_json(&serde_json::json!(float));
                assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap().as_f64(), Some(float), "{json}");
            }
        }
    }

    #[test]
    fn a_key_is_the_hash_of_its_fields_whatever_their_lengths() {
        let text: Vec<u8> = (0..=255).cycle().take(3 * KeyHasher::PENDING).collect();
        let lengths = [0, 1, 32, KeyHasher::PENDING - 17, KeyHasher::PENDING - 16, KeyHasher::PENDING, text.len()];
        for (first, second) in lengths.iter().flat_map(|first| lengths.map(|second| (*first, second))) {
            let (mut hasher, mut whole) = (KeyHasher::new("key"), b"\x03\0\0\0\0\0\0\0key".to_vec());
            for length in [first, second, 5] {
                hasher.bytes(&text[..length]).digest(&[7; 32]);
                whole.extend_from_slice(&(length as u64).to_le_bytes());
                whole.extend_from_slice(&text[..length]);
                whole.extend_from_slice(&[7; 32]);
                assert_eq!(hasher.finish(), *blake3::hash(&whole).as_bytes(), "{first} and {second} bytes");
            }
        }
    }

    fn segment(seed: u8, columns: u8) -> SegmentKeys {
        SegmentKeys {
            rows: RowsKey::of_count(u64::from(seed)),
            columns: (0..columns).map(|c| ColumnKey::new([seed ^ (c + 1).wrapping_mul(17); 32])).collect(),
        }
    }

    fn stage() -> StageKey {
        StageKey::derive(&StageDigest::new([1; 32]), &json!({"a": 1}), &BTreeMap::new(), &[], &BTreeMap::new())
    }

    #[test]
    fn members_in_any_order_give_the_same_stage_key() {
        let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("valid JSON");
        let none = BTreeMap::new();
        let key = |config| StageKey::derive(&StageDigest::new([1; 32]), &config, &BTreeMap::new(), &[], &none);
        assert_eq!(key(parse(r#"{"a":1,"b":{"c":2,"d":3}}"#)), key(parse(r#"{"b":{"d":3,"c":2},"a":1}"#)));
        assert_ne!(key(parse(r#"{"a":1}"#)), key(parse(r#"{"a":2}"#)));
    }

    #[test]
    fn only_the_columns_read_enter_an_invocation() {
        let (mut a, reads) = (segment(1, 3), [0, 2]);
        let key = |s: &SegmentKeys| {
            InvocationKey::derive(
                &stage(),
                Phase::Run,
                0,
                &[ReadKeys { segments: std::slice::from_ref(s), reads: &reads }],
            )
        };
        let before = key(&a);
        Arc::make_mut(&mut a.columns)[1] = ColumnKey::new([99; 32]);
        assert_eq!(before, key(&a), "an unread column is not in the key");
        Arc::make_mut(&mut a.columns)[2] = ColumnKey::new([99; 32]);
        assert_ne!(before, key(&a), "a read column is");
    }

    #[test]
    fn the_order_of_segments_matters_to_a_whole_input() {
        let (a, b) = (segment(1, 1), segment(2, 1));
        let key = |list: &[SegmentKeys]| {
            InvocationKey::derive(&stage(), Phase::Run, 0, &[ReadKeys { segments: list, reads: &[0] }])
        };
        assert_ne!(key(&[a.clone(), b.clone()]), key(&[b, a]));
    }

    #[test]
    fn metadata_order_does_not_matter_but_its_content_does() {
        let field = |pairs: [(&str, &str); 2]| {
            let metadata = pairs.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
            Field::new("x", DataType::Int64, true).with_metadata(metadata)
        };
        let none = BTreeMap::new();
        let key =
            |f: &Field| StageKey::derive(&StageDigest::new([1; 32]), &json!({}), &BTreeMap::new(), &[vec![f]], &none);
        assert_eq!(key(&field([("a", "1"), ("b", "2")])), key(&field([("b", "2"), ("a", "1")])));
        assert_ne!(key(&field([("a", "1"), ("b", "2")])), key(&field([("a", "1"), ("b", "3")])));
    }

    #[test]
    fn what_a_secret_is_enters_a_stage_key() {
        let key = |secrets: &[(&str, SecretSource)]| {
            let secrets = secrets.iter().map(|(name, source)| ((*name).to_owned(), source.clone())).collect();
            StageKey::derive(&StageDigest::new([1; 32]), &json!({}), &BTreeMap::new(), &[], &secrets)
        };
        let (one, other) = (SecretSource::Env("A".to_owned()), SecretSource::File("A".to_owned()));
        let keys = [
            key(&[]),
            key(&[("A", one.clone())]),
            key(&[("B", one.clone())]),
            key(&[("A", other.clone())]),
            key(&[("A", one), ("B", other)]),
        ];
        let distinct: std::collections::HashSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len());
    }

    #[test]
    fn digests_round_trip_as_hex() {
        let digest = StageDigest::new([0xab; 32]);
        assert_eq!(digest.to_string().parse::<StageDigest>().expect("hex"), digest);
        let json = serde_json::to_string(&digest).expect("serialises");
        assert_eq!(serde_json::from_str::<StageDigest>(&json).expect("parses"), digest);
    }
}
