//! Stages that write columns row by row, each as one entry of a list in the config says.

use flowc_sdk::prelude::*;

use crate::Mistakes;

/// What such a stage is. `describe` says of an entry what it reads and which column it writes; it is given the entry's number, and its
/// path in the config. What is wrong with any of them is told at once; a list that is empty is wrong, as `none` says.
///
/// # Errors
/// All mistakes, as one problem.
pub fn rewrites<T>(
    input: &Columns,
    (path, entries): (&str, &[T]),
    none: &str,
    mut describe: impl FnMut(usize, &str, &mut Mistakes) -> Result<(Vec<Column>, FieldRef)>,
) -> Result<Description> {
    let mut mistakes = Mistakes::new();
    let (mut reads, mut written) = (Vec::new(), Vec::new());
    if entries.is_empty() {
        mistakes.add(Problem::at(path, none));
    }
    for at in 0..entries.len() {
        let described = describe(at, &format!("{path}/{at}"), &mut mistakes);
        if let Some((columns, field)) = mistakes.take(described) {
            reads.extend(columns);
            written.push(field);
        }
    }
    mistakes.check()?;
    let output = Output::same(input).pass_all(&input.all()).write_all(written);
    Ok(Description::new([Input::new(Class::RowWise, &reads)], [output]))
}
