//! Why a stage cannot go on.

/// What a stage's functions answer with.
pub type Result<T, E = Problem> = std::result::Result<T, E>;

/// Why a stage cannot go on, in words for the pipeline's author. Every [`std::error::Error`] becomes one by `?`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong.
    pub message: String,
    /// JSON pointer into the config (`/columns/0`), if that is to blame.
    pub config_path: Option<String>,
    /// What to do about it.
    pub help: Option<String>,
}

impl Problem {
    /// A problem with the data or the stage itself.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    /// A problem with the config value at a JSON pointer. The host shows it in the pipeline's text.
    pub fn at(config_path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { message: message.into(), config_path: Some(config_path.into()), help: None }
    }

    /// Says what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Blames a config value, if nothing more precise is blamed yet.
    #[must_use]
    pub fn blame(mut self, config_path: &str) -> Self {
        self.config_path.get_or_insert_with(|| config_path.to_owned());
        self
    }
}

impl<E: std::error::Error> From<E> for Problem {
    fn from(error: E) -> Self {
        Self::new(error.to_string())
    }
}

/// The name nearest to what was meant, for "did you mean".
pub fn nearest<'a>(meant: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distance = |name: &&str| strsim::damerau_levenshtein(&meant.to_lowercase(), &name.to_lowercase());
    names.into_iter().min_by_key(distance).filter(|name| distance(name) <= 1 + meant.len() / 4)
}

/// Reads a config; a mistake in it is blamed on its place.
pub(crate) fn parse_config<C: serde::de::DeserializeOwned>(json: &str) -> Result<C> {
    let value: serde_json::Value = serde_json::from_str(json)?;
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = pointer(error.path());
        Problem { message: error.into_inner().to_string(), config_path: Some(path), help: None }
    })
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let part = |segment: &Segment| match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
        Segment::Enum { .. } | Segment::Unknown => String::new(),
    };
    path.iter().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_config_value_is_blamed_on_its_place() {
        #[derive(serde::Deserialize, Debug)]
        struct Config {
            #[allow(dead_code)]
            columns: Vec<String>,
        }
        let problem = parse_config::<Config>(r#"{"columns":["a",3]}"#).unwrap_err();
        assert_eq!(problem.config_path.as_deref(), Some("/columns/1"));
    }

    #[test]
    fn near_names_are_offered_and_far_ones_are_not() {
        assert_eq!(nearest("Pricee", ["id", "price"]), Some("price"));
        assert_eq!(nearest("weight", ["id", "price"]), None);
    }

    #[test]
    fn any_error_becomes_a_problem() {
        fn parse(text: &str) -> Result<i32> {
            Ok(text.parse()?)
        }
        assert!(parse("x").unwrap_err().message.contains("invalid digit"));
    }
}
