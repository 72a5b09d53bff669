//! What is known of a kernel's integers: which of them follow from the number of the row, and how.

use naga::{
    BinaryOperator, Binding, BuiltIn, Expression, Function, GlobalVariable, Handle, Literal, Module, ScalarKind,
    TypeInner,
};

use crate::layout::Rows;
use crate::parsed::{Parsed, Place, each_statement};

/// What is known of a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Form {
    /// Nothing.
    #[default]
    Other,
    /// It is this number.
    Constant(u32),
    /// The three numbers of the invocation, of which the first is the row.
    Invocation,
    /// `row * scale + plus`.
    Row { scale: u32, plus: u32 },
    /// `row / by`.
    RowOver { by: u32 },
    /// `row % by * times`.
    RowWithin { by: u32, times: u32 },
    /// The number of rows.
    RowCount,
    /// A word that holds so many rows, this one among them.
    Word { rows: u32 },
    /// Such a word, shifted so that this row is lowest.
    Shifted { rows: u32 },
    /// The number of the row's group, among the rows that are together.
    Group,
    /// Something else that follows from which rows are together.
    Together,
}

impl Form {
    /// The row itself.
    pub(crate) const ROW: Self = Self::Row { scale: 1, plus: 0 };

    /// Whether it follows from the row alone, or holds other rows: where such a value ends up has to be watched.
    pub(crate) fn is_watched(self) -> bool {
        !matches!(self, Self::Other | Self::Constant(_))
    }
}

/// What a variable that is bound to a buffer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    /// Rows.
    Rows(Rows),
    /// Texts, or where they begin: what belongs to a row is not told by its number.
    Texts,
    /// The config.
    Config,
    /// The number of rows.
    Batch,
    /// A table, which is the same for all rows.
    Table,
    /// What is counted into: so many elements as a constant says, or one for each group of rows.
    Bins { by_groups: bool },
    /// The number of the group of each row.
    Group,
}

/// What is known of all values of a function.
pub(crate) struct Forms {
    values: Vec<Form>,
    /// Of what every call of the function gives it.
    pub(crate) arguments: Vec<Form>,
}

impl std::ops::Index<Handle<Expression>> for Forms {
    type Output = Form;

    fn index(&self, handle: Handle<Expression>) -> &Form {
        &self.values[handle.index()]
    }
}

/// What is known of a kernel: of each function of `reachable`, in its order. `holds` says what variables hold.
pub(crate) fn of_all(
    parsed: &Parsed,
    reachable: &[Place],
    holds: &dyn Fn(Handle<GlobalVariable>) -> Option<Holds>,
) -> Vec<Forms> {
    // The arguments of each function: those of the calls that were seen, if all agree.
    let mut given: Vec<Option<Vec<Form>>> = vec![None; parsed.module.functions.len()];
    let mut all = Vec::new();
    for place in reachable {
        let (function, _) = parsed.function(*place);
        let arguments = match place {
            Place::Function(handle) => given[handle.index()].take().unwrap_or_default(),
            Place::Entry(_) => Vec::new(),
        };
        let derivation = Derivation { parsed, place: *place, function, arguments, holds };
        let forms = derivation.run();
        each_statement(&function.body, &mut |statement, _| {
            if let naga::Statement::Call { function, arguments, .. } = statement {
                let forms: Vec<Form> = arguments.iter().map(|argument| forms[*argument]).collect();
                match &mut given[function.index()] {
                    none @ None => *none = Some(forms),
                    Some(known) => {
                        let differ = known.iter_mut().zip(forms).filter(|(known, form)| **known != *form);
                        differ.for_each(|(known, _)| *known = Form::Other);
                    }
                }
            }
        });
        all.push(forms);
    }
    all
}

struct Derivation<'a> {
    parsed: &'a Parsed,
    place: Place,
    function: &'a Function,
    arguments: Vec<Form>,
    holds: &'a dyn Fn(Handle<GlobalVariable>) -> Option<Holds>,
}

