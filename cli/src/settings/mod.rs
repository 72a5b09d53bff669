//! The one place where settings are resolved: flags, over the environment, over `flowc.toml` (beside the pipeline or in
//! the nearest folder above), over the user's `config.toml`, over defaults.

mod environment;
mod file;
mod layer;
mod size;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

pub(crate) use environment::Environment;
pub(crate) use layer::{ColorChoice, SettingsArgs};
pub(crate) use size::ByteSize;

use layer::Layer;

/// Bytes of memory for one stage instance, unless the settings or the pipeline say otherwise.
const DEFAULT_MEMORY: u64 = 512 << 20;

/// One setting, for the reference.
#[cfg(test)]
pub(crate) struct SettingDoc {
    pub(crate) flag: &'static str,
    pub(crate) variable: &'static str,
    pub(crate) file: &'static str,
    pub(crate) default: &'static str,
    pub(crate) meaning: &'static str,
}

#[cfg(test)]
const fn doc(row: [&'static str; 5]) -> SettingDoc {
    let [flag, variable, file, default, meaning] = row;
    SettingDoc { flag, variable, file, default, meaning }
}

/// Every setting, for the reference.
#[cfg(test)]
pub(crate) const DOCS: [SettingDoc; 11] = [
    doc([
        "--store",
        "FLOWC_STORE",
        "store = \"dir\"",
        "$XDG_CACHE_HOME/flowc, else ~/.cache/flowc",
        "folder of the store; in a file, relative to that file",
    ]),
    doc([
        "--jobs",
        "FLOWC_JOBS",
        "jobs = 4",
        "the number of cores",
        "threads that work at once; results do not depend on it",
    ]),
    doc([
        "--memory",
        "FLOWC_MEMORY",
        "memory = \"1GiB\"",
        "512MiB",
        "memory for one instance of a stage, where the pipeline does not say `memory`",
    ]),
    doc([
        "--budget",
        "FLOWC_BUDGET",
        "budget = \"8GiB\"",
        "three quarters of the memory of the machine, or of the control group",
        "memory for all instances and programs of stages that run at once: fewer run at once where more would not fit",
    ]),
    doc([
        "--param",
        "FLOWC_PARAM_name",
        "[params] with name = \"value\"",
        "the pipeline's own",
        "values of the pipeline's `param` nodes",
    ]),
    doc(["--locked", "FLOWC_LOCKED", "locked = true", "false", "anything that does not fit `flow.lock` is an error"]),
    doc([
        "--no-build",
        "FLOWC_NO_BUILD",
        "no-build = true",
        "false",
        "build and fetch nothing (`rust` stages, Python packages, images); use what is there",
    ]),
    doc([
        "--require-isolation",
        "FLOWC_REQUIRE_ISOLATION",
        "require-isolation = true",
        "false",
        "run no stage in a process that this machine can't isolate in full; the exit code is 5",
    ]),
    doc([
        "--worker",
        "FLOWC_WORKER",
        "workers = [\"file\"]",
        "none",
        "files of credentials of [workers](workers.md) that run components; in the variable with `:` between them, in a file relative to that file",
    ]),
    doc([
        "--gpu",
        "FLOWC_GPU",
        "gpu = \"cpu\"",
        "the best one",
        "the adapter that [kernels](gpu.md) run on: a part of its name, `cpu` for a CPU driver, or `none`",
    ]),
    doc([
        "--color",
        "FLOWC_COLOR",
        "color = \"never\"",
        "auto",
        "colour in what people read: auto, always or never; NO_COLOR means never",
    ]),
];

/// All settings, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Folder of the store.
    pub(crate) store: PathBuf,
    /// Number of worker threads.
    pub(crate) jobs: usize,
    /// Bytes of memory for one stage instance where the pipeline does not say.
    pub(crate) memory: u64,
    /// Bytes of memory for all instances and programs that run at once.
    pub(crate) budget: u64,
    /// Values for the pipeline's params.
    pub(crate) params: BTreeMap<String, String>,
    /// Names of params that the environment alone gives: the pipeline need not declare them.
    pub(crate) ambient: BTreeSet<String>,
    /// Whether differences from the lock are errors.
    pub(crate) locked: bool,
    /// Whether `rust` stages may be built.
    pub(crate) build: bool,
    /// Whether stages are run only if their processes can be isolated in full.
    pub(crate) require_isolation: bool,
    /// Files of credentials of workers.
    pub(crate) workers: Vec<PathBuf>,
    /// The adapter that kernels run on.
    pub(crate) gpu: Option<String>,
    /// Colour.
    pub(crate) color: ColorChoice,
    /// The settings files that were read, the stronger first.
    pub(crate) files: Vec<PathBuf>,
}

