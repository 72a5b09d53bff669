//! `flowc serve`: offers stored results to those who ask over Arrow Flight.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flowc_executor::PrivateFile;
use flowc_executor::serve::{
    Limits, Offer, QueryLog, QueryReport, Results, Security, ServeError, Server, Tokens, TokensError,
};
use flowc_planner::quantity::count;
use serde_json::json;

use super::Context;
use crate::args::ServeArgs;
use crate::exit::{self, Exit};
use crate::interrupt;
use crate::report::Failure;
use crate::terminal::{self, harmless};

/// The variable with a token.
const TOKEN: &str = "FLOWC_SERVE_TOKEN";

pub(super) fn run(args: &ServeArgs, context: &Context) -> Result<Exit, Failure> {
    // Before there is a file to be removed.
    let ended = interrupt::signal()?;
    let session = context.session_of(args.pipeline.as_deref(), &args.settings, false)?;
    let results = session.results(args.outputs.clone())?;
    let tables = tables(&*results)?;
    let (new_token, tokens) = tokens(args)?;
    let offer = Offer {
        results,
        log: Arc::new(Told { json: args.json }),
        tokens,
        security: security(args),
        limits: Limits { queries: args.queries, timeout: args.timeout },
    };
    let server = Server::listen(&args.listen, offer).map_err(failed)?;
    let credentials = args.credentials.as_deref().zip(new_token);
    let _credentials = credentials.map(|(path, token)| write_credentials(path, &token, &server)).transpose()?;
    tell(args, &server, &tables)?;
    server.serve(ended).map_err(failed)?;
    Ok(exit::OK)
}

/// The names of the tables, which are at hand.
fn tables(results: &dyn Results) -> Result<Vec<String>, Failure> {
    let now = results.now().map_err(|refusal| Failure::command(refusal.to_string()))?;
    Ok(now.tables().iter().map(|table| table.name.clone()).collect())
}

/// Who may ask, and the token that was made for them, if one was.
fn tokens(args: &ServeArgs) -> Result<(Option<String>, Option<Tokens>), Failure> {
    let refused = |error: TokensError| Failure::command(error.to_string());
    if let Some(path) = &args.tokens {
        return Ok((None, Some(Tokens::read(path).map_err(refused)?)));
    }
    if args.credentials.is_some() {
        let (token, tokens) = Tokens::generate().map_err(Failure::system("no token can be made"))?;
        return Ok((Some(token), Some(tokens)));
    }
    if args.no_auth {
        return Ok((None, None));
    }
    match std::env::var(TOKEN) {
        Ok(token) => Ok((None, Some(Tokens::parse(&token, TOKEN).map_err(refused)?))),
        Err(_) => Err(Failure::command(format!(
            "say who may ask: `--tokens FILE` with tokens of yours, `--credentials FILE` to have one made, {TOKEN} in the \
             environment, or `--no-auth` for everybody on this machine"
        ))),
    }
}

fn security(args: &ServeArgs) -> Security {
    match (&args.tls_cert, &args.tls_key) {
        (Some(certificate), Some(key)) => Security::Files { certificate: certificate.clone(), key: key.clone() },
        _ if args.tls => Security::Made,
        _ => Security::ByAddress,
    }
}

fn write_credentials(path: &Path, token: &str, server: &Server) -> Result<PrivateFile, Failure> {
    let certificate = server.tls().map(|tls| &tls.certificate);
    let credentials = json!({"uri": server.uri(), "token": token, "certificate": certificate});
    let written = serde_json::to_vec_pretty(&credentials).map_err(std::io::Error::other);
    let written = written.and_then(|bytes| PrivateFile::write(path, bytes));
    written.map_err(Failure::system(format!("the credentials cannot be written to {}", path.display())))
}

fn failed(error: ServeError) -> Failure {
    match error {
        ServeError::Serve(cause) => Failure::system("nothing can be served any more")(cause),
        // What was typed.
        refused => Failure::command(format!("nothing is served: {refused}")),
    }
}

/// Says where it listens, and what there is.
fn tell(args: &ServeArgs, server: &Server, tables: &[String]) -> Result<(), Failure> {
    let (uri, fingerprint) = (server.uri(), server.tls().and_then(|tls| tls.fingerprint.as_deref()));
    if args.json {
        let event = json!({
            "event": "serving", "time": now(), "uri": uri, "tables": tables, "fingerprint": fingerprint,
            "credentials": args.credentials.as_ref().map(|path| path.display().to_string()),
        });
        return Ok(terminal::print_json(&event)?);
    }
    let mut text = format!("serving {} at {uri}: {}\n", count(tables.len(), "table"), tables.join(", "));
    if let Some(fingerprint) = fingerprint {
        text.push_str(&format!("certificate SHA-256 {fingerprint}\n"));
    }
    if let Some(path) = &args.credentials {
        text.push_str(&format!("token and certificate in {}\n", path.display()));
    }
    Ok(terminal::print(harmless(&text))?)
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// Tells of queries on standard output.
struct Told {
    json: bool,
}

impl QueryLog for Told {
    fn finished(&self, report: &QueryReport) {
        // A reader that went away does not end the server.
        let _ = match self.json {
            true => terminal::print_json(&event(report)),
            false => terminal::print(harmless(&line(report))),
        };
    }
}

fn event(report: &QueryReport) -> serde_json::Value {
    let QueryReport { query, rows, bytes, took, error } = report;
    json!({
        "event": "query", "time": now(), "query": query, "rows": rows, "bytes": bytes, "seconds": took.as_secs_f64(),
        "error": error,
    })
}

fn line(report: &QueryReport) -> String {
    let QueryReport { query, rows, took, error, .. } = report;
    let query: Vec<&str> = query.split_whitespace().collect();
    let outcome = error.as_ref().map_or_else(|| count(*rows, "row"), |error| format!("failed: {error}"));
    format!("{:.3} s  {}  {outcome}\n", took.max(&Duration::ZERO).as_secs_f64(), query.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_told_on_a_line() {
        let query = "SELECT *\n  FROM words".to_owned();
        let report = QueryReport { query, rows: 2, bytes: 100, took: Duration::from_millis(12), error: None };
        assert_eq!(line(&report), "0.012 s  SELECT * FROM words  2 rows\n");
        let failed = QueryReport { error: Some("no".to_owned()), ..report };
        assert_eq!(line(&failed), "0.012 s  SELECT * FROM words  failed: no\n");
        assert_eq!(event(&failed)["query"], "SELECT *\n  FROM words");
    }
}
