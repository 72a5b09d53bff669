//! Text to measure with, made from the corpus: as much as is wanted, and no two pieces alike.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use xtask::workspace::Workspace;

/// Writes so many files of about so many bytes of real text each. The corpus is gone through again and again; a line
/// that numbers each of its files keeps a second pass from being the same content as the first.
pub(super) fn write(workspace: &Workspace, folder: &Path, files: usize, bytes: usize) -> Result<Vec<PathBuf>> {
    let corpus = corpus_files(&workspace.corpus())?;
    let mut texts = corpus.iter().cycle().enumerate();
    fs::create_dir_all(folder)?;
    let mut paths = Vec::new();
    for number in 0..files {
        let path = folder.join(format!("{number:05}.txt"));
        let mut file = BufWriter::new(File::create(&path).with_context(|| path.display().to_string())?);
        let mut written = 0;
        while written < bytes {
            let (piece, from) = texts.next().context("the corpus is empty")?;
            let text = fs::read(from).with_context(|| from.display().to_string())?;
            written += write_piece(&mut file, piece, &text, bytes - written)?;
        }
        file.flush()?;
        paths.push(path);
    }
    Ok(paths)
}

/// Words of the vocabulary of random text.
const WORDS: usize = 3000;

/// Writes so many files of about so many bytes of words that follow one another by chance, the same in every run.
pub(super) fn write_random(folder: &Path, files: usize, bytes: usize) -> Result<Vec<PathBuf>> {
    fs::create_dir_all(folder)?;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..files)
        .map(|number| {
            let path = folder.join(format!("{number:05}.txt"));
            fs::write(&path, random(&mut state, bytes)).with_context(|| path.display().to_string())?;
            Ok(path)
        })
        .collect()
}

/// Lines of ten words. The state is that of xorshift64.
fn random(state: &mut u64, bytes: usize) -> String {
    let mut text = String::with_capacity(bytes + 64);
    while text.len() < bytes {
        for place in 0..10 {
            *state ^= *state << 13;
            *state ^= *state >> 7;
            *state ^= *state << 17;
            let end = if place == 9 { '\n' } else { ' ' };
            text.push_str(&format!("w{}{end}", *state % WORDS as u64));
        }
    }
    text
}

/// Writes whole lines of a text, about as many bytes as there is room for; gives how many.
fn write_piece(file: &mut impl Write, piece: usize, text: &[u8], room: usize) -> Result<usize> {
    let head = format!("piece{piece}\n");
    let end = text.iter().enumerate().skip(room.saturating_sub(head.len())).find(|(_, byte)| **byte == b'\n');
    let text = &text[..end.map_or(text.len(), |(at, _)| at)];
    file.write_all(head.as_bytes())?;
    file.write_all(text)?;
    file.write_all(b"\n")?;
    Ok(head.len() + text.len() + 1)
}

/// All files of the corpus, sorted.
fn corpus_files(corpus: &Path) -> Result<Vec<PathBuf>> {
    let (mut found, mut folders) = (Vec::new(), vec![corpus.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            match path.is_dir() {
                true => folders.push(path),
                false if !hidden => found.push(path),
                false => {}
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_text_is_lines_of_known_words_and_no_two_files_are_alike() {
        let mut state = 1;
        let texts = [random(&mut state, 2000), random(&mut state, 2000)];
        assert_ne!(texts[0], texts[1]);
        let lines: Vec<&str> = texts[0].lines().collect();
        assert!(texts[0].len() >= 2000 && lines.iter().all(|line| line.split(' ').count() == 10));
    }

    #[test]
    fn a_piece_ends_with_a_line() {
        let mut written = Vec::new();
        let bytes = write_piece(&mut written, 7, b"one\ntwo\nthree", 10).unwrap();
        assert_eq!((bytes, written.as_slice()), (11, &b"piece7\none\n"[..]));
        let mut written = Vec::new();
        write_piece(&mut written, 7, b"one\ntwo", 100).unwrap();
        assert_eq!(written, b"piece7\none\ntwo\n");
    }
}
