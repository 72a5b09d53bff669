//! What rewriting a column of text costs without a boundary, part by part: the native peer of `one-column`.

use std::hint::black_box;

use anyhow::{Context, Result};
use arrow_array::{Array, StringArray};
use arrow_buffer::{Buffer, OffsetBuffer};

/// Rows of a batch, as text sources cut them.
const ROWS: usize = 8192;

/// A part of the work; its name is how the program is called with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// None: reading the text and cutting it into batches, which all of them do.
    Nothing,
    /// Copying the column into other memory and back.
    Copies,
    /// Looking whether offsets and text are valid.
    Validation,
    /// Writing the text in capitals, by the expression of the example stage.
    Kernel,
}

impl Part {
    pub(super) const ALL: [(Part, &str); 4] = [
        (Part::Nothing, "nothing"),
        (Part::Copies, "copies"),
        (Part::Validation, "validation"),
        (Part::Kernel, "kernel"),
    ];

    pub(super) fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(part, _)| *part == self).map_or("", |(_, name)| name)
    }
}

/// Does one part of the work to each batch of a text, so many times over.
pub(crate) fn run(part: &str, times: &str, file: &str) -> Result<()> {
    let known = Part::ALL.into_iter().find(|(_, name)| *name == part);
    let (part, _) = known.with_context(|| format!("`{part}` is no part"))?;
    let times: usize = times.parse().with_context(|| format!("`{times}` is no number"))?;
    let text = std::fs::read_to_string(file).with_context(|| file.to_owned())?;
    let lines: Vec<&str> = text.lines().collect();
    let batches: Vec<StringArray> = lines.chunks(ROWS).map(|lines| StringArray::from(lines.to_vec())).collect();
    for _ in 0..times {
        batches.iter().try_for_each(|batch| work(part, batch))?;
    }
    Ok(())
}

fn work(part: Part, batch: &StringArray) -> Result<()> {
    match part {
        Part::Nothing => {}
        Part::Copies => {
            for buffer in [batch.offsets().inner().inner(), batch.values()] {
                let there = black_box(Buffer::from(buffer.as_slice()));
                black_box(Buffer::from(there.as_slice()));
            }
        }
        Part::Validation => {
            let offsets = OffsetBuffer::new(batch.offsets().inner().clone());
            black_box(StringArray::try_new(offsets, batch.values().clone(), None)?);
        }
        Part::Kernel => {
            let capitals: StringArray = batch.iter().map(|text| text.map(str::to_uppercase)).collect();
            black_box(capitals.len());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_runs_over_a_text_and_nothing_else_is_a_part() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "a line\nönother\n").unwrap();
        let path = file.path().to_str().unwrap();
        for (part, name) in Part::ALL {
            assert_eq!(part.name(), name);
            run(name, "2", path).unwrap();
        }
        assert!(run("everything", "2", path).is_err() && run("kernel", "often", path).is_err());
    }
}
