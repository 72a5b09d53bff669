//! What a program takes: wall time, processor time, and memory at its peak.

use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use xtask::process::typed;

/// What one run took.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    /// Seconds from start to end.
    pub(super) wall: f64,
    /// Seconds of processor time, own and the system's for it.
    pub(super) cpu: f64,
    /// Bytes of memory at the peak.
    pub(super) peak: u64,
}

/// Runs a program to its end, its output dropped. Fails if it fails.
pub(super) fn measure(command: &mut Command) -> Result<Usage> {
    let start = Instant::now();
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let child = child.with_context(|| format!("`{}` could not be started", typed(command)))?;
    let (status, usage) = wait(child.id())?;
    let wall = start.elapsed().as_secs_f64();
    if status != 0 {
        bail!("`{}` failed with status {status}", typed(command));
    }
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    let cpu = seconds(usage.ru_utime) + seconds(usage.ru_stime);
    Ok(Usage { wall, cpu, peak: u64::try_from(usage.ru_maxrss).unwrap_or(0) * 1024 })
}

/// Seconds of processor time that this thread has taken, own and the system's for it.
pub(super) fn thread_seconds() -> Result<f64> {
    let mut time = MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: the place is writable and of the type that the call fills; all zeros is a valid timespec.
    let (failed, time) =
        unsafe { (libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, time.as_mut_ptr()), time.assume_init()) };
    if failed != 0 {
        return Err(std::io::Error::last_os_error()).context("the thread's clock could not be read");
    }
    Ok(time.tv_sec as f64 + time.tv_nsec as f64 / 1e9)
}

/// Takes a file out of the page cache, so that the next reader has to wait for the disk.
pub(super) fn drop_from_cache(path: &Path) -> Result<()> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    file.sync_all()?;
    // SAFETY: the descriptor is open for as long as the call lasts.
    match unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) } {
        0 => Ok(()),
        error => Err(std::io::Error::from_raw_os_error(error)).context(path.display().to_string()),
    }
}

/// Waits for a child; gives its status and what it used.
fn wait(id: u32) -> Result<(i32, libc::rusage)> {
    let id = libc::pid_t::try_from(id).context("a process number that is none")?;
    let (mut status, mut usage) = (0, MaybeUninit::<libc::rusage>::zeroed());
    // SAFETY: both places are writable and of the types that the call fills; all zeros is a valid rusage.
    let (ended, usage) = unsafe {
        let ended = libc::wait4(id, &mut status, 0, usage.as_mut_ptr());
        (ended, usage.assume_init())
    };
    if ended != id {
        return Err(std::io::Error::last_os_error()).context("a child could not be waited for");
    }
    Ok((status, usage))
}

/// Measures several things by turns; gives the usages of each.
pub(super) fn by_turns<const N: usize>(
    rounds: usize,
    mut things: [&mut dyn FnMut() -> Result<Usage>; N],
) -> Result<[Vec<Usage>; N]> {
    let mut usages = [const { Vec::new() }; N];
    for _ in 0..rounds {
        for (thing, usages) in things.iter_mut().zip(&mut usages) {
            usages.push(thing()?);
        }
    }
    Ok(usages)
}

/// The middle one of some numbers; zero of none.
pub(super) fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    match numbers.len() {
        0 => 0.0,
        count if count % 2 == 1 => numbers[middle],
        _ => (numbers[middle - 1] + numbers[middle]) / 2.0,
    }
}

/// Median wall seconds.
pub(super) fn wall(usages: &[Usage]) -> f64 {
    median(usages.iter().map(|usage| usage.wall).collect())
}

/// Median processor seconds.
pub(super) fn cpu(usages: &[Usage]) -> f64 {
    median(usages.iter().map(|usage| usage.cpu).collect())
}

/// The highest peak in bytes.
pub(super) fn peak(usages: &[Usage]) -> u64 {
    usages.iter().map(|usage| usage.peak).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one() {
        assert_eq!(median(vec![]), 0.0);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn a_run_takes_time_and_memory_and_a_failed_one_is_an_error() {
        let usage = measure(Command::new("sh").args(["-c", "exit 0"])).unwrap();
        assert!(usage.wall > 0.0 && usage.peak > 0);
        assert!(measure(Command::new("sh").args(["-c", "exit 1"])).is_err());
    }

    #[test]
    fn things_take_turns() {
        let order = std::cell::RefCell::new(String::new());
        let note = |name: char| {
            order.borrow_mut().push(name);
            Ok(Usage::default())
        };
        by_turns(2, [&mut || note('a'), &mut || note('b')]).unwrap();
        assert_eq!(*order.borrow(), "abab");
    }
}
