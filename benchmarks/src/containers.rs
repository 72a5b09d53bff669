//! Stages in containers.

use anyhow::Result;

use super::Bench;
use super::measure::{by_turns, measure, wall};
use super::project::Project;
use super::report::{Finding, Section, ms, row};
use xtask::containers::Engine;

const ROUNDS: usize = 7;

/// How a stage is isolated, as the text and the report say it.
const PLACES: [(&str, &str); 3] =
    [("#false", "in flowc's process"), ("\"process\"", "in a process"), ("\"container\"", "in a container")];

/// What it takes to start a container, against the same stage elsewhere.
pub(super) fn run(bench: &Bench<'_>) -> Result<Section> {
    let engine = Engine::find(bench.workspace)?;
    let [inside, process, container] = PLACES.map(|(isolate, _)| project(bench, isolate));
    let (inside, process, container) = (inside?, process?, container?);
    let run = |project: &Project, number: &mut u64| {
        *number += 1;
        project.write("in.csv", format!("n\n{number}\n"))?;
        measure(project.command_for(&["run", "--quiet"]).env("DOCKER_HOST", &engine.host))
    };
    // The first run compiles, and loads the image.
    let (mut one, mut two, mut three) = (0, 0, 0);
    for (project, number) in [(&inside, &mut one), (&process, &mut two), (&container, &mut three)] {
        run(project, number)?;
    }
    let found = by_turns(
        ROUNDS,
        [&mut || run(&inside, &mut one), &mut || run(&process, &mut two), &mut || run(&container, &mut three)],
    )?;
    let seconds: Vec<f64> = found.iter().map(|usages| wall(usages)).collect();
    let line = |(&(_, place), seconds): (&(&str, &str), &f64)| {
        row([place.to_owned(), ms(*seconds), ms(seconds - wall(&found[0]))])
    };
    Ok(Section {
        title: "Starting a container".to_owned(),
        text: "Wall time of `flowc run` over one new row; the stage is `filter@1`, compiled before, and the engine has the \
               image. What lies between is the start of the process or container, its first batch, and its end."
            .to_owned(),
        head: row(["the stage", "the run", "more than in flowc's process"]),
        rows: PLACES.iter().zip(&seconds).map(line).collect(),
        findings: vec![Finding::at_most(
            "a container's start, first batch and end under 1.5 s",
            seconds[2] - seconds[0],
            1.5,
            " s",
        )],
    })
}

fn project(bench: &Bench<'_>, isolate: &str) -> Result<Project> {
    let project = Project::new(bench, &format!("isolate-{}", isolate.trim_matches(['"', '#'])))?;
    let text = format!(
        "source \"in\" {{ files \"in.csv\"; schema {{ column \"n\" \"Int64\" }} }}\n\
         stage \"some\" {{ in \"in\"; std \"filter@1\"; isolate {isolate}\n    \
         config {{ where {{ column \"n\"; op \">=\"; value 0 }} }} }}\n\
         sink \"out\" {{ in \"some\"; file \"out.csv\" }}\n"
    );
    project.write("flow.kdl", text)?;
    Ok(project)
}
