//! What a run leaves behind for those after it: a record of what it made, and the evidence that nothing has changed since.

use std::collections::BTreeMap;

use flowc_demand::Selection;
use flowc_planner::plan::{Purity, Stage};
use flowc_sinks::{SinkState, WatchedFile};

use crate::inputs::lookup::{Locator, Lookups};
use crate::intake::notices::{self, Notice};
use crate::outputs::Outputs;
use crate::record::run::RunRecord;
use crate::record::up_to_date::{Stamped, UpToDateSnapshot};
use crate::run::context::Run;
use crate::{Error, RunReport, StageReport, StageStatus};

impl Run<'_> {
    /// Keeps what the next run, `why` and `store gc` need to know of this one. `late` is what it told of rows that came too late.
    pub(crate) fn remember(
        &self,
        sinks: &Outputs<'_>,
        selection: &Selection,
        report: &RunReport,
        states: &BTreeMap<usize, SinkState>,
        late: &[Notice],
    ) -> Result<(), Error> {
        if !self.request.is_whole() {
            return Ok(());
        }
        let Locator { datasets, lookup: Lookups { store, inventory }, .. } = sinks.reading.locator;
        RunRecord::save(store, self.planned, inventory, datasets)?;
        store.save(&self.planned.texts[0], datasets);
        if let Some(evidence) = self.evidence(sinks, selection, states) {
            let cached = report.stages.iter().map(|stage| StageReport {
                status: if stage.status == StageStatus::Ran { StageStatus::Cached } else { stage.status },
                segments_cached: stage.segments_cached + stage.segments_ran,
                segments_ran: 0,
                seconds: 0.0,
                reasons: Vec::new(),
                ..stage.clone()
            });
            let report = RunReport { stages: cached.collect(), ..report.clone() };
            // Texts and lock as they were read: what they are by now may be something else.
            let read = self.planned.read.clone();
            let unread = selection.unread(self.plan(), self.request.stages()).map(notices::unread_stage);
            let of_sources = notices::notices(self.plan(), inventory, selection);
            let told = unread.chain(of_sources).chain(late.iter().cloned()).chain(self.assert_notices());
            if let Some(standstill) =
                UpToDateSnapshot::new(read, evidence, &self.planned.evidence, report, told.collect())
            {
                let has = |is_so: fn(&Stage) -> bool| self.plan().stages.iter().any(is_so);
                let has_programs = has(|stage| stage.code.program().is_some());
                let standstill = if has_programs { standstill.with_programs() } else { standstill };
                let standstill = if has(Stage::is_of_device) { standstill.with_devices() } else { standstill };
                standstill.save(store, self.options);
            }
        }
        Ok(())
    }

    /// All that the outcome depends on; none where that can't be told by looking at files.
    fn evidence(
        &self,
        sinks: &Outputs<'_>,
        selection: &Selection,
        states: &BTreeMap<usize, SinkState>,
    ) -> Option<Vec<Stamped>> {
        // What may be taken of open results, and where, is not to be told by looking at files.
        if self.plan().stages.iter().any(|stage| stage.purity == Purity::Open) {
            return None;
        }
        let mut evidence = Vec::new();
        for (path, stamp) in &self.planned.evidence.paths {
            // What changed after the plan was begun may not be what was read.
            if stamp.is_racy(self.planned.began) {
                return None;
            }
            evidence.push(Stamped::At(path.clone(), *stamp));
        }
        let inventory = sinks.reading.locator.lookup.inventory;
        for source in inventory.sources.values() {
            evidence.extend(source.watched()?.into_iter().map(|(path, stamp)| Stamped::At(path, stamp)));
        }
        for sink in &selection.sinks {
            let watched = sinks.sinks.sink(&self.plan().sinks[*sink].spec).watched(states.get(sink)?)?;
            let written = |file: WatchedFile| Stamped::Written(file.path, file.stamp, file.bytes_digest);
            evidence.extend(watched.into_iter().map(written));
        }
        Some(evidence)
    }
}
