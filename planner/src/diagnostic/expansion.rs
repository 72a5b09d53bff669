//! Parameters, includes and loops.

/// What is wrong where a text is put together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
pub enum ExpansionProblem {
    /// `${x}` of nothing.
    #[error("there is no parameter `{name}`")]
    #[diagnostic(code(flowc::unknown_param))]
    UnknownParam {
        /// The name, as the text has it.
        name: String,
        /// What there is.
        #[help]
        help: Option<String>,
    },
    /// `${x}` in the text of a query.
    #[error("the parameter `{name}` can't be pasted into a query")]
    #[diagnostic(
        code(flowc::param_in_query),
        help(
            "values are bound: write the database's own placeholder there (`?`, `$1`), and `bind \"${{{name}}}\"` beside `query`; \
             `$${{` stands for the characters themselves"
        )
    )]
    ParamInQuery {
        /// The name, as the text has it.
        name: String,
    },
    /// `${x` without an end.
    #[error("`${{` has no closing `}}`")]
    #[diagnostic(code(flowc::unclosed_param), help("close it, or write `$${{` for the characters themselves"))]
    Unclosed,
    /// Two params of one name, or a loop variable named like a param.
    #[error("the parameter `{name}` is declared twice")]
    #[diagnostic(code(flowc::repeated_param), help("give one of them another name"))]
    RepeatedParam {
        /// Its name.
        name: String,
    },
    /// A setting that the pipeline has no use for.
    #[error("the pipeline declares no parameter `{name}`")]
    #[diagnostic(code(flowc::undeclared_param))]
    UndeclaredParam {
        /// As given.
        name: String,
        /// What there is.
        #[help]
        help: Option<String>,
    },
    /// Neither a default nor a setting.
    #[error("the parameter `{name}` has no value")]
    #[diagnostic(code(flowc::missing_param), help("give one with `--param {name}=...`, or a `default=` here"))]
    MissingParam {
        /// Its name.
        name: String,
    },
    /// A setting that is not of the parameter's type.
    #[error("the parameter `{name}` is {expected}, but `{value}` was given")]
    #[diagnostic(code(flowc::param_type), help("its type is that of its default, or what `type=` says"))]
    ParamType {
        /// Its name.
        name: String,
        /// The type, with an article.
        expected: &'static str,
        /// As given.
        value: String,
    },
    /// A file that is not there, or cannot be read.
    #[error("`{path}` cannot be included: {reason}")]
    #[diagnostic(code(flowc::include), help("the path is taken from the folder of the file that includes it"))]
    Include {
        /// Relative to the main file's folder.
        path: String,
        /// In the system's words.
        reason: String,
    },
    /// Files that include each other.
    #[error("files include each other: {chain}")]
    #[diagnostic(code(flowc::include_cycle), help("move what both need to a third file"))]
    IncludeCycle {
        /// Paths joined by arrows; the first is the last.
        chain: String,
    },
    /// Where an include path depends on a parameter.
    #[error("the path of an `include` cannot hold a parameter")]
    #[diagnostic(code(flowc::include_param), help("includes are read before parameters are known; write the path out"))]
    IncludeParam,
    /// `param` or `include` in a loop.
    #[error("`{node}` cannot be in a `foreach`")]
    #[diagnostic(code(flowc::not_in_loop), help("move it to the top of the file"))]
    NotInLoop {
        /// The node's name.
        node: String,
    },
    /// A loop without anything to loop over, or with both forms.
    #[error("`foreach` needs values, or `from=` and `to=`")]
    #[diagnostic(
        code(flowc::loop_values),
        help("write `foreach \"lang\" \"rs\" \"md\" {{ ... }}` or `foreach \"i\" from=1 to=10 {{ ... }}`")
    )]
    LoopValues,
    /// More nodes than a pipeline can sensibly have.
    #[error("the loops of this pipeline make more than {limit} nodes")]
    #[diagnostic(code(flowc::loop_too_long), help("check `from` and `to`"))]
    LoopTooLong {
        /// How many there may be.
        limit: usize,
    },
}
