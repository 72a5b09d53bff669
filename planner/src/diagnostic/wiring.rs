//! Names, and how streams are joined.

/// What is wrong with names and joints.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
pub enum WiringProblem {
    /// Two of one name.
    #[error("the name `{name}` is taken")]
    #[diagnostic(
        code(flowc::repeated_name),
        help("sources and stages share their names, sinks have their own; rename one")
    )]
    RepeatedName {
        /// The name.
        name: String,
    },
    /// A name that could not be referred to.
    #[error("`{name}` cannot be a name")]
    #[diagnostic(code(flowc::bad_name), help("letters, digits, `-` and `_`; a dot would name an output port"))]
    BadName {
        /// The name, as the text has it.
        name: String,
    },
    /// A stream that nothing fills.
    #[error("there is no stream `{name}`")]
    #[diagnostic(code(flowc::unknown_stream))]
    UnknownStream {
        /// The name, as the text has it.
        name: String,
        /// What there is.
        #[help]
        help: Option<String>,
    },
    /// A stage of several outputs, without saying which.
    #[error("the stage `{stage}` has several outputs")]
    #[diagnostic(code(flowc::which_output), help("write {outputs}"))]
    WhichOutput {
        /// The stage's name.
        stage: String,
        /// Its streams.
        outputs: String,
    },
    /// An output that the stage does not have.
    #[error("the stage `{stage}` has no output `{port}`")]
    #[diagnostic(code(flowc::unknown_output), help("what it gives: {outputs}"))]
    UnknownOutput {
        /// The stage's name.
        stage: String,
        /// The port, as the text has it.
        port: String,
        /// Its streams.
        outputs: String,
    },
    /// An input of a stage with several statements that none of them reads.
    #[error("no statement of `{stage}` reads its input `{input}`")]
    #[diagnostic(code(flowc::unread_input), help("take it out of `in`"))]
    UnreadInput {
        /// The stage's name.
        stage: String,
        /// The input.
        input: String,
    },
    /// An output of a source that it does not have.
    #[error("the source `{source_name}` has no stream `{port}`")]
    #[diagnostic(
        code(flowc::source_stream),
        help("a source has its rows, and `{source_name}.rejects` under `bad-rows \"stream\"`")
    )]
    SourceStream {
        /// The source.
        source_name: String,
        /// The port, as the text has it.
        port: String,
    },
    /// An input port that the stage does not have.
    #[error("the stage `{stage}` has no input `{port}`")]
    #[diagnostic(code(flowc::unknown_input))]
    UnknownInput {
        /// The stage's name.
        stage: String,
        /// The port, as the text has it.
        port: String,
        /// What there is.
        #[help]
        help: Option<String>,
    },
    /// An input port that nothing is joined to.
    #[error("the input `{port}` of the stage `{stage}` reads nothing")]
    #[diagnostic(code(flowc::missing_input), help("write `in {example}`"))]
    MissingInput {
        /// The stage's name.
        stage: String,
        /// The port.
        port: String,
        /// How it may look.
        example: String,
    },
    /// A stream without a port, where there are several ports.
    #[error("the stage `{stage}` has several inputs, so each stream needs the name of its input")]
    #[diagnostic(code(flowc::which_input), help("write `in {example}`"))]
    WhichInput {
        /// The stage's name.
        stage: String,
        /// How it may look.
        example: String,
    },
    /// Several streams where there is one input.
    #[error("the stage `{stage}` has one input, and this is a second stream for it")]
    #[diagnostic(code(flowc::second_stream), help("join or concatenate the streams in a stage of their own"))]
    SecondStream {
        /// The stage's name.
        stage: String,
    },
    /// `in` at a stage that makes its own rows.
    #[error("the stage `{stage}` has no inputs")]
    #[diagnostic(code(flowc::no_inputs), help("leave out `in`: it makes its own rows"))]
    NoInputs {
        /// The stage's name.
        stage: String,
    },
    /// Stages that wait for each other.
    #[error("stages read from each other: {path}")]
    #[diagnostic(code(flowc::cycle), help("a stream cannot depend on itself; read from something before the cycle"))]
    Cycle {
        /// Names joined by arrows; the first is the last.
        path: String,
    },
}
