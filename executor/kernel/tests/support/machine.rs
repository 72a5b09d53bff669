//! Runs modules of naga's IR, one invocation after the other, as WGSL says: an oracle for what builds do. It knows integers,
//! booleans and the plainest of floats.

use std::collections::HashMap;

use naga::{
    AtomicFunction, BinaryOperator, Block, Expression, Function, GlobalVariable, Handle, Literal, MathFunction, Module,
    Scalar, ScalarKind, Statement, SwitchValue, Type, TypeInner, UnaryOperator,
};

/// A value of WGSL.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    U32(u32),
    I32(i32),
    U64(u64),
    I64(i64),
    F32(f32),
    Bool(bool),
    /// A vector, an array or a structure.
    Parts(Vec<Value>),
    Pointer(Pointer),
}

/// A place in memory, and the way to a part of what is there.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pointer {
    cell: usize,
    path: Vec<usize>,
}

/// Why an invocation has ended early. Where: the byte of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    OutOfRange(usize),
    Endless(usize),
}

/// What a block ends with.
enum Flow {
    Next,
    Break,
    Continue,
    Return(Option<Value>),
}

/// A module with its memory.
pub(crate) struct Machine<'a> {
    module: &'a Module,
    memory: Vec<Value>,
    globals: HashMap<Handle<GlobalVariable>, usize>,
    /// Iterations that an invocation may still take.
    left: u32,
    /// Whether amounts of shifts have to be in range, as drivers want them.
    pub(crate) strict: bool,
}

impl<'a> Machine<'a> {
    /// A module with buffers by the number of their binding.
    pub(crate) fn new(module: &'a Module, buffers: &[Value]) -> Self {
        let mut machine = Self { module, memory: Vec::new(), globals: HashMap::new(), left: 0, strict: false };
        for (handle, variable) in module.global_variables.iter() {
            let value = variable.binding.and_then(|of| buffers.get(of.binding as usize).cloned());
            machine.globals.insert(handle, machine.memory.len());
            let value = value.unwrap_or_else(|| machine.zero(variable.ty));
            machine.memory.push(value);
        }
        machine
    }

    /// Runs an invocation with as many iterations of loops as `budget`.
    pub(crate) fn invoke(&mut self, row: u32, budget: u32) -> Result<(), Stop> {
        for (handle, variable) in self.module.global_variables.iter() {
            if variable.space == naga::AddressSpace::Private {
                let cell = self.globals[&handle];
                self.memory[cell] = match variable.init {
                    Some(init) => self.constant(init),
                    None => self.zero(variable.ty),
                };
            }
        }
        self.left = budget;
        let entry = &self.module.entry_points[0].function;
        let invocation = Value::Parts(vec![Value::U32(row), Value::U32(0), Value::U32(0)]);
        self.call(entry, vec![invocation]).map(drop)
    }

    /// What the buffer of a binding holds.
    pub(crate) fn buffer(&self, binding: usize) -> &Value {
        let is_it = |variable: &GlobalVariable| variable.binding.is_some_and(|of| of.binding as usize == binding);
        let (handle, _) = self.module.global_variables.iter().find(|(_, variable)| is_it(variable)).unwrap();
        &self.memory[self.globals[&handle]]
    }

    fn zero(&self, ty: Handle<Type>) -> Value {
        let many = |count: u32, value: Value| Value::Parts(vec![value; count as usize]);
        match &self.module.types[ty].inner {
            TypeInner::Scalar(scalar) | TypeInner::Atomic(scalar) => zero(*scalar),
            TypeInner::Vector { size, scalar } => many(u32::from(*size), zero(*scalar)),
            TypeInner::Array { base, size: naga::ArraySize::Constant(count), .. } => {
                many(count.get(), self.zero(*base))
            }
            TypeInner::Struct { members, .. } => {
                Value::Parts(members.iter().map(|member| self.zero(member.ty)).collect())
            }
            _ => Value::Parts(Vec::new()),
        }
    }

    fn constant(&self, expression: Handle<Expression>) -> Value {
        match &self.module.global_expressions[expression] {
            Expression::Literal(value) => literal(*value),
            Expression::ZeroValue(ty) => self.zero(*ty),
            Expression::Constant(constant) => self.constant(self.module.constants[*constant].init),
            Expression::Compose { components, .. } => {
                Value::Parts(components.iter().map(|component| self.constant(*component)).collect())
            }
            other => panic!("{other:?} is no constant that is known"),
        }
    }

