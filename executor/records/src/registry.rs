//! A schema registry that speaks Confluent's protocol: Confluent's own, Apicurio's, Karapace, Redpanda's.

use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flowc_planner::plan::{Registry, RegistryLogin, SecretSource, SubjectVersion};
use flowc_platform::{secret_of_file, secret_of_variable};
use serde_json::{Value, json};
use zeroize::Zeroizing;

/// How long a registry may take for an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// The media type of requests and answers.
const MEDIA_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// Why a registry gave no schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// Nobody answers.
    #[error(
        "the schema registry {url} does not answer: {reason}; check the address, and that it can be reached from here"
    )]
    Unreachable {
        /// The address of the registry.
        url: String,
        /// What the system says.
        reason: String,
    },
    /// The login is wrong.
    #[error("the schema registry {url} refuses the login ({status}); check `user` and `secret`")]
    Login {
        /// The address of the registry.
        url: String,
        /// The status of the answer.
        status: u16,
    },
    /// It does not have what was asked for.
    #[error("the schema registry {url} has no {what}")]
    Missing {
        /// The address of the registry.
        url: String,
        /// What was asked for.
        what: String,
    },
    /// It refuses to take a schema.
    #[error("the schema registry {url} does not take the schema under the subject `{subject}`: {reason}")]
    Incompatible {
        /// The address of the registry.
        url: String,
        /// The subject.
        subject: String,
        /// What it says.
        reason: String,
    },
    /// It answers something else.
    #[error("the schema registry {url} answers {answer}")]
    Unexpected {
        /// The address of the registry.
        url: String,
        /// The status or what is odd about the answer.
        answer: String,
    },
    /// The password can't be had.
    #[error("the secret `{secret}` is missing: {reason}")]
    Secret {
        /// Its name.
        secret: String,
        /// Why, and what to do.
        reason: String,
    },
}

/// A schema under a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// Its id, by which records name it.
    pub id: u32,
    /// Its text.
    pub schema: String,
}

/// Asks one registry.
pub struct RegistryClient {
    url: String,
    subject: String,
    version: Option<SubjectVersion>,
    authorization: Option<Zeroizing<String>>,
    agent: ureq::Agent,
}

