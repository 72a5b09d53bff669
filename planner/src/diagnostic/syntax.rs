//! The text is not KDL, or KDL in a form that pipelines have no use for.

/// What is wrong with the form of a text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
pub enum SyntaxProblem {
    /// Anything else, in the KDL parser's own words.
    #[error("{message}")]
    #[diagnostic(code(flowc::syntax))]
    Kdl {
        /// What it found.
        message: String,
        /// Its advice.
        #[help]
        help: Option<String>,
    },
    /// `true` where `#true` is meant.
    #[error("`{word}` is no value in KDL 2")]
    #[diagnostic(code(flowc::keyword), help("write `#{word}`; as a text it is `\"{word}\"`"))]
    Keyword {
        /// Without the `#`.
        word: String,
    },
    /// `5s`, `out/a.csv`: a text that begins like a number, or a path.
    #[error("`{word}` is neither a number nor a text")]
    #[diagnostic(code(flowc::unquoted), help("write it in quotes: `\"{word}\"`"))]
    Unquoted {
        /// The word, as the text has it.
        word: String,
    },
    /// `"a", "b"`.
    #[error("a comma means nothing here")]
    #[diagnostic(code(flowc::comma), help("values are separated by spaces, nodes by `;` or the end of the line"))]
    Comma,
    /// `'a'`.
    #[error("KDL has no single quotes")]
    #[diagnostic(code(flowc::single_quotes), help("write the text in double quotes: `\"...\"`"))]
    SingleQuotes,
    /// `in "a" std "b"`.
    #[error("`{word}` stands on the line of the node before it, which has not ended")]
    #[diagnostic(
        code(flowc::run_on),
        help("put `;` or the end of the line before it; as a value it is written in quotes: `\"{word}\"`")
    )]
    RunOn {
        /// The name of the second node.
        word: String,
    },
    /// A quote without its partner.
    #[error("this text has no closing quote")]
    #[diagnostic(code(flowc::open_text), help("close it on its line; a text of several lines stands in `\"\"\"`"))]
    OpenText,
    /// A brace without its partner.
    #[error("this block is never closed")]
    #[diagnostic(code(flowc::open_block), help("add the `}}` where it ends"))]
    OpenBlock,
    /// A closing brace too many.
    #[error("this `}}` closes nothing")]
    #[diagnostic(code(flowc::stray_brace), help("leave it out, or add the `{{` that it should close"))]
    StrayBrace,
    /// A character that cannot stand where it stands.
    #[error("`{found}` means nothing here")]
    #[diagnostic(
        code(flowc::stray),
        help("a node is its name, values, properties and a block: `name \"value\" property=1 {{ ... }}`")
    )]
    Stray {
        /// The character.
        found: String,
    },
    /// Blocks within blocks beyond what a pipeline needs.
    #[error("blocks are nested more than {limit} deep")]
    #[diagnostic(code(flowc::too_deep), help("flatten this part of the file"))]
    TooDeep {
        /// How deep they may be.
        limit: usize,
    },
    /// The text is longer than the parser is trusted with.
    #[error("the file is longer than {} MiB", limit >> 20)]
    #[diagnostic(code(flowc::too_long), help("split it with `include`"))]
    TooLong {
        /// Bytes that a text may have.
        limit: usize,
    },
    /// `(u8)1`.
    #[error("the type annotation `({name})` means nothing in a pipeline")]
    #[diagnostic(code(flowc::annotation), help("leave it out"))]
    Annotation {
        /// What is in the brackets.
        name: String,
    },
    /// `a x=1 x=2`.
    #[error("the property `{name}` is given twice")]
    #[diagnostic(code(flowc::repeated_property), help("keep one of them"))]
    RepeatedProperty {
        /// Its name.
        name: String,
    },
}
