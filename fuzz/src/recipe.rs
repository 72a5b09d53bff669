//! The text of a `Containerfile`.

use flowc_container::Recipe;

/// Paths stay inside: of the folder, and of the image.
pub(crate) fn parse(bytes: &[u8]) {
    let Ok(recipe) = Recipe::parse(&String::from_utf8_lossy(bytes)) else { return };
    let leads_out = |path: &str| path.split('/').any(|part| part == "..");
    for copy in &recipe.copies {
        assert!(copy.target.starts_with('/') && !leads_out(&copy.target), "{copy:?}");
        assert!(!copy.sources.is_empty(), "{copy:?}");
        assert!(copy.sources.iter().all(|source| !source.starts_with('/') && !leads_out(source)), "{copy:?}");
    }
    assert!(recipe.folder.is_none_or(|folder| folder.starts_with('/') && !leads_out(&folder)));
}
