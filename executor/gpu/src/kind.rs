//! Kernels as the engine knows them.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use arrow_schema::Schema;
use flowc_code::Evidence;
use flowc_kernel::{Kernel, Source, problem, standard};
use flowc_planner::catalogue::{Description, Problem, Question, Signature};
use flowc_planner::key::{KeyHasher, StageDigest};
use flowc_planner::plan::{Code, Isolate, KernelColumns};
use flowc_platform::read_regular;
use flowc_runner::{
    ChainRunner, CodeContext, DeviceIdentity, EdgeObserver, Instance, Invocation, Located, Outlet, Runner, StageError,
    StageKind, foreign_code,
};

use crate::adapter::Choice;
use crate::adapters::{Adapters, Remembered};
use crate::devices::Devices;
use crate::instance;
use crate::known::Known;

/// The kind of stage that is a kernel, and its runner.
pub struct Kernels {
    known: RwLock<HashMap<StageDigest, Arc<Known>>>,
    adapters: Arc<Adapters>,
    devices: Arc<Devices>,
    made_by: &'static str,
}

/// In the runner of a stage: what of flowc makes its results, as [`Kernels::new`] is told.
const MADE_BY: &str = "kernels";

impl Kernels {
    /// Kernels that run on the adapter that is meant. What is found of adapters is kept. `made_by` is in the keys of all results: a digest
    /// over the code that makes them of a kernel's text, here and in the crate of kernels, and over the crates that it uses.
    pub fn new(choice: Choice, remembered: Box<dyn Remembered>, made_by: &'static str) -> Self {
        let adapters = Arc::new(Adapters::new(choice, remembered));
        let devices = Arc::new(Devices::new(Arc::clone(&adapters)));
        Self { known: RwLock::default(), devices, adapters, made_by }
    }

    /// Bytes that went to the device, and that came back.
    pub fn traffic(&self) -> [u64; 2] {
        self.devices.traffic.bytes()
    }

    fn known(&self, digest: &StageDigest) -> Option<Arc<Known>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(digest).cloned()
    }

    fn located(&self, digest: &StageDigest) -> Result<Arc<Known>, Problem> {
        self.known(digest).ok_or_else(|| Problem::new(format!("there is no kernel {}", digest.short())))
    }
}

impl StageKind for Kernels {
    fn name(&self) -> &'static str {
        "gpu"
    }

    fn locate(&self, code: &Code, context: &dyn CodeContext) -> Result<Located, Problem> {
        let (digest, known, evidence) = match code {
            Code::Wgsl { path, columns } => own(path, columns, context)?,
            Code::Std(name) => {
                let stage = standard(name).ok_or_else(|| foreign_code(code))?;
                (stage.digest(), Known::Standard(stage), Evidence::default())
            }
            other => return Err(foreign_code(other)),
        };
        self.known.write().unwrap_or_else(PoisonError::into_inner).insert(digest, Arc::new(known));
        Ok(Located::new(digest, evidence))
    }

    fn signature(&self, digest: &StageDigest) -> Result<Signature, Problem> {
        let mut signature = match &*self.located(digest)? {
            Known::Own { kernel, .. } => kernel.signature(*digest),
            Known::Standard(stage) => stage.signature(*digest),
        };
        signature.runner.insert(MADE_BY.to_owned(), self.made_by.to_owned());
        Ok(signature)
    }

    fn describe(&self, question: &Question) -> Result<Description, Problem> {
        let known = self.located(&question.digest)?;
        let inputs: Vec<&Schema> = question.inputs.iter().map(|schema| &**schema).collect();
        Ok(known.fitted(&question.config, &inputs)?.bound.description())
    }

    fn runner(&self, _: Isolate) -> &dyn Runner {
        self
    }

    fn device(&self) -> Option<DeviceIdentity> {
        Some(self.adapters.identity())
    }
}

impl Runner for Kernels {
    fn open(&self, invocation: &Invocation, outlet: Box<dyn Outlet>) -> Result<Box<dyn Instance>, StageError> {
        self.open_chain(std::slice::from_ref(invocation), Vec::new(), outlet)
    }

    fn as_chain_runner(&self) -> Option<&dyn ChainRunner> {
        Some(self)
    }
}

impl ChainRunner for Kernels {
    fn open_chain(
        &self,
        stages: &[Invocation],
        between: Vec<Box<dyn EdgeObserver>>,
        outlet: Box<dyn Outlet>,
    ) -> Result<Box<dyn Instance>, StageError> {
        let known: Vec<_> = stages.iter().map(|stage| self.known(&stage.digest)).collect();
        instance::open(&known, &self.devices, stages, between, outlet)
    }
}