impl Derivation<'_> {
    fn run(&self) -> Forms {
        let mut forms = Forms { values: Vec::new(), arguments: self.arguments.clone() };
        // Operands come before what takes them.
        for (_, expression) in self.function.expressions.iter() {
            let form = self.form(expression, &forms);
            forms.values.push(form);
        }
        forms
    }

    fn form(&self, expression: &Expression, forms: &Forms) -> Form {
        use Expression as E;
        match expression {
            E::Literal(literal) => constant(*literal),
            E::Constant(constant) => of_constant(&self.parsed.module, *constant),
            E::FunctionArgument(index) => self.argument(*index as usize),
            E::AccessIndex { base, index } => match (forms[*base], index) {
                (Form::Invocation, 0) => Form::ROW,
                _ => self.member(*base, *index as usize),
            },
            E::Binary { op, left, right } => arithmetic(*op, forms[*left], forms[*right]),
            E::As { expr, kind: ScalarKind::Sint | ScalarKind::Uint, convert: None | Some(4) }
                if self.is_word(*expr) =>
            {
                forms[*expr]
            }
            E::Load { pointer } => self.loaded(*pointer, forms),
            E::ArrayLength(base) => match self.held(*base) {
                Some(Holds::Rows(Rows::Apart { elements: 1 }) | Holds::Group) => Form::RowCount,
                Some(Holds::Rows(_) | Holds::Texts | Holds::Bins { .. }) => Form::Together,
                _ => Form::Other,
            },
            _ => Form::Other,
        }
    }

    fn argument(&self, index: usize) -> Form {
        match (self.place, &self.function.arguments[index].binding) {
            (Place::Entry(_), Some(Binding::BuiltIn(BuiltIn::GlobalInvocationId))) => Form::Invocation,
            (Place::Entry(_), _) => Form::Other,
            (Place::Function(_), _) => self.arguments.get(index).copied().unwrap_or_default(),
        }
    }

    /// A member of an entry point's argument.
    fn member(&self, base: Handle<Expression>, index: usize) -> Form {
        let (Place::Entry(_), Expression::FunctionArgument(argument)) = (self.place, &self.function.expressions[base])
        else {
            return Form::Other;
        };
        let ty = self.function.arguments[*argument as usize].ty;
        let TypeInner::Struct { members, .. } = &self.parsed.module.types[ty].inner else { return Form::Other };
        match members.get(index).and_then(|member| member.binding.as_ref()) {
            Some(Binding::BuiltIn(BuiltIn::GlobalInvocationId)) => Form::Invocation,
            _ => Form::Other,
        }
    }

    /// Whether a value is a single integer of 32 bits.
    fn is_word(&self, value: Handle<Expression>) -> bool {
        let (_, info) = self.parsed.function(self.place);
        let inner = info[value].ty.inner_with(&self.parsed.module.types);
        matches!(inner, TypeInner::Scalar(naga::Scalar::U32 | naga::Scalar::I32))
    }

    /// What the variable holds that an expression is.
    fn held(&self, base: Handle<Expression>) -> Option<Holds> {
        match &self.function.expressions[base] {
            Expression::GlobalVariable(variable) => (self.holds)(*variable),
            _ => None,
        }
    }

    fn loaded(&self, pointer: Handle<Expression>, forms: &Forms) -> Form {
        match &self.function.expressions[pointer] {
            Expression::AccessIndex { base, .. } if self.held(*base) == Some(Holds::Batch) => Form::RowCount,
            Expression::Access { base, index } => match (self.held(*base), forms[*index]) {
                (Some(Holds::Rows(Rows::Packed { rows })), Form::RowOver { by }) if rows == by => Form::Word { rows },
                (Some(Holds::Group), Form::ROW) => Form::Group,
                _ => Form::Other,
            },
            _ => Form::Other,
        }
    }
}

fn constant(literal: Literal) -> Form {
    match literal {
        Literal::U32(value) => Form::Constant(value),
        Literal::I32(value) => u32::try_from(value).map_or(Form::Other, Form::Constant),
        _ => Form::Other,
    }
}

fn of_constant(module: &Module, handle: Handle<naga::Constant>) -> Form {
    match module.global_expressions[module.constants[handle].init] {
        Expression::Literal(literal) => constant(literal),
        _ => Form::Other,
    }
}

