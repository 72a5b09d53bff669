//! The component's imports and exports, generated from `wit/stage.wit`.
#![allow(missing_docs, unreachable_pub, clippy::all, reason = "generated code")]

wit_bindgen::generate!({
    path: "wit",
    world: "component",
    ownership: Borrowing { duplicate_if_necessary: true },
    pub_export_macro: true,
    export_macro_name: "export_component",
    default_bindings_module: "flowc_sdk::bindings",
});