/// A kernel in a file.
fn own(
    path: &str,
    columns: &KernelColumns,
    context: &dyn CodeContext,
) -> Result<(StageDigest, Known, Evidence), Problem> {
    let file = context.base().join(path);
    let mut evidence = Evidence::default();
    evidence.look(&file);
    let unreadable = |cause: String| {
        Problem::new(format!("{} can't be read: {cause}", file.display()))
            .with_help("correct the path; it is taken from the pipeline's folder")
    };
    let bytes = read_regular(&file).map_err(|error| unreadable(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_| unreadable("it is not UTF-8".to_owned()))?;
    let digest = digest(&text, columns);
    let kernel = Kernel::parse(Source::new(path, &text)).map_err(problem)?;
    Ok((digest, Known::Own { kernel: Box::new(kernel), columns: columns.clone() }, evidence))
}

/// What a kernel is told from others by: its text, and how its names are matched to columns.
fn digest(text: &str, columns: &KernelColumns) -> StageDigest {
    let KernelColumns { bind, gives, drops, groups } = columns;
    let mut hasher = KeyHasher::new("kernel 1");
    hasher.bytes(text.as_bytes()).number(bind.len() as u64);
    for (name, column) in bind {
        hasher.bytes(name.as_bytes()).bytes(column.as_bytes());
    }
    hasher.number(gives.len() as u64);
    for (name, data_type) in gives {
        hasher.bytes(name.as_bytes()).bytes(data_type.to_string().as_bytes());
    }
    for column in drops {
        hasher.bytes(column.as_bytes());
    }
    if let Some(column) = groups {
        hasher.bytes(b"groups").number(u64::MAX).bytes(column.as_bytes());
    }
    StageDigest::new(hasher.finish())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use arrow_schema::DataType;
    use flowc_planner::key::StageKey;
    use flowc_planner::plan::STANDARD_KERNELS;

    use super::*;
    use crate::adapters::Forgetful;

    /// The key of a stage follows from its signature, and with it from all that makes its results.
    #[test]
    fn what_makes_the_results_of_a_kernel_is_in_their_keys() {
        let text = "struct Out { y: u32 }\nfn row(x: u32) -> Out { return Out(x); }\n";
        let keys = |made_by: &'static str| -> Vec<StageKey> {
            let kernels = Kernels::new(Choice::None, Box::new(Forgetful), made_by);
            let own = Kernel::parse(Source::new("k.wgsl", text)).unwrap();
            let known = Known::Own { kernel: Box::new(own), columns: KernelColumns::default() };
            let standard = STANDARD_KERNELS.map(|name| standard(name).unwrap());
            let standard = standard.into_iter().map(|stage| (stage.digest(), Known::Standard(stage)));
            let all = standard.chain([(digest(text, &KernelColumns::default()), known)]);
            let key = |(digest, known): (StageDigest, Known)| {
                kernels.known.write().unwrap().insert(digest, Arc::new(known));
                let signature = kernels.signature(&digest).unwrap();
                StageKey::derive(&digest, &serde_json::json!({}), &signature.runner, &[], &Default::default())
            };
            all.map(key).collect()
        };
        let (before, now) = (keys("before"), keys("now"));
        assert_eq!(before, keys("before"));
        assert_eq!(before.iter().chain(&now).collect::<BTreeSet<_>>().len(), 2 * (STANDARD_KERNELS.len() + 1));
    }

    #[test]
    fn a_kernel_is_told_by_its_text_and_its_columns() {
        let plain = KernelColumns::default();
        let bind = KernelColumns { bind: [("a".to_owned(), "b".to_owned())].into(), ..plain.clone() };
        let gives = KernelColumns { gives: [("a".to_owned(), DataType::Date32)].into(), ..plain.clone() };
        let drops = KernelColumns { drops: vec!["a".to_owned(), "b".to_owned()], ..plain.clone() };
        let digests = [digest("x", &plain), digest("y", &plain), digest("x", &bind), digest("x", &gives)];
        let groups = KernelColumns { groups: Some("a".to_owned()), ..plain.clone() };
        let digests = digests.into_iter().chain([digest("x", &drops), digest("x", &groups)]);
        assert_eq!(digests.collect::<std::collections::BTreeSet<_>>().len(), 6);
    }
}
