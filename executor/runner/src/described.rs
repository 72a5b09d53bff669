//! What holds of every stage's own words, whatever it runs in.

use flowc_planner::catalogue::Problem;

/// A stage that describes itself wrongly: its author is to blame, not the pipeline's.
pub fn misdescribed(what: impl std::fmt::Display) -> Problem {
    Problem::new(format!("the stage describes itself wrongly: {what}"))
        .with_help("this is a fault in the stage's code: tell its author")
}

/// Whether a stage's ports have names, each its own, and one of them is an output.
///
/// # Errors
/// What is wrong with them.
pub fn check_ports(inputs: &[String], outputs: &[String]) -> Result<(), Problem> {
    check_names("input", inputs)?;
    check_names("output", outputs)?;
    if outputs.is_empty() { Err(misdescribed("it has no output port")) } else { Ok(()) }
}

fn check_names(what: &str, names: &[String]) -> Result<(), Problem> {
    for (i, name) in names.iter().enumerate() {
        if name.is_empty() {
            return Err(misdescribed(format!("{what} port {i} has no name")));
        }
        if names[..i].contains(name) {
            return Err(misdescribed(format!("two {what} ports are named `{name}`")));
        }
    }
    Ok(())
}
