//! Bytes as `flow.lock`: what can be read is printed and read again, and is the same.

use flowc_planner::Lock;

pub(crate) fn parse(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Lock::parse(text) {
        Ok(lock) => assert_eq!(Lock::parse(&lock.to_string()).as_ref(), Ok(&lock)),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
