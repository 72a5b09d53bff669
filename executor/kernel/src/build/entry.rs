//! Entry points: how an invocation knows its row, and how a function over rows is called.

use std::collections::HashMap;

use naga::{
    AddressSpace, ArraySize, BinaryOperator, Binding, BuiltIn, EntryPoint, Expression, Function, GlobalVariable,
    Handle, Literal, MathFunction, Module, Scalar, ScalarKind, StorageAccess, Type, TypeInner, VectorSize,
};

use super::checks::{Checks, global};
use super::code::{Code, Value};
use super::{NOWHERE, WORKGROUP, entry_point};
use crate::bind::{Argument, Bound, Call, Contents, Part};
use crate::layout::{Element, Kind, Storage};
use crate::parsed::Parsed;
use crate::row::{Parameter, RowForm};

/// The argument of an entry point that has the number of the row.
pub(super) struct RowArgument {
    argument: usize,
    /// Of a structure that is the argument.
    member: Option<usize>,
}

impl RowArgument {
    /// The number of the invocation: that of the row, and two zeros, since workgroups lie along x.
    pub(super) fn write(&self, code: &mut Code) -> Value {
        let index = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let argument = code.leaf(Expression::FunctionArgument(index(self.argument)));
        match self.member {
            Some(member) => code.member(argument, index(member)),
            None => argument,
        }
    }
}

/// The argument of an entry point that has the number of the row; it is added where there is none.
pub(super) fn row_argument(parsed: &Parsed, function: &mut Function, module: &mut Module) -> RowArgument {
    let is_row = |binding: &Option<Binding>| *binding == Some(Binding::BuiltIn(BuiltIn::GlobalInvocationId));
    for (argument, of) in function.arguments.iter().enumerate() {
        if is_row(&of.binding) {
            return RowArgument { argument, member: None };
        }
        if let TypeInner::Struct { members, .. } = &parsed.module.types[of.ty].inner
            && let Some(member) = members.iter().position(|member| is_row(&member.binding))
        {
            return RowArgument { argument, member: Some(member) };
        }
    }
    let ty = add(module, invocation_type());
    let binding = Some(Binding::BuiltIn(BuiltIn::GlobalInvocationId));
    function.arguments.push(naga::FunctionArgument { name: Some("flowc_invocation".to_owned()), ty, binding });
    RowArgument { argument: function.arguments.len() - 1, member: None }
}

/// An entry point that does what another one does, and then calls a function, wherever that returned.
pub(super) fn followed_by(module: &mut Module, mut entry: Function, then: Handle<Function>) -> Function {
    let arguments = entry.arguments.clone();
    entry.name = Some("flowc_main".to_owned());
    entry.arguments.iter_mut().for_each(|argument| argument.binding = None);
    let entry = module.functions.append(entry, NOWHERE);
    let mut code = Code::new("main", None);
    let values = arguments.into_iter().map(|argument| {
        let name = argument.name.unwrap_or_default();
        code.argument(&name, argument.ty, argument.binding)
    });
    let values = values.collect();
    code.run(entry, values);
    code.run(then, Vec::new());
    code.finish()
}

pub(super) fn invocation_type() -> TypeInner {
    TypeInner::Vector { size: VectorSize::Tri, scalar: Scalar::U32 }
}

pub(super) fn add(module: &mut Module, inner: TypeInner) -> Handle<Type> {
    module.types.insert(Type { name: None, inner }, NOWHERE)
}

