//! Spans: to an OTLP collector when OpenTelemetry's standard variables are set, to standard error under `FLOWC_LOG`.
//! Neither costs anything when it is not asked for.

#[cfg(feature = "otlp")]
mod export;
#[cfg(not(feature = "otlp"))]
#[path = "no_export.rs"]
mod export;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry};

use self::export::Export;
use crate::report::Failure;
use crate::settings::Environment;

/// What is logged on standard error.
const LOG: &str = "FLOWC_LOG";

type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// What is to be finished at the end of the process.
#[derive(Default)]
pub(crate) struct Telemetry {
    export: Option<Export>,
}

impl Telemetry {
    /// Starts what the environment asks for.
    pub(crate) fn start(env: &Environment) -> Result<Self, Failure> {
        let mut telemetry = Self::default();
        let mut layers: Vec<BoxedLayer> = Vec::new();
        if let Some(directives) = env.get(LOG) {
            layers.push(log_layer(&directives.to_string_lossy())?);
        }
        if wants_export(env) {
            let (export, layer) = Export::start()?;
            telemetry.export = Some(export);
            layers.push(layer);
        }
        if !layers.is_empty() {
            // `init` would take in records of crates that use `log`, too.
            let subscriber = tracing_subscriber::registry().with(layers);
            let taken = |error| Failure::command(format!("spans can't be taken in: {error}"));
            tracing::subscriber::set_global_default(subscriber).map_err(taken)?;
        }
        Ok(telemetry)
    }

    /// Sends what is left; a warning if anything could not be sent.
    pub(crate) fn finish(self) -> Option<String> {
        self.export?.finish()
    }
}

/// Whether the environment asks for spans.
pub(crate) fn is_wanted(env: &Environment) -> bool {
    env.get(LOG).is_some() || wants_export(env)
}

fn wants_export(env: &Environment) -> bool {
    let disabled = env.get("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
        || env.get("OTEL_TRACES_EXPORTER").is_some_and(|value| value.eq_ignore_ascii_case("none"));
    let endpoints = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];
    !disabled && endpoints.iter().any(|name| env.get(name).is_some())
}

/// `debug`, or directives such as `flowc_executor=trace,info`.
fn log_layer(directives: &str) -> Result<BoxedLayer, Failure> {
    let wrong =
        |error| Failure::command(format!("FLOWC_LOG is `{directives}`: {error}; write a level such as `debug`"));
    let targets: Targets = directives.parse().map_err(wrong)?;
    let layer =
        tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false).with_span_events(FmtSpan::CLOSE);
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
