//! SQL stages, in the program `flowc-sql`.

use flowc_runner::StageKind;
use flowc_sql_process::{SqlStages, StatementCache};
use flowc_store::Store;

use crate::Error;
use crate::remembered::CODE;
use crate::runners::lent::Lent;

/// The kind of SQL stages.
///
/// # Errors
/// None: the program is looked for when there is a stage.
pub(super) fn kind(lent: &Lent<'_>) -> Result<Box<dyn StageKind>, Error> {
    let Lent { store, options, programs, .. } = lent;
    let cache = Box::new(Statements((*store).clone()));
    Ok(Box::new(SqlStages::new(programs.host.clone(), options.memory, cache)))
}

/// The store remembers statements.
struct Statements(Store);

impl StatementCache for Statements {
    fn find(&self, key: &[u8; 32]) -> Option<String> {
        self.0.memo(CODE, key).ok().flatten()
    }

    fn keep(&self, key: &[u8; 32], normal: &str) {
        // What is not remembered is asked for again.
        let _ = self.0.remember(CODE, key, &normal.to_owned());
    }
}
