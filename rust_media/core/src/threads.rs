//! A process-wide budget of decoding threads.
//!
//! There is no standing pool: each call works on its own thread and borrows helpers from the
//! budget for as long as it has pieces to hand out. So one video alone uses all cores, a hundred
//! callers use about one each, and nothing is left behind that a fork could break.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicUsize, Ordering};

static BUDGET: AtomicUsize = AtomicUsize::new(0);
static IN_USE: AtomicI64 = AtomicI64::new(0);
static OWNER_PROCESS: AtomicU32 = AtomicU32::new(0);

/// How many threads may decode at the same time in this process.
#[must_use]
pub fn budget() -> usize {
    match BUDGET.load(Ordering::Relaxed) {
        0 => std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
        set => set,
    }
}

/// Sets the budget; zero goes back to the number of cores.
pub fn set_budget(threads: usize) {
    BUDGET.store(threads, Ordering::Relaxed);
}

/// Helpers borrowed from the budget; given back when dropped.
#[derive(Debug)]
pub struct Helpers {
    count: usize,
}

impl Helpers {
    /// Borrows up to `wanted` helpers besides the calling thread; may get none.
    #[must_use]
    pub fn borrow(wanted: usize) -> Self {
        forget_other_process();
        let limit = i64::try_from(budget().saturating_sub(1)).unwrap_or(i64::MAX);
        let mut granted = 0;
        let _ = IN_USE.fetch_update(Ordering::AcqRel, Ordering::Acquire, |used| {
            granted = i64::try_from(wanted).unwrap_or(i64::MAX).min(limit - used).max(0);
            Some(used + granted)
        });
        Self { count: usize::try_from(granted).unwrap_or(0) }
    }

    /// Gives back all but `count`.
    pub fn keep(&mut self, count: usize) {
        let surplus = self.count.saturating_sub(count);
        IN_USE.fetch_sub(surplus as i64, Ordering::AcqRel);
        self.count -= surplus;
    }

    /// How many were granted.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }
}

impl Drop for Helpers {
    fn drop(&mut self) {
        IN_USE.fetch_sub(self.count as i64, Ordering::AcqRel);
    }
}

/// A forked child has none of its parent's threads, so what they had borrowed is free again.
fn forget_other_process() {
    let process = std::process::id();
    if OWNER_PROCESS.swap(process, Ordering::AcqRel) != process {
        IN_USE.store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn helpers_are_bounded_and_come_back() {
        set_budget(3);
        let first = Helpers::borrow(8);
        assert_eq!(first.count(), 2);
        assert_eq!(Helpers::borrow(8).count(), 0);
        drop(first);
        let mut some = Helpers::borrow(2);
        some.keep(1);
        assert_eq!(Helpers::borrow(2).count(), 1);
        drop(some);
        assert_eq!(Helpers::borrow(1).count(), 1);
        set_budget(0);
    }
}
