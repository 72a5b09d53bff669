//! TPC-H's queries as stages of SQL, against DataFusion alone.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use xtask::{process, python};

use super::Bench;
use super::measure::{Usage, by_turns, median, wall};
use super::project::{Project, settled};
use super::report::{Finding, Section, ms, row};

/// Rows of `lineitem` at scale 1.
const ROWS: f64 = 6e6;
const ROUNDS: usize = 3;

const PROJECT: &str = "[project]\nname = \"peers\"\nversion = \"0\"\nrequires-python = \">=3.10\"\n\
                       dependencies = [\"datafusion==55.*\", \"pyarrow>=20\", \"tpchgen-cli>=4\"]\n";
const PEER: &str = include_str!("peers/datafusion_tpch.py");

/// What was measured of a query.
struct Query {
    name: String,
    cold: f64,
    peer: f64,
    /// Of those that are put together of parts, after one row group has changed.
    rerun: Option<f64>,
}

/// Each query cold and after a change, against DataFusion in one process.
pub(super) fn run(bench: &Bench<'_>) -> Result<Section> {
    let scale = bench.rows.map_or(1.0, |rows| rows as f64 / ROWS);
    let peer = Peer::prepare(bench, scale)?;
    let folder = bench.workspace.root.join("cli/tests/tpch");
    let (text, classes) =
        (fs::read_to_string(folder.join("flow.kdl"))?, fs::read_to_string(folder.join("classes.txt"))?);
    let mut queries = Vec::new();
    let mut in_parts = Vec::new();
    for line in classes.lines() {
        let name = line.split(':').next().context("a query without a name")?;
        let project = Project::new(bench, name)?;
        project.write("flow.kdl", pipeline(&text, name, &folder, &peer.data)?)?;
        queries.push(cold(&project, name, &folder, &peer)?);
        if line.contains(" lineitem combining") {
            in_parts.push((queries.len() - 1, project));
        }
    }
    let mut reruns = vec![Vec::new(); in_parts.len()];
    for round in 1..=ROUNDS {
        peer.change(round)?;
        settled();
        for ((_, project), reruns) in in_parts.iter().zip(&mut reruns) {
            reruns.push(project.run()?.wall);
        }
    }
    for ((query, _), reruns) in in_parts.iter().zip(reruns) {
        queries[*query].rerun = Some(median(reruns));
    }
    Ok(section(scale, &queries))
}

fn section(scale: f64, queries: &[Query]) -> Section {
    let line = |query: &Query| {
        let rerun = query
            .rerun
            .map_or(["-".to_owned(), "-".to_owned()], |rerun| [ms(rerun), format!("{:.2}x", rerun / query.cold)]);
        let [rerun, of_cold] = rerun;
        let ratio = format!("{:.2}x", query.cold / query.peer);
        row([query.name.clone(), ms(query.cold), ms(query.peer), ratio, rerun, of_cold])
    };
    let ratios = geometric_mean(queries.iter().map(|query| query.cold / query.peer));
    let reruns = queries.iter().filter_map(|query| Some(query.rerun? / query.cold));
    let most = reruns.clone().fold(0.0, f64::max);
    Section {
        title: "TPC-H".to_owned(),
        text: format!(
            "The 22 queries at scale {scale}, from Parquet (`lineitem` in 8 files). flowc: wall time of `flowc run` of a pipeline with the one query, in a \
             store that does not exist yet; it hashes the files, starts the engine in a sandbox, runs the query, hashes and stores the result, and writes it \
             as Parquet. The peer is DataFusion 55 in one process, at as many cores: from nothing to all rows in memory, without the start of the \
             process. Then one row group of `lineitem` changes, and the queries that are put together of parts are run again."
        ),
        head: row(["query", "flowc, cold", "DataFusion", "flowc / DataFusion", "one row group changed", "of cold"]),
        rows: queries.iter().map(line).collect(),
        findings: vec![
            Finding::at_most("geometric mean at most 1.3x of DataFusion", ratios, 1.3, "x"),
            Finding::at_most("after a changed row group, each at most 0.2x of cold", most, 0.2, "x"),
            Finding::figure("after a changed row group, geometric mean", format!("{:.2}x", geometric_mean(reruns))),
        ],
    }
}

fn geometric_mean(ratios: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = ratios.fold((0.0, 0), |(sum, count), ratio| (sum + ratio.ln(), count + 1));
    (sum / f64::from(count)).exp()
}

