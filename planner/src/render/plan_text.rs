//! The plan as text: sources, units with their stages, sinks.

use super::words;
use crate::plan::{
    Class, DEVICE, EventTime, Input, KeyGroups, NUMBERS, Output, OutputColumn, Plan, Rows, Stage, shown_columns,
};
use crate::quantity;
use crate::units::{Boundary, Branch, Unit};
use crate::visible;

/// What a run would do, for people. The last line ends with a line break.
pub fn plan_text(plan: &Plan, units: &[Unit]) -> String {
    let mut lines = vec![heading(plan, units)];
    for source in &plan.sources {
        lines.push(format!("\nsource {}  {}", source.name, words::location(&source.spec.location)));
        lines.push(format!("    {}", words::reading(&source.spec)));
        lines.push(format!("    {}", words::columns(&plan.stream(source.stream).schema)));
        if let Some(EventTime { column, delay_ms, position: _, marks: _ }) = source.event_time {
            let column = plan.stream(source.stream).schema.field(column).name().clone();
            let delay = if delay_ms > 0 { format!(", delay {}", quantity::duration(delay_ms)) } else { String::new() };
            lines.push(format!("    event time {column}{delay}"));
        }
    }
    for (number, unit) in units.iter().enumerate() {
        lines.push(format!("\nunit {}  {}", number + 1, unit.runner));
        unit.stages.iter().for_each(|&stage| stage_lines(plan, &plan.stages[stage], &mut lines));
        lines.extend(unit.ends().iter().map(|end| boundary(plan, end)));
    }
    for sink in &plan.sinks {
        lines.push(format!("\nsink {}  {}", sink.name, words::target(&sink.spec.target)));
        lines.push(format!("    {} <- {}", words::writing(&sink.spec), plan.stream(sink.stream).name));
    }
    lines.iter().map(|text| shown(text) + "\n").collect()
}

/// A line, perhaps with a blank one before it.
fn shown(text: &str) -> String {
    match text.strip_prefix('\n') {
        Some(text) => format!("\n{}", visible::line(text)),
        None => visible::line(text).into_owned(),
    }
}

fn heading(plan: &Plan, units: &[Unit]) -> String {
    let counts = [
        quantity::count(plan.sources.len(), "source"),
        quantity::count(plan.stages.len(), "stage"),
        quantity::count(units.len(), "unit"),
        quantity::count(plan.sinks.len(), "sink"),
    ];
    format!("pipeline {}  {}", plan.pipeline, counts.join(", "))
}

fn stage_lines(plan: &Plan, stage: &Stage, lines: &mut Vec<String>) {
    let (digest, purity) = (stage.digest.short(), words::purity(stage.purity));
    let without = stage.runner.get("without").map_or_else(String::new, |missing| format!(" (without {missing})"));
    lines.push(format!("    {}  {}  {digest}  {purity}{without}", stage.name, stage.code));
    lines.extend(stage.asserts.map(|follows| format!("        assert: {}", words::on_failure(follows))));
    let empty = stage.config.as_object().is_some_and(serde_json::Map::is_empty);
    if !empty {
        lines.push(format!("        config {}", crate::key::canonical_json(&stage.config)));
    }
    lines.extend(numbers(stage));
    lines.extend(limits(stage).map(|limits| format!("        {limits}")));
    lines.extend(stage.secrets.iter().map(|(name, source)| format!("        secret {name} {source}")));
    lines.extend(stage.inputs.iter().map(|input| input_line(plan, stage, input)));
    if stage.inputs.is_empty() {
        lines.push(format!("        makes its own rows in {}", quantity::count(stage.parts, "part")));
    }
    lines.extend(stage.outputs.iter().map(|output| output_line(plan, stage, output)));
}

