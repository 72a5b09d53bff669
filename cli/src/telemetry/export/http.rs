//! A blocking HTTP client for the exporter, which has a thread of its own.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use opentelemetry_http::{HttpClient, HttpError, Request, Response};

/// A collector that does not answer holds up the end of a run for no longer than this.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Sends spans, and keeps the last reason why it could not.
#[derive(Debug)]
pub(super) struct UreqClient {
    agent: ureq::Agent,
    trouble: Arc<Mutex<Option<String>>>,
}

impl UreqClient {
    /// `trouble` takes the last failure.
    pub(super) fn new(trouble: Arc<Mutex<Option<String>>>) -> Self {
        let config = ureq::Agent::config_builder().timeout_global(Some(TIMEOUT)).http_status_as_error(false).build();
        Self { agent: config.into(), trouble }
    }

    fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let mut response = self.agent.run(Request::from_parts(parts, body.to_vec()))?;
        let bytes = response.body_mut().read_to_vec()?;
        let status = response.status();
        if !status.is_success() {
            self.note(format!("the collector answered {status}"));
        }
        let (parts, _) = response.into_parts();
        Ok(Response::from_parts(parts, bytes.into()))
    }

    fn note(&self, reason: String) {
        *self.trouble.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(reason);
    }
}

#[async_trait]
impl HttpClient for UreqClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sent = self.send(request);
        if let Err(error) = &sent {
            self.note(error.to_string());
        }
        sent
    }
}