/// An entry point that calls a function for each row.
pub(super) fn of_row(
    module: &mut Module,
    checks: &Checks,
    form: &RowForm,
    function: Handle<Function>,
    bound: &Bound,
) -> EntryPoint {
    let call = bound.call.as_ref().expect("a function over rows is bound as one");
    let buffers = buffers(module, form, call, bound);
    let result =
        module.functions[function].result.as_ref().map(|result| result.ty).expect("the function gives a structure");
    let invocation = add(module, invocation_type());

    let mut code = Code::new("main", None);
    let at = code.argument("at", invocation, Some(Binding::BuiltIn(BuiltIn::GlobalInvocationId)));
    let row = code.member(at, 0);
    let mut entry = Entry { code, row, buffers };
    entry.end_past_the_last_row();
    checks.begin(&mut entry.code, at);
    let out = entry.code.local("out", result);
    let seen = entry.all_valid(&call.unseen);
    let write = |entry: &mut Entry| {
        let arguments = form.parameters.iter().zip(&call.arguments).map(|(of, argument)| entry.argument(of, argument));
        let arguments = arguments.collect();
        let value = entry.code.call(function, arguments);
        entry.code.store(out, value);
    };
    match seen {
        None => write(&mut entry),
        Some(seen) => {
            entry.code.open();
            write(&mut entry);
            let accept = entry.code.close();
            entry.code.push(naga::Statement::If { condition: seen, accept, reject: naga::Block::new() });
        }
    }
    for (index, (field, contents)) in form.fields.iter().zip(&call.results).enumerate() {
        let member = entry.code.member(out, u32::try_from(index).unwrap_or(u32::MAX));
        entry.put(member, field.element, contents);
    }
    entry_point(WORKGROUP, entry.code.finish())
}

/// The variables of all buffers.
fn buffers(
    module: &mut Module,
    form: &RowForm,
    call: &Call,
    bound: &Bound,
) -> HashMap<Contents, Handle<GlobalVariable>> {
    let mut variables = HashMap::new();
    for (binding, contents) in (0..).zip(&bound.buffers) {
        let (ty, space) = variable_type(module, form, call, contents);
        let name = format!("flowc_buffer_{binding}");
        variables.insert(*contents, global(module, &name, ty, space, Some(binding)));
    }
    variables
}

fn variable_type(
    module: &mut Module,
    form: &RowForm,
    call: &Call,
    contents: &Contents,
) -> (Handle<Type>, AddressSpace) {
    let read = AddressSpace::Storage { access: StorageAccess::LOAD };
    let write = AddressSpace::Storage { access: StorageAccess::LOAD | StorageAccess::STORE };
    let is_it = |(_, result): &(&crate::row::FieldOut, &Contents)| *result == contents;
    match contents {
        Contents::Batch => (add(module, TypeInner::Scalar(Scalar::U32)), AddressSpace::Uniform),
        Contents::Config => {
            let config = form.parameters.iter().find(|parameter| parameter.element.is_none());
            (config.expect("a config is bound where a parameter takes it").ty, read)
        }
        Contents::Input { column, part: Part::Values } => {
            let value = call.arguments.iter().find_map(|argument| match argument {
                Argument::Value(of, storage) if of == column => Some(*storage),
                _ => None,
            });
            (array(module, value.map_or(Scalar::U32, word_of)), read)
        }
        Contents::Input { .. } | Contents::Table { .. } | Contents::Piece | Contents::Group | Contents::Faults => {
            (array(module, Scalar::U32), read)
        }
        Contents::Output { .. } | Contents::Mask => {
            let field = form.fields.iter().zip(&call.results).find(is_it).map(|(field, _)| field.element.scalar);
            (array(module, field.filter(|scalar| *scalar != Scalar::BOOL).unwrap_or(Scalar::U32)), write)
        }
    }
}

fn array(module: &mut Module, scalar: Scalar) -> Handle<Type> {
    let base = add(module, TypeInner::Scalar(scalar));
    add(module, TypeInner::Array { base, size: ArraySize::Dynamic, stride: scalar.width.into() })
}

/// What the buffer of a column is made of: its values, or words with several of them.
fn word_of(storage: Storage) -> Scalar {
    match (storage.kind, storage.bits) {
        (Kind::Float, 16) => Scalar::F16,
        (Kind::Float, 32) => Scalar::F32,
        (Kind::Sint, 32) => Scalar::I32,
        (Kind::Sint, 64) => Scalar::I64,
        (Kind::Uint, 64) => Scalar::U64,
        _ => Scalar::U32,
    }
}

/// An entry point that is being written.
struct Entry {
    code: Code,
    row: Value,
    buffers: HashMap<Contents, Handle<GlobalVariable>>,
}

impl Entry {
    fn buffer(&mut self, contents: Contents) -> Value {
        let variable = self.buffers[&contents];
        self.code.global(variable)
    }

    fn end_past_the_last_row(&mut self) {
        let rows = self.buffer(Contents::Batch);
        let rows = self.code.load(rows);
        let past = self.code.binary(BinaryOperator::GreaterEqual, self.row, rows);
        self.code.when(past, |code| code.give(None));
    }

