//! Every seed passes, and every target has some.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use flowc_fuzz::TARGETS;

#[test]
fn every_seed_of_every_target_passes() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    for target in TARGETS {
        let folder = seeds.join(target.name);
        let files: Vec<_> = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
        assert!(!files.is_empty(), "{} has no seeds", target.name);
        for file in files {
            eprintln!("{}", file.display());
            (target.run)(&fs::read(&file).unwrap());
        }
    }
}

#[test]
fn every_folder_of_seeds_has_a_target() {
    for folder in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds")).unwrap() {
        let name = folder.unwrap().file_name().into_string().unwrap();
        assert!(flowc_fuzz::target(&name).is_some(), "{name} is no target");
    }
}