    fn call(&mut self, function: &'a Function, arguments: Vec<Value>) -> Result<Option<Value>, Stop> {
        let floor = self.memory.len();
        let mut frame = Frame { function, arguments, locals: floor, values: HashMap::new() };
        for (_, variable) in function.local_variables.iter() {
            let value = self.zero(variable.ty);
            self.memory.push(value);
        }
        for (at, (_, variable)) in function.local_variables.iter().enumerate() {
            if let Some(init) = variable.init {
                self.memory[floor + at] = self.value(&mut frame, init)?;
            }
        }
        let flow = self.block(&mut frame, &function.body)?;
        self.memory.truncate(floor);
        match flow {
            Flow::Return(value) => Ok(value),
            _ => Ok(None),
        }
    }

    fn block(&mut self, frame: &mut Frame<'a>, block: &'a Block) -> Result<Flow, Stop> {
        for (statement, span) in block.span_iter() {
            let at = span.to_range().map_or(0, |range| range.start);
            match self.statement(frame, statement, at)? {
                Flow::Next => {}
                flow => return Ok(flow),
            }
        }
        Ok(Flow::Next)
    }

    fn statement(&mut self, frame: &mut Frame<'a>, statement: &'a Statement, at: usize) -> Result<Flow, Stop> {
        match statement {
            Statement::Emit(range) => {
                for handle in range.clone() {
                    // Computed here and not when it is first used: variables change.
                    let value = self.compute(frame, handle)?;
                    frame.values.insert(handle, value);
                }
            }
            Statement::Block(block) => return self.block(frame, block),
            Statement::If { condition, accept, reject } => {
                let taken = if self.value(frame, *condition)? == Value::Bool(true) { accept } else { reject };
                return self.block(frame, taken);
            }
            Statement::Switch { selector, cases } => {
                let selector = self.value(frame, *selector)?;
                let is_it = |value: &SwitchValue| match value {
                    SwitchValue::U32(value) => selector == Value::U32(*value),
                    SwitchValue::I32(value) => selector == Value::I32(*value),
                    SwitchValue::Default => false,
                };
                let default = || cases.iter().position(|case| case.value == SwitchValue::Default);
                let first = cases.iter().position(|case| is_it(&case.value)).or_else(default).unwrap();
                for case in &cases[first..] {
                    match self.block(frame, &case.body)? {
                        Flow::Next if case.fall_through => {}
                        Flow::Next | Flow::Break => return Ok(Flow::Next),
                        flow => return Ok(flow),
                    }
                }
            }
            Statement::Loop { body, continuing, break_if } => loop {
                self.left = self.left.checked_sub(1).ok_or(Stop::Endless(at))?;
                match self.block(frame, body)? {
                    Flow::Break => return Ok(Flow::Next),
                    Flow::Next | Flow::Continue => {}
                    flow @ Flow::Return(_) => return Ok(flow),
                }
                self.block(frame, continuing)?;
                if let Some(condition) = break_if
                    && self.value(frame, *condition)? == Value::Bool(true)
                {
                    return Ok(Flow::Next);
                }
            },
            Statement::Break => return Ok(Flow::Break),
            Statement::Continue => return Ok(Flow::Continue),
            Statement::Return { value } => {
                let value = value.map(|value| self.value(frame, value)).transpose()?;
                return Ok(Flow::Return(value));
            }
            Statement::Store { pointer, value } => {
                let value = self.value(frame, *value)?;
                *self.place(frame, *pointer)? = value;
            }
            Statement::Atomic { pointer, fun, value, result } => {
                let value = self.value(frame, *value)?;
                let place = self.place(frame, *pointer)?;
                let (Value::U32(old), Value::U32(value)) = (place.clone(), value) else { panic!("an atomic of words") };
                *place = Value::U32(match fun {
                    AtomicFunction::Add => old.wrapping_add(value),
                    AtomicFunction::Min => old.min(value),
                    AtomicFunction::Max => old.max(value),
                    other => panic!("{other:?} is not known"),
                });
                frame.values.extend(result.map(|result| (result, Value::U32(old))));
            }
            Statement::Call { function, arguments, result } => {
                let arguments =
                    arguments.iter().map(|argument| self.value(frame, *argument)).collect::<Result<_, _>>()?;
                let value = self.call(&self.module.functions[*function], arguments)?;
                frame.values.extend(result.map(|result| (result, value.unwrap())));
            }
            other => panic!("{other:?} is not known"),
        }
        Ok(Flow::Next)
    }

