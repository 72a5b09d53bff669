//! Warnings of a pipeline and of the files that its sources read. They are told in every run, whether files are read, known from before,
//! or not even looked at since nothing has changed.

use flowc_demand::Selection;
use flowc_planner::plan::{Plan, Source};
use serde::{Deserialize, Serialize};

use crate::event::IgnoredMember;
use crate::intake::files::rest_help;
use crate::intake::inventory::{Inventory, SourceInventory};
use crate::intake::notes::FileNotes;
use crate::{Event, Observer};

/// A warning that holds while nothing changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Notice {
    Warning { message: String },
    BadRows { source: String, file: String, rows: u64 },
    LateRows { stage: String, input: String, rows: u64, stream: String },
    IgnoredMembers { source: String, file: String, members: Vec<IgnoredMember>, help: String },
}

/// Tells of them.
pub(crate) fn tell(notices: &[Notice], observer: &dyn Observer) {
    notices.iter().cloned().for_each(|notice| observer.observe(notice.into()));
}

impl From<Notice> for Event {
    fn from(notice: Notice) -> Self {
        match notice {
            Notice::Warning { message } => Self::Warning { message },
            Notice::BadRows { source, file, rows } => Self::BadRows { source, file, rows },
            Notice::LateRows { stage, input, rows, stream } => Self::LateRows { stage, input, rows, stream },
            Notice::IgnoredMembers { source, file, members, help } => {
                Self::IgnoredMembers { source, file, members, help }
            }
        }
    }
}

/// The warning of a stage that does not run.
pub(crate) fn unread_stage(stage: &str) -> Notice {
    let advice = format!("add a sink with `in \"{stage}\"`, or run it with `flowc run --only {stage}`");
    Notice::Warning { message: format!("nothing reads stage `{stage}`, so it does not run; {advice}") }
}

/// What there is to tell of the sources that a run uses, as far as they have been read.
pub(crate) fn notices(plan: &Plan, inventory: &Inventory, selection: &Selection) -> Vec<Notice> {
    let used = inventory.sources.iter().filter(|(source, _)| selection.sources.contains(source));
    let used: Vec<(&Source, &SourceInventory)> =
        used.map(|(&source, files)| (&plan.sources[source], files.as_ref())).collect();
    let of_files = used.iter().flat_map(|(of, files)| of_files(of, files)).map(|message| Notice::Warning { message });
    let bad_rows = used.iter().flat_map(|(of, files)| {
        let notice =
            |(file, rows): (&str, u64)| Notice::BadRows { source: of.name.clone(), file: file.to_owned(), rows };
        files.bad_rows().map(notice)
    });
    of_files.chain(bad_rows).chain(used.iter().flat_map(|(of, files)| ignored(of, files))).collect()
}

/// Warnings of a source's files. Each is given once a source: its files are alike.
fn of_files(of: &Source, files: &SourceInventory) -> Vec<String> {
    let name = &of.name;
    let first = |columns: fn(&FileNotes) -> &[String]| {
        let file = files.files.iter().find(|entry| !columns(&entry.notes).is_empty())?;
        let columns = columns(&file.notes).iter().map(|column| format!("`{column}`")).collect::<Vec<_>>().join(", ");
        Some((file.name(), columns, rest_help(&of.spec)?))
    };
    let unknown = first(|notes| &notes.unknown_columns).map(|(file, columns, help)| {
        let known = if of.spec.is_inferred() { "the lock" } else { "`schema`" };
        format!("source `{name}`: {file} has columns that {known} does not have: {columns}. Nothing reads them; {help}")
    });
    let folders = first(|notes| &notes.unread_folders).map(|(file, columns, _)| {
        format!(
            "source `{name}`: the folders of {file} have columns that nothing reads: {columns}. To read them, say \
             `files ... partitions=#true`, and declare them or run `flowc run --update`; `partitions=#false` says that \
             nothing shall"
        )
    });
    let doubt = files.files.iter().find_map(|entry| entry.notes.doubt.as_ref());
    let doubt = doubt.map(|doubt| format!("source `{name}`: {doubt}"));
    unknown.into_iter().chain(folders).chain(doubt).collect()
}

fn ignored(of: &Source, files: &SourceInventory) -> Vec<Notice> {
    let Some(help) = rest_help(&of.spec) else { return Vec::new() };
    let notice = |(file, ignored): (&str, flowc_sources::Ignored)| Notice::IgnoredMembers {
        source: of.name.clone(),
        file: file.to_owned(),
        members: ignored.members().map(|(member, rows)| IgnoredMember { member, rows }).collect(),
        help: help.clone(),
    };
    files.ignored().map(notice).collect()
}
