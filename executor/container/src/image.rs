//! Images that are made here, so that equal inputs give an equal image: an archive as `docker save` writes it, of files
//! without owners or times. Its name, with the digest of its config, is known before any engine is asked
//! (<https://github.com/moby/docker-image-spec>).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tar::{Builder, Header};

use crate::ContainerError;
use crate::base::BaseImage;
use crate::contents::Contents;
use crate::layer::{Layer, layer, sha256};
use crate::recipe::Recipe;

/// An image that was made.
pub(crate) struct Image {
    /// `flowc-image:…`, with the digest of its config: engines differ in what they call the id of an image, and don't remove
    /// one that has a name.
    pub(crate) name: String,
    /// What an engine loads, from its start.
    pub(crate) archive: File,
}

/// Makes an image. Its archive is written into `spool`.
///
/// # Errors
/// If a file can't be read or written, the base is damaged, or there is nothing to start.
pub(crate) fn build(
    recipe: &Recipe,
    contents: &Contents,
    mut base: Option<BaseImage>,
    spool: &Path,
) -> Result<Image, ContainerError> {
    let layer = layer(contents, spool)?;
    let config = config(recipe, base.as_ref().map(|base| &base.config), &layer.digest)?;
    let digest = sha256(Sha256::new_with_prefix(&config));
    let name = format!("flowc-image:{}", digest.trim_start_matches("sha256:"));
    let archive = archive(&name, &config, layer, base.as_mut(), spool);
    Ok(Image { name, archive: archive.map_err(ContainerError::io(spool))? })
}

/// What the image says of itself: what its base says, and the recipe on top.
fn config(recipe: &Recipe, base: Option<&Value>, layer: &str) -> Result<Vec<u8>, ContainerError> {
    let of_base = |name: &str| base.and_then(|base| base["config"].get(name)).filter(|value| !value.is_null()).cloned();
    let text = |pairs: &BTreeMap<String, String>| pairs.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>();
    let is_replaced = |line: &str| line.split_once('=').is_some_and(|(name, _)| recipe.env.contains_key(name));
    let inherited = of_base("Env").and_then(|env| serde_json::from_value::<Vec<String>>(env).ok()).unwrap_or_default();
    let env: Vec<_> = inherited.into_iter().filter(|line| !is_replaced(line)).chain(text(&recipe.env)).collect();
    let mut labels: BTreeMap<String, String> =
        of_base("Labels").and_then(|labels| serde_json::from_value(labels).ok()).unwrap_or_default();
    labels.extend(recipe.labels.clone());
    let entrypoint = recipe.entrypoint.as_ref().map(|list| json!(list)).or_else(|| of_base("Entrypoint"));
    // Arguments belong to the program that they were written for.
    let inherited = recipe.entrypoint.is_none().then(|| of_base("Cmd")).flatten();
    let command = recipe.command.as_ref().map(|list| json!(list)).or(inherited);
    if entrypoint.is_none() && command.is_none() {
        return Err(ContainerError::NoProgram { image: "made from the Containerfile".to_owned() });
    }
    let folder = recipe.folder.as_ref().map(|folder| json!(folder)).or_else(|| of_base("WorkingDir"));
    let layers = base.and_then(|base| base["rootfs"]["diff_ids"].as_array().cloned()).unwrap_or_default();
    let platform = |name: &str, own: &str| base.and_then(|base| base[name].as_str()).unwrap_or(own).to_owned();
    let config = json!({
        "architecture": platform("architecture", architecture()),
        "os": platform("os", "linux"),
        "created": "1970-01-01T00:00:00Z",
        "config": {"Env": env, "Entrypoint": entrypoint, "Cmd": command, "WorkingDir": folder, "Labels": labels},
        "rootfs": {"type": "layers", "diff_ids": layers.into_iter().chain([json!(layer)]).collect::<Vec<_>>()},
    });
    Ok(config.to_string().into_bytes())
}

/// The name that images have for this machine's processor.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn archive(
    name: &str,
    config: &[u8],
    layer: Layer,
    mut base: Option<&mut BaseImage>,
    spool: &Path,
) -> std::io::Result<File> {
    let mut archive = Builder::new(tempfile::tempfile_in(spool)?);
    let mut layers = Vec::new();
    let below: Vec<PathBuf> = base.as_ref().map_or_else(Vec::new, |base| base.layers.clone());
    for (number, path) in below.iter().enumerate() {
        let Some(base) = base.as_mut() else { break };
        let (file, length) = base.open(path).map_err(std::io::Error::other)?;
        let layer = format!("{number}.tar");
        append(&mut archive, &layer, length, file)?;
        layers.push(layer);
    }
    let Layer { mut file, size, .. } = layer;
    file.rewind()?;
    let own = format!("{}.tar", layers.len());
    append(&mut archive, &own, size, file)?;
    layers.push(own);
    append(&mut archive, "config.json", config.len() as u64, config)?;
    let manifest = json!([{"Config": "config.json", "RepoTags": [name], "Layers": layers}]).to_string();
    append(&mut archive, "manifest.json", manifest.len() as u64, manifest.as_bytes())?;
    let mut file = archive.into_inner()?;
    file.rewind()?;
    Ok(file)
}

fn append(archive: &mut Builder<File>, name: &str, size: u64, content: impl Read) -> std::io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(0);
    archive.append_data(&mut header, name, content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{project, reading};

    fn built(text: &str, files: &[&str], base: Option<BaseImage>) -> Image {
        let (folder, recipe) = (project(files), Recipe::parse(text).unwrap());
        let contents = reading(|reader| Contents::find(&recipe, folder.path(), reader)).unwrap();
        build(&recipe, &contents, base, &std::env::temp_dir()).unwrap()
    }

    const RECIPE: &str = "FROM scratch\nCOPY stage /stage\nENV MODE=fast\nENTRYPOINT [\"/stage\"]";

    #[test]
    fn equal_inputs_give_an_equal_image() {
        let [one, two] = [RECIPE, RECIPE].map(|recipe| built(recipe, &["stage", "unused"], None).name);
        assert_eq!(one, two);
        assert_ne!(built(&RECIPE.replace("fast", "slow"), &["stage"], None).name, one);
    }

    #[test]
    fn an_image_on_another_one_has_what_both_say() {
        let base = BaseImage::read(built(RECIPE, &["stage"], None).archive).unwrap();
        let pinned = format!("FROM sha256:{}", "0".repeat(64));
        let text = format!("{pinned}\nCOPY more /more\nENV MODE=slow EXTRA=1\nLABEL by=us");
        let image = BaseImage::read(built(&text, &["more"], Some(base)).archive).unwrap();
        assert_eq!(image.config["config"]["Env"], json!(["EXTRA=1", "MODE=slow"]));
        assert_eq!(image.config["config"]["Entrypoint"], json!(["/stage"]));
        assert_eq!(image.config["config"]["Labels"], json!({"by": "us"}));
        assert_eq!(image.layers.len(), 2);
        assert_eq!(image.config["rootfs"]["diff_ids"].as_array().map(Vec::len), Some(2));
    }

    #[test]
    fn an_image_without_a_program_is_refused() {
        let (folder, recipe) = (project(&["a"]), Recipe::parse("FROM scratch\nCOPY a /a").unwrap());
        let contents = reading(|reader| Contents::find(&recipe, folder.path(), reader)).unwrap();
        let error = build(&recipe, &contents, None, &std::env::temp_dir()).err().unwrap();
        assert!(error.to_string().contains("ENTRYPOINT"), "{error}");
    }
}