    /// Whether all of these columns have a value; nothing where there are none.
    fn all_valid(&mut self, columns: &[usize]) -> Option<Value> {
        let mut all = None;
        for column in columns {
            let valid = self.valid(*column);
            all = Some(match all {
                Some(before) => self.code.binary(BinaryOperator::LogicalAnd, before, valid),
                None => valid,
            });
        }
        all
    }

    fn valid(&mut self, column: usize) -> Value {
        let bitmap = self.buffer(Contents::Input { column, part: Part::Validity });
        self.packed(bitmap, self.row, Storage { kind: Kind::Bool, bits: 1, count: 1 })
    }

    fn argument(&mut self, parameter: &Parameter, argument: &Argument) -> Value {
        match argument {
            Argument::Config => {
                let config = self.buffer(Contents::Config);
                self.code.load(config)
            }
            Argument::Validity(column, true) => self.valid(*column),
            Argument::Validity(_, false) => self.code.leaf(Expression::Literal(Literal::Bool(true))),
            Argument::Value(column, storage) => self.value(parameter, *column, *storage),
        }
    }

    /// The value of a column, as a parameter takes it.
    fn value(&mut self, parameter: &Parameter, column: usize, storage: Storage) -> Value {
        let values = self.buffer(Contents::Input { column, part: Part::Values });
        let is_list = parameter.element.is_some_and(|element| element.is_list);
        if !is_list {
            return self.lane(values, self.row, storage);
        }
        let lanes = (0..storage.count).map(|lane| {
            let at = self.element(storage.count, lane);
            self.lane(values, at, storage)
        });
        let components = lanes.collect();
        self.code.emit(Expression::Compose { ty: parameter.ty, components })
    }

    /// The index of a lane of the row.
    fn element(&mut self, lanes: u32, lane: u32) -> Value {
        let (by, plus) = (self.code.literal(lanes), self.code.literal(lane));
        let first = self.code.binary(BinaryOperator::Multiply, self.row, by);
        self.code.binary(BinaryOperator::Add, first, plus)
    }

    fn lane(&mut self, values: Value, at: Value, storage: Storage) -> Value {
        let packed = storage.bits < 32 && storage.kind != Kind::Float;
        if packed {
            return self.packed(values, at, storage);
        }
        let pointer = self.code.access(values, at);
        self.code.load(pointer)
    }

    /// A value of which a word holds several.
    fn packed(&mut self, words: Value, at: Value, storage: Storage) -> Value {
        let (per_word, bits) = (self.code.literal(32 / storage.bits), self.code.literal(storage.bits));
        let index = self.code.binary(BinaryOperator::Divide, at, per_word);
        let within = self.code.binary(BinaryOperator::Modulo, at, per_word);
        let from = self.code.binary(BinaryOperator::Multiply, within, bits);
        let pointer = self.code.access(words, index);
        let mut word = self.code.load(pointer);
        if storage.kind == Kind::Sint {
            // Its bits are taken with their sign.
            word = self.code.emit(Expression::As { expr: word, kind: ScalarKind::Sint, convert: None });
        }
        let fun = MathFunction::ExtractBits;
        let value = self.code.emit(Expression::Math { fun, arg: word, arg1: Some(from), arg2: Some(bits), arg3: None });
        if storage.kind != Kind::Bool {
            return value;
        }
        let zero = self.code.literal(0);
        self.code.binary(BinaryOperator::NotEqual, value, zero)
    }

    /// Writes a field of the result, which a pointer leads to.
    fn put(&mut self, field: Value, element: Element, contents: &Contents) {
        let buffer = self.buffer(*contents);
        for lane in 0..element.lanes {
            let (from, at) = if element.is_list {
                (self.code.member(field, lane), self.element(element.lanes, lane))
            } else {
                (field, self.row)
            };
            let mut value = self.code.load(from);
            if element.scalar == Scalar::BOOL {
                value = self.flag(value);
            }
            let to = self.code.access(buffer, at);
            self.code.store(to, value);
        }
    }

    /// A word that is 1 or 0.
    fn flag(&mut self, condition: Value) -> Value {
        let (accept, reject) = (self.code.literal(1), self.code.literal(0));
        self.code.emit(Expression::Select { condition, accept, reject })
    }
}