    fn place(&mut self, frame: &mut Frame<'a>, pointer: Handle<Expression>) -> Result<&mut Value, Stop> {
        let Value::Pointer(pointer) = self.value(frame, pointer)? else { panic!("no pointer") };
        Ok(pointer.path.iter().fold(&mut self.memory[pointer.cell], |value, at| match value {
            Value::Parts(parts) => &mut parts[*at],
            other => panic!("{other:?} has no parts"),
        }))
    }

    fn value(&mut self, frame: &mut Frame<'a>, handle: Handle<Expression>) -> Result<Value, Stop> {
        match frame.values.get(&handle) {
            Some(value) => Ok(value.clone()),
            None => self.compute(frame, handle),
        }
    }

    fn compute(&mut self, frame: &mut Frame<'a>, handle: Handle<Expression>) -> Result<Value, Stop> {
        let function = frame.function;
        let at = function.expressions.get_span(handle).to_range().map_or(0, |range| range.start);
        let to = |cell| Value::Pointer(Pointer { cell, path: Vec::new() });
        Ok(match &function.expressions[handle] {
            Expression::Literal(value) => literal(*value),
            Expression::Constant(constant) => self.constant(self.module.constants[*constant].init),
            Expression::ZeroValue(ty) => self.zero(*ty),
            Expression::Compose { components, .. } => {
                Value::Parts(components.iter().map(|part| self.value(frame, *part)).collect::<Result<_, _>>()?)
            }
            Expression::Splat { size, value } => Value::Parts(vec![self.value(frame, *value)?; *size as usize]),
            Expression::FunctionArgument(index) => frame.arguments[*index as usize].clone(),
            Expression::GlobalVariable(variable) => to(self.globals[variable]),
            Expression::LocalVariable(variable) => to(frame.locals + variable.index()),
            Expression::Load { pointer } => self.place(frame, *pointer)?.clone(),
            Expression::Access { base, index } => {
                let index = match self.value(frame, *index)? {
                    Value::U32(index) => index as usize,
                    Value::I32(index) => usize::try_from(index).unwrap_or(usize::MAX),
                    other => panic!("{other:?} is no index"),
                };
                let base = self.value(frame, *base)?;
                self.part(base, index).ok_or(Stop::OutOfRange(at))?
            }
            Expression::AccessIndex { base, index } => {
                let base = self.value(frame, *base)?;
                self.part(base, *index as usize).ok_or(Stop::OutOfRange(at))?
            }
            Expression::ArrayLength(base) => {
                let Value::Parts(parts) = &*self.place(frame, *base)? else { panic!("no array") };
                Value::U32(parts.len() as u32)
            }
            Expression::Unary { op, expr } => each([self.value(frame, *expr)?], &|[value]| unary(*op, value)),
            Expression::Binary { op, left, right } => {
                let operands = [self.value(frame, *left)?, self.value(frame, *right)?];
                let strict = self.strict;
                each(operands, &|[left, right]| binary(*op, left, right, strict))
            }
            Expression::Select { condition, accept, reject } => {
                let chosen = if self.value(frame, *condition)? == Value::Bool(true) { accept } else { reject };
                self.value(frame, *chosen)?
            }
            Expression::As { expr, kind, convert } => {
                each([self.value(frame, *expr)?], &|[value]| cast(value, *kind, *convert))
            }
            Expression::Math { fun, arg, arg1, arg2, .. } => {
                let mut values = vec![self.value(frame, *arg)?];
                for argument in [arg1, arg2].into_iter().flatten() {
                    values.push(self.value(frame, *argument)?);
                }
                math(*fun, &values)
            }
            other => panic!("{other:?} is not known"),
        })
    }

