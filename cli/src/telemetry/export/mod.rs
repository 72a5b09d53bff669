//! Spans to an OTLP collector.

mod http;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{SpanExporter, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};

use self::http::UreqClient;
use super::BoxedLayer;
use crate::report::Failure;

/// So long the process waits at its end for spans to be sent.
const PATIENCE: Duration = Duration::from_secs(3);

/// Sends spans until it is finished.
pub(crate) struct Export {
    provider: SdkTracerProvider,
    trouble: Arc<Mutex<Option<String>>>,
}

impl Export {
    /// Starts to send, and gives what takes the spans.
    ///
    /// # Errors
    /// If OpenTelemetry's variables can't be used.
    pub(super) fn start() -> Result<(Self, BoxedLayer), Failure> {
        let trouble = Arc::default();
        let client = UreqClient::new(Arc::clone(&trouble));
        let exporter = SpanExporter::builder().with_http().with_http_client(client).build();
        let exporter = exporter.map_err(Failure::system("spans cannot be exported"))?;
        let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource()).build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("flowc"));
        let layer = layer.with_filter(Targets::new().with_target("flowc", LevelFilter::INFO)).boxed();
        Ok((Self { provider, trouble }, layer))
    }

    /// Sends what is left; a warning if anything could not be sent.
    pub(super) fn finish(self) -> Option<String> {
        let sent = self.provider.shutdown_with_timeout(PATIENCE);
        let trouble = self.trouble.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        let reason = trouble.or_else(|| sent.err().map(|error| error.to_string()))?;
        Some(format!(
            "spans could not be sent: {reason}; flowc sends HTTP with protobuf to OTEL_EXPORTER_OTLP_ENDPOINT"
        ))
    }
}

/// `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` are read by the builder; the service's name is `flowc` otherwise.
fn resource() -> Resource {
    let builder = Resource::builder();
    let named = std::env::var_os("OTEL_SERVICE_NAME").is_some_and(|name| !name.is_empty());
    if named { builder.build() } else { builder.with_service_name("flowc").build() }
}
