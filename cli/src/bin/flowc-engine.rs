//! The program that [`flowc`](flowc_cli::start) hands its work to.

fn main() -> std::process::ExitCode {
    flowc_cli::engine()
}
