//! The pickle machine, cut down to what a table of tensors needs: it knows a few operations, calls nothing, and refuses the
//! rest by name. Its tests stand with [`Pickle`](super::pickle::Pickle), which drives it.

use std::collections::HashMap;

use imbed_core::Result;

use super::{
    damaged,
    globals::Global,
    opcode,
    pickle::{Id, Storage, Tensor, Value},
    refused, too_much,
};

/// The most objects that wait at a time; a dictionary is filled 1000 pairs at a time.
pub(super) const MAX_STACK: usize = 1 << 16;
/// The most tuples, lists and dictionaries that are open within each other.
pub(super) const MAX_DEPTH: usize = 256;
/// The longest string, and half of the longest name of a global.
const MAX_TEXT: usize = 1 << 16;
pub(super) const MAX_GLOBAL: usize = 256;
/// The most tensors and axes of one.
const MAX_TENSORS: usize = 1 << 16;
const MAX_AXES: usize = 16;

/// The newest protocol whose operations are told apart in messages; `torch.save` writes 2.
const NEWEST_PROTOCOL: u8 = 5;

/// Why the machine stops early.
pub(super) enum Stop {
    /// The bytes are at their end.
    End,
    Error(imbed_core::Error),
}

impl From<imbed_core::Error> for Stop {
    fn from(error: imbed_core::Error) -> Self {
        Self::Error(error)
    }
}

pub(super) type Step<T> = std::result::Result<T, Stop>;

/// The machine between two operations.
pub(super) struct Machine<'a> {
    bytes: &'a [u8],
    /// How many bytes were read.
    pub(super) at: usize,
    pub(super) objects: Vec<Value<'a>>,
    stack: Vec<Id>,
    /// The heights that the stack had where something was opened.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
    pub(super) storages: Vec<Storage<'a>>,
    tensors: usize,
}

