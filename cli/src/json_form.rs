//! What programs read of a command.

/// The form of JSON that a command prints, its failures too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JsonForm {
    /// One document; of a failure `{"errors": [...]}`.
    Document,
    /// One object a line; of a failure one `error` event for each thing that is wrong.
    Lines,
}

impl JsonForm {
    /// The form that words ask for which are no command line that can be read.
    pub(crate) fn of_words(words: impl IntoIterator<Item = String>) -> Option<Self> {
        let words: Vec<String> = words.into_iter().take_while(|word| word != "--").collect();
        let command = words.iter().find(|word| !word.starts_with('-')).map_or("", String::as_str);
        let form = if ["run", "serve", "show", "log"].contains(&command) { Self::Lines } else { Self::Document };
        words.iter().any(|word| word == "--json").then_some(form)
    }
}
