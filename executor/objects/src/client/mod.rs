//! A bucket behind `object_store`.

use std::io;
use std::ops::Range;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::azure::AzureConfigKey;
use object_store::gcp::GoogleConfigKey;
use object_store::http::HttpBuilder;
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{
    BackoffConfig, GetOptions, GetRange, GetResult, ObjectMeta, ObjectStore, ObjectStoreExt, RetryConfig,
};
use tokio::runtime::Runtime;

use self::settings::{azure, endpoint, google, options, s3};
use self::unfinished::UploadList;
use crate::bucket::{Access, Bucket, Object, Service, Take};
use crate::error::ObjectError;
use crate::transport::Transport;

mod settings;
mod unfinished;
mod write;

pub use unfinished::Unfinished;
pub use write::{Condition, Undeleted, Upload};

/// How many ranges of an object are read at once.
const AT_ONCE: usize = 4;
/// A bucket of a service.
pub struct Client {
    store: Arc<dyn ObjectStore>,
    /// Uploads in parts. Web servers have none.
    multipart: Option<Arc<dyn MultipartStore>>,
    /// Lists uploads that were not ended. Azure forgets them by itself.
    unfinished: Option<UploadList>,
    service: Service,
    place: String,
    patience: Duration,
}

/// A client's parts that depend on the service.
struct Opened {
    store: Arc<dyn ObjectStore>,
    multipart: Option<Arc<dyn MultipartStore>>,
    unfinished: Option<UploadList>,
    place: String,
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
        let transport = Transport;
        let opened = match access.service {
            Service::S3 => open_s3(access, retry, &transport)?,
            Service::Google => open_google(access, retry, &transport),
            Service::Azure => open_azure(access, retry, &transport),
            Service::Web => open_web(access, retry, &transport),
        };
        let seconds = access.patience.as_secs();
        let Opened { store, multipart, unfinished, place } =
            opened.map_err(|error| ObjectError::of(&error, seconds))?;
        Ok(Self { store, multipart, unfinished, service: access.service, place, patience: access.patience })
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

    /// Why a service refuses to tell of an object: the answer to such a question has no body, that to a read has one.
    fn reason(&self, path: &Path, refusal: ObjectError) -> ObjectError {
        let options = GetOptions { range: Some(GetRange::Bounded(0..1)), ..GetOptions::default() };
        match runtime().block_on(self.store.get_opts(path, options)).map_err(|error| self.failed(&error)) {
            Ok(_) | Err(ObjectError::NoObject | ObjectError::NoRanges) => refusal,
            Err(told) => told,
        }
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
        found.map(|meta| Object { key: key.to_owned(), ..of_meta(&meta) }).map_err(|error| match self.failed(&error) {
            error @ (ObjectError::Denied { .. } | ObjectError::Refused { .. } | ObjectError::Other { .. }) => {
                self.reason(&path, error)
            }
            error => error,
        })
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

type Opening = Result<Opened, object_store::Error>;

fn open_s3(access: &Access, retry: RetryConfig, transport: &Transport) -> Result<Opening, ObjectError> {
    let builder = s3(access)?;
    let place = endpoint(&builder);
    let list = UploadList::of_s3(access, &builder, transport);
    let built = builder.with_retry(retry).with_http_connector(transport.clone()).build();
    Ok(built.map(Arc::new).map(|store| {
        let unfinished = list.signed_by_s3(access, store.credentials());
        Opened { multipart: Some(store.clone()), store, unfinished: Some(unfinished), place }
    }))
}

fn open_google(access: &Access, retry: RetryConfig, transport: &Transport) -> Opening {
    let builder = google(access);
    let place = builder.get_config_value(&GoogleConfigKey::BaseUrl).unwrap_or_default();
    let store = Arc::new(builder.with_retry(retry).with_http_connector(transport.clone()).build()?);
    let unfinished = UploadList::of_google(access, &place, transport).signed_by_google(access, store.credentials());
    let place = access.endpoint.clone().unwrap_or_default();
    Ok(Opened { multipart: Some(store.clone()), store, unfinished: Some(unfinished), place })
}

fn open_azure(access: &Access, retry: RetryConfig, transport: &Transport) -> Opening {
    let builder = azure(access);
    let said = |key| builder.get_config_value(&key).unwrap_or_default();
    let place = format!("{} {}", said(AzureConfigKey::AccountName), said(AzureConfigKey::Endpoint));
    let store = Arc::new(builder.with_retry(retry).with_http_connector(transport.clone()).build()?);
    Ok(Opened { multipart: Some(store.clone()), store, unfinished: None, place })
}

fn open_web(access: &Access, retry: RetryConfig, transport: &Transport) -> Opening {
    let builder = HttpBuilder::new().with_url(&access.bucket);
    let builder = options(&access.bucket).fold(builder, |builder, (key, value)| builder.with_config(key, value));
    let store = builder.with_retry(retry).with_http_connector(transport.clone()).build()?;
    let place = access.endpoint.clone().unwrap_or_default();
    Ok(Opened { store: Arc::new(store), multipart: None, unfinished: None, place })
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

#[cfg(test)]
mod tests;
