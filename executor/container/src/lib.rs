//! The runner for stages in containers.
//!
//! An image is made from a folder with a `Containerfile` ([`ImageFolder`]), or known by a reference. An engine runs it
//! ([`Engines`]) as a container that can reach nothing but its own files and a socket, behind the stage protocol ([`ContainerRunner`]).
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod base;
mod container;
mod contents;
mod engine;
mod engines;
mod error;
mod files;
mod folder;
mod image;
mod kind;
mod layer;
mod owner;
mod recipe;
mod runner;
#[cfg(test)]
mod testing;

pub use engines::{Engines, engine};
pub use error::ContainerError;
pub use folder::ImageFolder;
pub use recipe::{Base, CopyStep, Recipe, RecipeError, is_pinned};
pub use runner::{ContainerKey, ContainerRunner, ImageLauncher, ImageSource, Launch};
