//! Parts rows by whether a table has their key: two inputs, two outputs.

use flowc_sdk::HashSet;
use flowc_sdk::arrow::compute::not;
use flowc_sdk::prelude::*;
use serde::Deserialize;

/// What the pipeline's text configures.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The text column that rows and table have.
    on: String,
}

/// The keys of the table.
pub struct Parted(HashSet<String>);

impl Stage for Parted {
    type Config = Config;
    const DOC: &'static str = "Parts rows by whether a table has their key.";
    const INPUTS: &'static [&'static str] = &["rows", "table"];
    const OUTPUTS: &'static [&'static str] = &["known", "unknown"];

    fn describe(config: &Config, inputs: &[Columns]) -> Result<Description> {
        let read = |class, port: usize| Ok::<_, Problem>(Input::new(class, [&inputs[port].text("/on", &config.on)?]));
        let subset = || Output::subset(&inputs[0]).pass_all(&inputs[0].all());
        Ok(Description::new([read(Class::RowWise, 0)?, read(Class::Whole, 1)?], [subset(), subset()]))
    }

    fn open(_: Config, _: Opening) -> Result<Self> {
        Ok(Self(HashSet::default()))
    }

    fn push(&mut self, port: usize, batch: Batch, outputs: &mut Outputs) -> Result<()> {
        let keys = text(&batch.column(0)?)?;
        if port == 1 {
            self.0.extend(keys.iter().flatten().map(str::to_owned));
            return Ok(());
        }
        let known: BooleanArray = keys.iter().map(|key| Some(key.is_some_and(|key| self.0.contains(key)))).collect();
        outputs.emit(0, batch.filter(&known)?)?;
        outputs.emit(1, batch.filter(&not(&known)?)?)?;
        Ok(())
    }
}

flowc_sdk::export!(Parted);