    /// A part of a value, or a pointer to one.
    fn part(&self, base: Value, index: usize) -> Option<Value> {
        match base {
            Value::Parts(parts) => parts.get(index).cloned(),
            Value::Pointer(mut pointer) => {
                let value = pointer.path.iter().fold(&self.memory[pointer.cell], |value, at| match value {
                    Value::Parts(parts) => &parts[*at],
                    other => panic!("{other:?} has no parts"),
                });
                let Value::Parts(parts) = value else { panic!("{value:?} has no parts") };
                pointer.path.push(index);
                (index < parts.len()).then_some(Value::Pointer(pointer))
            }
            other => panic!("{other:?} has no parts"),
        }
    }
}

/// A call of a function.
struct Frame<'a> {
    function: &'a Function,
    arguments: Vec<Value>,
    /// The first cell of its variables.
    locals: usize,
    values: HashMap<Handle<Expression>, Value>,
}

fn zero(scalar: Scalar) -> Value {
    match (scalar.kind, scalar.width) {
        (ScalarKind::Bool, _) => Value::Bool(false),
        (ScalarKind::Float, _) => Value::F32(0.0),
        (ScalarKind::Sint, 8) => Value::I64(0),
        (ScalarKind::Uint, 8) => Value::U64(0),
        (ScalarKind::Sint, _) => Value::I32(0),
        _ => Value::U32(0),
    }
}

fn literal(literal: Literal) -> Value {
    match literal {
        Literal::U32(value) => Value::U32(value),
        Literal::I32(value) => Value::I32(value),
        Literal::U64(value) => Value::U64(value),
        Literal::I64(value) => Value::I64(value),
        Literal::F32(value) => Value::F32(value),
        Literal::Bool(value) => Value::Bool(value),
        other => panic!("{other:?} is not known"),
    }
}

/// Applies an operation to the parts of vectors, or to values.
fn each<const N: usize>(operands: [Value; N], apply: &dyn Fn([Value; N]) -> Value) -> Value {
    let lanes = operands.iter().find_map(|operand| match operand {
        Value::Parts(parts) => Some(parts.len()),
        _ => None,
    });
    let Some(lanes) = lanes else { return apply(operands) };
    let lane = |at: usize| {
        operands.clone().map(|operand| match operand {
            Value::Parts(parts) => parts[at].clone(),
            one => one,
        })
    };
    Value::Parts((0..lanes).map(|at| each(lane(at), apply)).collect())
}

fn unary(op: UnaryOperator, value: Value) -> Value {
    match (op, value) {
        (UnaryOperator::Negate, Value::I32(value)) => Value::I32(value.wrapping_neg()),
        (UnaryOperator::Negate, Value::F32(value)) => Value::F32(-value),
        (UnaryOperator::LogicalNot, Value::Bool(value)) => Value::Bool(!value),
        (UnaryOperator::BitwiseNot, Value::U32(value)) => Value::U32(!value),
        (UnaryOperator::BitwiseNot, Value::I32(value)) => Value::I32(!value),
        other => panic!("{other:?} is not known"),
    }
}

