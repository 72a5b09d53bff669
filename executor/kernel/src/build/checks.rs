//! What the checked build adds to a module: variables and functions that count iterations and check indices.

use naga::{
    AddressSpace, ArraySize, AtomicFunction, BinaryOperator, Expression, Function, GlobalVariable, Handle, Module,
    ResourceBinding, Scalar, Span, Statement, StorageAccess, Type, TypeInner,
};

use super::code::{Code, Value};

/// Iterations after which an invocation looks whether another one has found that loops do not end: then its own need not go on.
const PATIENCE: u32 = 1 << 16;

/// The most iterations of loops in which a workgroup waits. They take much longer than others.
const JOINT_BUDGET: u32 = 1 << 20;

/// Functions that watch a kernel.
pub(super) struct Checks {
    /// Takes an index, a length and a site: gives the index, or 0 with a fault where it is out of range.
    check: Handle<Function>,
    /// Takes a site: whether a loop has to end, with a fault.
    step: Handle<Function>,
    /// The same of loops in which a workgroup waits for all of it: they count apart, so that all of it counts the same.
    joint_step: Handle<Function>,
    /// The number of the row that the invocation is for.
    row: Handle<GlobalVariable>,
    /// A zero that no driver knows to be one.
    zero: Handle<GlobalVariable>,
    /// The buffer of faults.
    faults: Handle<GlobalVariable>,
    types: Types,
}

impl Checks {
    /// Adds them to a module that has no functions yet. Faults are in the buffer of this binding.
    pub(super) fn add(module: &mut Module, faults: u32, budget: u32) -> Self {
        let types = Types::add(module);
        let row = private(module, "flowc_row", types.word);
        let space = AddressSpace::Storage { access: StorageAccess::LOAD | StorageAccess::STORE };
        let faults = global(module, "flowc_faults", types.faults, space, Some(faults));
        let fault = fault(module, &types, faults, row);
        let counter = private(module, "flowc_steps", types.word);
        let next_look = (budget > PATIENCE).then(|| (private(module, "flowc_next_look", types.word), faults));
        let alone = step(module, &types, ("flowc_step", budget), (counter, fault), next_look);
        let counter = private(module, "flowc_joint_steps", types.word);
        // All of a workgroup leave such loops together, so nobody looks at what others have found.
        let joint = step(module, &types, ("flowc_joint_step", budget.min(JOINT_BUDGET)), (counter, fault), None);
        Self {
            check: check(module, &types, fault),
            step: alone,
            joint_step: joint,
            row,
            zero: private(module, "flowc_zero", types.word),
            faults,
            types,
        }
    }

    /// A function that finds out whether loops still go on, and leaves a mark at a site if they do not: it adds two and takes one away in each of two
    /// iterations. A driver that ends loops does so once and for all.
    pub(super) fn probe(&self, module: &mut Module, site: u32) -> Handle<Function> {
        let mut code = Code::new("flowc_probe", None);
        let word = self.types.word;
        let (faults, zero) = (code.global(self.faults), code.global(self.zero));
        let (site, one, two) = (code.literal(site), code.literal(1), code.literal(2));
        let mark = code.access(faults, site);
        let change = |code: &mut Code, fun: AtomicFunction, value: Value| {
            let result = code.leaf(Expression::AtomicResult { ty: word, comparison: false });
            code.push(Statement::Atomic { pointer: mark, fun, value, result: Some(result) });
        };
        change(&mut code, AtomicFunction::Add, two);
        let round = code.local("round", word);
        let first = code.load(zero);
        code.store(round, first);
        code.open();
        let now = code.load(round);
        let is_last = code.binary(BinaryOperator::GreaterEqual, now, two);
        code.when(is_last, |code| code.push(Statement::Break));
        change(&mut code, AtomicFunction::Subtract, one);
        let next = code.binary(BinaryOperator::Add, now, one);
        code.store(round, next);
        let body = code.close();
        code.push(Statement::Loop { body, continuing: naga::Block::new(), break_if: None });
        add(module, code)
    }

    /// A word of the buffer of faults.
    pub(super) fn word(&self, code: &mut Code, place: u32) -> Value {
        let (faults, place) = (code.global(self.faults), code.literal(place));
        let pointer = code.access(faults, place);
        code.load(pointer)
    }

    /// Notes the row of an invocation, by its number.
    pub(super) fn begin(&self, code: &mut Code, at: Value) {
        for (variable, index) in [(self.row, 0), (self.zero, 1)] {
            let (variable, value) = (code.global(variable), code.member(at, index));
            code.store(variable, value);
        }
    }

    /// Reads a zero that the driver does not know when it compiles.
    pub(super) fn zero(&self, code: &mut Code) -> Value {
        let variable = code.global(self.zero);
        code.load(variable)
    }

    /// An index that is in range in any case.
    pub(super) fn checked(&self, code: &mut Code, index: Value, length: Value, site: u32) -> Value {
        let site = code.literal(site);
        code.call(self.check, vec![index, length, site])
    }

    /// Whether an invocation is for one of the rows, whose number is in this variable. Of those past the last one there are as many as files, blocks
    /// and workgroups happen to make.
    pub(super) fn is_for_a_row(&self, code: &mut Code, batch: Handle<GlobalVariable>) -> Value {
        let (row, batch) = (code.global(self.row), code.global(batch));
        let row = code.load(row);
        let rows = code.member(batch, 0);
        let rows = code.load(rows);
        code.binary(BinaryOperator::Less, row, rows)
    }

