//! From the text of a pipeline and the environment to the settings of a client.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use object_store::ClientConfigKey;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};

use crate::bucket::Access;
use crate::error::ObjectError;
use crate::profile::Profile;

/// How long one request may take.
const TIMEOUT: (ClientConfigKey, &str) = (ClientConfigKey::Timeout, "120 seconds");
/// Connections without encryption are made only where the address says so.
const PLAIN: (ClientConfigKey, &str) = (ClientConfigKey::AllowHttp, "true");

/// How connections to a URL are made.
pub(super) fn options(url: &str) -> impl Iterator<Item = (ClientConfigKey, &'static str)> {
    [TIMEOUT].into_iter().chain(url.starts_with("http://").then_some(PLAIN))
}

fn is_said(builder: &AmazonS3Builder, key: AmazonS3ConfigKey) -> bool {
    builder.get_config_value(&key).is_some()
}

/// The service's URL; empty if it is the usual one.
pub(super) fn endpoint(builder: &AmazonS3Builder) -> String {
    let keys = [AmazonS3ConfigKey::S3Endpoint, AmazonS3ConfigKey::Endpoint];
    keys.iter().find_map(|key| builder.get_config_value(key)).unwrap_or_default()
}

pub(super) fn s3(access: &Access) -> Result<AmazonS3Builder, ObjectError> {
    use AmazonS3ConfigKey::{Client, DefaultRegion, Endpoint, Region, S3Endpoint, SkipSignature};
    let mut builder = AmazonS3Builder::from_env().with_bucket_name(&access.bucket);
    let profile = Profile::of_environment();
    if let Some(region) = &access.region {
        builder = builder.with_region(region);
    } else if let Some(region) =
        profile.get("region").filter(|_| std::env::var_os("AWS_REGION").is_none() && !is_said(&builder, DefaultRegion))
    {
        builder = builder.with_config(Region, region);
    }
    let of_profile =
        profile.get("endpoint_url").filter(|_| !is_said(&builder, Endpoint) && !is_said(&builder, S3Endpoint));
    if let Some(endpoint) = access.endpoint.as_deref().or(of_profile) {
        builder = builder.with_config(Endpoint, endpoint).with_config(S3Endpoint, endpoint);
    }
    for (key, value) in options(&endpoint(&builder)) {
        builder = builder.with_config(Client(key), value);
    }
    if access.anonymous || builder.get_config_value(&SkipSignature).is_some_and(|skip| skip == "true") {
        return Ok(builder.with_skip_signature(true));
    }
    with_credentials(builder, &profile)
}

/// The credentials of the environment, of the profile, or of the machine, in this order.
fn with_credentials(builder: AmazonS3Builder, profile: &Profile) -> Result<AmazonS3Builder, ObjectError> {
    use AmazonS3ConfigKey::{
        AccessKeyId, ContainerCredentialsFullUri, ContainerCredentialsRelativeUri, MetadataEndpoint,
        WebIdentityTokenFile,
    };
    let lenders = [AccessKeyId, WebIdentityTokenFile, ContainerCredentialsRelativeUri, ContainerCredentialsFullUri];
    if lenders.into_iter().any(|lender| is_said(&builder, lender)) {
        return Ok(builder);
    }
    if let (Some(id), Some(secret)) = (profile.get("aws_access_key_id"), profile.get("aws_secret_access_key")) {
        let builder = builder.with_access_key_id(id).with_secret_access_key(secret);
        return Ok(match profile.get("aws_session_token") {
            Some(token) => builder.with_token(token),
            None => builder,
        });
    }
    if is_said(&builder, MetadataEndpoint) || lends_credentials() {
        Ok(builder)
    } else {
        Err(ObjectError::NoCredentials)
    }
}

/// Whether this machine is one of Amazon's, which lend credentials at this address. Without the question each request would be
/// tried for a minute.
fn lends_credentials() -> bool {
    TcpStream::connect_timeout(&SocketAddr::from(([169, 254, 169, 254], 80)), Duration::from_secs(1)).is_ok()
}

pub(super) fn google(access: &Access) -> GoogleCloudStorageBuilder {
    let mut builder = GoogleCloudStorageBuilder::from_env().with_bucket_name(&access.bucket);
    if let Some(endpoint) = &access.endpoint {
        builder = builder.with_base_url(endpoint);
    }
    for (key, value) in options(access.endpoint.as_deref().unwrap_or_default()) {
        builder = builder.with_config(GoogleConfigKey::Client(key), value);
    }
    if access.anonymous { builder.with_skip_signature(true) } else { builder }
}

pub(super) fn azure(access: &Access) -> MicrosoftAzureBuilder {
    let mut builder = MicrosoftAzureBuilder::from_env().with_container_name(&access.bucket);
    if let Some(endpoint) = &access.endpoint {
        builder = builder.with_endpoint(endpoint.clone());
    }
    let endpoint = builder.get_config_value(&AzureConfigKey::Endpoint).unwrap_or_default();
    for (key, value) in options(&endpoint) {
        builder = builder.with_config(AzureConfigKey::Client(key), value);
    }
    if access.anonymous { builder.with_skip_signature(true) } else { builder }
}
