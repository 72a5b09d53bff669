//! A bucket behind `object_store`.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::http::HttpBuilder;
use object_store::path::Path;
use object_store::{
    BackoffConfig, ClientConfigKey, GetOptions, GetRange, GetResult, ObjectMeta, ObjectStore, ObjectStoreExt,
    RetryConfig,
};
use tokio::runtime::Runtime;

use crate::bucket::{Access, Bucket, Object, Service, Take};
use crate::error::ObjectError;
use crate::profile::Profile;

/// How many ranges of an object are read at once.
const AT_ONCE: usize = 4;
/// How long one request may take.
const TIMEOUT: (ClientConfigKey, &str) = (ClientConfigKey::Timeout, "120 seconds");
/// Connections without encryption are made only where the address says so.
const PLAIN: (ClientConfigKey, &str) = (ClientConfigKey::AllowHttp, "true");

/// A bucket of a service.
pub struct Client {
    store: Arc<dyn ObjectStore>,
    service: Service,
    place: String,
    patience: Duration,
}

impl Client {
    /// Opens a bucket with the credentials of the environment. Nothing is asked yet, except whether this machine lends
    /// credentials where there are no others.
    ///
    /// # Errors
    /// If there are no credentials, or settings in the environment make no sense.
    pub fn open(access: &Access) -> Result<Self, ObjectError> {
        let backoff = BackoffConfig { max_backoff: Duration::from_secs(5), ..BackoffConfig::default() };
        let retry = RetryConfig { backoff, max_retries: usize::MAX, retry_timeout: access.patience };
        let mut place = access.endpoint.clone().unwrap_or_default();
        let opened: Result<Arc<dyn ObjectStore>, _> = match access.service {
            Service::S3 => {
                let builder = s3(access)?;
                place = endpoint(&builder);
                builder.with_retry(retry).build().map(|store| Arc::new(store) as _)
            }
            Service::Google => google(access).with_retry(retry).build().map(|store| Arc::new(store) as _),
            Service::Azure => {
                let builder = azure(access);
                let said = |key| builder.get_config_value(&key).unwrap_or_default();
                place = format!("{} {}", said(AzureConfigKey::AccountName), said(AzureConfigKey::Endpoint));
                builder.with_retry(retry).build().map(|store| Arc::new(store) as _)
            }
            Service::Web => {
                let builder = HttpBuilder::new().with_url(&access.bucket);
                let builder =
                    options(&access.bucket).fold(builder, |builder, (key, value)| builder.with_config(key, value));
                builder.with_retry(retry).build().map(|store| Arc::new(store) as _)
            }
        };
        let seconds = access.patience.as_secs();
        let store = opened.map_err(|error| ObjectError::of(&error, seconds))?;
        Ok(Self { store, service: access.service, place, patience: access.patience })
    }

    fn failed(&self, error: &object_store::Error) -> ObjectError {
        ObjectError::of(error, self.patience.as_secs())
    }

    /// A key as the client takes it. Web addresses are percent-encoded already.
    fn path(&self, key: &str) -> Result<Path, ObjectError> {
        let path = match self.service {
            Service::Web => Path::from_url_path(key),
            _ => Path::parse(key),
        };
        path.map_err(|error| ObjectError::Other { reason: error.to_string() })
    }

    async fn get(&self, object: &Object, range: Option<Range<u64>>) -> Result<GetResult, ObjectError> {
        let path = self.path(&object.key)?;
        // A weak tag matches nothing in a condition.
        let etag = object.strong_tag().map(str::to_owned);
        let version = object.version.clone().filter(|_| object.etag.is_none());
        let range = range.map(GetRange::Bounded);
        let options = GetOptions { if_match: etag, version, range, ..GetOptions::default() };
        match self.store.get_opts(&path, options).await {
            Ok(result) if !is_same(object, &of_meta(&result.meta)) => Err(ObjectError::Changed),
            Ok(result) => Ok(result),
            Err(error) => match self.failed(&error) {
                ObjectError::NoObject => Err(ObjectError::Changed),
                other => Err(other),
            },
        }
    }

    async fn get_range(&self, object: &Object, range: Range<u64>) -> Result<(u64, Bytes), ObjectError> {
        let result = self.get(object, Some(range.clone())).await?;
        let bytes = result.bytes().await.map_err(|error| self.failed(&error))?;
        Ok((range.start, bytes))
    }
}

impl Bucket for Client {
    fn place(&self) -> &str {
        &self.place
    }