/// As WGSL says. `strict`: amounts of shifts have to be in range, as drivers want them.
fn binary(op: BinaryOperator, left: Value, right: Value, strict: bool) -> Value {
    use BinaryOperator as B;
    let ordered = |ordering: Option<std::cmp::Ordering>| {
        Value::Bool(match op {
            B::Equal => ordering == Some(std::cmp::Ordering::Equal),
            B::NotEqual => ordering != Some(std::cmp::Ordering::Equal),
            B::Less => ordering.is_some_and(|ordering| ordering.is_lt()),
            B::LessEqual => ordering.is_some_and(|ordering| ordering.is_le()),
            B::Greater => ordering.is_some_and(|ordering| ordering.is_gt()),
            B::GreaterEqual => ordering.is_some_and(|ordering| ordering.is_ge()),
            other => panic!("{other:?} is no comparison"),
        })
    };
    if let (B::ShiftLeft | B::ShiftRight, Value::U32(amount)) = (op, &right) {
        assert!(*amount < 32 || !strict, "a driver may do as it likes with a shift by {amount}");
    }
    match (left, op, right) {
        (Value::U32(a), B::ShiftLeft, Value::U32(b)) => Value::U32(a << (b & 31)),
        (Value::U32(a), B::ShiftRight, Value::U32(b)) => Value::U32(a >> (b & 31)),
        (Value::I32(a), B::ShiftLeft, Value::U32(b)) => Value::I32(a << (b & 31)),
        (Value::I32(a), B::ShiftRight, Value::U32(b)) => Value::I32(a >> (b & 31)),
        (Value::U32(a), op, Value::U32(b)) => match op {
            B::Add => Value::U32(a.wrapping_add(b)),
            B::Subtract => Value::U32(a.wrapping_sub(b)),
            B::Multiply => Value::U32(a.wrapping_mul(b)),
            B::Divide => Value::U32(a.checked_div(b).unwrap_or(a)),
            B::Modulo => Value::U32(a.checked_rem(b).unwrap_or(0)),
            B::And => Value::U32(a & b),
            B::InclusiveOr => Value::U32(a | b),
            B::ExclusiveOr => Value::U32(a ^ b),
            _ => ordered(a.partial_cmp(&b)),
        },
        (Value::I32(a), op, Value::I32(b)) => match op {
            B::Add => Value::I32(a.wrapping_add(b)),
            B::Subtract => Value::I32(a.wrapping_sub(b)),
            B::Multiply => Value::I32(a.wrapping_mul(b)),
            B::Divide => Value::I32(a.checked_div(b).unwrap_or(a)),
            B::Modulo => Value::I32(a.checked_rem(b).unwrap_or(0)),
            B::And => Value::I32(a & b),
            B::InclusiveOr => Value::I32(a | b),
            B::ExclusiveOr => Value::I32(a ^ b),
            _ => ordered(a.partial_cmp(&b)),
        },
        (Value::F32(a), op, Value::F32(b)) => match op {
            B::Add => Value::F32(a + b),
            B::Subtract => Value::F32(a - b),
            B::Multiply => Value::F32(a * b),
            B::Divide => Value::F32(a / b),
            _ => ordered(a.partial_cmp(&b)),
        },
        (Value::Bool(a), op, Value::Bool(b)) => match op {
            B::LogicalAnd | B::And => Value::Bool(a && b),
            B::LogicalOr | B::InclusiveOr => Value::Bool(a || b),
            _ => ordered(a.partial_cmp(&b)),
        },
        other => panic!("{other:?} is not known"),
    }
}

fn cast(value: Value, kind: ScalarKind, convert: Option<u8>) -> Value {
    match (value, kind, convert) {
        (Value::U32(value), ScalarKind::Sint, _) => Value::I32(value.cast_signed()),
        (Value::I32(value), ScalarKind::Uint, _) => Value::U32(value.cast_unsigned()),
        (Value::U32(value), ScalarKind::Float, None) => Value::F32(f32::from_bits(value)),
        (Value::F32(value), ScalarKind::Uint, None) => Value::U32(value.to_bits()),
        (Value::I32(value), ScalarKind::Float, _) => Value::F32(value as f32),
        (Value::U32(value), ScalarKind::Float, _) => Value::F32(value as f32),
        (Value::F32(value), ScalarKind::Uint, _) => Value::U32(value as u32),
        (Value::F32(value), ScalarKind::Sint, _) => Value::I32(value as i32),
        (same, _, _) => same,
    }
}

fn math(function: MathFunction, values: &[Value]) -> Value {
    match (function, values) {
        (MathFunction::Min, [Value::U32(a), Value::U32(b)]) => Value::U32(*a.min(b)),
        (MathFunction::Max, [Value::U32(a), Value::U32(b)]) => Value::U32(*a.max(b)),
        (MathFunction::Min, [Value::I32(a), Value::I32(b)]) => Value::I32(*a.min(b)),
        (MathFunction::Max, [Value::I32(a), Value::I32(b)]) => Value::I32(*a.max(b)),
        (MathFunction::CountOneBits, [Value::U32(a)]) => Value::U32(a.count_ones()),
        (MathFunction::ExtractBits, [Value::U32(word), Value::U32(from), Value::U32(bits)]) => {
            Value::U32(word.wrapping_shl(32 - from - bits) >> (32 - bits))
        }
        (MathFunction::ExtractBits, [Value::I32(word), Value::U32(from), Value::U32(bits)]) => {
            Value::I32(word.wrapping_shl(32 - from - bits) >> (32 - bits))
        }
        other => panic!("{other:?} is not known"),
    }
}
