//! The config of a kernel: `struct Config` as a JSON Schema, and values of it as bytes.

use naga::{ArraySize, Handle, Module, Scalar, ScalarKind, Type, TypeInner};
use serde_json::{Map, Value, json};

use crate::diagnostic::{Diagnostic, Source};
use crate::layout::written;

/// The name of the structure.
pub(crate) const NAME: &str = "Config";

/// Bytes of the largest config.
const LARGEST: u32 = 64 << 10;

/// A structure `Config`, and how its values lie in a buffer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Config {
    /// The structure's type.
    pub(crate) ty: Handle<Type>,
    layout: Layout,
}

/// How a part of a config lies in a buffer.
#[derive(Clone, Debug, PartialEq)]
enum Layout {
    Number(Scalar),
    Sequence { item: Box<Layout>, count: u32, stride: u32 },
    Structure { members: Vec<Member>, bytes: u32 },
}

#[derive(Clone, Debug, PartialEq)]
struct Member {
    name: String,
    doc: String,
    offset: u32,
    layout: Layout,
}

impl Config {
    /// The config of a module, if it has one.
    pub(crate) fn find(module: &Module, source: &Source) -> Result<Option<Self>, Diagnostic> {
        let named = |(_, ty): &(Handle<Type>, &Type)| ty.name.as_deref() == Some(NAME);
        let Some((ty, _)) = module.types.iter().find(named) else { return Ok(None) };
        let span = module.types.get_span(ty);
        let bytes = module.types[ty].inner.try_size(module.to_ctx());
        if bytes.is_none_or(|bytes| bytes > LARGEST) {
            return Err(Diagnostic::new(format!("`Config` is larger than {} KiB", LARGEST >> 10)).at(source, span, ""));
        }
        match Layout::of(module, ty) {
            Ok(layout @ Layout::Structure { .. }) => Ok(Some(Self { ty, layout })),
            Ok(_) => Err(Diagnostic::new("`Config` is no structure").at(source, span, "")),
            Err(found) => Err(Diagnostic::new(format!("a config can't hold `{found}`"))
                .at(source, span, "")
                .with_help("use numbers (`f32`, `i32`, `u32`, `i64`, `u64`), vectors and arrays of them, and structures; for a switch, `u32` with 0 or 1")),
        }
    }

    /// What configs the stage takes.
    pub(crate) fn schema(&self) -> Value {
        self.layout.schema()
    }

    /// A config as the kernel reads it.
    pub(crate) fn encode(&self, value: &Value) -> Result<Vec<u8>, Diagnostic> {
        let mut bytes = vec![0; self.layout.bytes() as usize];
        self.layout.encode(value, &mut bytes, &mut "/config".to_owned())?;
        Ok(bytes)
    }
}

/// The schema of a kernel that takes no config.
pub(crate) fn none() -> Value {
    json!({"type": "object", "properties": {}, "additionalProperties": false})
}

impl Layout {
    /// The layout of a type, or the name of the one that no config can hold.
    fn of(module: &Module, ty: Handle<Type>) -> Result<Self, String> {
        let boxed = |layout| Box::new(layout);
        match &module.types[ty].inner {
            TypeInner::Scalar(scalar) if is_number(*scalar) => Ok(Self::Number(*scalar)),
            TypeInner::Vector { size, scalar } if is_number(*scalar) => {
                let stride = scalar.width.into();
                Ok(Self::Sequence { item: boxed(Self::Number(*scalar)), count: u32::from(*size), stride })
            }
            TypeInner::Array { base, size: ArraySize::Constant(count), stride } => {
                Ok(Self::Sequence { item: boxed(Self::of(module, *base)?), count: count.get(), stride: *stride })
            }
            TypeInner::Struct { members, span } => {
                let doc = |at: usize| module.doc_comments.as_ref()?.struct_members.get(&(ty, at)).cloned();
                let member = |(at, member): (usize, &naga::StructMember)| {
                    Ok(Member {
                        name: member.name.clone().unwrap_or_default(),
                        doc: prose(&doc(at).unwrap_or_default()),
                        offset: member.offset,
                        layout: Self::of(module, member.ty)?,
                    })
                };
                let members = members.iter().enumerate().map(member).collect::<Result<_, String>>()?;
                Ok(Self::Structure { members, bytes: *span })
            }
            _ => Err(written(&module.types, ty)),
        }
    }

    fn bytes(&self) -> u32 {
        match self {
            Self::Number(scalar) => scalar.width.into(),
            Self::Sequence { count, stride, .. } => count.saturating_mul(*stride),
            Self::Structure { bytes, .. } => *bytes,
        }
    }

    fn schema(&self) -> Value {
        match self {
            Self::Number(Scalar { kind: ScalarKind::Float, .. }) => json!({"type": "number", "format": "float"}),
            Self::Number(scalar) => {
                let (format, least, most) = range(*scalar);
                json!({"type": "integer", "format": format, "minimum": least, "maximum": most})
            }
            Self::Sequence { item, count, .. } => {
                json!({"type": "array", "items": item.schema(), "minItems": count, "maxItems": count})
            }
            Self::Structure { members, .. } => {
                let names: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
                let properties: Map<String, Value> = members.iter().map(Member::schema).collect();
                json!({"type": "object", "properties": properties, "required": names, "additionalProperties": false})
            }
        }
    }

