//! What an image is made of: the text of a `Containerfile`, in the part of its language that gives equal images for equal
//! files. `docs/containers.md` tells users.

use std::collections::BTreeMap;
use std::fmt;

/// What an image is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// What it starts from.
    pub base: Base,
    /// Files that are added, in order: later ones replace earlier ones.
    pub copies: Vec<CopyStep>,
    /// Variables, beside those of the base.
    pub env: BTreeMap<String, String>,
    /// The folder that the program starts in.
    pub folder: Option<String>,
    /// The program and its first arguments.
    pub entrypoint: Option<Vec<String>>,
    /// More arguments.
    pub command: Option<Vec<String>>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// What an image starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Base {
    /// Nothing.
    Scratch,
    /// Another image, by a reference that pins it.
    Image(String),
}

/// Files that are added to an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyStep {
    /// Paths in the folder, without `..`.
    pub sources: Vec<String>,
    /// An absolute path.
    pub target: String,
    /// Whether the target is a folder that the sources are put into.
    pub into_folder: bool,
    /// Permissions of files, where the text gives them.
    pub mode: Option<u32>,
    /// Its line in the text, from 1.
    pub line: usize,
}

/// A mistake in a `Containerfile`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecipeError {
    /// From 1.
    pub line: usize,
    /// What is wrong, and what to do.
    pub message: String,
}

impl fmt::Display for RecipeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

/// Why instructions that others know are not here.
const REFUSED: &[(&str, &str)] = &[
    (
        "RUN",
        "what a command leaves behind is not the same every time; build such an image with your own tools and name it: \
         `image \"name@sha256:…\"`, or start `FROM` it",
    ),
    ("ADD", "use COPY for files of this folder; nothing is fetched or unpacked"),
    ("ARG", "an image depends on its folder alone"),
    ("USER", "flowc runs every stage as a user without rights"),
    ("EXPOSE", "a stage has no network"),
    ("VOLUME", "a stage has no files but its image's, and /tmp"),
    ("HEALTHCHECK", "flowc watches the stage itself"),
    ("SHELL", "nothing is run by a shell"),
    ("ONBUILD", "nothing is built from this image"),
    ("STOPSIGNAL", "a stage ends with its standard input"),
    ("MAINTAINER", "use LABEL"),
];

impl Recipe {
    /// Reads the text of a `Containerfile`.
    ///
    /// # Errors
    /// The first mistake.
    pub fn parse(text: &str) -> Result<Self, RecipeError> {
        let mut instructions = instructions(text).into_iter();
        let first = instructions.next().ok_or_else(|| RecipeError { line: 1, message: STARTS.to_owned() })?;
        let mut recipe = Self {
            base: first.base()?,
            copies: Vec::new(),
            env: BTreeMap::new(),
            folder: None,
            entrypoint: None,
            command: None,
            labels: BTreeMap::new(),
        };
        instructions.try_for_each(|instruction| recipe.add(&instruction))?;
        Ok(recipe)
    }

    fn add(&mut self, instruction: &Instruction) -> Result<(), RecipeError> {
        match instruction.word.as_str() {
            "COPY" => self.copies.push(instruction.copy(self.folder.as_deref())?),
            "ENV" => self.env.extend(instruction.pairs()?),
            "LABEL" => self.labels.extend(instruction.pairs()?),
            "WORKDIR" => self.folder = Some(instruction.path(instruction.expanded()?, self.folder.as_deref())?),
            "ENTRYPOINT" => self.entrypoint = Some(instruction.list()?),
            "CMD" => self.command = Some(instruction.list()?),
            "FROM" => {
                return Err(instruction.wrong("an image is built in one stage: there is one FROM, the first line"));
            }
            other => return Err(instruction.unknown(other)),
        }
        Ok(())
    }
}

const STARTS: &str = "it starts with `FROM scratch` or `FROM name@sha256:…`";

/// A line, with those that continue it.
struct Instruction {
    line: usize,
    word: String,
    rest: String,
}

