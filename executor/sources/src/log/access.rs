//! From the text of a pipeline to a cluster.

use std::path::Path;

use flowc_kafka::{Access, Login};
use flowc_planner::plan::{KafkaTopic, Sasl, SecretSource};
use flowc_platform::{secret_of_file, secret_of_variable};

use crate::error::SourceError;

/// How the cluster of a topic is reached. Paths start from `base`. This is where the password is looked up: nothing else holds
/// it.
pub(super) fn access(topic: &KafkaTopic, base: &Path) -> Result<Access, SourceError> {
    Ok(Access {
        brokers: topic.brokers.clone(),
        uncommitted: topic.uncommitted,
        login: topic.sasl.as_ref().map(|sasl| login(sasl, base)).transpose()?,
        encrypted: topic.tls.is_some(),
        authorities: topic.tls.as_ref().and_then(|tls| tls.ca.as_ref()).map(|path| base.join(path)),
    })
}

fn login(sasl: &Sasl, base: &Path) -> Result<Login, SourceError> {
    let value = match &sasl.password {
        SecretSource::Env(variable) => secret_of_variable(&sasl.secret, variable),
        SecretSource::File(path) => secret_of_file(path, &base.join(path)),
    };
    let missing = |reason| SourceError::Secret { secret: sasl.secret.clone(), reason };
    let password = value.map_err(missing)?.into();
    Ok(Login { mechanism: sasl.mechanism.name().to_ascii_uppercase(), user: sasl.user.clone(), password })
}
