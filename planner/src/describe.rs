//! Asks stages, level by level, what they make of their config and inputs; every answer is checked before it is used.

use std::collections::{BTreeMap, HashMap};

use arrow_schema::{DataType, Field, Schema, SchemaRef};

use crate::catalogue::{
    Blame, Catalogue, Description, InputDescription, OutputDescription, Problem, Question, Signature,
};
use crate::config::Config;
use crate::diagnostic::{PlaceProblem, Problems, StageProblem};
use crate::event_time::{self, Time};
use crate::plan::{Class, EventTime, Location, OutputColumn, RECORD_SCHEMA, Rows, SourceSpec, Window};
use crate::quantity::count;
use crate::read::Name;
use crate::rejects::rejects_schema;
use crate::text::Texts;
use crate::wiring::{Origin, Resolved};

/// A stage with its config and its checked description.
pub(crate) struct Described {
    pub(crate) config: serde_json::Value,
    pub(crate) description: Description,
    /// Per input.
    pub(crate) windows: Vec<Option<Window>>,
}

/// What is known of schemas and stages. What is wrong, or depends on what is wrong, is absent.
#[derive(Default)]
pub(crate) struct Descriptions {
    pub(crate) schemas: HashMap<Origin, SchemaRef>,
    /// By source: the schema of its records, where that was asked for.
    pub(crate) record_schemas: BTreeMap<usize, String>,
    /// Where rows have an event time, or had one further above.
    times: HashMap<Origin, Time>,
    /// By stage, in the order of the text.
    pub(crate) stages: HashMap<usize, Described>,
}

impl Descriptions {
    pub(crate) fn new(
        resolved: &Resolved,
        texts: &Texts,
        catalogue: &mut dyn Catalogue,
        problems: &mut Problems,
    ) -> Self {
        let mut descriptions = Self::default();
        descriptions.ask_sources(resolved, catalogue, problems);
        ask_sinks(resolved, catalogue, problems);
        descriptions.find_times(resolved, problems);
        let mut configs = configs(resolved, problems);
        for level in levels(resolved) {
            descriptions.ask_level(resolved, &level, &mut configs, texts, catalogue, problems);
        }
        descriptions
    }

    fn ask_sources(&mut self, resolved: &Resolved, catalogue: &mut dyn Catalogue, problems: &mut Problems) {
        let mut asked = Vec::new();
        for (i, source) in resolved.pipeline.sources.iter().enumerate() {
            if source.rejects {
                let columns = source.spec.as_ref().map_or_else(rejects_schema, SourceSpec::rejects_schema);
                self.schemas.insert(Origin::Rejects(i), columns);
            }
            let Some(spec) = &source.spec else { continue };
            if let Err(Problem { message, help, .. }) = catalogue.source(spec) {
                let name = source.name.text.clone();
                problems.at(source.name.place, PlaceProblem::SourcePlace { name, message, help });
                continue;
            }
            match &spec.declared {
                Some(declared) if !spec.is_inferred() => {
                    self.schemas.insert(Origin::Source(i), declared.columns.clone());
                }
                _ => asked.push((i, (source.name.text.clone(), spec.clone()))),
            }
        }
        let (indices, questions): (Vec<usize>, Vec<_>) = asked.into_iter().unzip();
        let answers = catalogue.source_schemas(&questions);
        for ((i, answer), (_, spec)) in indices.into_iter().zip(answers).zip(&questions) {
            match answer {
                Ok(inferred) => {
                    let Name { text: name, place } = resolved.pipeline.sources[i].name.clone();
                    self.record_schemas.extend(inferred.metadata().get(RECORD_SCHEMA).map(|told| (i, told.clone())));
                    match spec.with_asked(inferred) {
                        Ok(schema) => drop(self.schemas.insert(Origin::Source(i), schema)),
                        Err(column) => problems.at(place, PlaceProblem::RecordColumn { name, column }),
                    }
                }
                Err(Problem { message, help, blame, .. }) => {
                    let source = &resolved.pipeline.sources[i];
                    let Name { text: name, place } = source.name.clone();
                    // What a database refuses is its query, or the table's name.
                    let is_of_database = matches!(spec.location, Location::Database(_));
                    let place = source.places.first().filter(|_| is_of_database).copied().unwrap_or(place);
                    problems.at(
                        place,
                        match blame {
                            Blame::Lock => PlaceProblem::AgainstLock { name, message, help },
                            Blame::Machine => PlaceProblem::SourceUnreached { name, message, help },
                            Blame::Pipeline => PlaceProblem::SourceSchema { name, message, help },
                        },
                    );
                }
            }
        }
    }