/// What is wrong with the settings.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    /// A variable has a value that it cannot have.
    #[error("the environment variable {name} is `{value}`, which is not {expected}")]
    Variable {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
        /// What it can be.
        expected: &'static str,
    },
    /// A settings file is wrong.
    #[error("the settings file {} cannot be used: {message}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Place and reason.
        message: String,
    },
    /// There is no place for the store.
    #[error("there is no place for the store: set FLOWC_STORE, XDG_CACHE_HOME or HOME, or give `--store DIR`")]
    NoStore,
    /// There is no pipeline.
    #[error("there is no pipeline at {}{}", path.display(), hint)]
    NoPipeline {
        /// Where it was looked for.
        path: PathBuf,
        /// What to do.
        hint: String,
    },
}

impl Settings {
    /// Settings for work on a pipeline whose folder is `folder`.
    pub(crate) fn resolve(args: &SettingsArgs, env: &Environment, folder: &Path) -> Result<Self, SettingsError> {
        let project = nearest_file(&env.absolute(folder)).map(file::load).transpose()?;
        let user = env.user_config().filter(|path| path.is_file()).map(file::load).transpose()?;
        let files = [&project, &user].into_iter().flatten().map(|file| file.path.clone()).collect();
        let below = [project, user].into_iter().flatten().map(|file| file.layer).fold(Layer::default(), Layer::over);
        let (flags, environment) = (args.layer(), environment::layer(env)?);
        let is_named = |name: &String| flags.params.contains_key(name) || below.params.contains_key(name);
        let ambient = environment.params.keys().filter(|name| !is_named(name)).cloned().collect();
        let layer = flags.over(environment).over(below);
        let store = layer.store.or_else(|| env.default_store()).ok_or(SettingsError::NoStore)?;
        Ok(Self {
            ambient,
            // What builds stages runs in other folders.
            store: env.absolute(&store),
            jobs: layer.jobs.map_or_else(all_cores, NonZeroUsize::get),
            memory: layer.memory.map_or(DEFAULT_MEMORY, |size| size.0),
            budget: layer.budget.map_or_else(flowc_executor::default_budget, |size| size.0),
            params: layer.params,
            locked: layer.locked.unwrap_or(false),
            build: !layer.no_build.unwrap_or(false),
            require_isolation: layer.require_isolation.unwrap_or(false),
            workers: layer.workers,
            gpu: layer.gpu,
            color: layer.color.unwrap_or_default(),
            files,
        })
    }
}

/// The pipeline file that a command means: what was given, its `flow.kdl` if that is a folder, or `flow.kdl` here.
pub(crate) fn pipeline_path(given: Option<&Path>) -> Result<PathBuf, SettingsError> {
    let path = match given {
        None => PathBuf::from("flow.kdl"),
        Some(folder) if folder.is_dir() => folder.join("flow.kdl"),
        Some(file) => file.to_owned(),
    };
    let hint = match given.and_then(Path::file_name) {
        None => "; name another file, or start one with `flowc init`".to_owned(),
        // What is called like a stage may be one, or its folder.
        Some(name) if Path::new("flow.kdl").is_file() && Path::new(name).extension().is_none() => {
            let name = name.display();
            format!(
                "; FILE is a pipeline: leave it out for flow.kdl, and name a stage as in `flowc run --until {name}`"
            )
        }
        Some(_) => String::new(),
    };
    if path.is_file() { Ok(path) } else { Err(SettingsError::NoPipeline { path, hint }) }
}

