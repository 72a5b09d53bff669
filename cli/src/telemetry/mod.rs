//! Spans: to an OTLP collector when OpenTelemetry's standard variables are set, to standard error under `FLOWC_LOG`.
//! Neither costs anything when it is not asked for.

mod http;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{SpanExporter, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

use self::http::UreqClient;
use crate::report::Failure;
use crate::settings::Environment;

/// So long the process waits at its end for spans to be sent.
const PATIENCE: Duration = Duration::from_secs(3);

type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// What is to be finished at the end of the process.
#[derive(Default)]
pub(crate) struct Telemetry {
    provider: Option<SdkTracerProvider>,
    trouble: Arc<Mutex<Option<String>>>,
}

impl Telemetry {
    /// Starts what the environment asks for.
    pub(crate) fn start(env: &Environment) -> Result<Self, Failure> {
        let mut telemetry = Self::default();
        let mut layers: Vec<BoxedLayer> = Vec::new();
        if let Some(directives) = env.get("FLOWC_LOG") {
            layers.push(log_layer(&directives.to_string_lossy())?);
        }
        if wants_export(env) {
            layers.push(telemetry.export_layer()?);
        }
        if !layers.is_empty() {
            tracing_subscriber::registry().with(layers).init();
        }
        Ok(telemetry)
    }

    fn export_layer(&mut self) -> Result<BoxedLayer, Failure> {
        let client = UreqClient::new(Arc::clone(&self.trouble));
        let exporter = SpanExporter::builder().with_http().with_http_client(client).build();
        let exporter = exporter.map_err(Failure::system("spans cannot be exported"))?;
        let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource()).build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("flowc"));
        self.provider = Some(provider);
        Ok(layer.with_filter(Targets::new().with_target("flowc", LevelFilter::INFO)).boxed())
    }

    /// Sends what is left; a warning if anything could not be sent.
    pub(crate) fn finish(self) -> Option<String> {
        let sent = self.provider?.shutdown_with_timeout(PATIENCE);
        let trouble = self.trouble.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        let reason = trouble.or_else(|| sent.err().map(|error| error.to_string()))?;
        Some(format!(
            "spans could not be sent: {reason}; flowc sends HTTP with protobuf to OTEL_EXPORTER_OTLP_ENDPOINT"
        ))
    }
}

fn wants_export(env: &Environment) -> bool {
    let disabled = env.get("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
        || env.get("OTEL_TRACES_EXPORTER").is_some_and(|value| value.eq_ignore_ascii_case("none"));
    let endpoints = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];
    !disabled && endpoints.iter().any(|name| env.get(name).is_some())
}

/// `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` are read by the builder; the service's name is `flowc` otherwise.
fn resource() -> Resource {
    let builder = Resource::builder();
    let named = std::env::var_os("OTEL_SERVICE_NAME").is_some_and(|name| !name.is_empty());
    if named { builder.build() } else { builder.with_service_name("flowc").build() }
}

/// `debug`, or directives such as `flowc_executor=trace,info`.
fn log_layer(directives: &str) -> Result<BoxedLayer, Failure> {
    let wrong =
        |error| Failure::command(format!("FLOWC_LOG is `{directives}`: {error}; write a level such as `debug`"));
    let targets: Targets = directives.parse().map_err(wrong)?;
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(crate::terminal::stderr_paint().is_on())
        .with_span_events(FmtSpan::CLOSE);
    Ok(layer.with_filter(targets).boxed())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        let variables = variables.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        Environment::new(variables, PathBuf::new())
    }

    #[test]
    fn nothing_is_exported_unless_the_standard_variables_ask_for_it() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318");
        assert!(!wants_export(&environment(&[])));
        assert!(wants_export(&environment(&[endpoint])));
        assert!(!wants_export(&environment(&[endpoint, ("OTEL_SDK_DISABLED", "true")])));
        assert!(!wants_export(&environment(&[endpoint, ("OTEL_TRACES_EXPORTER", "none")])));
    }

    #[test]
    fn a_wrong_log_directive_is_a_mistake() {
        assert!(log_layer("flowc_executor=loud").is_err());
        assert!(log_layer("flowc_executor=debug,info").is_ok());
    }
}
