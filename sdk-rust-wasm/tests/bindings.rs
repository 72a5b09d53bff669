//! `src/bindings.rs` is what wit-bindgen makes of `wit/stage.wit`. `FLOWC_BLESS=1` rewrites it.
//!
//! It is kept, so that the generator is not compiled with every stage.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use wit_bindgen_core::wit_parser::Resolve;
use wit_bindgen_core::{Files, WorldGenerator};
use wit_bindgen_rust::{Opts, Ownership};

const HEAD: &str = "\
//! The component's imports and exports, generated from `wit/stage.wit`: see `tests/bindings.rs`.
#![allow(missing_docs, unreachable_pub, unused_imports, clippy::all, reason = \"generated code\")]

";

#[test]
fn the_bindings_are_those_of_the_contract() {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = crate_folder.join("src/bindings.rs");
    let expected = format!("{HEAD}{}", generated(&crate_folder.join("wit")));
    if std::env::var_os("FLOWC_BLESS").is_some() {
        std::fs::write(&path, &expected).unwrap();
        return;
    }
    let found = std::fs::read_to_string(&path).unwrap();
    assert!(
        found == expected,
        "the contract has changed: run `FLOWC_BLESS=1 cargo test --test bindings` in sdk-rust-wasm"
    );
}

fn generated(wit: &Path) -> String {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(wit).unwrap();
    let world = resolve.select_world(&[package], Some("component")).unwrap();
    let options = Opts {
        format: true,
        ownership: Ownership::Borrowing { duplicate_if_necessary: true },
        runtime_path: Some("wit_bindgen::rt".to_owned()),
        pub_export_macro: true,
        export_macro_name: Some("export_component".to_owned()),
        default_bindings_module: Some("flowc_sdk::bindings".to_owned()),
        ..Opts::default()
    };
    let mut files = Files::default();
    options.build().generate(&mut resolve, world, &mut files).unwrap();
    let (_, source) = files.iter().next().unwrap();
    String::from_utf8(source.to_vec()).unwrap()
}