impl RegistryClient {
    /// Asks nobody yet. Paths start from `base`. This is where the password is looked up: nothing else holds it.
    ///
    /// # Errors
    /// If there is no password.
    pub fn new(registry: &Registry, base: &Path) -> Result<Self, RegistryError> {
        let authorization = registry.login.as_ref().map(|login| authorization(login, base)).transpose()?;
        let config = ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).http_status_as_error(false).build();
        let (url, subject) = (registry.url.clone(), registry.subject.clone());
        Ok(Self { url, subject, version: registry.version, authorization, agent: config.into() })
    }

    /// The schema of the subject, of the version that the text names or of the newest one.
    ///
    /// # Errors
    /// If the registry does not answer, or has no such subject or version.
    pub fn of_subject(&self) -> Result<Registered, RegistryError> {
        let version = match self.version {
            Some(SubjectVersion::Number(number)) => number.to_string(),
            _ => "latest".to_owned(),
        };
        let path = format!("/subjects/{}/versions/{version}", escaped(&self.subject));
        let answer = self.get(&path, || format!("version {version} of the subject `{}`", self.subject))?;
        Ok(Registered { id: self.id_of(&answer)?, schema: self.text_of(&answer)? })
    }

    /// The schema of an id.
    ///
    /// # Errors
    /// If the registry does not answer, or has no such id.
    pub fn by_id(&self, id: u32) -> Result<String, RegistryError> {
        let answer = self.get(&format!("/schemas/ids/{id}"), || format!("schema with the id {id}"))?;
        self.avro_of(&answer)
    }

    /// Puts a schema of Avro under the subject, which it may have already. Gives its id.
    ///
    /// # Errors
    /// If the registry does not answer, or finds the schema incompatible with earlier ones.
    pub fn register(&self, schema: &str) -> Result<u32, RegistryError> {
        let path = format!("{}/subjects/{}/versions", self.url, escaped(&self.subject));
        let request = self.agent.post(&path).header("content-type", MEDIA_TYPE).header("accept", MEDIA_TYPE);
        let request = match &self.authorization {
            Some(authorization) => request.header("authorization", authorization.as_str()),
            None => request,
        };
        let body = json!({ "schema": schema }).to_string();
        let (status, answer) = self.answer(request.send(body.as_bytes()))?;
        match status {
            200 => self.id_of(&answer),
            409 | 422 => {
                let (url, subject) = (self.url.clone(), self.subject.clone());
                Err(RegistryError::Incompatible { url, subject, reason: message(&answer) })
            }
            _ => Err(self.refusal(status, &answer, || format!("subject `{}`", self.subject))),
        }
    }

    fn get(&self, path: &str, what: impl Fn() -> String) -> Result<Value, RegistryError> {
        let request = self.agent.get(format!("{}{path}", self.url)).header("accept", MEDIA_TYPE);
        let request = match &self.authorization {
            Some(authorization) => request.header("authorization", authorization.as_str()),
            None => request,
        };
        match self.answer(request.call())? {
            (200, answer) => Ok(answer),
            (status, answer) => Err(self.refusal(status, &answer, what)),
        }
    }

    /// Status and body of an answer. A body that is no JSON is null.
    fn answer(
        &self,
        sent: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<(u16, Value), RegistryError> {
        let unreachable =
            |error: ureq::Error| RegistryError::Unreachable { url: self.url.clone(), reason: error.to_string() };
        let mut response = sent.map_err(unreachable)?;
        let bytes = response.body_mut().read_to_vec().map_err(unreachable)?;
        Ok((response.status().as_u16(), serde_json::from_slice(&bytes).unwrap_or_default()))
    }

    fn refusal(&self, status: u16, answer: &Value, what: impl Fn() -> String) -> RegistryError {
        let url = self.url.clone();
        // Other servers answer 404 as well: a registry says why.
        let is_registry = answer.get("error_code").is_some();
        match status {
            401 | 403 => RegistryError::Login { url, status },
            404 if is_registry => RegistryError::Missing { url, what: what() },
            _ => {
                let said = message(answer);
                let answer = if said.is_empty() { status.to_string() } else { format!("{status}: {said}") };
                RegistryError::Unexpected { url, answer }
            }
        }
    }

    fn id_of(&self, answer: &Value) -> Result<u32, RegistryError> {
        let id = answer.get("id").and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok());
        id.ok_or_else(|| self.unexpected("without an id"))
    }

    fn avro_of(&self, answer: &Value) -> Result<String, RegistryError> {
        match answer.get("schemaType").and_then(Value::as_str) {
            None | Some("AVRO") => {}
            Some(other) => {
                return Err(self.unexpected(&format!("with a schema of {other}, where one of AVRO is expected")));
            }
        }
        if answer.get("references").and_then(Value::as_array).is_some_and(|references| !references.is_empty()) {
            let reason = "with a schema that refers to schemas of other subjects, which flowc does not read; register it as one \
                          schema, with the others written out";
            return Err(self.unexpected(reason));
        }
        self.text_of(answer)
    }

    fn text_of(&self, answer: &Value) -> Result<String, RegistryError> {
        let text = answer.get("schema").and_then(Value::as_str);
        text.map(str::to_owned).ok_or_else(|| self.unexpected("without a schema"))
    }

    fn unexpected(&self, answer: &str) -> RegistryError {
        RegistryError::Unexpected { url: self.url.clone(), answer: answer.to_owned() }
    }

    /// The newest schema of the subject, which has to be one of Avro.
    ///
    /// # Errors
    /// As [`RegistryClient::of_subject`], or if it is of another kind.
    pub fn avro_of_subject(&self) -> Result<Registered, RegistryError> {
        let registered = self.of_subject()?;
        // The answer to an id says more.
        let schema = self.by_id(registered.id)?;
        Ok(Registered { schema, ..registered })
    }
}

fn message(answer: &Value) -> String {
    answer.get("message").and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn authorization(login: &RegistryLogin, base: &Path) -> Result<Zeroizing<String>, RegistryError> {
    let value = match &login.password {
        SecretSource::Env(variable) => secret_of_variable(&login.secret, variable),
        SecretSource::File(path) => secret_of_file(path, &base.join(path)),
    };
    let missing = |reason| RegistryError::Secret { secret: login.secret.clone(), reason };
    let password = Zeroizing::new(value.map_err(missing)?);
    let plain = Zeroizing::new(format!("{}:{}", login.user, password.as_str()));
    Ok(Zeroizing::new(format!("Basic {}", STANDARD.encode(plain.as_bytes()))))
}

/// A subject as a part of a path.
fn escaped(subject: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    subject.bytes().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_escaped_in_paths() {
        assert_eq!(escaped("bids-value"), "bids-value");
        assert_eq!(escaped("a/b é"), "a%2Fb%20%C3%A9");
    }
}
