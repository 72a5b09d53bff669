//! How deep a text nests: naga's parser counts brackets, but it lowers long chains of operators and of `else if` by recursion.

/// Deeper texts are refused.
pub(crate) const DEEPEST: usize = 200;

/// Where a text nests deeper than [`DEEPEST`]: operators in a row, brackets, blocks and `else if` all count.
///
/// The count is never below the depth of the tree that a parser makes of the text.
pub(crate) fn too_deep(text: &str) -> Option<usize> {
    // What is open, with the operators in a row of each; the outermost is the module.
    let mut open = vec![0usize];
    let mut depth = 0;
    let mut after_block = false;
    for (at, token) in (Tokens { text, at: 0 }) {
        if after_block && token != Token::Else {
            depth -= clear(&mut open);
        }
        after_block = false;
        match token {
            Token::Open => {
                open.push(0);
                depth += 1;
            }
            Token::Close { block, indexes } => {
                if open.len() > 1 {
                    depth -= open.pop().unwrap_or(0) + 1;
                }
                after_block = block;
                if indexes {
                    *open.last_mut()? += 1;
                    depth += 1;
                }
            }
            Token::End => depth -= clear(&mut open),
            Token::Operator | Token::Else => {
                *open.last_mut()? += 1;
                depth += 1;
            }
        }
        if depth > DEEPEST {
            return Some(at);
        }
    }
    None
}

/// Ends a row of operators, and gives their number.
fn clear(open: &mut [usize]) -> usize {
    open.last_mut().map_or(0, std::mem::take)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Token {
    Open,
    Close {
        block: bool,
        indexes: bool,
    },
    /// Ends a row of operators: `;` or `,`.
    End,
    Else,
    Operator,
}

/// The tokens of a text that matter, with their places.
struct Tokens<'a> {
    text: &'a str,
    at: usize,
}

impl Iterator for Tokens<'_> {
    type Item = (usize, Token);

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(&byte) = self.text.as_bytes().get(self.at) {
            let (start, rest) = (self.at, &self.text.as_bytes()[self.at..]);
            self.at += match byte {
                b'/' if rest.starts_with(b"//") => rest.iter().take_while(|byte| **byte != b'\n').count(),
                b'/' if rest.starts_with(b"/*") => comment(rest),
                byte if is_word(byte) => rest.iter().take_while(|byte| is_word(**byte)).count(),
                _ => 1,
            };
            let token = match byte {
                b'{' | b'(' | b'[' => Token::Open,
                b'}' => Token::Close { block: true, indexes: false },
                b')' | b']' => Token::Close { block: false, indexes: byte == b']' },
                b';' | b',' => Token::End,
                b'/' if self.at > start + 1 => continue,
                _ if &self.text.as_bytes()[start..self.at] == b"else" => Token::Else,
                byte if is_word(byte) || byte.is_ascii_whitespace() => continue,
                _ => Token::Operator,
            };
            return Some((start, token));
        }
        None
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

/// The length of a block comment with those inside it.
fn comment(bytes: &[u8]) -> usize {
    let (mut at, mut open) = (0, 0usize);
    while at < bytes.len() {
        match &bytes[at..] {
            [b'/', b'*', ..] => (open, at) = (open + 1, at + 2),
            [b'*', b'/', ..] => (open, at) = (open - 1, at + 2),
            _ => at += 1,
        }
        if open == 0 {
            break;
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_and_long_functions_are_not_deep() {
        let table = format!("const t = array<i32, 4096>({});", "-1, ".repeat(4096));
        assert_eq!(too_deep(&table), None);
        assert_eq!(too_deep(&"fn a() { x = x + 1; if x > 2 { y(); } }\n".repeat(10_000)), None);
        assert_eq!(too_deep(&format!("/* {} */ // {}", "/* ( */".repeat(1000), "(".repeat(1000))), None);
    }

    #[test]
    fn chains_of_all_kinds_are_deep() {
        for chain in ["1 + ", "a.b", "(", "{", "-", "[0]", "if x { } else ", "array<"] {
            assert!(too_deep(&format!("fn a() {{ {}", chain.repeat(DEEPEST + 1))).is_some(), "{chain}");
        }
        let nested = format!("fn a() {{ {}", format!("f(x, {}", "1 + ".repeat(100)).repeat(5));
        assert!(too_deep(&nested).is_some());
    }

    #[test]
    fn what_does_not_balance_is_counted_too() {
        for text in ["", "}}}", "*/", "/*", "/* /* */", "else else", ") else ("] {
            assert_eq!(too_deep(text), None);
        }
    }
}