impl<'a> Machine<'a> {
    /// At the start of `bytes`.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            objects: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            storages: Vec::new(),
            tensors: 0,
        }
    }

    /// Does one operation; the last one gives the result.
    pub(super) fn step(&mut self) -> Step<Option<Id>> {
        let [opcode] = self.array()?;
        match opcode {
            opcode::PROTO => self.protocol()?,
            opcode::STOP => return self.pop().map(Some),
            opcode::MARK => self.mark()?,
            opcode::NONE => self.push(Value::None)?,
            opcode::NEWTRUE => self.push(Value::Bool(true))?,
            opcode::NEWFALSE => self.push(Value::Bool(false))?,
            opcode::BININT => {
                let value = i32::from_le_bytes(self.array()?);
                self.push(Value::Int(value.into()))?;
            }
            opcode::BININT1 => {
                let [value] = self.array()?;
                self.push(Value::Int(value.into()))?;
            }
            opcode::BININT2 => {
                let value = u16::from_le_bytes(self.array()?);
                self.push(Value::Int(value.into()))?;
            }
            opcode::LONG1 => self.long()?,
            opcode::BINFLOAT => {
                let _: [u8; 8] = self.array()?;
                self.push(Value::Idle)?;
            }
            opcode::BINUNICODE => {
                let length = u32::from_le_bytes(self.array()?) as usize;
                self.text(length)?;
            }
            opcode::SHORT_BINSTRING => {
                let [length] = self.array()?;
                self.text(length.into())?;
            }
            opcode::EMPTY_TUPLE => self.push(Value::Tuple(Vec::new()))?,
            opcode::TUPLE1 => self.tuple(1)?,
            opcode::TUPLE2 => self.tuple(2)?,
            opcode::TUPLE3 => self.tuple(3)?,
            opcode::TUPLE => {
                let items = self.pop_to_mark()?;
                self.push(Value::Tuple(items))?;
            }
            opcode::EMPTY_LIST => self.push(Value::List(Vec::new()))?,
            opcode::APPEND => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            opcode::APPENDS => {
                let items = self.pop_to_mark()?;
                self.append(items)?;
            }
            opcode::EMPTY_DICT => self.push(Value::Dict(Vec::new()))?,
            opcode::SETITEM => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set(&[key, value])?;
            }
            opcode::SETITEMS => {
                let items = self.pop_to_mark()?;
                self.set(&items)?;
            }
            opcode::BINPUT => {
                let [slot] = self.array()?;
                self.remember(slot.into())?;
            }
            opcode::LONG_BINPUT => {
                let slot = u32::from_le_bytes(self.array()?);
                self.remember(slot)?;
            }
            opcode::BINGET => {
                let [slot] = self.array()?;
                self.recall(slot.into())?;
            }
            opcode::LONG_BINGET => {
                let slot = u32::from_le_bytes(self.array()?);
                self.recall(slot)?;
            }
            opcode::GLOBAL => self.global()?,
            opcode::REDUCE => self.reduce()?,
            opcode::BUILD => self.build()?,
            opcode::BINPERSID => self.storage()?,
            other => {
                let name = opcode::name(other);
                return Err(
                    refused(format!("the pickle has the operation {name}, which no table of tensors needs")).into()
                );
            }
        }
        Ok(None)
    }

    fn take(&mut self, length: usize) -> Step<&'a [u8]> {
        let taken = self.at.checked_add(length).and_then(|end| self.bytes.get(self.at..end)).ok_or(Stop::End)?;
        self.at += length;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Step<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| Stop::End)
    }

    fn push(&mut self, value: Value<'a>) -> Step<()> {
        let id = Id(self.objects.len() as u32);
        self.objects.push(value);
        self.push_id(id)
    }

    fn push_id(&mut self, id: Id) -> Step<()> {
        if self.stack.len() >= MAX_STACK {
            return Err(too_much(format!("more than {MAX_STACK} objects wait on the pickle's stack")).into());
        }
        self.stack.push(id);
        Ok(())
    }

    /// The object on top, which must be above the last mark.
    fn pop(&mut self) -> Step<Id> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err(damaged("the pickle takes an object where there is none").into());
        }
        self.stack.pop().ok_or(Stop::End)
    }

    fn top(&self) -> Step<Id> {
        let floor = self.marks.last().copied().unwrap_or(0);
        self.stack
            .get(floor..)
            .and_then(<[Id]>::last)
            .copied()
            .ok_or_else(|| damaged("the pickle changes an object where there is none").into())
    }

    fn get(&self, id: Id) -> &Value<'a> {
        self.objects.get(id.0 as usize).unwrap_or(&Value::None)
    }

    fn mark(&mut self) -> Step<()> {
        if self.marks.len() >= MAX_DEPTH {
            return Err(too_much(format!("the pickle nests more than {MAX_DEPTH} deep")).into());
        }
        self.marks.push(self.stack.len());
        Ok(())
    }

    fn pop_to_mark(&mut self) -> Step<Vec<Id>> {
        let mark = self.marks.pop().ok_or_else(|| damaged("the pickle closes something that it never opened"))?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    fn protocol(&mut self) -> Step<()> {
        let [version] = self.array()?;
        if version > NEWEST_PROTOCOL {
            return Err(damaged(format!("pickle protocol {version} is not known")).into());
        }
        Ok(())
    }

    /// A whole number of up to 255 bytes. Those that no `i64` holds occur only where they do not matter.
    fn long(&mut self) -> Step<()> {
        let [length] = self.array()?;
        let bytes = self.take(length.into())?;
        let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut wide = if negative { [0xff; 8] } else { [0; 8] };
        let value = match wide.get_mut(..bytes.len()) {
            Some(low) => {
                low.copy_from_slice(bytes);
                Value::Int(i64::from_le_bytes(wide))
            }
            None => Value::Idle,
        };
        self.push(value)
    }

    fn text(&mut self, length: usize) -> Step<()> {
        if length > MAX_TEXT {
            return Err(too_much(format!("a string of {length} bytes, more than {MAX_TEXT}")).into());
        }
        let text = std::str::from_utf8(self.take(length)?).map_err(|_| damaged("a string is not UTF-8"))?;
        self.push(Value::Text(text))
    }

    fn tuple(&mut self, length: usize) -> Step<()> {
        let mut items = Vec::with_capacity(length);
        for _ in 0..length {
            items.push(self.pop()?);
        }
        items.reverse();
        self.push(Value::Tuple(items))
    }

    fn append(&mut self, items: Vec<Id>) -> Step<()> {
        let top = self.top()?;
        let Some(Value::List(list)) = self.objects.get_mut(top.0 as usize) else {
            return Err(damaged("the pickle appends to something that is not a list").into());
        };
        list.extend(items);
        Ok(())
    }

    fn set(&mut self, items: &[Id]) -> Step<()> {
        let top = self.top()?;
        let (pairs, []) = items.as_chunks::<2>() else {
            return Err(damaged("the pickle gives a dictionary a key without a value").into());
        };
        let Some(Value::Dict(dict)) = self.objects.get_mut(top.0 as usize) else {
            return Err(damaged("the pickle sets an item of something that is not a dictionary").into());
        };
        dict.extend(pairs.iter().map(|[key, value]| (*key, *value)));
        Ok(())
    }

    fn remember(&mut self, slot: u32) -> Step<()> {
        let top = self.top()?;
        self.memo.insert(slot, top);
        Ok(())
    }

    fn recall(&mut self, slot: u32) -> Step<()> {
        let id = self.memo.get(&slot).copied();
        self.push_id(id.ok_or_else(|| damaged(format!("the pickle recalls object {slot}, which it never stored")))?)
    }

    fn global(&mut self) -> Step<()> {
        let (module, name) = (self.line()?, self.line()?);
        let global = Global::named(module, name).ok_or_else(|| {
            let (module, name) = (module.escape_debug(), name.escape_debug());
            refused(format!("the pickle refers to '{module}.{name}', which no table of tensors needs"))
        })?;
        self.push(Value::Global(global))
    }

    fn line(&mut self) -> Step<&'a str> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let near = &rest[..rest.len().min(MAX_GLOBAL)];
        let Some(length) = near.iter().position(|byte| *byte == b'\n') else {
            let long = || too_much(format!("the name of a global is longer than {MAX_GLOBAL} bytes"));
            return Err(if near.len() < MAX_GLOBAL { Stop::End } else { long().into() });
        };
        let line = std::str::from_utf8(self.take(length)?).map_err(|_| damaged("the name of a global is not UTF-8"))?;
        self.take(1)?;
        Ok(line)
    }

    /// What Python would do by a call, for the few names that there are.
    fn reduce(&mut self) -> Step<()> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let (Value::Global(global), Value::Tuple(arguments)) = (self.get(function), self.get(arguments)) else {
            return Err(
                refused("the pickle calls something that is not a name, which no table of tensors needs").into()
            );
        };
        let wrong = || damaged("the pickle makes a tensor of arguments that torch does not write");
        match global {
            Global::OrderedDict if arguments.is_empty() => self.push(Value::Dict(Vec::new())),
            Global::Idle => self.push(Value::Idle),
            Global::Parameter => {
                let tensor = arguments.first().copied().filter(|id| matches!(self.get(*id), Value::Tensor(_)));
                self.push_id(tensor.ok_or_else(wrong)?)
            }
            Global::Tensor { typed } => {
                let tensor = self.tensor(arguments, *typed)?.ok_or_else(wrong)?;
                self.tensors += 1;
                if self.tensors > MAX_TENSORS {
                    return Err(too_much(format!("the pickle has more than {MAX_TENSORS} tensors")).into());
                }
                self.push(Value::Tensor(Box::new(tensor)))
            }
            Global::OrderedDict | Global::Storage(_) | Global::Dtype(_) => {
                Err(refused(format!("the pickle calls {global:?} with arguments, which no table of tensors needs"))
                    .into())
            }
        }
    }

    /// A tensor of `(storage, offset, shape, strides, requires_grad, hooks, [dtype,] [metadata])`. Gradients and hooks are
    /// training's; metadata says that the numbers are to be negated or conjugated, which weights are not.
    fn tensor(&self, arguments: &[Id], typed: bool) -> Result<Option<Tensor<'a>>> {
        let [storage, offset, shape, strides, _, _, more @ ..] = arguments else { return Ok(None) };
        let (Value::Storage(storage), Value::Int(offset)) = (self.get(*storage), self.get(*offset)) else {
            return Ok(None);
        };
        let (dtype, more) = if typed {
            (storage.dtype, more)
        } else {
            match more.split_first().map(|(dtype, more)| (self.get(*dtype), more)) {
                Some((Value::Global(Global::Dtype(dtype)), more)) => (Some(*dtype), more),
                _ => return Ok(None),
            }
        };
        match more.first().map(|metadata| self.get(*metadata)) {
            None | Some(Value::None) => {}
            Some(Value::Dict(pairs)) if pairs.is_empty() => {}
            Some(_) => return Err(refused("a tensor has metadata: it is negated, conjugated or of a kind of its own")),
        }
        let (Some(shape), Some(strides)) = (self.sizes(*shape), self.sizes(*strides)) else { return Ok(None) };
        let (Some(dtype), Ok(offset)) = (dtype, usize::try_from(*offset)) else { return Ok(None) };
        Ok(Some(Tensor { storage: *storage, dtype, offset, shape, strides }))
    }

    /// A tuple of a few whole numbers, none below zero.
    fn sizes(&self, id: Id) -> Option<Vec<usize>> {
        let Value::Tuple(items) = self.get(id) else { return None };
        let size = |id: &Id| match self.get(*id) {
            Value::Int(n) => usize::try_from(*n).ok(),
            _ => None,
        };
        if items.len() > MAX_AXES { None } else { items.iter().map(size).collect() }
    }

    /// Sets the attributes of an object. Only a dictionary can have them here, and they say nothing about its tensors:
    /// torch notes the versions of modules there.
    fn build(&mut self) -> Step<()> {
        self.pop()?;
        match self.get(self.top()?) {
            Value::Dict(_) => Ok(()),
            _ => Err(refused("the pickle sets attributes of an object, which no table of tensors needs").into()),
        }
    }

    /// A reference to numbers elsewhere: `('storage', class, key, device, elements)`, and `None` in the older format.
    fn storage(&mut self) -> Step<()> {
        let id = self.pop()?;
        let read = |id: Id| {
            let Value::Tuple(parts) = self.get(id) else { return None };
            let [kind, class, key, _, elements, view @ ..] = parts.as_slice() else { return None };
            let whole = view.iter().all(|id| matches!(self.get(*id), Value::None));
            match (self.get(*kind), self.get(*class), self.get(*key), self.get(*elements)) {
                (Value::Text("storage"), Value::Global(Global::Storage(dtype)), Value::Text(key), Value::Int(n))
                    if whole =>
                {
                    Some(Storage { key, dtype: *dtype, elements: usize::try_from(*n).ok()? })
                }
                _ => None,
            }
        };
        let storage =
            read(id).ok_or_else(|| damaged("the pickle refers to a storage in a way that torch does not write"))?;
        self.storages.push(storage);
        self.push(Value::Storage(storage))
    }
}
