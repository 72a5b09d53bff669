//! Values of secrets, from where the user keeps them.

use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

/// Bytes that a value may have. What is longer is a file that was not meant.
const LONGEST: u64 = 64 << 10;

/// The value of a secret in a variable of flowc's environment, or why there is none.
///
/// # Errors
/// If the variable is not set, or holds no short text. The error holds nothing of the value.
pub fn secret_of_variable(secret: &str, variable: &str) -> Result<String, String> {
    let value = std::env::var_os(variable).ok_or_else(|| {
        format!(
            "set the environment variable {variable}, or say where else it is: \
             `secret \"{secret}\" env=\"…\"` or `secret \"{secret}\" file=\"…\"`"
        )
    })?;
    text(&format!("the environment variable {variable}"), value.into_vec())
}

/// The value of a secret in a file, without the end of its last line, or why there is none. `shown` is the path in messages.
///
/// # Errors
/// If the file can't be read, or holds no short text. The error holds nothing of the value.
pub fn secret_of_file(shown: &str, path: &Path) -> Result<String, String> {
    let bytes =
        read(path).map_err(|error| format!("{shown}: {error}; write its value there, or say where else it is"))?;
    text(shown, bytes)
}

fn text(place: &str, bytes: Vec<u8>) -> Result<String, String> {
    if bytes.len() as u64 > LONGEST {
        return Err(format!("{place} has more than {} KiB; a secret is a short text", LONGEST >> 10));
    }
    match String::from_utf8(bytes) {
        Ok(value) if value.is_empty() => Err(format!("{place} is empty; leave `secret` out if the stage needs none")),
        Ok(value) => Ok(value),
        Err(_) => Err(format!("{place} holds no UTF-8 text; encode it, for example in base64")),
    }
}

/// The bytes of a file, not many more than a value may have, without the end of its last line.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LONGEST + 2).read_to_end(&mut bytes)?;
    if bytes.ends_with(b"\n") {
        bytes.pop();
        if bytes.ends_with(b"\r") {
            bytes.pop();
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_file(content: &[u8]) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), content).unwrap();
        secret_of_file("token", &folder.path().join("token"))
    }

    #[test]
    fn a_file_is_a_value_but_for_the_end_of_its_last_line() {
        for content in ["ab cd", "ab cd\n", "ab cd\r\n"] {
            assert_eq!(of_file(content.as_bytes()).as_deref(), Ok("ab cd"));
        }
        assert_eq!(of_file(b"one\ntwo\n\n").as_deref(), Ok("one\ntwo\n"));
    }

    #[test]
    fn what_is_no_value_is_said_without_it() {
        let problem = |content: &[u8]| of_file(content).unwrap_err();
        assert!(problem(b"\n").contains("token is empty"));
        assert!(problem(b"ab\xff").contains("no UTF-8 text"));
        assert!(problem(&[b'a'; (64 << 10) + 1]).contains("more than 64 KiB"));
        assert_eq!(of_file(&[b'a'; 64 << 10]).map(|value| value.len()), Ok(64 << 10));
        let gone = secret_of_file("none", Path::new("/none")).unwrap_err();
        assert!(gone.starts_with("none: No such file"), "{gone}");
        let unset = secret_of_variable("TOKEN", "FLOWC_NO_SUCH").unwrap_err();
        assert!(unset.contains("set the environment variable FLOWC_NO_SUCH"), "{unset}");
    }
}
