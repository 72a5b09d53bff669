//! Casts that change no value.

use arrow_cast::CastOptions;
use arrow_cast::display::FormatOptions;

/// A value that does not fit is an error.
pub(crate) const STRICT: CastOptions<'static> = CastOptions { safe: false, format_options: FormatOptions::new() };