/// The folder that a pipeline's relative paths start from.
pub(crate) fn folder_of(pipeline: &Path) -> &Path {
    pipeline.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn nearest_file(folder: &Path) -> Option<PathBuf> {
    folder.ancestors().map(|folder| folder.join("flowc.toml")).find(|path| path.is_file())
}

fn all_cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Place {
        folder: tempfile::TempDir,
    }

    impl Place {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            std::fs::create_dir_all(folder.path().join("project/deep")).unwrap();
            std::fs::create_dir_all(folder.path().join("config/flowc")).unwrap();
            Self { folder }
        }

        fn write(&self, name: &str, text: &str) {
            std::fs::write(self.folder.path().join(name), text).unwrap();
        }

        fn resolve(&self, args: &SettingsArgs, variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
            let root = self.folder.path();
            let config = root.join("config");
            let fixed = [("HOME", "/home/x"), ("XDG_CONFIG_HOME", config.to_str().unwrap())];
            let variables = fixed.iter().chain(variables).map(|(name, value)| ((*name).into(), (*value).into()));
            let env = Environment::new(variables, root.to_owned());
            Settings::resolve(args, &env, &root.join("project/deep"))
        }
    }

    fn flags(store: Option<&str>) -> SettingsArgs {
        SettingsArgs { store: store.map(PathBuf::from), ..SettingsArgs::default() }
    }

    #[test]
    fn flags_beat_environment_beats_project_beats_user_beats_default() {
        let place = Place::new();
        let store = |flag, variables: &[(&str, &str)]| place.resolve(&flags(flag), variables).unwrap().store;
        assert_eq!(store(None, &[]), Path::new("/home/x/.cache/flowc"));
        place.write("config/flowc/config.toml", "store = '/user'");
        assert_eq!(store(None, &[]), Path::new("/user"));
        place.write("project/flowc.toml", "store = 'here'");
        assert_eq!(store(None, &[]), place.folder.path().join("project/here"), "relative to its file");
        assert_eq!(store(None, &[("FLOWC_STORE", "/env")]), Path::new("/env"));
        assert_eq!(store(Some("/flag"), &[("FLOWC_STORE", "/env")]), Path::new("/flag"));
        assert!(store(Some("flag"), &[]).is_absolute());
    }

    #[test]
    fn params_of_all_layers_come_together() {
        let place = Place::new();
        place.write("project/flowc.toml", "[params]\na = 'file'\nb = 'file'\nn = 3\nyes = true");
        let args = SettingsArgs { params: vec![("c".into(), "flag".into())], ..SettingsArgs::default() };
        let params = place.resolve(&args, &[("FLOWC_PARAM_b", "env"), ("FLOWC_PARAM_c", "env")]).unwrap().params;
        let params: Vec<_> = params.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(params, ["a=file", "b=env", "c=flag", "n=3", "yes=true"]);
    }

    #[test]
    fn params_of_the_environment_alone_need_no_declaration() {
        let place = Place::new();
        place.write("project/flowc.toml", "[params]\nfile = 'x'");
        let args = SettingsArgs { params: vec![("flag".into(), "x".into())], ..SettingsArgs::default() };
        let variables = ["flag", "file", "env"].map(|name| format!("FLOWC_PARAM_{name}"));
        let variables: Vec<_> = variables.iter().map(|name| (name.as_str(), "y")).collect();
        let ambient = place.resolve(&args, &variables).unwrap().ambient;
        assert_eq!(ambient.into_iter().collect::<Vec<_>>(), ["env"]);
    }

    #[test]
    fn every_variable_is_read() {
        let place = Place::new();
        let variables = [
            ("FLOWC_JOBS", "3"),
            ("FLOWC_MEMORY", "1MiB"),
            ("FLOWC_BUDGET", "1GiB"),
            ("FLOWC_LOCKED", "1"),
            ("FLOWC_NO_BUILD", "true"),
            ("FLOWC_COLOR", "never"),
            ("FLOWC_WORKER", "/one:two"),
        ];
        let settings = place.resolve(&SettingsArgs::default(), &variables).unwrap();
        assert_eq!((settings.jobs, settings.memory, settings.budget), (3, 1 << 20, 1 << 30));
        assert_eq!((settings.locked, settings.build, settings.color), (true, false, ColorChoice::Never));
        assert_eq!(settings.workers, [Path::new("/one"), Path::new("two")]);
    }

    #[test]
    fn wrong_values_name_their_place() {
        let place = Place::new();
        let message = |variables: &[_]| place.resolve(&SettingsArgs::default(), variables).unwrap_err().to_string();
        assert!(message(&[("FLOWC_JOBS", "0")]).contains("FLOWC_JOBS is `0`"));
        assert!(message(&[("FLOWC_LOCKED", "maybe")]).contains("FLOWC_LOCKED is `maybe`"));
        place.write("project/flowc.toml", "jobs = 2\nstor = 'x'");
        let wrong = message(&[]);
        assert!(wrong.contains("project/flowc.toml") && wrong.contains("stor"), "{wrong}");
    }

    #[test]
    fn an_empty_variable_is_as_if_it_were_not_set() {
        let settings = Place::new().resolve(&SettingsArgs::default(), &[("FLOWC_STORE", ""), ("FLOWC_JOBS", "")]);
        assert_eq!(settings.unwrap().store, Path::new("/home/x/.cache/flowc"));
    }

    #[test]
    fn no_color_means_never_unless_flowc_color_says_more() {
        let place = Place::new();
        let color = |variables: &[_]| place.resolve(&SettingsArgs::default(), variables).unwrap().color;
        assert_eq!(color(&[("NO_COLOR", "1")]), ColorChoice::Never);
        assert_eq!(color(&[("NO_COLOR", "1"), ("FLOWC_COLOR", "always")]), ColorChoice::Always);
        assert_eq!(color(&[]), ColorChoice::Auto);
    }
}