    /// Leaves a loop that has gone on too long.
    pub(super) fn count(&self, code: &mut Code, site: u32, joint: bool) {
        let site = code.literal(site);
        let over = code.call(if joint { self.joint_step } else { self.step }, vec![site]);
        code.when(over, |code| code.push(Statement::Break));
    }
}

/// The types that the functions use.
struct Types {
    word: Handle<Type>,
    flag: Handle<Type>,
    faults: Handle<Type>,
}

impl Types {
    fn add(module: &mut Module) -> Self {
        let mut add = |inner| module.types.insert(Type { name: None, inner }, Span::UNDEFINED);
        let base = add(TypeInner::Atomic(Scalar::U32));
        Self {
            word: add(TypeInner::Scalar(Scalar::U32)),
            flag: add(TypeInner::Scalar(Scalar::BOOL)),
            faults: add(TypeInner::Array { base, size: ArraySize::Dynamic, stride: 4 }),
        }
    }
}

fn private(module: &mut Module, name: &str, ty: Handle<Type>) -> Handle<GlobalVariable> {
    global(module, name, ty, AddressSpace::Private, None)
}

/// Adds a variable to a module.
pub(super) fn global(
    module: &mut Module,
    name: &str,
    ty: Handle<Type>,
    space: AddressSpace,
    binding: Option<u32>,
) -> Handle<GlobalVariable> {
    let binding = binding.map(|binding| ResourceBinding { group: 0, binding });
    let variable = GlobalVariable {
        name: Some(name.to_owned()),
        space,
        binding,
        ty,
        init: None,
        memory_decorations: naga::MemoryDecorations::empty(),
    };
    module.global_variables.append(variable, Span::UNDEFINED)
}

fn add(module: &mut Module, code: Code) -> Handle<Function> {
    module.functions.append(code.finish(), Span::UNDEFINED)
}

/// Notes that a site was at fault in a row: of several rows the first stays, whatever their order.
fn fault(
    module: &mut Module,
    types: &Types,
    faults: Handle<GlobalVariable>,
    row: Handle<GlobalVariable>,
) -> Handle<Function> {
    let mut code = Code::new("flowc_fault", None);
    let site = code.argument("site", types.word, None);
    let (faults, row) = (code.global(faults), code.global(row));
    let pointer = code.access(faults, site);
    let value = code.load(row);
    let result = code.leaf(Expression::AtomicResult { ty: types.word, comparison: false });
    code.push(Statement::Atomic { pointer, fun: AtomicFunction::Min, value, result: Some(result) });
    add(module, code)
}

/// Has a loop end.
fn leave(code: &mut Code) {
    let ends = code.leaf(Expression::Literal(naga::Literal::Bool(true)));
    code.give(Some(ends));
}

fn check(module: &mut Module, types: &Types, fault: Handle<Function>) -> Handle<Function> {
    let mut code = Code::new("flowc_check", Some(types.word));
    let index = code.argument("index", types.word, None);
    let length = code.argument("length", types.word, None);
    let site = code.argument("site", types.word, None);
    let within = code.binary(BinaryOperator::Less, index, length);
    code.when(within, |code| code.give(Some(index)));
    code.run(fault, vec![site]);
    let first = code.literal(0);
    code.give(Some(first));
    add(module, code)
}

/// Counts an iteration. `next_look`: at which one it looks at the buffer of faults next.
fn step(
    module: &mut Module,
    types: &Types,
    (name, budget): (&str, u32),
    (counter, fault): (Handle<GlobalVariable>, Handle<Function>),
    next_look: Option<(Handle<GlobalVariable>, Handle<GlobalVariable>)>,
) -> Handle<Function> {
    let mut code = Code::new(name, Some(types.flag));
    let site = code.argument("site", types.word, None);
    let counter = code.global(counter);
    let (one, budget) = (code.literal(1), code.literal(budget));
    let steps = code.load(counter);
    let ends = |code: &mut Code| {
        let over = code.binary(BinaryOperator::GreaterEqual, steps, budget);
        code.when(over, |code| {
            code.run(fault, vec![site]);
            leave(code);
        });
    };
    match next_look {
        None => ends(&mut code),
        Some((next_look, faults)) => {
            let (next_look, faults) = (code.global(next_look), code.global(faults));
            let now = code.load(next_look);
            let is_due = code.binary(BinaryOperator::GreaterEqual, steps, now);
            code.when(is_due, |code| {
                ends(code);
                let (none, patience) = (code.literal(u32::MAX), code.literal(PATIENCE));
                let pointer = code.access(faults, site);
                let first = code.load(pointer);
                let is_found = code.binary(BinaryOperator::NotEqual, first, none);
                code.when(is_found, leave);
                let then = code.binary(BinaryOperator::Add, steps, patience);
                let (fun, arg1) = (naga::MathFunction::Min, Some(budget));
                let then = code.emit(Expression::Math { fun, arg: then, arg1, arg2: None, arg3: None });
                code.store(next_look, then);
            });
        }
    }
    let next = code.binary(BinaryOperator::Add, steps, one);
    code.store(counter, next);
    let goes_on = code.leaf(Expression::Literal(naga::Literal::Bool(false)));
    code.give(Some(goes_on));
    add(module, code)
}
