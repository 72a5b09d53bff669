//! The text is not KDL, or KDL in a form that pipelines have no use for.

/// What is wrong with the form of a text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
pub enum SyntaxProblem {
    /// The KDL parser's own words.
    #[error("{message}")]
    #[diagnostic(code(flowc::syntax))]
    Kdl {
        /// What it found.
        message: String,
        /// Its advice.
        #[help]
        help: Option<String>,
    },
    /// Blocks within blocks beyond what a pipeline needs.
    #[error("blocks are nested more than {limit} deep")]
    #[diagnostic(code(flowc::too_deep), help("flatten this part of the file"))]
    TooDeep {
        /// How deep they may be.
        limit: usize,
    },
    /// The text is too long for its places to be counted.
    #[error("the file is longer than 1 GiB")]
    #[diagnostic(code(flowc::too_long), help("split it with `include`"))]
    TooLong,
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
