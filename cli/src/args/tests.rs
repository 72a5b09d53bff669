//! Tests of what can be typed.

use clap::CommandFactory;

use super::*;

#[test]
fn the_command_line_is_well_formed() {
    Args::command().debug_assert();
}

#[test]
fn examples_fit_a_terminal() {
    fn check(command: &clap::Command) {
        let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let long: Vec<&str> = examples.lines().filter(|line| line.chars().count() > 80).collect();
        assert!(long.is_empty(), "{}: {long:?}", command.get_name());
        command.get_subcommands().for_each(check);
    }
    check(&Args::command());
}

#[test]
fn rows_are_a_number_or_all() {
    assert_eq!(parse_rows("7"), Ok(7));
    assert_eq!(parse_rows("all"), Ok(u64::MAX));
    assert!(parse_rows("-1").is_err() && parse_rows("most").is_err());
}