    fn ask_level(
        &mut self,
        resolved: &Resolved,
        level: &[usize],
        configs: &mut HashMap<usize, Config>,
        texts: &Texts,
        catalogue: &mut dyn Catalogue,
        problems: &mut Problems,
    ) {
        let asked = level.iter().filter_map(|&stage| {
            let config = configs.remove(&stage)?;
            Some((stage, self.question(resolved, stage, &config)?, config))
        });
        let asked: Vec<(usize, Question, Config)> = asked.collect();
        let questions: Vec<Question> = asked.iter().map(|(_, question, _)| question.clone()).collect();
        for ((stage, question, config), answer) in asked.into_iter().zip(catalogue.describe(&questions)) {
            let declared = &resolved.pipeline.stages[stage];
            let Some(signature) = &resolved.signatures[stage] else { continue };
            match answer.map(|description| (check(&description, signature, &question.inputs), description)) {
                Ok(_) if !config.is_as_given() => {}
                Ok((Ok(()), description)) => {
                    self.add(resolved, stage, config.value, description, &signature.inputs, problems);
                }
                Ok((Err(message), _)) => {
                    let code = question.code.to_string();
                    problems.at(declared.name.place, StageProblem::Contract { code, message });
                }
                Err(mut first) => {
                    let also = std::mem::take(&mut first.also);
                    let is_given = |problem: &Problem| {
                        config.is_as_given() || problem.config_path.as_deref().is_some_and(|path| config.is_given(path))
                    };
                    for problem in std::iter::once(first).chain(also).filter(is_given) {
                        let at = problem
                            .config_path
                            .as_deref()
                            .map(|path| declared.code_part(texts, path).unwrap_or_else(|| config.place(path)));
                        let (stage, message, help) = (declared.name.text.clone(), problem.message, problem.help);
                        let place = at.unwrap_or(declared.name.place);
                        let told = match problem.blame {
                            Blame::Machine => StageProblem::Machine { code: question.code.to_string(), message, help },
                            Blame::Pipeline | Blame::Lock => StageProblem::Describe { stage, message, help },
                        };
                        problems.at(place, told);
                    }
                }
            }
        }
    }

    fn question(&self, resolved: &Resolved, stage: usize, config: &Config) -> Option<Question> {
        let inputs = resolved.inputs[stage].as_ref()?.iter().map(|origin| self.schemas.get(origin).cloned());
        Some(Question {
            code: resolved.pipeline.stages[stage].code.as_ref()?.0.clone(),
            digest: resolved.signatures[stage].as_ref()?.digest,
            config: config.value.clone(),
            inputs: inputs.collect::<Option<_>>()?,
        })
    }

    fn find_times(&mut self, resolved: &Resolved, problems: &mut Problems) {
        for (i, source) in resolved.pipeline.sources.iter().enumerate() {
            let (Some(decl), Some(schema)) = (&source.event_time, self.schemas.get(&Origin::Source(i))) else {
                continue;
            };
            if let Some(time) = event_time::of_source(decl, (&source.name, source.spec.as_ref()), schema, problems) {
                self.times.insert(Origin::Source(i), time);
            }
        }
    }

    /// The event time of rows; none where it is not a column of theirs.
    pub(crate) fn time(&self, origin: Origin) -> Option<EventTime> {
        match self.times.get(&origin) {
            Some(Time::Kept(time)) => Some(*time),
            _ => None,
        }
    }

    /// The event time of a source's rows.
    pub(crate) fn event_time(&self, source: usize) -> Option<EventTime> {
        self.time(Origin::Source(source))
    }