fn instructions(text: &str) -> Vec<Instruction> {
    let mut instructions: Vec<Instruction> = Vec::new();
    let mut is_continued = false;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (part, continues) = line.strip_suffix('\\').map_or((line, false), |part| (part.trim_end(), true));
        match instructions.last_mut().filter(|_| is_continued) {
            Some(instruction) => {
                instruction.rest.push(' ');
                instruction.rest.push_str(part);
            }
            None => {
                let (word, rest) = part.split_once(char::is_whitespace).unwrap_or((part, ""));
                let (word, rest) = (word.to_uppercase(), rest.trim().to_owned());
                instructions.push(Instruction { line: number + 1, word, rest });
            }
        }
        is_continued = continues;
    }
    instructions
}

impl Instruction {
    fn wrong(&self, message: impl Into<String>) -> RecipeError {
        RecipeError { line: self.line, message: message.into() }
    }

    fn unknown(&self, word: &str) -> RecipeError {
        match REFUSED.iter().find(|(refused, _)| *refused == word) {
            Some((_, why)) => self.wrong(format!("{word} is not supported: {why}")),
            None => self.wrong(format!(
                "`{word}` is no instruction; there are FROM, COPY, ENV, WORKDIR, ENTRYPOINT, CMD and LABEL"
            )),
        }
    }

    fn base(&self) -> Result<Base, RecipeError> {
        let words: Vec<&str> = self.rest.split_whitespace().collect();
        match (self.word.as_str(), &words[..]) {
            ("FROM", ["scratch"]) => Ok(Base::Scratch),
            ("FROM", [image]) if is_pinned(image) => Ok(Base::Image((*image).to_owned())),
            ("FROM", [image]) => Err(self.wrong(format!(
                "`{image}` is not pinned: give the digest that is meant, `{image}@sha256:…` \
                 (`docker image inspect {image}` shows it)"
            ))),
            ("FROM", _) => Err(self.wrong("FROM takes one image")),
            _ => Err(self.wrong(STARTS)),
        }
    }

    /// The text, which holds no variables: what they would stand for depends on the tool.
    fn expanded(&self) -> Result<&str, RecipeError> {
        match self.rest.contains('$') {
            true => Err(self.wrong("variables are not replaced here: write the value")),
            false => Ok(&self.rest),
        }
    }

    /// An absolute path, without `.` and `..`; relative ones start from the folder that was set last.
    fn path(&self, path: &str, folder: Option<&str>) -> Result<String, RecipeError> {
        let from = if path.starts_with('/') { "" } else { folder.unwrap_or("") };
        let mut parts: Vec<&str> = Vec::new();
        for part in from.split('/').chain(path.split('/')) {
            match part {
                "" | "." => {}
                ".." => return Err(self.wrong(format!("`{path}`: a path has no `..`"))),
                part => parts.push(part),
            }
        }
        Ok(format!("/{}", parts.join("/")))
    }

    fn copy(&self, folder: Option<&str>) -> Result<CopyStep, RecipeError> {
        let mut mode = None;
        let mut rest = self.expanded()?;
        while let Some(flag) = rest.strip_prefix("--") {
            let (flag, after) = flag.split_once(char::is_whitespace).unwrap_or((flag, ""));
            let octal = flag.strip_prefix("chmod=").and_then(|octal| u32::from_str_radix(octal, 8).ok());
            mode = Some(octal.filter(|mode| *mode <= 0o777).ok_or_else(|| {
                self.wrong(format!("`--{flag}` is not supported: COPY knows `--chmod=755` and the like"))
            })?);
            rest = after.trim_start();
        }
        let words = match rest.starts_with('[') {
            true => json_list(rest).ok_or_else(|| self.wrong("this is no list of texts"))?,
            false => rest.split_whitespace().map(str::to_owned).collect(),
        };
        let [sources @ .., target] = &words[..] else { return Err(self.wrong("COPY takes files and a target")) };
        if sources.is_empty() {
            return Err(self.wrong("COPY takes files and a target"));
        }
        let into_folder = target.ends_with('/') || target == ".";
        if sources.len() > 1 && !into_folder {
            return Err(self.wrong(format!("several files go into a folder: write the target as `{target}/`")));
        }
        let sources = sources.iter().map(|source| self.source(source)).collect::<Result<_, _>>()?;
        Ok(CopyStep { sources, target: self.path(target, folder)?, into_folder, mode, line: self.line })
    }

    fn source(&self, source: &str) -> Result<String, RecipeError> {
        if source.contains(['*', '?', '[']) {
            return Err(self.wrong(format!("`{source}`: patterns are not supported; name the files or their folder")));
        }
        Ok(self.path(&format!("/{source}"), None)?[1..].to_owned())
    }

