//! Profiles of the AWS command line: `~/.aws/credentials` and `~/.aws/config`.

use std::collections::HashMap;
use std::path::PathBuf;

/// What a profile says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Profile(HashMap<String, String>);

impl Profile {
    /// The profile that the environment names, or the one named `default`. Files that can't be read say nothing.
    pub(crate) fn of_environment() -> Self {
        let name = std::env::var("AWS_PROFILE").unwrap_or_else(|_| "default".to_owned());
        let mut profile = Self::default();
        for (variable, file) in [("AWS_CONFIG_FILE", "config"), ("AWS_SHARED_CREDENTIALS_FILE", "credentials")] {
            let at_home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".aws").join(file));
            let path = std::env::var_os(variable).map(PathBuf::from).or_else(at_home);
            let text = path.and_then(|path| std::fs::read_to_string(path).ok());
            profile.add(&name, &text.unwrap_or_default());
        }
        profile
    }

    /// Adds what a file's section says of the profile: `[name]`, in `config` also `[profile name]`.
    fn add(&mut self, name: &str, text: &str) {
        let mut is_here = false;
        for line in text.lines() {
            let line = line.trim();
            if let Some(section) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                let section = section.trim();
                is_here = section == name || section.strip_prefix("profile").is_some_and(|rest| rest.trim() == name);
            } else if let Some((key, value)) = line.split_once('=').filter(|_| is_here && !line.starts_with(['#', ';']))
            {
                self.0.insert(key.trim().to_owned(), value.trim().to_owned());
            }
        }
    }

    /// A setting.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_has_what_its_sections_say() {
        let mut profile = Profile::default();
        profile.add("work", "[default]\nregion = a\n[profile work]\n# region = b\nregion = c\nendpoint_url=http://x\n");
        profile.add("work", "[work]\naws_access_key_id = id\naws_secret_access_key = a=b\n[other]\nregion = d\n");
        assert_eq!(profile.get("region"), Some("c"));
        assert_eq!(profile.get("endpoint_url"), Some("http://x"));
        assert_eq!((profile.get("aws_access_key_id"), profile.get("aws_secret_access_key")), (Some("id"), Some("a=b")));
        assert_eq!(profile.get("aws_session_token"), None);
    }
}
