//! What a pipeline gives, as flowc says it.

use super::project::Project;

/// The digests of what a run writes.
pub(crate) fn outputs(project: &Project) -> serde_json::Value {
    let output = project.flowc(&["run", "--json"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let last = String::from_utf8_lossy(&output.stdout).lines().last().unwrap().to_owned();
    let event: serde_json::Value = serde_json::from_str(&last).unwrap();
    event["outputs"].clone()
}

/// The plan's text.
pub(crate) fn plan(project: &Project) -> String {
    let plan = project.flowc(&["plan"]).output().unwrap();
    assert!(plan.status.success(), "{}", String::from_utf8_lossy(&plan.stderr));
    String::from_utf8_lossy(&plan.stdout).into_owned()
}

/// How many units the plan has.
pub(crate) fn units(project: &Project) -> usize {
    plan(project).matches("\nunit ").count()
}
