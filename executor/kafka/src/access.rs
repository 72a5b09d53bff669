//! From the text of a pipeline to a cluster.

use std::path::Path;

use flowc_planner::plan::{Sasl, SecretSource, Tls};
use flowc_platform::{secret_of_file, secret_of_variable};

use crate::cluster::{Access, Login};
use crate::error::ClusterError;

/// How a cluster is reached. Paths start from `base`. This is where the password is looked up: nothing else holds it.
///
/// # Errors
/// If there is no password.
pub fn access(brokers: &[String], sasl: Option<&Sasl>, tls: Option<&Tls>, base: &Path) -> Result<Access, ClusterError> {
    Ok(Access {
        brokers: brokers.to_vec(),
        uncommitted: false,
        login: sasl.map(|sasl| login(sasl, base)).transpose()?,
        encrypted: tls.is_some(),
        authorities: tls.and_then(|tls| tls.ca.as_ref()).map(|path| base.join(path)),
    })
}

fn login(sasl: &Sasl, base: &Path) -> Result<Login, ClusterError> {
    let value = match &sasl.password {
        SecretSource::Env(variable) => secret_of_variable(&sasl.secret, variable),
        SecretSource::File(path) => secret_of_file(path, &base.join(path)),
    };
    let missing = |reason| ClusterError::Secret { secret: sasl.secret.clone(), reason };
    let password = value.map_err(missing)?.into();
    Ok(Login { mechanism: sasl.mechanism.name().to_ascii_uppercase(), user: sasl.user.clone(), password })
}
