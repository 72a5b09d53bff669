//! Requests on their way to a service.
//!
//! Whoever has never answered is not waited for long: a wrong port, a name that leads nowhere or a machine that lends no credentials
//! would otherwise be asked again for a minute, in silence. A service that has answered once is waited for.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody, HttpService,
    ReqwestConnector,
};

/// How long a service that has never answered is asked.
const FIRST: Duration = Duration::from_secs(3);
/// After how long of failing requests a warning is logged.
const NOTICE: Duration = Duration::from_secs(5);

/// A header's name and value.
pub(crate) type Header = (&'static str, String);

tokio::task_local! {
    /// The condition under which the upload of this task is completed: the client has no words for it.
    static CONDITION: Header;
}

/// What connects in the same way, by how: whom to trust is read once, and connections are used again.
static CONNECTED: LazyLock<Mutex<HashMap<String, HttpClient>>> = LazyLock::new(Mutex::default);

/// Makes the connections of one bucket.
#[derive(Clone, Debug, Default)]
pub(crate) struct Transport;

impl Transport {
    /// Awaits the completion of an upload, under a condition.
    pub(crate) async fn under<T>(condition: Option<Header>, completion: impl Future<Output = T>) -> T {
        match condition {
            Some(condition) => CONDITION.scope(condition, completion).await,
            None => completion.await,
        }
    }
}

impl HttpConnector for Transport {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        // All of the options are in their form for people.
        let how = format!("{options:?}");
        let mut connected = CONNECTED.lock().unwrap_or_else(PoisonError::into_inner);
        let inner = match connected.get(&how) {
            Some(inner) => inner.clone(),
            None => {
                let inner = ReqwestConnector::default().connect(options)?;
                connected.insert(how, inner.clone());
                inner
            }
        };
        Ok(HttpClient::new(Line { inner, answered: AtomicBool::new(false), trouble: Mutex::default() }))
    }
}

/// The way to one service: that of the bucket, or one that lends credentials.
struct Line {
    inner: HttpClient,
    /// Whether anything was ever answered.
    answered: AtomicBool,
    /// Since when requests fail, and whether that was told.
    trouble: Mutex<Option<(Instant, bool)>>,
}

impl fmt::Debug for Line {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Line").finish_non_exhaustive()
    }
}

impl Line {
    /// Notes a failure. Gives for how long requests have been failing.
    fn failing(&self, reason: &dyn fmt::Display) -> Duration {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, told) = trouble.get_or_insert_with(|| (Instant::now(), false));
        let lasted = since.elapsed();
        if lasted > NOTICE && !*told {
            *told = true;
            tracing::warn!("an object store does not answer as it should ({reason}); requests are made again");
        }
        lasted
    }

    fn fine(&self) {
        self.answered.store(true, Ordering::Relaxed);
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Whether a service says that it fails, or has too much to do.
pub(crate) fn is_busy(response: &HttpResponse) -> bool {
    response.status().is_server_error() || response.status().as_u16() == 429
}

/// Whether it is a page of a listing that is read: of objects, or of uploads that were not ended.
fn is_listing(request: &HttpRequest) -> bool {
    const LISTING: [&str; 3] = ["list-type=", "comp=list", "uploads="];
    let is_of_listing = |part: &str| LISTING.iter().any(|listing| part.starts_with(listing));
    request.uri().query().is_some_and(|query| query.split('&').any(is_of_listing))
}

/// An answer that has arrived whole: a listing, or why there is nothing. One that is cut off is no answer, so that the request is made again:
/// the client goes on in the middle of objects alone.
async fn whole(response: HttpResponse) -> Result<HttpResponse, HttpError> {
    let (head, body) = response.into_parts();
    let body = body.bytes().await.map_err(|error| HttpError::new(HttpErrorKind::Interrupted, error))?;
    Ok(HttpResponse::from_parts(head, HttpResponseBody::from(body)))
}

#[async_trait]
impl HttpService for Line {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let completes = request.method().as_str() == "POST"
            && request.uri().query().is_some_and(|query| query.contains("uploadId="));
        if let (true, Ok((name, value))) = (completes, CONDITION.try_with(Clone::clone))
            && let Ok(value) = value.parse()
        {
            request.headers_mut().insert(name, value);
        }
        let (is_reading, is_listing) = (request.method().as_str() == "GET", is_listing(&request));
        let answer = match self.inner.execute(request).await {
            Ok(response) if is_reading && (is_listing || !response.status().is_success()) => whole(response).await,
            other => other,
        };
        match answer {
            Ok(response) => {
                let status = response.status();
                match is_busy(&response) {
                    true => drop(self.failing(&status)),
                    false => self.fine(),
                }
                self.answered.store(true, Ordering::Relaxed);
                Ok(response)
            }
            Err(error) => {
                let lasted = self.failing(&error);
                let is_first = !self.answered.load(Ordering::Relaxed);
                // An error of unknown kind is not tried again.
                match is_first && lasted > FIRST {
                    true => Err(HttpError::new(HttpErrorKind::Unknown, error)),
                    false => Err(error),
                }
            }
        }
    }
}