    fn encode(&self, value: &Value, bytes: &mut [u8], path: &mut String) -> Result<(), Diagnostic> {
        let misfit = |what: &str, path: &str| Diagnostic::new(format!("it is not {what}")).in_setting(path);
        match self {
            Self::Number(scalar) => {
                let number = number(*scalar, value).ok_or_else(|| misfit(&described(*scalar), path))?;
                bytes[..number.len()].copy_from_slice(&number);
            }
            Self::Sequence { item, count, stride } => {
                let what = || format!("a list of {count}");
                let values = value.as_array().filter(|values| values.len() == *count as usize);
                let values = values.ok_or_else(|| misfit(&what(), path))?;
                for (at, value) in values.iter().enumerate() {
                    let start = at * *stride as usize;
                    below(path, &at.to_string(), |path| item.encode(value, &mut bytes[start..], path))?;
                }
            }
            Self::Structure { members, .. } => {
                for member in members {
                    let value = value.get(&member.name);
                    let value = value.ok_or_else(|| misfit(&format!("a block with `{}`", member.name), path))?;
                    let bytes = &mut bytes[member.offset as usize..];
                    below(path, &member.name, |path| member.layout.encode(value, bytes, path))?;
                }
            }
        }
        Ok(())
    }
}

impl Member {
    fn schema(&self) -> (String, Value) {
        let mut schema = self.layout.schema();
        if let (Value::Object(schema), false) = (&mut schema, self.doc.is_empty()) {
            schema.insert("description".to_owned(), self.doc.clone().into());
        }
        (self.name.clone(), schema)
    }
}

/// Does something with a longer path.
fn below<T>(path: &mut String, name: &str, act: impl FnOnce(&mut String) -> T) -> T {
    let length = path.len();
    path.push('/');
    path.push_str(name);
    let done = act(path);
    path.truncate(length);
    done
}

/// Comments of a text without their marks, as one paragraph.
pub(crate) fn prose(comments: &[String]) -> String {
    let lines = comments.iter().flat_map(|comment| comment.lines());
    let bare = lines.map(|line| line.trim().trim_start_matches(['/', '*', '!']).trim_end_matches(['/', '*']).trim());
    bare.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Whether a config can hold it: half floats have no decimal form of their own.
fn is_number(scalar: Scalar) -> bool {
    [Scalar::F32, Scalar::I32, Scalar::U32, Scalar::I64, Scalar::U64].contains(&scalar)
}

/// The name, the least and the greatest value of a type of integers.
fn range(scalar: Scalar) -> (&'static str, Value, Value) {
    match scalar {
        Scalar::I32 => ("int32", i32::MIN.into(), i32::MAX.into()),
        Scalar::I64 => ("int64", i64::MIN.into(), i64::MAX.into()),
        Scalar::U64 => ("uint64", 0.into(), u64::MAX.into()),
        _ => ("uint32", 0.into(), u32::MAX.into()),
    }
}

fn described(scalar: Scalar) -> String {
    match scalar.kind {
        ScalarKind::Float => "a number that fits `f32`".to_owned(),
        _ => {
            let (_, least, most) = range(scalar);
            format!("an integer from {least} to {most}")
        }
    }
}

/// The bytes of a number, if it is one of the type.
fn number(scalar: Scalar, value: &Value) -> Option<Vec<u8>> {
    match scalar {
        Scalar::I32 => Some(i32::try_from(value.as_i64()?).ok()?.to_le_bytes().into()),
        Scalar::U32 => Some(u32::try_from(value.as_u64()?).ok()?.to_le_bytes().into()),
        Scalar::I64 => Some(value.as_i64()?.to_le_bytes().into()),
        Scalar::U64 => Some(value.as_u64()?.to_le_bytes().into()),
        _ => {
            let nearest = value.as_f64()? as f32;
            nearest.is_finite().then(|| nearest.to_le_bytes().into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parsed::Parsed;

    fn config(text: &str) -> Result<Config, Diagnostic> {
        let parsed = Parsed::new(Source::new("a.wgsl", text))?;
        Config::find(&parsed.module, &parsed.source).map(Option::unwrap)
    }

    #[test]
    fn values_lie_where_the_kernel_reads_them() {
        let text =
            "struct Inner { a: u32, b: i64 }\nstruct Config { x: f32, v: vec3<i32>, n: Inner, t: array<u32, 2> }";
        let value = json!({"x": 0.5, "v": [1, -1, 3], "n": {"a": 7, "b": -2}, "t": [8, 9]});
        let bytes = config(text).unwrap().encode(&value).unwrap();
        let words: Vec<i32> = bytes.chunks(4).map(|word| i32::from_le_bytes(word.try_into().unwrap())).collect();
        let half = 0.5f32.to_bits() as i32;
        assert_eq!(words, [half, 0, 0, 0, 1, -1, 3, 0, 7, 0, -2, -1, 8, 9, 0, 0]);
    }

    #[test]
    fn what_does_not_fit_is_told_with_its_path() {
        let config = config("struct Config { x: f32, t: array<u32, 2> }").unwrap();
        let told = |value: Value| config.encode(&value).unwrap_err();
        let too_large = told(json!({"x": 1e39, "t": [0, 0]}));
        assert_eq!(
            (too_large.setting.as_deref(), &*too_large.message),
            (Some("/config/x"), "it is not a number that fits `f32`")
        );
        assert_eq!(told(json!({"x": 1, "t": [0, -1]})).setting.as_deref(), Some("/config/t/1"));
        assert_eq!(told(json!({"x": 1, "t": [0]})).message, "it is not a list of 2");
        assert_eq!(told(json!({"x": 1})).message, "it is not a block with `t`");
    }

    #[test]
    fn types_without_a_decimal_form_are_refused() {
        assert_eq!(config("struct Config { x: bool }").unwrap_err().message, "a config can't hold `bool`");
        assert!(config("enable f16; struct Config { x: f16 }").is_err());
        assert!(config("struct Config { x: mat2x2<f32> }").is_err());
    }
}