    fn list(&self, folder: &str, deep: bool, take: &mut dyn FnMut(Object)) -> Result<(), ObjectError> {
        let folder = folder.trim_matches('/');
        let prefix = if folder.is_empty() { None } else { Some(self.path(folder)?) };
        let listed: Result<(), object_store::Error> = runtime().block_on(async {
            if !deep {
                let found = self.store.list_with_delimiter(prefix.as_ref()).await?;
                found.objects.iter().for_each(|meta| take(of_meta(meta)));
                return Ok(());
            }
            let mut found = self.store.list(prefix.as_ref());
            while let Some(meta) = found.try_next().await? {
                take(of_meta(&meta));
            }
            Ok(())
        });
        listed.map_err(|error| match self.failed(&error) {
            // Whatever is not there when a bucket is listed is the bucket.
            ObjectError::NoObject => ObjectError::NoBucket { reason: "404 Not Found".to_owned() },
            other => other,
        })
    }

    fn find(&self, key: &str) -> Result<Object, ObjectError> {
        let path = self.path(key)?;
        let found = runtime().block_on(self.store.head(&path));
        found.map(|meta| Object { key: key.to_owned(), ..of_meta(&meta) }).map_err(|error| self.failed(&error))
    }

    fn read(&self, object: &Object, ranges: &[Range<u64>], take: Take<'_>) -> io::Result<Result<(), ObjectError>> {
        runtime().block_on(async {
            let requests = ranges.iter().map(|range| self.get_range(object, range.clone()));
            let mut arriving = futures::stream::iter(requests).buffer_unordered(AT_ONCE);
            while let Some(arrived) = arriving.next().await {
                match arrived {
                    Ok((start, bytes)) => take(start, bytes)?,
                    Err(error) => return Ok(Err(error)),
                }
            }
            Ok(Ok(()))
        })
    }

    fn read_all(&self, object: &Object, take: Take<'_>) -> io::Result<Result<(), ObjectError>> {
        runtime().block_on(async {
            let result = match self.get(object, None).await {
                Ok(result) => result,
                Err(error) => return Ok(Err(error)),
            };
            let (mut arriving, mut at) = (result.into_stream(), 0);
            while let Some(arrived) = arriving.next().await {
                let bytes = match arrived {
                    Ok(bytes) => bytes,
                    Err(error) => return Ok(Err(self.failed(&error))),
                };
                let next = at + bytes.len() as u64;
                take(at, bytes)?;
                at = next;
            }
            Ok(if at == object.size { Ok(()) } else { Err(ObjectError::Changed) })
        })
    }
}

fn of_meta(meta: &ObjectMeta) -> Object {
    Object {
        key: meta.location.to_string(),
        size: meta.size,
        etag: meta.e_tag.clone(),
        version: meta.version.clone(),
        modified_ms: meta.last_modified.timestamp_millis(),
    }
}

/// Whether an answer is about the version of the object that was found.
fn is_same(found: &Object, answered: &Object) -> bool {
    found.size == answered.size
        && (found.etag.is_none() || found.identity() == answered.identity())
        && (found.etag.is_some() || found.modified_ms == answered.modified_ms)
}

/// Where requests are driven; all that asks waits for the answer.
fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(2).thread_name("objects").enable_all();
        builder.build().expect("threads can be started")
    })
}

/// How connections to a URL are made.
fn options(url: &str) -> impl Iterator<Item = (ClientConfigKey, &'static str)> {
    [TIMEOUT].into_iter().chain(url.starts_with("http://").then_some(PLAIN))
}

fn is_said(builder: &AmazonS3Builder, key: AmazonS3ConfigKey) -> bool {
    builder.get_config_value(&key).is_some()
}

/// The service's URL; empty if it is the usual one.
fn endpoint(builder: &AmazonS3Builder) -> String {
    let keys = [AmazonS3ConfigKey::S3Endpoint, AmazonS3ConfigKey::Endpoint];
    keys.iter().find_map(|key| builder.get_config_value(key)).unwrap_or_default()
}

fn s3(access: &Access) -> Result<AmazonS3Builder, ObjectError> {
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

fn google(access: &Access) -> GoogleCloudStorageBuilder {
    let mut builder = GoogleCloudStorageBuilder::from_env().with_bucket_name(&access.bucket);
    if let Some(endpoint) = &access.endpoint {
        builder = builder.with_base_url(endpoint);
    }
    for (key, value) in options(access.endpoint.as_deref().unwrap_or_default()) {
        builder = builder.with_config(GoogleConfigKey::Client(key), value);
    }
    if access.anonymous { builder.with_skip_signature(true) } else { builder }
}

fn azure(access: &Access) -> MicrosoftAzureBuilder {
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

#[cfg(test)]
mod tests;
