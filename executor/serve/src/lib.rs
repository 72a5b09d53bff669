//! Stored results, offered over Arrow Flight and Flight SQL.