/// What is known of the numbers of a kernel, and why it is not row-wise.
fn numbers(stage: &Stage) -> Vec<String> {
    let said = |key: &str| stage.runner.get(key);
    let mut lines = Vec::new();
    if let Some(numbers) = said(NUMBERS) {
        let device = said(DEVICE).map_or_else(String::new, |device| format!("; the device is {device}"));
        lines.push(format!("        numbers {numbers}{device}"));
    }
    let per_segment = Class::PerSegment.to_string();
    lines.extend(said(&per_segment).map(|because| format!("        {per_segment}: {because}")));
    lines.extend(stage.reference.iter().map(|reference| format!("        verified against {reference}")));
    lines
}

fn limits(stage: &Stage) -> Option<String> {
    let limits = &stage.limits;
    let words: Vec<String> = [
        limits.timeout_ms.map(|limit| format!("at most {} a call", quantity::duration(limit))),
        limits.memory.map(|limit| format!("at most {} of memory", quantity::size(limit))),
        limits.cpus.map(|cpus| format!("at most {} at once", quantity::count(cpus as usize, "processor"))),
        (!limits.serialization.is_default()).then(|| format!("batches travel as {}", limits.serialization)),
    ]
    .into_iter()
    .flatten()
    .collect();
    (!words.is_empty()).then(|| words.join(", "))
}

fn input_line(plan: &Plan, stage: &Stage, input: &Input) -> String {
    let stream = plan.stream(input.stream);
    let port = if stage.inputs.len() > 1 { format!("{} ", input.port) } else { String::new() };
    let reads = words::names(&stream.schema, &input.reads);
    let key = input.key.as_ref().map_or(String::new(), |key| {
        let KeyGroups { columns, groups, hash } = key;
        format!(" by {} in {groups} groups ({hash})", words::names(&stream.schema, columns))
    });
    let window = input.window.as_ref();
    let window = window.map_or(String::new(), |window| format!(" in windows ({})", window.words(&stream.schema)));
    let because = input.because.as_ref().map_or_else(String::new, |because| format!(" ({because})"));
    format!("        {port}<- {}  {}{because}{key}{window}, reads {reads}", stream.name, input.class)
}

fn output_line(plan: &Plan, stage: &Stage, output: &Output) -> String {
    let schema = &plan.stream(output.stream).schema;
    let port = if stage.outputs.len() > 1 { format!("{} ", output.port) } else { String::new() };
    let of = |input: usize| match stage.inputs.len() {
        1 => String::new(),
        _ => format!(" of {}", stage.inputs[input].port),
    };
    let rows = match output.rows {
        Rows::Same { input } => format!("same rows{}", of(input)),
        Rows::Subset { input } => format!("some rows{}", of(input)),
        Rows::New => "new rows".to_owned(),
    };
    let shown = shown_columns(schema);
    let columns = &output.columns[..shown.fields().len()];
    let passed = columns.iter().filter(|column| matches!(column, OutputColumn::Passed { .. })).count();
    let passed = if passed > 0 { format!(", passes {passed} of {}", columns.len()) } else { String::new() };
    let marks = if columns.len() < output.columns.len() { ", and the times before rows" } else { "" };
    format!("        {port}-> {rows}{passed}: {}{marks}", words::columns(&shown))
}

fn boundary(plan: &Plan, end: &Branch) -> String {
    let stored = plan.stages[end.stage].outputs.iter().map(|output| {
        let stream = plan.stream(output.stream);
        stream.name.as_str()
    });
    let stored = stored.collect::<Vec<_>>().join(", ");
    match &end.boundary {
        Boundary::Unread => format!("    not stored: {stored} (nothing reads it)"),
        Boundary::Reader { stage, class } => {
            format!("    stored: {stored} (the input of {} is {class})", plan.stages[*stage].name)
        }
        Boundary::OtherRunner { stage } => {
            format!("    stored: {stored} ({} has another runner)", plan.stages[*stage].name)
        }
        other => format!("    stored: {stored} ({other})"),
    }
}
