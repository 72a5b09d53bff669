//! Why an object can't be read or written: the reason and what to do.

use std::error::Error as _;

/// What went wrong between flowc and a service. No variant holds credentials, or a URL with a query.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// The service has no such object.
    #[error("there is no such object")]
    NoObject,
    /// The service has no such bucket.
    #[error("there is no such bucket ({reason}); check its name, and `region` and `endpoint`")]
    NoBucket {
        /// What the service says.
        reason: String,
    },
    /// The credentials do not allow it.
    #[error(
        "permission denied ({reason}); grant these credentials to list the bucket and to read its objects, for sinks also to write and delete them"
    )]
    Denied {
        /// What the service says.
        reason: String,
    },
    /// The service does not know the credentials.
    #[error("the service refuses the credentials ({reason}); check the variables or the profile that they come from")]
    Refused {
        /// What the service says.
        reason: String,
    },
    /// The credentials have expired.
    #[error("the credentials have expired ({reason}); get new ones and run again: what was read so far is kept")]
    Expired {
        /// What the service says.
        reason: String,
    },
    /// There are no credentials.
    #[error(
        "there are no credentials: set their variables (for S3 AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; for Google \
         GOOGLE_APPLICATION_CREDENTIALS; for Azure AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY), or say \
         `anonymous=#true` for a public bucket"
    )]
    NoCredentials,
    /// The bucket is in another region.
    #[error("the bucket is in another region{}; say it in `region` or AWS_REGION", found.as_ref().map(|found| format!(", {found}")).unwrap_or_default())]
    Region {
        /// The region, if the service tells it.
        found: Option<String>,
    },
    /// The object is not the one that was found.
    #[error("it was written again or deleted")]
    Changed,
    /// The service does not cope.
    #[error(
        "the service was too busy or failed for {seconds} s ({reason}); run again later: what was read so far is kept"
    )]
    Busy {
        /// How long it was tried.
        seconds: u64,
        /// What the service says.
        reason: String,
    },
    /// No service answers.
    #[error("no answer ({reason}); check the address, `endpoint` and the network")]
    Unreachable {
        /// What the system says.
        reason: String,
    },
    /// The service does not give parts of objects.
    #[error("the server gives no ranges of bytes")]
    NoRanges,
    /// The service does not take objects in parts.
    #[error("web servers take an object in one request, and this one is too large for that; write to an object store")]
    NoParts,
    /// The service writes under no condition.
    #[error(
        "the service can't write under a condition ({reason}), so that runs could destroy what others write; use another service"
    )]
    NoConditions {
        /// What the service says.
        reason: String,
    },
    /// Anything else.
    #[error("{reason}")]
    Other {
        /// What the service says.
        reason: String,
    },
}

/// Where machines of the services lend credentials; they are asked where there are no others.
const LENDERS: [&str; 2] = ["//169.254.169.254", "//metadata"];

impl ObjectError {
    /// Whether what asks for the object may be right: the network, the service or the credentials fail, and may not fail later.
    pub fn is_of_machine(&self) -> bool {
        match self {
            Self::Denied { .. } | Self::Refused { .. } | Self::Expired { .. } | Self::NoCredentials => true,
            Self::Changed | Self::Busy { .. } | Self::Unreachable { .. } => true,
            Self::NoObject | Self::NoBucket { .. } | Self::Region { .. } | Self::NoRanges => false,
            Self::NoParts | Self::NoConditions { .. } | Self::Other { .. } => false,
        }
    }

    /// What an error of the client means. `seconds`: for how long requests are tried again.
    pub(crate) fn of(error: &object_store::Error, seconds: u64) -> Self {
        let answer = Answer::of(error);
        let reason = answer.reason();
        let is_nameless = answer.text.contains("Account must be specified");
        if is_nameless || LENDERS.iter().any(|lender| answer.text.contains(lender)) {
            return Self::NoCredentials;
        }
        match (answer.status, answer.code.as_deref().unwrap_or_default()) {
            (_, "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired") => Self::Expired { reason },
            (_, "NoSuchBucket" | "ContainerNotFound" | "InvalidBucketName") => Self::NoBucket { reason },
            (_, "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidToken" | "AuthenticationFailed") => {
                Self::Refused { reason }
            }
            (_, "AuthorizationHeaderMalformed" | "PermanentRedirect" | "IllegalLocationConstraintException")
            | (Some(301 | 307), _) => Self::Region { found: answer.region },
            (_, "NoSuchUpload" | "InvalidBlockList" | "BlobAlreadyExists" | "ConditionNotMet")
            | (_, "ConditionalRequestConflict") => Self::Changed,
            (Some(501), _) | (_, "NotImplemented") => Self::NoConditions { reason },
            (Some(404), _) => Self::NoObject,
            (Some(409 | 412), _) => Self::Changed,
            (Some(401), _) => Self::Refused { reason },
            (Some(403), _) => Self::Denied { reason },
            (Some(429 | 500..), _) | (_, "SlowDown" | "InternalError") => Self::Busy { seconds, reason },
            _ if answer.text.contains("Received redirect without LOCATION") => Self::Region { found: None },
            _ if answer.text.contains("Received non-partial response")
                || answer.text.contains("Range request not supported") =>
            {
                Self::NoRanges
            }
            (None, _) if answer.is_transport => Self::Unreachable { reason },
            _ => Self::Other { reason },
        }
    }
}

