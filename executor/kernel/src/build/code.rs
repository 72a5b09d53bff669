//! Functions of naga's IR, written statement by statement.

use naga::{
    BinaryOperator, Binding, Block, Expression, Function, FunctionArgument, FunctionResult, GlobalVariable, Handle,
    Literal, LocalVariable, Range, Span, Statement, Type,
};

/// A value of a function.
pub(super) type Value = Handle<Expression>;

/// A function that is being written.
pub(super) struct Code {
    function: Function,
    /// The block that is written, after those that it is in.
    blocks: Vec<Block>,
    /// Where what is written comes from.
    pub(super) span: Span,
}

impl Code {
    pub(super) fn new(name: &str, result: Option<Handle<Type>>) -> Self {
        let function = Function {
            name: Some(name.to_owned()),
            result: result.map(|ty| FunctionResult { ty, binding: None }),
            ..Function::default()
        };
        Self { function, blocks: vec![Block::new()], span: Span::UNDEFINED }
    }

    pub(super) fn argument(&mut self, name: &str, ty: Handle<Type>, binding: Option<Binding>) -> Value {
        let index = self.function.arguments.len();
        self.function.arguments.push(FunctionArgument { name: Some(name.to_owned()), ty, binding });
        self.leaf(Expression::FunctionArgument(u32::try_from(index).unwrap_or(u32::MAX)))
    }

    /// A variable that is zero at first.
    pub(super) fn local(&mut self, name: &str, ty: Handle<Type>) -> Value {
        let init = Some(self.leaf(Expression::ZeroValue(ty)));
        let variable = LocalVariable { name: Some(name.to_owned()), ty, init };
        let variable = self.function.local_variables.append(variable, self.span);
        self.leaf(Expression::LocalVariable(variable))
    }

    /// A value that is there from the beginning, or that a statement makes.
    pub(super) fn leaf(&mut self, expression: Expression) -> Value {
        self.function.expressions.append(expression, self.span)
    }

    /// A value that is computed here.
    pub(super) fn emit(&mut self, expression: Expression) -> Value {
        let value = self.leaf(expression);
        self.push(Statement::Emit(Range::new_from_bounds(value, value)));
        value
    }

    pub(super) fn push(&mut self, statement: Statement) {
        let span = self.span;
        if let Some(block) = self.blocks.last_mut() {
            block.push(statement, span);
        }
    }

    pub(super) fn literal(&mut self, value: u32) -> Value {
        self.leaf(Expression::Literal(Literal::U32(value)))
    }

    pub(super) fn binary(&mut self, op: BinaryOperator, left: Value, right: Value) -> Value {
        self.emit(Expression::Binary { op, left, right })
    }

    pub(super) fn load(&mut self, pointer: Value) -> Value {
        self.emit(Expression::Load { pointer })
    }

    pub(super) fn store(&mut self, pointer: Value, value: Value) {
        self.push(Statement::Store { pointer, value });
    }

    pub(super) fn global(&mut self, variable: Handle<GlobalVariable>) -> Value {
        self.leaf(Expression::GlobalVariable(variable))
    }

    pub(super) fn access(&mut self, base: Value, index: Value) -> Value {
        self.emit(Expression::Access { base, index })
    }

    pub(super) fn member(&mut self, base: Value, index: u32) -> Value {
        self.emit(Expression::AccessIndex { base, index })
    }

    /// Calls a function that gives something.
    pub(super) fn call(&mut self, function: Handle<Function>, arguments: Vec<Value>) -> Value {
        let result = self.leaf(Expression::CallResult(function));
        self.push(Statement::Call { function, arguments, result: Some(result) });
        result
    }

    /// Calls a function that gives nothing.
    pub(super) fn run(&mut self, function: Handle<Function>, arguments: Vec<Value>) {
        self.push(Statement::Call { function, arguments, result: None });
    }

    pub(super) fn give(&mut self, value: Option<Value>) {
        self.push(Statement::Return { value });
    }

    /// Begins a block: what is written from now on is in it.
    pub(super) fn open(&mut self) {
        self.blocks.push(Block::new());
    }

    /// Ends the block that was begun last.
    pub(super) fn close(&mut self) -> Block {
        self.blocks.pop().unwrap_or_default()
    }

    pub(super) fn when(&mut self, condition: Value, write: impl FnOnce(&mut Self)) {
        self.open();
        write(self);
        let accept = self.close();
        self.push(Statement::If { condition, accept, reject: Block::new() });
    }

    pub(super) fn finish(mut self) -> Function {
        self.function.body = self.close();
        self.function
    }

    /// Takes over the head of a function and its variables, as they are.
    pub(super) fn take_head(&mut self, of: &Function) {
        self.function.name.clone_from(&of.name);
        self.function.arguments.clone_from(&of.arguments);
        self.function.result.clone_from(&of.result);
        self.function.diagnostic_filter_leaf = of.diagnostic_filter_leaf;
        self.function.local_variables = of.local_variables.clone();
    }

    /// Changes what variables begin with, whose values are those of another function.
    pub(super) fn initialise(&mut self, mut value: impl FnMut(&mut Self, Value) -> Value) {
        let handles: Vec<_> = self.function.local_variables.iter().map(|(handle, _)| handle).collect();
        for handle in handles {
            if let Some(init) = self.function.local_variables[handle].init {
                let init = value(self, init);
                self.function.local_variables.get_mut(handle).init = Some(init);
            }
        }
    }
}
