//! `flowc serve`.

use std::path::PathBuf;
use std::time::Duration;

use flowc_planner::quantity;

use crate::settings::SettingsArgs;

/// `flowc serve`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  flowc serve --tokens tokens.txt             all results, on this machine
  flowc serve words totals --no-auth          two of them, to anybody here
  flowc serve --listen 10.0.0.2:8815 --credentials serve.json
  flowc serve --listen 0.0.0.0:443 --tokens tokens.txt \\
      --tls-cert fullchain.pem --tls-key privkey.pem

What the last good run left is offered; results of a newer run are there for
the next query. Results are read, never written. It ends with Ctrl-C or a
termination signal. docs/serve.md shows how DBeaver, pandas, Polars and others
connect.")]
#[command(group = clap::ArgGroup::new("auth").args(["tokens", "credentials", "no_auth"]))]
pub(crate) struct ServeArgs {
    /// Streams (`name` or `name.port`) and sinks to offer [default: all whose rows are at hand]
    #[arg(value_name = "OUTPUT")]
    pub(crate) outputs: Vec<String>,
    /// The pipeline file, or a folder with a `flow.kdl` [default: flow.kdl]
    #[arg(long, value_name = "FILE")]
    pub(crate) pipeline: Option<PathBuf>,
    /// An address of this host, and a port; 0 picks a free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8815")]
    pub(crate) listen: String,
    /// File of tokens, one a line: whoever shows one may ask [env: FLOWC_SERVE_TOKEN, with one token]
    #[arg(long, value_name = "FILE")]
    pub(crate) tokens: Option<PathBuf>,
    /// File to write the address, a new token and the certificate to, for you alone to read; removed when the server ends
    #[arg(long, value_name = "FILE")]
    pub(crate) credentials: Option<PathBuf>,
    /// Ask for no token: everybody on this machine may ask. Only on a loopback address
    #[arg(long)]
    pub(crate) no_auth: bool,
    /// Secure connections on a loopback address, too. Others are always secured: by a certificate that is made, unless one is given
    #[arg(long)]
    pub(crate) tls: bool,
    /// File of the certificate, with those that lead to one that clients trust, as PEM
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// File of the certificate's key, as PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Queries that are answered at once; each may use `--memory`, and more wait
    #[arg(long, value_name = "N", default_value = "8", value_parser = parse_queries)]
    pub(crate) queries: usize,
    /// How long a statement may take, and a client may leave rows untaken: 90s, 5m
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = parse_time)]
    pub(crate) timeout: Duration,
    /// Print one JSON object a line: the address, then each query when it is over
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
}

fn parse_queries(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=4096).contains(number));
    number.ok_or_else(|| "write a whole number from 1 to 4096".to_owned())
}

fn parse_time(text: &str) -> Result<Duration, String> {
    let time = quantity::milliseconds(text).filter(|&time| time > 0);
    time.map(Duration::from_millis).ok_or_else(|| "write a time with its unit, such as 90s".to_owned())
}
