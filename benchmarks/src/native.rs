//! The native peer of wordcount: one thread, line by line, the rule of `tokenize@1`, one map.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};

use anyhow::{Context, Result};

type Counts = HashMap<Box<str>, u64, foldhash::fast::FixedState>;

/// Counts the words of files, and writes them in order to the first argument as CSV.
pub(crate) fn run(output: &str, files: &[&str]) -> Result<()> {
    let mut counts = Counts::default();
    for file in files {
        count(BufReader::with_capacity(1 << 20, File::open(file).with_context(|| (*file).to_owned())?), &mut counts)?;
    }
    let mut sorted: Vec<_> = counts.into_iter().collect();
    sorted.sort_unstable();
    let mut file = BufWriter::new(File::create(output).with_context(|| output.to_owned())?);
    writeln!(file, "word,count")?;
    sorted.iter().try_for_each(|(word, count)| writeln!(file, "{word},{count}"))?;
    file.flush().context("the counts could not be written")
}

fn count(mut text: impl BufRead, counts: &mut Counts) -> Result<()> {
    let mut line = String::new();
    while text.read_line(&mut line)? > 0 {
        match line.is_ascii() {
            true => ascii(&mut line, counts),
            false => unicode(&line, counts),
        }
        line.clear();
    }
    Ok(())
}

fn ascii(line: &mut str, counts: &mut Counts) {
    line.make_ascii_lowercase();
    line.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).for_each(|word| add(word, counts));
}

fn unicode(line: &str, counts: &mut Counts) {
    for word in line.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        add(&word.chars().flat_map(char::to_lowercase).collect::<String>(), counts);
    }
}

fn add(word: &str, counts: &mut Counts) {
    match counts.get_mut(word) {
        Some(count) => *count += 1,
        None => drop(counts.insert(word.into(), 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_counted_in_lower_case() {
        let mut counts = Counts::default();
        count("The the, THE 42\nÜber über-alles\n".as_bytes(), &mut counts).unwrap();
        let mut counts: Vec<_> = counts.iter().map(|(word, count)| (&**word, *count)).collect();
        counts.sort_unstable();
        assert_eq!(counts, [("42", 1), ("alles", 1), ("the", 3), ("über", 2)]);
    }
}