/// What a service said, taken from the text of an error: the client's own type for it is private. The text itself is not shown,
/// because it holds URLs.
struct Answer {
    text: String,
    status: Option<u16>,
    status_words: Option<String>,
    code: Option<String>,
    message: Option<String>,
    region: Option<String>,
    is_transport: bool,
    innermost: String,
}

impl Answer {
    fn of(error: &object_store::Error) -> Self {
        let (mut text, mut innermost) = (error.to_string(), error.to_string());
        let (mut next, mut depth) = (error.source(), 0);
        while let Some(inner) = next {
            innermost = inner.to_string();
            text.push('\n');
            text.push_str(&innermost);
            (next, depth) = (inner.source(), depth + 1);
        }
        let status_words = text
            .split_once("status code: ")
            .map(|(_, rest)| rest.split([':', '\n']).next().unwrap_or_default().trim().to_owned());
        let status = status_words.as_deref().and_then(|words| words.get(..3)?.parse().ok());
        let element = |name: &str| {
            let (_, rest) = text.split_once(&format!("<{name}>"))?;
            Some(rest.split_once(&format!("</{name}>"))?.0.trim().to_owned())
        };
        let (code, message, region) = (element("Code"), element("Message"), element("Region"));
        // Azure adds lines with the number of the request.
        let message = message.and_then(|message| message.lines().next().map(str::to_owned));
        Self { status, status_words, code, message, region, is_transport: depth > 2, innermost, text }
    }

    fn reason(&self) -> String {
        let said: Vec<&str> =
            [&self.status_words, &self.code, &self.message].into_iter().filter_map(Option::as_deref).collect();
        if said.is_empty() { without_url(&self.innermost) } else { said.join(", ") }
    }
}

/// A text without what may be a URL with a query.
fn without_url(text: &str) -> String {
    let words = text.split_whitespace().filter(|word| !word.contains("://"));
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: &str, body: &str) -> ObjectError {
        let text = format!(
            "Error performing GET http://x/?X-Amz-Signature=secret in 1s - Server returned non-2xx status code: {status}: {body}"
        );
        let source: Box<dyn std::error::Error + Send + Sync> = text.into();
        let error = object_store::Error::Generic { store: "S3", source };
        ObjectError::of(&error, 60)
    }

    #[test]
    fn what_a_service_says_is_understood() {
        let code = |code: &str| format!("<Error><Code>{code}</Code><Message>m</Message><Region>eu-1</Region></Error>");
        let reason = |text: &str| text.to_owned();
        assert_eq!(of("404 Not Found", ""), ObjectError::NoObject);
        assert_eq!(
            of("404 Not Found", &code("NoSuchBucket")),
            ObjectError::NoBucket { reason: reason("404 Not Found, NoSuchBucket, m") }
        );
        assert_eq!(
            of("403 Forbidden", &code("AccessDenied")),
            ObjectError::Denied { reason: reason("403 Forbidden, AccessDenied, m") }
        );
        assert_eq!(
            of("400 Bad Request", &code("ExpiredToken")),
            ObjectError::Expired { reason: reason("400 Bad Request, ExpiredToken, m") }
        );
        assert!(matches!(of("403 Forbidden", &code("InvalidAccessKeyId")), ObjectError::Refused { .. }));
        assert_eq!(
            of("400 Bad Request", &code("AuthorizationHeaderMalformed")),
            ObjectError::Region { found: Some(reason("eu-1")) }
        );
        assert_eq!(of("412 Precondition Failed", ""), ObjectError::Changed);
        assert!(matches!(of("503 Slow Down", &code("SlowDown")), ObjectError::Busy { seconds: 60, .. }));
        assert!(matches!(of("418 Teapot", ""), ObjectError::Other { reason } if reason == "418 Teapot"));
    }

    #[test]
    fn a_machine_that_lends_no_credentials_means_that_there_are_none() {
        let text = "Error performing PUT http://169.254.169.254/latest/api/token in 1s - Server returned non-2xx status code: 403";
        let error = object_store::Error::Generic { store: "S3", source: text.into() };
        assert_eq!(ObjectError::of(&error, 60), ObjectError::NoCredentials);
    }

    #[test]
    fn no_message_holds_a_url() {
        for status in ["404 Not Found", "403 Forbidden", "503 Busy", "418 Teapot"] {
            assert!(!of(status, "").to_string().contains("secret"));
        }
        assert_eq!(without_url("cannot get https://host/?sig=secret now"), "cannot get now");
    }
}
