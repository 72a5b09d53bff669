//! Writes the column that it reads to its output, as it is: the tests say of which types both are.

use flowc_sdk::prelude::*;

/// Nothing to keep.
pub struct Echo;

impl Stage for Echo {
    type Config = flowc_sdk::serde_json::Value;
    const DOC: &'static str = "Writes the column that it reads.";

    fn describe(_: &Self::Config, inputs: &[Columns]) -> Result<Description> {
        let columns = inputs[0].all();
        let output = Output::new_rows().write_all(columns.iter().map(|column| column.field.clone()));
        Ok(Description::new([Input::new(Class::RowWise, &columns)], [output]))
    }

    fn open(_: Self::Config, _: Opening) -> Result<Self> {
        Ok(Self)
    }

    fn push(&mut self, _: usize, batch: Batch, outputs: &mut Outputs) -> Result<()> {
        outputs.write(0, &batch.read_all()?)
    }
}

flowc_sdk::export!(Echo);
