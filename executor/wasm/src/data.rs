//! The imports: `flowc:stage/data`, as functions of a linker.

use std::time::Instant;

use arrow_buffer::Buffer;
use flowc_arrays::Node;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, LinkerInstance, Resource, ResourceType, WasmList, WasmStr};

use crate::contract::{ArraysIn, ArraysOut, Level, VERSIONS, Version};
use crate::held::{Held, Rows};
use crate::host::{Host, Written};

type Cx<'a> = StoreContextMut<'a, Host>;
type Handle = Resource<Held>;

const DERIVE: &str = "[method]batch.derive";

/// Defines the imports, of every version of the contract.
pub(crate) fn link(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    VERSIONS.iter().try_for_each(|version| link_version(linker, version))
}

fn link_version(linker: &mut Linker<Host>, version: &Version) -> wasmtime::Result<()> {
    let mut data = linker.instance(version.data)?;
    data.resource("batch", ResourceType::host::<Held>(), |mut cx, number| {
        let host = cx.data_mut();
        // A handle that was emitted is gone already.
        let _ = host.handles.remove(number, &mut host.budget);
        Ok(())
    })?;
    link_rows(&mut data)?;
    link_written(&mut data, version)?;
    data.func_wrap("emit", emit)?;
    data.func_wrap("log", log)
}

/// What takes columns in. The types that a stage states come last.
fn link_written(data: &mut LinkerInstance<'_, Host>, version: &Version) -> wasmtime::Result<()> {
    type Derived = (Handle, u32, ArraysIn);
    type Made = (u32, u64, ArraysIn);
    if version.states_types {
        data.func_wrap(
            DERIVE,
            |mut cx: Cx<'_>, (batch, port, arrays, types): (Handle, u32, ArraysIn, WasmList<u8>)| {
                let written = copy(&mut cx, &arrays, Some(types))?;
                derive(cx, &batch, port, written)
            },
        )?;
        data.func_wrap("make", |mut cx: Cx<'_>, (port, rows, arrays, types): (u32, u64, ArraysIn, WasmList<u8>)| {
            let written = copy(&mut cx, &arrays, Some(types))?;
            make(cx, port, rows, written)
        })
    } else {
        data.func_wrap(DERIVE, |mut cx: Cx<'_>, (batch, port, arrays): Derived| {
            let written = copy(&mut cx, &arrays, None)?;
            derive(cx, &batch, port, written)
        })?;
        data.func_wrap("make", |mut cx: Cx<'_>, (port, rows, arrays): Made| {
            let written = copy(&mut cx, &arrays, None)?;
            make(cx, port, rows, written)
        })
    }
}

fn link_rows(data: &mut LinkerInstance<'_, Host>) -> wasmtime::Result<()> {
    data.func_wrap("[method]batch.rows", |cx: Cx<'_>, (batch,): (Handle,)| {
        Ok((cx.data().handles.get(batch.rep())?.rows() as u64,))
    })?;
    data.func_wrap("[method]batch.read", |mut cx: Cx<'_>, (batch, columns): (Handle, Vec<u32>)| {
        let read: ArraysOut = cx.data_mut().read(batch.rep(), &columns)?;
        Ok((read,))
    })?;
    data.func_wrap("[method]batch.filter", |mut cx: Cx<'_>, (batch, mask): (Handle, WasmList<u8>)| {
        cx.data().budget.afford(mask.len())?;
        let mask = Buffer::from(mask.as_le_slice(&cx));
        pick(&mut cx, &batch, |rows| rows.filter(mask))
    })?;
    data.func_wrap("[method]batch.take", |mut cx: Cx<'_>, (batch, numbers): (Handle, WasmList<u32>)| {
        cx.data().budget.afford(numbers.len().saturating_mul(4))?;
        let numbers = numbers.as_le_slice(&cx).iter().map(|number| u32::from_le(*number)).collect();
        pick(&mut cx, &batch, |rows| rows.take(numbers))
    })?;
    data.func_wrap("[method]batch.slice", |mut cx: Cx<'_>, (batch, offset, length): (Handle, u64, u64)| {
        pick(&mut cx, &batch, |rows| rows.slice(offset, length))
    })
}

fn pick(
    cx: &mut Cx<'_>,
    batch: &Handle,
    pick: impl FnOnce(&Rows) -> Result<Rows, crate::fault::Stop>,
) -> wasmtime::Result<(Handle,)> {
    let host = cx.data_mut();
    let picked = pick(host.handles.get_mut(batch.rep())?.input()?)?;
    Ok((Resource::new_own(host.hold(Held::Input(picked))?),))
}

fn derive(mut cx: Cx<'_>, batch: &Handle, port: u32, written: Written) -> wasmtime::Result<(Handle,)> {
    Ok((Resource::new_own(cx.data_mut().derive(batch.rep(), port, written)?),))
}

fn make(mut cx: Cx<'_>, port: u32, rows: u64, written: Written) -> wasmtime::Result<(Handle,)> {
    Ok((Resource::new_own(cx.data_mut().make(port, rows, written)?),))
}

/// Copies a guest's buffers, once, into aligned ones. The same memory may be named many times: the sum counts.
fn copy(cx: &mut Cx<'_>, arrays: &ArraysIn, types: Option<WasmList<u8>>) -> wasmtime::Result<Written> {
    let memory = arrays.buffers.iter().chain(&types).map(WasmList::len).fold(0, usize::saturating_add);
    cx.data().budget.afford(memory)?;
    let buffers = arrays.buffers.iter().map(|buffer| Buffer::from(buffer.as_le_slice(&*cx))).collect();
    let nodes = arrays.nodes.iter().copied().map(Node::from).collect();
    let types = types.map(|types| types.as_le_slice(&*cx).to_vec());
    Ok(Written { nodes, buffers, variadic_counts: arrays.variadic_counts.clone(), types, memory })
}

fn emit(mut cx: Cx<'_>, (port, batch): (u32, Handle)) -> wasmtime::Result<()> {
    let waiting = cx.data().clock.is_some().then(Instant::now);
    if let Some(clock) = &mut cx.data_mut().clock {
        clock.stop();
    }
    let outcome = cx.data_mut().emit(port, batch.rep());
    if waiting.is_some() {
        let ticks = cx.data_mut().clock.as_mut().map_or(1, |clock| clock.start());
        cx.set_epoch_deadline(ticks);
    }
    Ok(outcome?)
}

fn log(mut cx: Cx<'_>, (level, message): (Level, WasmStr)) -> wasmtime::Result<()> {
    let message = message.to_str(&cx)?.into_owned();
    cx.data_mut().log(level.name(), &message);
    Ok(())
}
