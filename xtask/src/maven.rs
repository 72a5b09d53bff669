//! Java libraries from Maven Central, kept below the target folder.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::process;
use crate::workspace::Workspace;

/// An artifact: its group, name and version.
pub type Artifact = (&'static str, &'static str, &'static str);

/// The folder with the classes of some artifacts and of all that these need, which Maven fetches once. `name` is that of the folder; it
/// names the versions.
///
/// # Errors
/// If Maven is missing, or finds one of them nowhere.
pub fn library(workspace: &Workspace, name: &str, artifacts: &[Artifact]) -> Result<PathBuf> {
    let folder = workspace.target.join("tools").join(name);
    let library = folder.join("lib");
    if library.is_dir() {
        return Ok(library);
    }
    eprintln!("setup: fetching {name} from Maven Central");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("pom.xml"), project(artifacts))?;
    let fetched = folder.join("fetched");
    let mut maven = Command::new("mvn");
    maven.current_dir(&folder).args(["-q", "-B", "dependency:copy-dependencies"]);
    process::run(maven.arg(format!("-DoutputDirectory={}", fetched.display())))?;
    fs::rename(&fetched, &library)?;
    Ok(library)
}

/// A project that depends on artifacts.
fn project(artifacts: &[Artifact]) -> String {
    let dependency = |(group, name, version): &Artifact| {
        format!(
            "<dependency><groupId>{group}</groupId><artifactId>{name}</artifactId><version>{version}</version></dependency>"
        )
    };
    let dependencies: String = artifacts.iter().map(dependency).collect();
    format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion><groupId>flowc</groupId>\
         <artifactId>tools</artifactId><version>1</version><dependencies>{dependencies}</dependencies></project>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_depends_on_all_artifacts() {
        let text = project(&[("a", "b", "1"), ("c", "d", "2")]);
        assert!(text.contains("<artifactId>b</artifactId><version>1</version>"), "{text}");
        assert_eq!(text.matches("<dependency>").count(), 2);
    }
}
