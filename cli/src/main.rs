//! The program that people call.

fn main() -> std::process::ExitCode {
    flowc_cli::start::main()
}
