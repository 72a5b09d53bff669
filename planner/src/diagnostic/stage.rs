//! A stage's code, and what it says of its config and inputs.

use crate::plan::Isolate;

/// What is wrong with a stage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
pub enum StageProblem {
    /// Nothing says what runs.
    #[error("the stage `{stage}` has no code")]
    #[diagnostic(
        code(flowc::no_code),
        help("say what runs: `std \"count@1\"`, `wasm \"stage.wasm\"` or `rust \"folder\"`")
    )]
    NoCode {
        /// The stage.
        stage: String,
    },
    /// Two things say what runs.
    #[error("the stage `{stage}` has two codes")]
    #[diagnostic(code(flowc::several_codes), help("keep one, and make a second stage of the other"))]
    SeveralCodes {
        /// The stage.
        stage: String,
    },
    /// A kind of code for which there is no runner yet.
    #[error("`{kind}` stages are not in this version of flowc")]
    #[diagnostic(code(flowc::reserved), help("this version runs `std`, `wasm` and `rust` stages"))]
    Reserved {
        /// Its name.
        kind: String,
    },
    /// There is no runner that isolates it so.
    #[error("`isolate {isolate}` is not available for the stage `{stage}`")]
    #[diagnostic(code(flowc::isolation), help("`isolate \"process\"` runs it in a process of its own"))]
    Isolation {
        /// The stage.
        stage: String,
        /// How it is to be isolated.
        isolate: Isolate,
    },
    /// The code cannot be had.
    #[error("{code}: {message}")]
    #[diagnostic(code(flowc::code))]
    Code {
        /// As in the text.
        code: String,
        /// Why.
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
        /// What differs.
        message: String,
        /// What to do.
        #[help]
        help: Option<String>,
    },
    /// The stage refuses its config or its inputs.
    #[error("the stage `{stage}` says: {message}")]
    #[diagnostic(code(flowc::describe))]
    Describe {
        /// The stage.
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