    fn add(
        &mut self,
        resolved: &Resolved,
        stage: usize,
        config: serde_json::Value,
        mut description: Description,
        ports: &[String],
        problems: &mut Problems,
    ) {
        let declared = &resolved.pipeline.stages[stage];
        let origins = resolved.inputs[stage].as_deref().unwrap_or_default();
        let times: Vec<Option<Time>> = origins.iter().map(|origin| self.times.get(origin).cloned()).collect();
        let wired = resolved.windows(stage);
        let schemas: Vec<Option<SchemaRef>> = origins.iter().map(|origin| self.schemas.get(origin).cloned()).collect();
        let windows = event_time::windows(declared, ports, &description, &wired, &times, &schemas, problems);
        for (port, output) in description.outputs.iter().enumerate() {
            let time = event_time::of_output(&declared.name.text, &description, &windows, output, &times);
            self.times.extend(time.map(|time| (Origin::Stage { stage, port }, time)));
        }
        for (input, window) in windows.iter().enumerate() {
            let Some((window, schema)) = window.as_ref().zip(self.schemas.get(&origins[input])) else { continue };
            let bounds = window.bound_type(schema);
            if let Some(time) = window.time {
                let late = event_time::late_schema(schema, schema.field(time.column).data_type());
                let origin = Origin::Late { stage, input };
                if let Some(wired) = wired[input].filter(|_| resolved.is_read(origin)) {
                    event_time::check_late(&declared.name.text, wired, window, &late, problems);
                }
                self.schemas.insert(origin, late);
            }
            if windows[..input].iter().all(Option::is_none) {
                let outputs = description.outputs.into_iter();
                description.outputs = outputs.map(|output| event_time::with_bounds(output, &bounds)).collect();
            }
        }
        for (port, output) in description.outputs.iter().enumerate() {
            self.schemas.insert(Origin::Stage { stage, port }, output.schema.clone());
        }
        self.stages.insert(stage, Described { config, description, windows });
    }
}

/// The typed configs of all stages whose schema is known.
fn configs(resolved: &Resolved, problems: &mut Problems) -> HashMap<usize, Config> {
    let typed =
        resolved.pipeline.stages.iter().zip(&resolved.signatures).enumerate().filter_map(|(i, (stage, signature))| {
            let schema = &signature.as_ref()?.config_schema;
            Some((i, Config::new(stage.config.as_ref(), stage.name.place, schema, problems)?))
        });
    typed.collect()
}

/// Stages in groups: each reads from earlier groups alone.
fn levels(resolved: &Resolved) -> Vec<Vec<usize>> {
    let mut level_of = vec![0; resolved.inputs.len()];
    let mut levels: Vec<Vec<usize>> = Vec::new();
    for &stage in &resolved.order {
        let above = resolved.inputs[stage].iter().flatten().filter_map(|origin| match origin {
            Origin::Stage { stage, .. } | Origin::Late { stage, .. } => Some(level_of[*stage] + 1),
            Origin::Source(_) | Origin::Rejects(_) | Origin::MarkedSource(_) | Origin::MarkedStage { .. } => None,
        });
        let level = above.max().unwrap_or(0);
        level_of[stage] = level;
        if levels.len() <= level {
            levels.resize_with(level + 1, Vec::new);
        }
        levels[level].push(stage);
    }
    levels
}

/// Says which sinks can't be written.
fn ask_sinks(resolved: &Resolved, catalogue: &mut dyn Catalogue, problems: &mut Problems) {
    for sink in &resolved.pipeline.sinks {
        let Some(spec) = &sink.spec else { continue };
        if let Err(Problem { message, help, .. }) = catalogue.target(&spec.target) {
            let name = sink.name.text.clone();
            problems.at(sink.name.place, PlaceProblem::SinkPlace { name, message, help });
        }
    }
}

