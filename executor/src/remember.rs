//! What a run leaves behind for those after it: a record of what it made, and the evidence that nothing has changed since.

use flowc_planner::plan::Target;

use crate::history::RunRecord;
use crate::homes::Homes;
use crate::noop::{Evidence, Standstill};
use crate::output::Outputs;
use crate::reach::Goal;
use crate::run::Run;
use crate::{Error, RunReport, StageReport, StageStatus};

impl Run<'_> {
    /// Keeps what the next run, `why` and `store gc` need to know of this one.
    pub(crate) fn remember(&self, sinks: &Outputs<'_>, goal: &Goal, report: &RunReport) -> Result<(), Error> {
        if !self.request.only.is_empty() || !self.request.until.is_empty() {
            return Ok(());
        }
        let Homes { plan, inventory, datasets, store } = sinks.reading.homes;
        RunRecord::new(&self.planned.texts[0], plan, inventory, datasets).save(store, &self.planned.texts[0])?;
        if let Some(evidence) = self.evidence(sinks, goal)? {
            let cached = report.stages.iter().map(|stage| StageReport {
                status: StageStatus::Cached,
                segments_cached: stage.segments_cached + stage.segments_ran,
                segments_ran: 0,
                seconds: 0.0,
                ..stage.clone()
            });
            let report = RunReport { stages: cached.collect(), ..report.clone() };
            let texts = [self.planned.texts.as_slice(), std::slice::from_ref(&self.planned.lock)].concat();
            if let Some(standstill) = Standstill::new(&texts, evidence, report) {
                standstill.save(store, self.options);
            }
        }
        Ok(())
    }

    /// All that the outcome depends on; none where that can't be told by looking at files.
    fn evidence(&self, sinks: &Outputs<'_>, goal: &Goal) -> Result<Option<Vec<Evidence>>, Error> {
        let mut evidence = Vec::new();
        let inventory = sinks.reading.homes.inventory;
        let folders = inventory.sources.values().flat_map(|source| source.directories.iter());
        for path in self.planned.evidence.iter().chain(folders) {
            let Ok(stamp) = flowc_platform::FileStamp::of(path) else { return Ok(None) };
            evidence.push(Evidence::Stamp(path.clone(), stamp));
        }
        for entry in inventory.sources.values().flat_map(|source| &source.files) {
            let (Some(file), Some(stamp)) = (&entry.file, entry.stamp) else { return Ok(None) };
            evidence.push(Evidence::Stamp(file.path.clone(), stamp));
        }
        for &sink in &goal.sinks {
            let sink = &self.plan().sinks[sink];
            let Some(state) = sinks.previous(sink)? else { return Ok(None) };
            for file in state.files {
                let path = match &sink.spec.target {
                    Target::Directory(folder) => self.planned.base.join(folder).join(&file.path),
                    Target::File(path) => self.planned.base.join(path),
                    Target::Stdout => return Ok(None),
                };
                evidence.push(Evidence::Written(path, file.stamp, file.bytes_digest));
            }
        }
        Ok(Some(evidence))
    }
}
