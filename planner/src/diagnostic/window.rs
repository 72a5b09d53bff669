//! Event time and windows.

/// What is wrong with an event time or a window.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
pub enum WindowProblem {
    /// The event time is a column that the source does not have.
    #[error("the source `{source_name}` has no column `{column}`")]
    #[diagnostic(code(flowc::event_time))]
    UnknownColumn {
        /// The source.
        source_name: String,
        /// The column, as the text has it.
        column: String,
        /// What there is.
        #[help]
        help: Option<String>,
    },
    /// The event time is a column of another type.
    #[error("the event time `{column}` of the source `{source_name}` is {data_type}, which is no point in time")]
    #[diagnostic(
        code(flowc::event_time),
        help("declare it in `schema`: `schema rest=\"infer\" {{ column \"{column}\" \"Timestamp(ms)\" }}`, or a date")
    )]
    NotATime {
        /// The source.
        source_name: String,
        /// The column's name.
        column: String,
        /// Its type.
        data_type: String,
    },
    /// Times of appending, which no column holds.
    #[error("`event-time \"log-append\"` is the timestamp of records, which no column holds")]
    #[diagnostic(code(flowc::event_time), help("write `columns {{ timestamp \"at\" }}` in `kafka`"))]
    NoTimestamp,
    /// Late rows of a topic, without the offsets of their records.
    #[error(
        "the late rows of the stage `{stage}` say at which offsets they are, and no column of its input holds these"
    )]
    #[diagnostic(
        code(flowc::window),
        help("write `columns {{ offset }}` in `kafka`, and have all stages up to the window pass the column on")
    )]
    NoOffset {
        /// The stage's name.
        stage: String,
    },
    /// The windows of a stage whose rows have no event time.
    #[error("the rows that the stage `{stage}` reads have no event time")]
    #[diagnostic(code(flowc::window), help("write `event-time \"column\" delay=\"5s\"` in the source"))]
    NoEventTime {
        /// The stage's name.
        stage: String,
    },
    /// A stage in between does not hand the event time on.
    #[error("the event time does not reach the stage `{stage}`: {why}")]
    #[diagnostic(code(flowc::window))]
    TimeLost {
        /// The stage with the window.
        stage: String,
        /// Which stage does what with it.
        why: String,
        /// What to do.
        #[help]
        help: &'static str,
    },
    /// Windows of an input that is taken row by row.
    #[error("the input `{port}` of the stage `{stage}` is taken row by row, so that a window changes nothing")]
    #[diagnostic(code(flowc::window), help("put the window on the stage that brings rows together"))]
    RowWise {
        /// The stage's name.
        stage: String,
        /// The input.
        port: String,
    },
    /// Inputs of one stage that have other windows.
    #[error("the inputs of the stage `{stage}` have different windows")]
    #[diagnostic(code(flowc::window), help("give them one kind, size and lateness: their windows meet in pairs"))]
    Different {
        /// The stage's name.
        stage: String,
    },
    /// An input without windows, beside one that has some.
    #[error("the input `{port}` of the stage `{stage}` has no window, and another input has one")]
    #[diagnostic(
        code(flowc::window),
        help("give it the same window in an `in` of its own; only an input that is taken whole can do without")
    )]
    Without {
        /// The stage's name.
        stage: String,
        /// The input.
        port: String,
    },
    /// Windows of the values of a column that is not there.
    #[error("the input of the stage `{stage}` has no column `{column}`")]
    #[diagnostic(code(flowc::window))]
    UnknownKey {
        /// The stage's name.
        stage: String,
        /// The column, as the text has it.
        column: String,
        /// What there is.
        #[help]
        help: Option<String>,
    },
    /// Windows of the values of a column that are no plain values.
    #[error("windows of `{column}`, which is {data_type}: values of a key are plain")]
    #[diagnostic(code(flowc::window))]
    NestedKey {
        /// The column's name.
        column: String,
        /// Its type.
        data_type: String,
    },
    /// Sessions of several inputs, or windows of a number of their rows.
    #[error("rows make the windows of several inputs of the stage `{stage}`")]
    #[diagnostic(
        code(flowc::window),
        help("sessions, and windows of a number of rows, of two inputs do not meet; use tumbling or sliding windows")
    )]
    MadeByRows {
        /// The stage's name.
        stage: String,
    },
    /// A column of the stage has the name of one that windows add.
    #[error("the stage `{stage}` gives a column `{column}`, which windows add")]
    #[diagnostic(code(flowc::window), help("rename or leave out the column in a `select@1` before the stage"))]
    Taken {
        /// The stage's name.
        stage: String,
        /// The column's name.
        column: String,
    },
    /// A setting that a kind of window needs.
    #[error("a {kind} window needs `{setting}`")]
    #[diagnostic(code(flowc::window), help("write `{example}`"))]
    Missing {
        /// The kind.
        kind: String,
        /// The setting.
        setting: &'static str,
        /// How it may look.
        example: &'static str,
    },
    /// A setting that means nothing to a kind of window.
    #[error("`{setting}` means nothing to a {kind} window")]
    #[diagnostic(code(flowc::window), help("write `{example}`"))]
    Stray {
        /// The kind.
        kind: String,
        /// The setting.
        setting: String,
        /// How it may look.
        example: &'static str,
    },
    /// A sliding window in which a row is in very many windows.
    #[error("each row would be in {windows} windows: one of {size} begins every {slide}")]
    #[diagnostic(code(flowc::window), help("make `slide` longer: a row is in at most {most} windows"))]
    TooManySteps {
        /// How many.
        windows: u64,
        /// The size, as the text has it.
        size: String,
        /// The slide, as the text has it.
        slide: String,
        /// How many it may be.
        most: u64,
    },
    /// A sliding window that does not consist of whole steps.
    #[error("a sliding window of {size} does not consist of whole steps of {slide}")]
    #[diagnostic(code(flowc::window), help("make `size` a multiple of `slide`"))]
    Undivided {
        /// The size, as the text has it.
        size: String,
        /// The slide, as the text has it.
        slide: String,
    },
}
