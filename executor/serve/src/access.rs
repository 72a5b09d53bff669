//! Who may ask: those who have a token.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use tonic::Status;
use tonic::metadata::MetadataMap;

/// The header that has the token.
pub(crate) const AUTHORIZATION: &str = "authorization";
/// The fewest characters of a token: shorter ones can be guessed.
const SHORTEST: usize = 16;

/// How clients write a user and a password: some pad, and some do not.
const PAIR: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The tokens of those who may ask. Only their digests are kept.
#[derive(Clone)]
pub struct Tokens(Vec<blake3::Hash>);

/// Why there are no tokens.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    /// The file can't be read.
    #[error("the tokens can't be read from {}: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file has none.
    #[error("{0} holds no token: write one a line")]
    None(String),
    /// One is too short.
    #[error(
        "line {line} of {place} holds a token of fewer than {SHORTEST} characters, which can be guessed; `openssl rand -hex 32` makes one"
    )]
    Short {
        /// The line, from 1.
        line: usize,
        /// Where it is.
        place: String,
    },
}

impl Tokens {
    /// The tokens of a file: one a line; empty lines and those that begin with `#` are left out.
    ///
    /// # Errors
    /// If it can't be read, or holds none. The error holds nothing of the tokens.
    pub fn read(path: &Path) -> Result<Self, TokensError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| TokensError::File { path: path.to_owned(), source })?;
        Self::parse(&text, &path.display().to_string())
    }

    /// The tokens of a text, which comes from this place.
    ///
    /// # Errors
    /// As [`Tokens::read`].
    pub fn parse(text: &str, place: &str) -> Result<Self, TokensError> {
        let mut tokens = Vec::new();
        for (line, token) in (1..).zip(text.lines().map(str::trim)) {
            if token.is_empty() || token.starts_with('#') {
                continue;
            }
            if token.len() < SHORTEST {
                return Err(TokensError::Short { line, place: place.to_owned() });
            }
            tokens.push(blake3::hash(token.as_bytes()));
        }
        if tokens.is_empty() { Err(TokensError::None(place.to_owned())) } else { Ok(Self(tokens)) }
    }

    /// A new token, and the tokens with it alone.
    ///
    /// # Errors
    /// If the system gives no random bytes.
    pub fn generate() -> std::io::Result<(String, Self)> {
        let mut bytes = [0; 32];
        std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut bytes)?;
        let token = BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let tokens = Self(vec![blake3::hash(token.as_bytes())]);
        Ok((token, tokens))
    }

    /// Whether a token is one of these. It takes as long whether it is or not.
    fn has(&self, token: &str) -> bool {
        let hash = blake3::hash(token.as_bytes());
        self.0.iter().fold(false, |found, known| found | (*known == hash))
    }

    /// The token that a request shows: by itself, or as the password of whatever user.
    ///
    /// # Errors
    /// If it shows none of these.
    pub(crate) fn check(&self, metadata: &MetadataMap) -> Result<String, Status> {
        let Some(header) = metadata.get(AUTHORIZATION).and_then(|header| header.to_str().ok()) else {
            return Err(Status::unauthenticated(
                "this server asks for a token: send `authorization: Bearer TOKEN`, or the token as a password",
            ));
        };
        shown(header)
            .filter(|token| self.has(token))
            .ok_or_else(|| Status::unauthenticated("the token is not accepted"))
    }
}

/// The token of a header.
fn shown(header: &str) -> Option<String> {
    let (scheme, value) = header.split_once(' ')?;
    match scheme {
        _ if scheme.eq_ignore_ascii_case("bearer") => Some(value.trim().to_owned()),
        _ if scheme.eq_ignore_ascii_case("basic") => {
            let pair = String::from_utf8(PAIR.decode(value.trim()).ok()?).ok()?;
            Some(pair.split_once(':')?.1.to_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    fn checked(header: Option<&str>) -> Result<String, Status> {
        let mut metadata = MetadataMap::new();
        header.map(|header| metadata.insert(AUTHORIZATION, header.parse().unwrap()));
        Tokens::parse(&format!("# for the dashboards\n{TOKEN}\n\nanother-token-of-24-char\n"), "tokens")
            .unwrap()
            .check(&metadata)
    }

    #[test]
    fn a_token_is_shown_by_itself_or_as_a_password() {
        assert_eq!(checked(Some(&format!("Bearer {TOKEN}"))).unwrap(), TOKEN);
        assert_eq!(checked(Some("bearer another-token-of-24-char")).unwrap(), "another-token-of-24-char");
        let basic = PAIR.encode(format!("reader:{TOKEN}"));
        for basic in [basic.as_str(), basic.trim_end_matches('=')] {
            assert_eq!(checked(Some(&format!("Basic {basic}"))).unwrap(), TOKEN);
        }
        for wrong in
            ["Bearer ", "Bearer 0123456789abcdeg", "Basic !!", "Digest x", TOKEN, "Bearer # for the dashboards"]
        {
            let status = checked(Some(wrong)).unwrap_err();
            assert_eq!(status.code(), tonic::Code::Unauthenticated);
            assert!(!status.message().contains("0123"), "{status}");
        }
        assert!(checked(None).unwrap_err().message().contains("asks for a token"));
    }

    #[test]
    fn what_is_no_token_is_said_without_it() {
        let problem = |text: &str| Tokens::parse(text, "t.txt").err().unwrap().to_string();
        assert_eq!(problem("# none\n"), "t.txt holds no token: write one a line");
        let short = problem("\nsecret\n");
        assert!(short.starts_with("line 2 of t.txt") && !short.contains("secret"), "{short}");
        let (token, tokens) = Tokens::generate().unwrap();
        assert!(tokens.has(&token) && token.len() > 40 && !tokens.has("other"));
    }
}
