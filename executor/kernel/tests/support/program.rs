//! Random kernels: modules of integers, with loops, arrays and indices that may be out of range.

use std::fmt::Write as _;

/// Choices made by bytes; zeros at their end.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn below(&mut self, bound: u8) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        first % bound
    }

    fn one<'t>(&mut self, of: &[&'t str]) -> &'t str {
        of[usize::from(self.below(of.len() as u8))]
    }
}

/// The text of a kernel over the columns `x` and `y`, which writes `z`.
pub(crate) fn text(bytes: &[u8]) -> String {
    let mut choices = Choices(bytes);
    let mut body = String::new();
    statements(&mut choices, &mut body, 3, &mut 0);
    format!(
        "// columns: x UInt32, y Int32\n\
         struct Batch {{ rows: u32 }}\n\
         var<storage, read> x: array<u32>;\n\
         var<storage, read> y: array<i32>;\n\
         var<storage, read_write> z: array<u32>;\n\
         var<uniform> batch: Batch;\n\
         var<private> p: array<u32, 3>;\n\
         fn pick(list: ptr<function, array<u32, 5>>, at: i32) -> u32 {{ return (*list)[at]; }}\n\
         fn mix(a: u32, b: u32) -> u32 {{\n\
         var c = a;\n\
         while c > b {{ c = c / 2u; if c == 3u {{ return c ^ b; }} }}\n\
         return c + b;\n}}\n\
         @compute @workgroup_size(64)\n\
         fn main(@builtin(global_invocation_id) at: vec3<u32>) {{\n\
         if at.x >= batch.rows {{ return; }}\n\
         var a = x[at.x];\n\
         var b = y[at.x];\n\
         var l: array<u32, 5>;\n\
         var v: vec4<u32>;\n\
         {body}\
         z[at.x] = a ^ u32(b) ^ l[1] ^ v.y ^ p[2];\n}}\n"
    )
}

fn statements(choices: &mut Choices<'_>, text: &mut String, depth: u8, loops: &mut u32) {
    for _ in 0..=choices.below(3) {
        statement(choices, text, depth, loops);
    }
}

fn statement(choices: &mut Choices<'_>, text: &mut String, depth: u8, loops: &mut u32) {
    match choices.below(if depth == 0 { 6 } else { 10 }) {
        0 | 1 => writeln!(text, "a = {};", word(choices, 2)).unwrap(),
        2 => writeln!(text, "b = {};", number(choices, 2)).unwrap(),
        3 => writeln!(text, "l[{}] = {};", index(choices, 5), word(choices, 1)).unwrap(),
        4 => writeln!(text, "v[{}] = {};", index(choices, 4), word(choices, 1)).unwrap(),
        5 => writeln!(text, "p[{}] = {};", index(choices, 3), word(choices, 1)).unwrap(),
        6 | 7 => {
            writeln!(text, "if {} {{", condition(choices)).unwrap();
            statements(choices, text, depth - 1, loops);
            text.push_str("} else {\n");
            statements(choices, text, depth - 1, loops);
            text.push_str("}\n");
        }
        8 => {
            *loops += 1;
            let name = format!("i{loops}");
            writeln!(text, "for (var {name} = 0u; {name} < {}; {name}++) {{", word(choices, 1)).unwrap();
            writeln!(text, "if {} {{ {}; }}", condition(choices), choices.one(&["break", "continue", "return"]))
                .unwrap();
            statements(choices, text, depth - 1, loops);
            text.push_str("}\n");
        }
        _ => {
            writeln!(text, "switch {} % 4u {{", word(choices, 1)).unwrap();
            writeln!(text, "case 0u, 2u: {{ a = {}; }}", word(choices, 1)).unwrap();
            text.push_str("default: {\n");
            statements(choices, text, depth - 1, loops);
            text.push_str("}\n}\n");
        }
    }
}

/// An index, mostly within a length.
fn index(choices: &mut Choices<'_>, length: u8) -> String {
    match choices.below(8) {
        0 => word(choices, 1),
        1 => number(choices, 1),
        2 => choices.below(length).to_string(),
        _ => format!("({}) % {length}u", word(choices, 1)),
    }
}

fn condition(choices: &mut Choices<'_>) -> String {
    match choices.below(4) {
        0 => format!("{} < {}", number(choices, 1), number(choices, 1)),
        1 => format!("at.x < batch.rows && x[at.x] {} {}", choices.one(&["<", "==", ">"]), word(choices, 1)),
        _ => format!("{} {} {}", word(choices, 1), choices.one(&["<", "!=", ">="]), word(choices, 1)),
    }
}

fn word(choices: &mut Choices<'_>, depth: u8) -> String {
    if depth == 0 {
        let small = choices.below(9);
        return match choices.below(4) {
            0 => "a".to_owned(),
            1 => "at.x".to_owned(),
            _ => format!("{small}u"),
        };
    }
    let inner = |choices: &mut Choices<'_>| word(choices, depth - 1);
    match choices.below(12) {
        0 => format!("u32({})", number(choices, depth - 1)),
        1 => format!("x[{}]", index_of_row(choices)),
        2 => format!("l[{} % 5u]", inner(choices)),
        3 => format!("v[{} & 3u]", inner(choices)),
        4 => format!("mix({}, {})", inner(choices), inner(choices)),
        5 => format!("pick(&l, {})", number(choices, 0)),
        6 => format!("({} {} {})", inner(choices), choices.one(&["<<", ">>"]), inner(choices)),
        7 => format!("(vec2<u32>({}, 7u) << vec2<u32>({}, a + 40u)).x", inner(choices), inner(choices)),
        _ => format!("({} {} {})", inner(choices), choices.one(&["+", "-", "*", "/", "%", "^", "&"]), inner(choices)),
    }
}

/// An index into a column: the row, a neighbour, or any.
fn index_of_row(choices: &mut Choices<'_>) -> String {
    match choices.below(6) {
        0 => "at.x + 1u".to_owned(),
        1 => "2".to_owned(),
        2 => word(choices, 0),
        _ => "at.x".to_owned(),
    }
}

fn number(choices: &mut Choices<'_>, depth: u8) -> String {
    if depth == 0 {
        return choices.one(&["b", "-1", "2", "5", "i32(at.x)"]).to_owned();
    }
    match choices.below(5) {
        0 => format!("i32({})", word(choices, depth - 1)),
        1 => "y[at.x]".to_owned(),
        _ => {
            let (left, right) = (number(choices, depth - 1), number(choices, depth - 1));
            format!("({left} {} {right})", choices.one(&["+", "-", "*", "/", "%"]))
        }
    }
}
