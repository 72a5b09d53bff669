//! What a file may begin with that is no text of it: byte order marks, and the marks of compressed files.

use crate::error::SourceError;
use crate::files::view::View;

/// UTF-8's byte order mark, which some editors write before the first record.
const BOM: &[u8] = b"\xEF\xBB\xBF";

/// Bytes that tell any of the marks that a file of text may begin with, or must not.
const LONGEST_MARK: u64 = 4;

/// Bytes of a byte order mark at the start of a file. The marks of UTF-16 and of compressed files are errors.
pub(crate) fn bom_length(view: &View) -> Result<u64, SourceError> {
    let head = view.read(0, view.length().min(LONGEST_MARK))?;
    skip_bom(view.name(), &head).map(|rest| (head.len() - rest.len()) as u64)
}

/// What compressed files begin with.
const MAGIC: [(&[u8], &str, &str); 2] = [(b"\x1F\x8B", "gzip", ".gz"), (b"\x28\xB5\x2F\xFD", "zstd", ".zst")];

/// The bytes after a byte order mark.
pub(crate) fn skip_bom<'a>(file: &str, bytes: &'a [u8]) -> Result<&'a [u8], SourceError> {
    if bytes.starts_with(b"\xFF\xFE") || bytes.starts_with(b"\xFE\xFF") {
        return Err(SourceError::Utf16 { file: file.to_owned() });
    }
    if let Some(&(_, compression, ending)) = MAGIC.iter().find(|(magic, ..)| bytes.starts_with(magic)) {
        return Err(SourceError::Compressed { file: file.to_owned(), compression, ending });
    }
    Ok(bytes.strip_prefix(BOM).unwrap_or(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compressed_bytes_are_no_text() {
        let error = skip_bom("a.csv", &crate::testing::gzip(b"a\n1\n")).unwrap_err().to_string();
        assert_eq!(
            error,
            "a.csv: it is compressed with gzip; name it with the ending .gz, or say `compression \"gzip\"`"
        );
        assert!(skip_bom("a.csv", b"\x28\xB5\x2F\xFD\0").unwrap_err().to_string().contains("ending .zst"));
        assert_eq!(skip_bom("a.csv", b"\xEF\xBB\xBFa").unwrap(), b"a");
    }
}
