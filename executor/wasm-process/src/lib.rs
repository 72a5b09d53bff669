//! Components in processes of their own.
//!
//! [`WasmProcessRunner`] starts the running program again in a sandbox, as a [`ServedComponent`]: there the wasm runner executes
//! the component, behind the stage protocol. The program calls [`main`] first thing for that.
//!
//! What the sandbox adds: the machine code that the component is compiled to, and what runs it, can reach nothing of
//! flowc's process, even if one of them is broken.

mod runner;
mod served;

pub use runner::{ComponentKey, ComponentLauncher, RegisteredComponent, WasmProcessRunner};
pub use served::{ServedComponent, main};