/// Everything that the plan's readers rely on. A stage's code is not trusted.
fn check(description: &Description, signature: &Signature, inputs: &[SchemaRef]) -> Result<(), String> {
    let same = |what: &str, found: usize, wanted: usize| {
        if found == wanted { Ok(()) } else { Err(format!("it describes {} and has {wanted}", count(found, what))) }
    };
    same("input", description.inputs.len(), signature.inputs.len())?;
    same("output", description.outputs.len(), signature.outputs.len())?;
    for ((input, schema), port) in description.inputs.iter().zip(inputs).zip(&signature.inputs) {
        check_input(input, schema).map_err(|what| format!("input `{port}`: {what}"))?;
    }
    for (output, port) in description.outputs.iter().zip(&signature.outputs) {
        check_output(output, &description.inputs, inputs).map_err(|what| format!("output `{port}`: {what}"))?;
    }
    check_combining(description)?;
    check_keyed(description, inputs)?;
    match description.parts {
        0 => Err("it wants no invocations at all".to_owned()),
        1 => Ok(()),
        _ if inputs.is_empty() => Ok(()),
        parts => Err(format!("it wants {parts} invocations, which only a stage without inputs can")),
    }
}

fn check_input(input: &InputDescription, schema: &Schema) -> Result<(), String> {
    let columns = schema.fields().len();
    if input.reads.iter().any(|&column| column >= columns) {
        return Err(format!("it reads a column that is not there (the stream has {})", count(columns, "column")));
    }
    if !input.reads.is_sorted_by(|a, b| a < b) {
        return Err("the columns that it reads are not in ascending order".to_owned());
    }
    match (input.class, input.keys.is_empty()) {
        (Class::Keyed, true) => Err("it is keyed, but has no key columns".to_owned()),
        (Class::Keyed, false) if input.keys.iter().any(|key| !input.reads.contains(key)) => {
            Err("a key column is not among the columns that it reads".to_owned())
        }
        (Class::Keyed, false) | (_, true) => Ok(()),
        (class, false) => Err(format!("it has key columns, but is {class}")),
    }
}

fn check_output(output: &OutputDescription, inputs: &[InputDescription], schemas: &[SchemaRef]) -> Result<(), String> {
    let fields = output.schema.fields();
    if output.columns.len() != fields.len() {
        return Err(format!(
            "it has {} and says of {} where they come from",
            count(fields.len(), "column"),
            output.columns.len()
        ));
    }
    let mut names = std::collections::HashSet::new();
    if let Some(field) = fields.iter().find(|field| !names.insert(field.name())) {
        return Err(format!("it has two columns `{}`", field.name()));
    }
    let from = match output.rows {
        Rows::Same { input } | Rows::Subset { input } => {
            let class = inputs.get(input).ok_or("its rows are those of an input that is not there")?.class;
            if class == Class::Combining {
                return Err("its rows are those of a combining input, of which only partials are left".to_owned());
            }
            Some(&schemas[input])
        }
        Rows::New => None,
    };
    output.columns.iter().zip(fields).try_for_each(|(column, field)| check_column(column, field, from))
}

fn check_column(column: &OutputColumn, field: &Field, from: Option<&SchemaRef>) -> Result<(), String> {
    let OutputColumn::Passed { column } = column else { return Ok(()) };
    let name = field.name();
    let schema = from.ok_or_else(|| format!("`{name}` is passed on, but its rows are new"))?;
    let passed = schema.fields().get(*column).ok_or_else(|| format!("`{name}` is a column that is not there"))?;
    if passed.data_type() != field.data_type() {
        return Err(format!("`{name}` is passed on as {}, but is {}", field.data_type(), passed.data_type()));
    }
    if passed.is_nullable() && !field.is_nullable() {
        return Err(format!("`{name}` is passed on as without nulls, but may hold some"));
    }
    Ok(())
}

fn check_combining(description: &Description) -> Result<(), String> {
    let combining = description.inputs.iter().any(|input| input.class == Class::Combining);
    let driving = description.inputs.iter().filter(|input| input.class.is_driving()).count();
    if driving > 1 {
        return Err("several of its inputs are taken segment by segment; all but one must be whole".to_owned());
    }
    if combining && description.outputs.iter().any(|output| output.rows != Rows::New) {
        return Err("it has a combining input, so its outputs consist of new rows".to_owned());
    }
    match (combining, &description.partial) {
        (false, None) | (true, Some(_)) => Ok(()),
        (false, Some(_)) => Err("it has partials, but no combining input".to_owned()),
        (true, None) => Err("it has a combining input, but no columns of partials".to_owned()),
    }
}

