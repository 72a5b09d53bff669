//! A stage's code, and what it says of its config and inputs.

use crate::plan::Serialization;

/// What is wrong with a stage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
pub enum StageProblem {
    /// Nothing says what runs.
    #[error("the stage `{stage}` has no implementation")]
    #[diagnostic(code(flowc::no_code), help("say what runs: {examples}"))]
    NoCode {
        /// The stage's name.
        stage: String,
        /// Each kind of code.
        examples: String,
    },
    /// Two things say what runs.
    #[error("the stage `{stage}` has more than one implementation")]
    #[diagnostic(code(flowc::several_codes), help("keep one, and make a second stage of the other"))]
    SeveralCodes {
        /// The stage's name.
        stage: String,
    },
    /// It is asked to be isolated less than it is.
    #[error("the stage `{stage}` runs in a container, not in a process of this machine")]
    #[diagnostic(code(flowc::isolation), help("leave it out; `isolate #true` keeps the stage in a unit of its own"))]
    InContainer {
        /// The stage's name.
        stage: String,
    },
    /// It is asked to be isolated in a way that its kind of code can't be.
    #[error("the stage `{stage}` runs on the device that flowc's process has open, not in a process of its own")]
    #[diagnostic(code(flowc::isolation), help("leave it out; `isolate #true` keeps the stage in a unit of its own"))]
    OnDevice {
        /// The stage's name.
        stage: String,
    },
    /// It says something of the columns of a kernel that it has not.
    #[error("`{node}` is said of the columns of a kernel, and the stage `{stage}` runs {code}")]
    #[diagnostic(code(flowc::no_kernel), help("leave it out; `wgsl \"kernel.wgsl\"` runs a kernel"))]
    NoKernel {
        /// The stage's name.
        stage: String,
        /// The node's name.
        node: String,
        /// As in the text.
        code: String,
    },
    /// It says something of the numbers of a kernel that it has not.
    #[error("`{node}` is said of the numbers of a kernel, and the stage `{stage}` runs {code}")]
    #[diagnostic(code(flowc::no_kernel), help("leave it out; what kernels compute may depend on the device"))]
    NoNumbers {
        /// The stage's name.
        stage: String,
        /// The node's name.
        node: String,
        /// As in the text.
        code: String,
    },
    /// The stage that it is compared with is not there.
    #[error("there is no stage `{name}` to compare with")]
    #[diagnostic(code(flowc::no_reference))]
    NoReference {
        /// The name, as the text has it.
        name: String,
        /// What there is.
        #[help]
        help: Option<String>,
    },
    /// The stage that it is compared with gives other columns.
    #[error("the stage `{stage}` writes `{column}`, and its reference `{name}` {why}")]
    #[diagnostic(code(flowc::unlike_reference), help("a reference gives columns of the same names and types"))]
    UnlikeReference {
        /// The stage's name.
        stage: String,
        /// The reference.
        name: String,
        /// The column's name.
        column: String,
        /// Why the reference has no such column.
        why: String,
    },
    /// Nothing of what it is compared with shows which rows it keeps.
    #[error(
        "the stage `{stage}` only keeps rows, and its reference `{name}` has none of the columns that it passes on, of the same type"
    )]
    #[diagnostic(
        code(flowc::unlike_reference),
        help("have `{name}` give a column of these rows as it is, best one that tells them apart")
    )]
    BlindReference {
        /// The stage's name.
        stage: String,
        /// The reference.
        name: String,
    },
    /// It is asked to have several processors.
    #[error("the stage `{stage}` can't use several processors: {code} runs in one thread")]
    #[diagnostic(
        code(flowc::cpus),
        help("leave `cpus` out; flowc runs as many instances at once as it has threads (`--jobs`)")
    )]
    OneThread {
        /// The stage's name.
        stage: String,
        /// As in the text.
        code: String,
    },
    /// Batches are handed on as they are.
    #[error("the stage `{stage}` runs in flowc's process, where batches are not serialised")]
    #[diagnostic(
        code(flowc::serialization),
        help("leave `serialization` out, or run the stage elsewhere: `isolate \"process\"`, or on a worker")
    )]
    NotSerialised {
        /// The stage's name.
        stage: String,
    },
    /// The program can't make that of batches.
    #[error("the program of the stage `{stage}` does not take batches as {serialization}")]
    #[diagnostic(
        code(flowc::serialization),
        help("it takes {offered}; name one of these, or leave `serialization` out")
    )]
    NotOffered {
        /// The stage's name.
        stage: String,
        /// What the text asks for.
        serialization: Serialization,
        /// What there is, in words.
        offered: String,
    },
    /// A column would not come back as it was.
    #[error("the stage `{stage}` {does} `{column}`: {why}")]
    #[diagnostic(code(flowc::serialization))]
    NotCarried {
        /// The stage's name.
        stage: String,
        /// What it does with the column: `reads`, `writes`.
        does: &'static str,
        /// The column's name.
        column: String,
        /// Why the serialization does not carry the column's type.
        why: String,
        /// What to do.
        #[help]
        help: String,
    },
    /// Its code can do nothing with a secret.
    #[error("the stage `{stage}` can't be given secrets: {code} sees nothing but its inputs")]
    #[diagnostic(
        code(flowc::no_secrets),
        help("leave `secret` out; stages that are programs can have some: `python`, `container` and `image`")
    )]
    NoSecrets {
        /// The stage's name.
        stage: String,
        /// As in the text.
        code: String,
    },
    /// The value of a secret would come from two places.
    #[error("a secret comes from an environment variable or from a file, not from both")]
    #[diagnostic(code(flowc::secret_source), help("keep `env` or `file`"))]
    TwoSecretSources,
    /// The code cannot be had.
    #[error("{code}: {message}")]
    #[diagnostic(code(flowc::code))]
    Code {
        /// As in the text.
        code: String,
        /// Why the code can't be had.
        message: String,
        /// What to do.
        #[help]
        help: Option<String>,
    },
    /// The code cannot be had on this machine: a program is missing, or something is refused.
    #[error("{code}: {message}")]
    #[diagnostic(code(flowc::machine))]
    Machine {
        /// As in the text.
        code: String,
        /// What is missing.
        message: String,
        /// What to do.
        #[help]
        help: Option<String>,
    },
    /// The code is not the one that the lock pins.
    #[error("{code}: {message}")]
    #[diagnostic(code(flowc::locked))]
    AgainstLock {
        /// As in the text.
        code: String,
        /// How the code differs from that of the lock.
        message: String,
        /// What to do.
        #[help]
        help: Option<String>,
    },
    /// The stage refuses its config or its inputs.
    #[error("the stage `{stage}` says: {message}")]
    #[diagnostic(code(flowc::describe))]
    Describe {
        /// The stage's name.
        stage: String,
        /// In its words.
        message: String,
        /// What to do.
        #[help]
        help: Option<String>,
    },
    /// The stage describes something impossible.
    #[error("{code} breaks the contract of stages: {message}")]
    #[diagnostic(code(flowc::contract), help("this is a fault of the stage's code, not of the pipeline"))]
    Contract {
        /// As in the text.
        code: String,
        /// What does not fit.
        message: String,
    },
}
