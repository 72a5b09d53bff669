//! Calls that may panic.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, Location, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// A panic that was caught.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Panic {
    /// Its text.
    pub message: String,
    /// The file and line of the code that panicked.
    pub place: Option<String>,
}

impl std::fmt::Display for Panic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)?;
        self.place.iter().try_for_each(|place| write!(f, ", at {place}"))
    }
}

impl std::error::Error for Panic {}

/// Makes a call. A panic becomes an error with its text and place, and is not printed.
///
/// # Errors
/// If the call panics.
pub fn caught<T>(call: impl FnOnce() -> T) -> Result<T, Panic> {
    keep_quiet();
    let before = GUARDED.replace(true);
    // What a panic leaves half-done is dropped with the call.
    let result = catch_unwind(AssertUnwindSafe(call));
    GUARDED.set(before);
    result.map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let message = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without a text");
        Panic { message: message.to_owned(), place: PLACE.take() }
    })
}

/// Calls a decoder or its like, which is not trusted not to panic: a panic is the data's fault, and becomes an error with
/// the panic's text.
///
/// # Errors
/// If it panics.
pub fn guarded<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    caught(call).map_err(|panic| panic.message)
}

/// Puts a hook before the one that prints panics, once.
fn keep_quiet() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let print = take_hook();
        set_hook(Box::new(move |panic| {
            if GUARDED.get() {
                PLACE.set(panic.location().map(Location::to_string));
            } else {
                print(panic);
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_with_its_text() {
        assert_eq!(guarded(|| 7), Ok(7));
        assert_eq!(guarded(|| panic!("{} things", 3)), Err::<(), _>("3 things".to_owned()));
        assert_eq!(guarded(|| guarded(|| panic!("inner"))), Ok(Err::<(), _>("inner".to_owned())));
    }

    #[test]
    fn a_panic_that_is_caught_has_its_place() {
        let panic = caught(|| panic!("no")).unwrap_err();
        let place = panic.place.unwrap();
        assert!(place.contains("guard.rs:"), "{place}");
    }
}
