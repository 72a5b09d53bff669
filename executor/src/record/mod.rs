//! What is kept of runs: the record of what one made, its logs, and the evidence that nothing has changed since.
//!
//! May use plans, `intake` and the store; is used by runs and by what looks at them later.

pub(crate) mod history;
pub(crate) mod made_on;
pub(crate) mod pages;
pub(crate) mod run;
pub(crate) mod up_to_date;