/// What follows for the result of an operation.
fn arithmetic(op: BinaryOperator, left: Form, right: Form) -> Form {
    use BinaryOperator as B;
    let power = |shift: u32| 1u32.checked_shl(shift);
    match (op, left, right) {
        (B::Add, Form::Row { scale, plus }, Form::Constant(more))
        | (B::Add, Form::Constant(more), Form::Row { scale, plus }) => {
            plus.checked_add(more).map_or(Form::Other, |plus| Form::Row { scale, plus })
        }
        (B::Multiply, Form::Constant(by), value) | (B::Multiply, value, Form::Constant(by)) => times(value, by),
        (B::ShiftLeft, value, Form::Constant(by)) => power(by).map_or(Form::Other, |by| times(value, by)),
        (B::Divide, Form::ROW, Form::Constant(by)) if by > 0 => Form::RowOver { by },
        (B::ShiftRight, Form::ROW, Form::Constant(by)) => power(by).map_or(Form::Other, |by| Form::RowOver { by }),
        (B::Modulo, Form::ROW, Form::Constant(by)) if by > 0 => Form::RowWithin { by, times: 1 },
        (B::And, Form::ROW, Form::Constant(mask)) | (B::And, Form::Constant(mask), Form::ROW) => {
            let by = mask.checked_add(1).filter(|by| by.is_power_of_two());
            by.map_or(Form::Other, |by| Form::RowWithin { by, times: 1 })
        }
        (B::ShiftRight, Form::Word { rows }, Form::RowWithin { by, times })
            if rows == by && rows.checked_mul(times) == Some(32) =>
        {
            Form::Shifted { rows }
        }
        _ => Form::Other,
    }
}

/// A form multiplied by a constant.
fn times(value: Form, by: u32) -> Form {
    let scaled = |number: u32| number.checked_mul(by);
    match value {
        Form::Row { scale, plus } if by > 0 => match (scaled(scale), scaled(plus)) {
            (Some(scale), Some(plus)) => Form::Row { scale, plus },
            _ => Form::Other,
        },
        Form::RowWithin { by: within, times } if by > 0 => {
            scaled(times).map_or(Form::Other, |times| Form::RowWithin { by: within, times })
        }
        _ => Form::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_keeps_track_of_the_row() {
        use BinaryOperator as B;
        let constant = Form::Constant;
        let scaled = arithmetic(B::Multiply, constant(4), Form::ROW);
        assert_eq!(arithmetic(B::Add, scaled, constant(3)), Form::Row { scale: 4, plus: 3 });
        assert_eq!(arithmetic(B::ShiftLeft, Form::ROW, constant(2)), scaled);
        assert_eq!(arithmetic(B::ShiftRight, Form::ROW, constant(5)), Form::RowOver { by: 32 });
        assert_eq!(arithmetic(B::Divide, Form::ROW, constant(32)), Form::RowOver { by: 32 });
        let within = arithmetic(B::And, Form::ROW, constant(31));
        assert_eq!(within, arithmetic(B::Modulo, Form::ROW, constant(32)));
        assert_eq!(arithmetic(B::ShiftRight, Form::Word { rows: 32 }, within), Form::Shifted { rows: 32 });
        let bytes = times(Form::RowWithin { by: 4, times: 1 }, 8);
        assert_eq!(arithmetic(B::ShiftRight, Form::Word { rows: 4 }, bytes), Form::Shifted { rows: 4 });
    }

    #[test]
    fn nothing_is_known_of_what_wraps_or_is_another_row() {
        use BinaryOperator as B;
        let constant = Form::Constant;
        for (op, left, right) in [
            (B::Subtract, Form::ROW, constant(1)),
            (B::Add, Form::Row { scale: 1, plus: u32::MAX }, constant(1)),
            (B::Multiply, Form::Row { scale: 1 << 31, plus: 0 }, constant(2)),
            (B::Multiply, Form::ROW, constant(0)),
            (B::Divide, Form::ROW, constant(0)),
            (B::And, Form::ROW, constant(30)),
            (B::ShiftRight, Form::Word { rows: 32 }, Form::RowWithin { by: 4, times: 8 }),
            (B::Divide, Form::Row { scale: 2, plus: 0 }, constant(2)),
        ] {
            assert_eq!(arithmetic(op, left, right), Form::Other, "{left:?} {op:?} {right:?}");
        }
    }
}
