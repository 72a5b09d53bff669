//! The first form of a kernel: a function `row`, whose parameters are columns and whose result is a structure of columns.

use naga::{Function, Handle, Span, Type, TypeInner};

use crate::config::Config;
use crate::diagnostic::Diagnostic;
use crate::facts::{Facts, argument_span};
use crate::layout::{Element, written};
use crate::parsed::Parsed;

/// The name of the function.
pub(crate) const NAME: &str = "row";

/// The field that picks rows.
pub(crate) const KEEP: &str = "keep";

/// The end of the names of what says whether a value is there.
pub(crate) const VALID: &str = "_valid";

/// Lanes of the largest value of a row: larger ones are better read from a buffer where they are needed.
const MOST_LANES: u32 = 256;

/// A function `row`.
#[derive(Clone, Debug)]
pub(crate) struct RowForm {
    pub(crate) function: Handle<Function>,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) fields: Vec<FieldOut>,
}

/// A parameter of `row`.
#[derive(Clone, Debug)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    pub(crate) span: Span,
    pub(crate) ty: Handle<Type>,
    /// None for the config.
    pub(crate) element: Option<Element>,
}

/// A field of the result of `row`.
#[derive(Clone, Debug)]
pub(crate) struct FieldOut {
    pub(crate) name: String,
    pub(crate) span: Span,
    pub(crate) element: Element,
}

impl RowForm {
    /// Reads the function's signature, and checks that it is one over rows.
    pub(crate) fn new(
        parsed: &Parsed,
        function: Handle<Function>,
        config: Option<&Config>,
        facts: &Facts,
    ) -> Result<Self, Vec<Diagnostic>> {
        let mut problems = bindings(parsed);
        if let Some(found) = facts.together.as_ref().or(facts.adapter.as_ref()) {
            let problem = Diagnostic::new(format!("`row` sees one row, but {}", found.what));
            problems.push(
                problem.at(&parsed.source, found.span, "").with_help(
                    "write a `@compute` module, whose variables are columns, where invocations work together",
                ),
            );
        }
        let parameters = (0..parsed.module.functions[function].arguments.len())
            .filter_map(|at| parameter(parsed, function, config, at).map_err(|problem| problems.push(problem)).ok())
            .collect();
        let fields = fields(parsed, function).unwrap_or_else(|found| {
            problems.extend(found);
            Vec::new()
        });
        if problems.is_empty() { Ok(Self { function, parameters, fields }) } else { Err(problems) }
    }
}

/// Variables of buffers and workgroups have no meaning for a function over rows.
fn bindings(parsed: &Parsed) -> Vec<Diagnostic> {
    let variables = parsed.module.global_variables.iter();
    let bound = variables.filter(|(_, variable)| variable.space != naga::AddressSpace::Private);
    bound
        .map(|(handle, variable)| {
            let name = variable.name.as_deref().unwrap_or_default();
            Diagnostic::new(format!("`{name}` is a variable of a module, and `row` sees its parameters alone"))
                .at(&parsed.source, parsed.module.global_variables.get_span(handle), "")
                .with_help("take the column as a parameter of `row`, or write a `@compute` entry point")
        })
        .collect()
}

fn parameter(
    parsed: &Parsed,
    function: Handle<Function>,
    config: Option<&Config>,
    at: usize,
) -> Result<Parameter, Diagnostic> {
    let function = &parsed.module.functions[function];
    let argument = &function.arguments[at];
    let name = argument.name.clone().unwrap_or_default();
    let span = argument_span(function, at);
    if config.is_some_and(|config| config.ty == argument.ty) {
        return Ok(Parameter { name, span, ty: argument.ty, element: None });
    }
    let element = column_value(parsed, argument.ty, &name).map_err(|problem| problem.at(&parsed.source, span, ""))?;
    Ok(Parameter { name, span, ty: argument.ty, element: Some(element) })
}

fn fields(parsed: &Parsed, function: Handle<Function>) -> Result<Vec<FieldOut>, Vec<Diagnostic>> {
    let no_structure = |span| {
        let found = Diagnostic::new("`row` does not return a structure").at(&parsed.source, span, "");
        vec![found.with_help("return a structure whose fields are columns: `struct Out { total: f32, keep: bool }`")]
    };
    let span = parsed.module.functions.get_span(function);
    let result = parsed.module.functions[function].result.as_ref().ok_or_else(|| no_structure(span))?;
    let TypeInner::Struct { members, .. } = &parsed.module.types[result.ty].inner else {
        return Err(no_structure(span));
    };
    let structure = parsed.module.types.get_span(result.ty);
    let (mut fields, mut problems) = (Vec::new(), Vec::new());
    for member in members {
        let name = member.name.clone().unwrap_or_default();
        let span = word_within(parsed, structure, &name);
        match column_value(parsed, member.ty, &name) {
            Ok(element) if is_flag(&name, members) && element.scalar != naga::Scalar::BOOL => {
                problems.push(Diagnostic::new(format!("`{name}` is no `bool`")).at(&parsed.source, span, ""));
            }
            Ok(element) => fields.push(FieldOut { name, span, element }),
            Err(problem) => problems.push(problem.at(&parsed.source, span, "")),
        }
    }
    if problems.is_empty() { Ok(fields) } else { Err(problems) }
}

/// Whether a field picks rows, or says whether another is there.
fn is_flag(name: &str, members: &[naga::StructMember]) -> bool {
    let of = |value: &str| members.iter().any(|member| member.name.as_deref() == Some(value));
    name == KEEP || name.strip_suffix(VALID).is_some_and(of)
}

fn column_value(parsed: &Parsed, ty: Handle<Type>, name: &str) -> Result<Element, Diagnostic> {
    let help = "columns are `f32`, `f16`, `i32`, `u32`, `i64`, `u64` and `bool`, and vectors and arrays of these";
    let found = Element::of(&parsed.module.types, ty, false);
    let refused = || Diagnostic::new(format!("`{name}` is {}, which no column is", written(&parsed.module.types, ty)));
    let element = found.map_err(|_| refused().with_help(help))?;
    let flat = matches!(parsed.module.types[ty].inner, TypeInner::Array { base, .. }
        if !matches!(parsed.module.types[base].inner, TypeInner::Scalar(_)));
    match element {
        _ if flat => Err(refused().with_help(help)),
        Element { is_atomic: true, .. } => Err(refused().with_help(help)),
        Element { lanes, .. } if lanes > MOST_LANES => {
            let why = format!("`{name}` has {lanes} values a row; a function over rows takes up to {MOST_LANES}");
            Err(Diagnostic::new(why).with_help("write a `@compute` module, which reads from the buffer what it needs"))
        }
        element => Ok(element),
    }
}

/// The place of a name within a part of the text.
fn word_within(parsed: &Parsed, part: Span, name: &str) -> Span {
    let Some(range) = part.to_range() else { return part };
    let Some(text) = parsed.source.text.get(range.clone()) else { return part };
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let stands_alone = |at: &usize| {
        let (before, after) = (&text[..*at], &text[at + name.len()..]);
        !before.ends_with(is_part) && !after.starts_with(is_part) && after.trim_start().starts_with(':')
    };
    let found = text.match_indices(name).map(|(at, _)| at).find(stands_alone);
    found.map_or(part, |at| Span::from(range.start + at..range.start + at + name.len()))
}
