//! Never returns from its first batch.

use flowc_sdk::prelude::*;
use serde::Deserialize;

/// There is nothing to configure.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {}

/// Waits for what does not come.
pub struct Endless;

impl Stage for Endless {
    type Config = Config;
    const DOC: &'static str = "Never returns from its first batch.";

    fn describe(_: &Config, inputs: &[Columns]) -> Result<Description> {
        let rows = Output::same(&inputs[0]).pass_all(&inputs[0].all());
        Ok(Description::new([Input::new(Class::RowWise, [])], [rows]))
    }

    fn open(_: Config, _: Opening) -> Result<Self> {
        Ok(Self)
    }

    fn push(&mut self, _port: usize, _batch: Batch, _outputs: &mut Outputs) -> Result<()> {
        loop {
            std::hint::spin_loop();
        }
    }
}

flowc_sdk::export!(Endless);
