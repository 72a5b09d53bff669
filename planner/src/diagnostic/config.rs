//! A config that does not fit its JSON Schema.

/// What is wrong with a stage's config.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
pub enum ConfigProblem {
    /// A key that the stage does not know.
    #[error("the config has no key `{key}`")]
    #[diagnostic(code(flowc::config_key))]
    UnknownKey {
        /// As written, with the keys above it.
        key: String,
        /// What there is.
        #[help]
        help: Option<String>,
    },
    /// A key that must be there.
    #[error("the config needs `{key}`")]
    #[diagnostic(code(flowc::config_missing))]
    MissingKey {
        /// Its name, with the keys above it.
        key: String,
        /// What it is for.
        #[help]
        help: Option<String>,
    },
    /// A value of the wrong type.
    #[error("`{key}` takes {expected}, but {found} is given")]
    #[diagnostic(code(flowc::config_type))]
    WrongType {
        /// Its name, with the keys above it.
        key: String,
        /// What it takes.
        expected: String,
        /// What is there.
        found: String,
        /// How to write it.
        #[help]
        help: Option<String>,
    },
    /// A value outside its range.
    #[error("`{key}` takes {expected}, but {found} is given")]
    #[diagnostic(code(flowc::config_range))]
    OutOfRange {
        /// Its name, with the keys above it.
        key: String,
        /// The range of values that it takes.
        expected: String,
        /// What is there.
        found: String,
    },
    /// A value that is none of the allowed ones.
    #[error("`{key}` cannot be {found}")]
    #[diagnostic(code(flowc::config_choice))]
    NotOneOf {
        /// Its name, with the keys above it.
        key: String,
        /// What is there.
        found: String,
        /// What it may be.
        #[help]
        help: Option<String>,
    },
    /// A key that may be there once.
    #[error("`{key}` is given twice")]
    #[diagnostic(code(flowc::config_repeated), help("it takes one value; keep one of them"))]
    Repeated {
        /// Its name, with the keys above it.
        key: String,
    },
    /// A schema that allows so many readings that trying them all takes too long.
    #[error("the config can be read in too many ways")]
    #[diagnostic(
        code(flowc::config_involved),
        help("the stage's config schema is at fault: its alternatives should differ in a key")
    )]
    TooInvolved,
}