/// Rows of equal keys meet in one invocation only if the keys of all keyed inputs are alike and nothing else decides what
/// an invocation is.
fn check_keyed(description: &Description, schemas: &[SchemaRef]) -> Result<(), String> {
    let types = |(input, schema): (&InputDescription, &SchemaRef)| -> Vec<DataType> {
        input.keys.iter().map(|&key| schema.field(key).data_type().clone()).collect()
    };
    let pairs = description.inputs.iter().zip(schemas).filter(|(input, _)| input.class == Class::Keyed);
    let keys: Vec<Vec<DataType>> = pairs.map(types).collect();
    let Some(first) = keys.first() else { return Ok(()) };
    if description.inputs.iter().any(|input| input.class.is_driving()) {
        return Err("it has a keyed input and one that is taken segment by segment; that one must be whole".to_owned());
    }
    if let Some(nested) = keys.iter().flatten().find(|key| key.is_nested()) {
        return Err(format!("a key column is {nested}; a key consists of plain values"));
    }
    match keys.iter().all(|other| other == first) {
        true => Ok(()),
        false => Err("the key columns of its keyed inputs are of different types".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn schema(data_type: DataType) -> SchemaRef {
        Arc::new(Schema::new(vec![Field::new("k", data_type, true)]))
    }

    fn input(class: Class) -> InputDescription {
        InputDescription { class, reads: vec![0], keys: if class == Class::Keyed { vec![0] } else { vec![] } }
    }

    fn output(rows: Rows) -> OutputDescription {
        OutputDescription { schema: schema(DataType::Int64), rows, columns: vec![OutputColumn::Written] }
    }

    /// What is said of a stage with these inputs and one output.
    fn verdict(inputs: &[(Class, DataType)], rows: Rows) -> String {
        let schemas: Vec<SchemaRef> = inputs.iter().map(|(_, data_type)| schema(data_type.clone())).collect();
        let ports = |count: usize| (0..count).map(|port| port.to_string()).collect();
        let combining = inputs.iter().any(|(class, _)| *class == Class::Combining);
        let description = Description {
            inputs: inputs.iter().map(|(class, _)| input(*class)).collect(),
            outputs: vec![output(rows)],
            partial: combining.then(|| schema(DataType::Int64)),
            parts: 1,
            runner: [].into(),
            explanation: Default::default(),
        };
        let signature = Signature {
            unenforced: None,
            chains: false,
            serializations: Vec::new(),
            digest: crate::key::StageDigest::new([0; 32]),
            doc: String::new(),
            inputs: ports(inputs.len()),
            outputs: ports(1),
            config_schema: serde_json::Value::Null,
            purity: crate::plan::Purity::Proven,
            runner: Default::default(),
        };
        check(&description, &signature, &schemas).err().unwrap_or_default()
    }

    #[test]
    fn keyed_inputs_must_have_keys_that_can_meet() {
        use Class::{Keyed, RowWise, Whole};
        assert_eq!(verdict(&[(Keyed, DataType::Utf8), (Keyed, DataType::Utf8)], Rows::Same { input: 0 }), "");
        assert_eq!(verdict(&[(Keyed, DataType::Utf8), (Whole, DataType::Int64)], Rows::New), "");
        let differ = verdict(&[(Keyed, DataType::Utf8), (Keyed, DataType::Int64)], Rows::New);
        assert!(differ.contains("different types"), "{differ}");
        let driven = verdict(&[(Keyed, DataType::Utf8), (RowWise, DataType::Utf8)], Rows::New);
        assert!(driven.contains("segment by segment"), "{driven}");
        let nested = verdict(&[(Keyed, DataType::new_list(DataType::Utf8, true))], Rows::New);
        assert!(nested.contains("plain values"), "{nested}");
    }

    #[test]
    fn outputs_of_a_combining_stage_have_no_rows_to_keep() {
        let inputs = [(Class::Combining, DataType::Int64), (Class::Whole, DataType::Int64)];
        assert_eq!(verdict(&inputs, Rows::New), "");
        assert!(verdict(&inputs, Rows::Same { input: 1 }).contains("new rows"));
    }
}
