//! A kernel, from its text to the module that runs.

use std::collections::BTreeMap;

use arrow_schema::Schema;
use flowc_planner::catalogue::Signature;
use flowc_planner::key::StageDigest;
use flowc_planner::plan::{KernelColumns, Purity};
use serde_json::Value;

use crate::bind::{self, Bound};
use crate::build::{self, Build, Parts};
use crate::config::{self, Config};
use crate::diagnostic::{Diagnostic, Source};
use crate::facts::{Facts, Needs};
use crate::module::ModuleForm;
use crate::parsed::{Parsed, Place};
use crate::row::{self, RowForm};

/// A kernel that has been read and can be matched to columns.
#[derive(Clone, Debug)]
pub struct Kernel {
    parsed: Parsed,
    form: Form,
    config: Option<Config>,
    /// Callers before what they call.
    reachable: Vec<Place>,
    facts: Facts,
}

#[derive(Clone, Debug)]
enum Form {
    Row(RowForm),
    Module(ModuleForm),
}

impl Kernel {
    /// Reads a kernel: a function `row`, or a module with an entry point.
    ///
    /// # Errors
    /// All that is wrong with the text, whatever its columns will be.
    pub fn parse(source: Source) -> Result<Self, Vec<Diagnostic>> {
        let one = |problem| vec![problem];
        let parsed = Parsed::new(source).map_err(one)?;
        if let Some((handle, _)) = parsed.module.overrides.iter().next() {
            let found = Diagnostic::new("nothing gives an `override` its value");
            let found = found.at(&parsed.source, parsed.module.overrides.get_span(handle), "");
            return Err(one(found.with_help("make it a `const`, or a member of `struct Config`")));
        }
        let config = Config::find(&parsed.module, &parsed.source).map_err(one)?;
        let root = root(&parsed).map_err(one)?;
        let reachable = parsed.reachable(root);
        let facts = Facts::of(&parsed, &reachable);
        if !facts.refused.is_empty() {
            return Err(facts.refused);
        }
        let form = match root {
            Place::Function(function) => Form::Row(RowForm::new(&parsed, function, config.as_ref(), &facts)?),
            Place::Entry(_) => Form::Module(ModuleForm::new(&parsed, config.as_ref())?),
        };
        Ok(Self { parsed, form, config, reachable, facts })
    }

    /// What the stage is, before any config: rows to rows, with a table beside them where the kernel has one.
    pub fn signature(&self, digest: StageDigest) -> Signature {
        let rows = "rows".to_owned();
        let table = self.has_table().then(|| "table".to_owned());
        Signature {
            digest,
            doc: self.doc(),
            inputs: std::iter::once(rows.clone()).chain(table).collect(),
            outputs: vec![rows],
            config_schema: self.config.as_ref().map_or_else(config::none, Config::schema),
            purity: Purity::Proven,
            runner: BTreeMap::new(),
            unenforced: None,
            chains: false,
            serializations: Vec::new(),
        }
    }

    /// What its author says of it: the comments of its function, or of the whole text.
    fn doc(&self) -> String {
        let Some(comments) = &self.parsed.module.doc_comments else { return String::new() };
        let of_function = match &self.form {
            Form::Row(form) => comments.functions.get(&form.function),
            Form::Module(form) => comments.entry_points.get(&form.entry),
        };
        config::prose(of_function.unwrap_or(&comments.module))
    }

    /// Its text.
    pub fn text(&self) -> &str {
        &self.parsed.source.text
    }

    /// What an adapter must have to run it.
    pub fn needs(&self) -> Needs {
        self.facts.needs
    }

    fn has_table(&self) -> bool {
        matches!(&self.form, Form::Module(form) if form.has_table)
    }

    /// Matches it to the columns of its inputs, and proves its class and its numeric class.
    ///
    /// # Errors
    /// All that does not fit: names without a column, other types, settings that name nothing.
    ///
    /// # Panics
    /// If there are fewer inputs than its signature says.
    pub fn bind(&self, inputs: &[&Schema], settings: &KernelColumns) -> Result<Bound, Vec<Diagnostic>> {
        assert!(inputs.len() > usize::from(self.has_table()), "a kernel is bound to all of its inputs");
        match &self.form {
            Form::Row(form) => bind::row(&self.parsed, form, &self.facts, inputs[0], settings),
            Form::Module(form) => bind::module(&self.parsed, form, &self.facts, &self.reachable, inputs, settings),
        }
    }

    /// A config as its buffer holds it; nothing for a kernel that takes none.
    ///
    /// # Errors
    /// If a value is not one of the type that the kernel declares.
    pub fn encode_config(&self, config: &Value) -> Result<Vec<u8>, Diagnostic> {
        self.config.as_ref().map_or(Ok(Vec::new()), |known| known.encode(config))
    }

    /// The module that runs. `budget` is how many iterations all loops of an invocation may take together, those in which
    /// its workgroup waits apart. It has to be below what the driver takes: llvmpipe ends an invocation after 65,535
    /// iterations, without an error.
    pub fn build(&self, bound: &Bound, budget: u32) -> Build {
        self.built(bound, budget, false)
    }

    /// The same for a driver that ends loops after some more iterations than the budget, counted for several invocations together, without an
    /// error: what it ended is a fault.
    pub fn build_for_ended_loops(&self, bound: &Bound, budget: u32) -> Build {
        self.built(bound, budget, true)
    }

    fn built(&self, bound: &Bound, budget: u32, are_loops_ended: bool) -> Build {
        let row = match &self.form {
            Form::Row(form) => Some(form),
            Form::Module(_) => None,
        };
        let (parsed, reachable, has_subgroups) = (&self.parsed, &self.reachable, self.facts.needs.subgroups);
        build::build(&Parts { parsed, reachable, row, bound, are_loops_ended, has_subgroups }, budget)
    }
}

/// The function that a kernel begins with.
fn root(parsed: &Parsed) -> Result<Place, Diagnostic> {
    if !parsed.module.entry_points.is_empty() {
        return Ok(Place::Entry(0));
    }
    let named =
        |(_, function): &(naga::Handle<naga::Function>, &naga::Function)| function.name.as_deref() == Some(row::NAME);
    match parsed.module.functions.iter().find(named) {
        Some((handle, _)) => Ok(Place::Function(handle)),
        None => Err(Diagnostic::new("the text has neither a function `row` nor a `@compute` entry point")
            .with_help("write `fn row(price: f32) -> Out { ... }`: parameters and fields of the result are columns")),
    }
}