/// The part of the pipeline of all queries that one of them needs.
fn pipeline(all: &str, name: &str, folder: &Path, data: &Path) -> Result<String> {
    let starts = |line: &&str, kind: &str, name: &str| line.starts_with(&format!("{kind} \"{name}\""));
    let stage = all.lines().find(|line| starts(line, "stage", name)).with_context(|| format!("no stage `{name}`"))?;
    let inputs =
        stage.split_once(" in ").and_then(|(_, rest)| rest.split_once(';')).context("a stage without inputs")?;
    let inputs: Vec<&str> = inputs.0.split(['"', ' ']).filter(|name| !name.is_empty()).collect();
    let sources = all.lines().filter(|line| inputs.iter().any(|input| starts(line, "source", input)));
    let sink = format!("sink \"{name}\" {{ in \"{name}\"; file \"out/{name}.parquet\" }}");
    let lines: Vec<&str> = sources.chain([stage, &sink]).collect();
    let text = lines.join("\n").replace("\"data/", &format!("\"{}/", data.display()));
    Ok(text.replace("\"queries/", &format!("\"{}/queries/", folder.display())) + "\n")
}

fn cold(project: &Project, name: &str, folder: &Path, peer: &Peer) -> Result<Query> {
    let path = folder.join(format!("queries/{name}.sql"));
    let [flowc, peer] = by_turns(
        ROUNDS,
        [
            &mut || {
                project.forget_all()?;
                project.run()
            },
            &mut || Ok(Usage { wall: peer.time(&path)?, ..Usage::default() }),
        ],
    )?;
    Ok(Query { name: name.to_owned(), cold: wall(&flowc), peer: wall(&peer), rerun: None })
}

/// DataFusion for Python, and the tables.
struct Peer {
    uv: OsString,
    project: PathBuf,
    data: PathBuf,
}

impl Peer {
    fn prepare(bench: &Bench<'_>, scale: f64) -> Result<Self> {
        let (project, data) = (bench.folder.join("peers"), bench.folder.join("data"));
        fs::create_dir_all(&project)?;
        fs::write(project.join("pyproject.toml"), PROJECT)?;
        fs::write(project.join("datafusion_tpch.py"), PEER)?;
        let peer = Self { uv: python::uv(bench.workspace)?, project, data };
        process::run(peer.command("make").arg(scale.to_string()).arg(&peer.data))?;
        Ok(peer)
    }

    fn command(&self, part: &str) -> Command {
        let mut command = Command::new(&self.uv);
        command.args(["run", "--quiet", "--project"]).arg(&self.project).env_remove("VIRTUAL_ENV");
        command.arg(self.project.join("datafusion_tpch.py")).arg(part);
        command
    }

    /// Leaves rows out of a row group, which it has otherwise.
    fn change(&self, rows: usize) -> Result<()> {
        process::run(self.command("change").arg(&self.data).arg(rows.to_string()))
    }

    /// Seconds of a query.
    fn time(&self, query: &Path) -> Result<f64> {
        let cores = std::thread::available_parallelism()?.to_string();
        let printed = process::output(self.command("time").arg(&self.data).arg(query).arg(cores))?;
        printed.trim().parse().with_context(|| format!("the peer printed `{printed}`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_taken_out_with_what_it_needs() {
        let all = "source \"a\" { files \"data/a\" }\nsource \"ab\" { files \"data/ab\" }\n\
                   stage \"q01\" { in \"ab\"; sql file=\"queries/q01.sql\" }\nstage \"q02\" { in \"a\" \"ab\"; sql file=\"queries/q02.sql\" }\n";
        let text = pipeline(all, "q01", Path::new("/q"), Path::new("/d")).unwrap();
        let expected = "source \"ab\" { files \"/d/ab\" }\nstage \"q01\" { in \"ab\"; sql file=\"/q/queries/q01.sql\" }\n\
                        sink \"q01\" { in \"q01\"; file \"out/q01.parquet\" }\n";
        assert_eq!(text, expected);
        assert_eq!(pipeline(all, "q02", Path::new("/q"), Path::new("/d")).unwrap().matches("source").count(), 2);
        assert!(pipeline(all, "q03", Path::new("/q"), Path::new("/d")).is_err());
    }

    #[test]
    fn the_geometric_mean_is_that_of_ratios() {
        assert!((geometric_mean([2.0, 0.5, 1.0].into_iter()) - 1.0).abs() < 1e-9);
    }
}
