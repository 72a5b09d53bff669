//! Nodes, arguments and properties that do not belong where they are, or are missing.

/// What is wrong with the shape of a node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
pub enum ShapeProblem {
    /// A node of a name that has no meaning here.
    #[error("unknown node `{node}` in {within}")]
    #[diagnostic(code(flowc::unknown_node))]
    UnknownNode {
        /// Its name.
        node: String,
        /// Where, with an article.
        within: String,
        /// What there is.
        #[help]
        help: Option<String>,
    },
    /// A property of a name that has no meaning here.
    #[error("`{node}` has no property `{name}`")]
    #[diagnostic(code(flowc::unknown_property))]
    UnknownProperty {
        /// The node's name.
        node: String,
        /// The property.
        name: String,
        /// What there is.
        #[help]
        help: Option<String>,
    },
    /// More arguments than have a meaning.
    #[error("`{node}` takes {takes}, and this is one too many")]
    #[diagnostic(code(flowc::extra_argument))]
    ExtraArgument {
        /// The node's name.
        node: String,
        /// How many it takes.
        takes: String,
        /// What it may be instead.
        #[help]
        help: Option<String>,
    },
    /// Fewer arguments than are needed.
    #[error("`{node}` needs {needs}")]
    #[diagnostic(code(flowc::missing_argument), help("for example: `{example}`"))]
    MissingArgument {
        /// The node's name.
        node: String,
        /// What is missing.
        needs: String,
        /// How it may look.
        example: &'static str,
    },
    /// A block where none belongs.
    #[error("`{node}` takes no block")]
    #[diagnostic(code(flowc::extra_block), help("leave out `{{ ... }}`"))]
    ExtraBlock {
        /// The node's name.
        node: String,
    },
    /// A child that must be there.
    #[error("{within} needs `{node}`")]
    #[diagnostic(code(flowc::missing_node), help("for example: `{example}`"))]
    MissingNode {
        /// Where, with a name.
        within: String,
        /// What is missing.
        node: &'static str,
        /// How it may look.
        example: &'static str,
    },
    /// Two things that exclude each other.
    #[error("`{second}` can't stand beside `{first}`: {why}")]
    #[diagnostic(code(flowc::together), help("keep one of them"))]
    Together {
        /// The first, as written.
        first: &'static str,
        /// The second, as written.
        second: &'static str,
        /// The reason, as a part of the message.
        why: &'static str,
    },
    /// A node that means nothing without another one.
    #[error("`{node}` means something only with {wanted}")]
    #[diagnostic(code(flowc::only_with), help("leave it out"))]
    OnlyWith {
        /// The node, as the text has it.
        node: String,
        /// What it needs.
        wanted: &'static str,
    },
    /// A child that may be there once.
    #[error("`{node}` is given twice")]
    #[diagnostic(code(flowc::repeated_node), help("keep one of them"))]
    RepeatedNode {
        /// Its name.
        node: String,
    },
    /// A value of the wrong type.
    #[error("`{what}` takes {expected}, but {found} is given")]
    #[diagnostic(code(flowc::value_type))]
    ValueType {
        /// The node or the property.
        what: String,
        /// The type, with an article.
        expected: &'static str,
        /// What is there.
        found: String,
        /// How to write it.
        #[help]
        help: Option<String>,
    },
    /// A value of the right type that makes no sense.
    #[error("`{value}` is no {what}")]
    #[diagnostic(code(flowc::bad_value))]
    BadValue {
        /// What is expected, without an article.
        what: &'static str,
        /// The value, as the text has it.
        value: String,
        /// What would be one.
        #[help]
        help: Option<String>,
    },
}