    fn list(&self) -> Result<Vec<String>, RecipeError> {
        let list = json_list(&self.rest).filter(|list| !list.is_empty());
        list.ok_or_else(|| {
            self.wrong(format!("{} takes a list, since there is no shell: {} [\"/stage\"]", self.word, self.word))
        })
    }

    /// `NAME=value NAME="a value"`.
    fn pairs(&self) -> Result<Vec<(String, String)>, RecipeError> {
        let mut pairs = Vec::new();
        let mut rest = self.expanded()?;
        while !rest.is_empty() {
            let form = || self.wrong(format!("{} takes NAME=value or NAME=\"a value\"", self.word));
            let (name, after) = rest.split_once('=').ok_or_else(form)?;
            let is_name = !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c == '"');
            let (value, after) = match after.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"').ok_or_else(form)?,
                None => after.split_at(after.find(char::is_whitespace).unwrap_or(after.len())),
            };
            if !is_name || value.contains('\\') {
                return Err(form());
            }
            pairs.push((name.to_owned(), value.to_owned()));
            rest = after.trim_start();
        }
        Ok(pairs)
    }
}

fn json_list(text: &str) -> Option<Vec<String>> {
    serde_json::from_str(text).ok()
}

/// Whether a reference names one image for all time: by a digest, or by the image's own id.
pub fn is_pinned(reference: &str) -> bool {
    let digest = reference.rsplit_once('@').map_or(reference, |(_, digest)| digest);
    let hex = digest.strip_prefix("sha256:");
    hex.is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        Recipe::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn a_recipe_says_what_is_in_the_image() {
        let text = r#"
# What scores.
FROM scratch
WORKDIR /app
COPY --chmod=755 stage lib/helper \
     bin/
COPY ["a file", "/etc/x"]
ENV MODE=fast GREETING="hello you"
LABEL owner=us
ENTRYPOINT ["/app/bin/stage", "--serve"]
cmd ["x"]
"#;
        let recipe = Recipe::parse(text).unwrap();
        let [first, second] = &recipe.copies[..] else { panic!("{recipe:?}") };
        assert_eq!(
            (&first.sources[..], first.target.as_str()),
            (&["stage".into(), "lib/helper".into()][..], "/app/bin")
        );
        assert_eq!((first.into_folder, first.mode, first.line), (true, Some(0o755), 5));
        assert_eq!(
            (second.sources[0].as_str(), second.target.as_str(), second.into_folder),
            ("a file", "/etc/x", false)
        );
        assert_eq!(recipe.env["GREETING"], "hello you");
        assert_eq!(recipe.folder.as_deref(), Some("/app"));
        assert_eq!(recipe.entrypoint.unwrap(), ["/app/bin/stage", "--serve"]);
        assert_eq!(recipe.command.unwrap(), ["x"]);
    }

    #[test]
    fn what_can_not_be_repeated_is_refused_with_the_way_out() {
        let refused = error("FROM scratch\nRUN pip install numpy");
        assert!(refused.starts_with("line 2: RUN is not supported") && refused.contains("image \"name@"), "{refused}");
        assert!(error("FROM python:3.12").contains("is not pinned"));
        assert!(error("FROM scratch\nFROM scratch").contains("one FROM"));
        assert!(error("FROM scratch\nUSER root").contains("without rights"));
        assert!(error("FROM scratch\nCPY a b").contains("`CPY` is no instruction"));
        let pinned = format!("FROM python:3.12@sha256:{}", "0a".repeat(32));
        assert!(matches!(Recipe::parse(&pinned).unwrap().base, Base::Image(image) if pinned.ends_with(&image)));
    }

    #[test]
    fn paths_stay_inside() {
        assert!(error("FROM scratch\nCOPY ../secret /x").contains("no `..`"));
        assert!(error("FROM scratch\nWORKDIR /a/../b").contains("no `..`"));
        assert!(error("FROM scratch\nCOPY a b /x").contains("write the target as `/x/`"));
        assert!(error("FROM scratch\nCOPY *.py /x/").contains("patterns"));
        assert!(error("FROM scratch\nCOPY $FILE /x/").contains("variables"));
        assert!(error("FROM scratch\nENTRYPOINT run me").contains("takes a list"));
        assert!(error("").contains("FROM scratch"));
    }
}
