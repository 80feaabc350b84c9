//! Stopping long work from outside (Ctrl-C).

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ThreadId};

use crate::error::{MediaError, Result};

/// Tells all threads of one call whether to stop.
///
/// Only the thread that created it asks `poll`, because an interpreter delivers signals to its own
/// thread; the others look at the flag that it sets.
pub struct Interrupt<'a> {
    stopped: AtomicBool,
    owner: ThreadId,
    poll: &'a (dyn Fn() -> bool + Sync),
}

impl<'a> Interrupt<'a> {
    /// Creates the signal for work that the current thread waits for.
    #[must_use]
    pub fn new(poll: &'a (dyn Fn() -> bool + Sync)) -> Self {
        Self { stopped: AtomicBool::new(false), owner: thread::current().id(), poll }
    }

    /// Tells the other threads to stop, for example after an error.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Fails if the work should stop.
    ///
    /// # Errors
    /// [`MediaError::Interrupted`] once the caller or another thread has asked to stop.
    pub fn check(&self, path: &Path) -> Result<()> {
        if self.asks_to_stop() {
            return Err(MediaError::Interrupted { path: path.to_owned() });
        }
        Ok(())
    }

    /// Whether the work should stop.
    #[must_use]
    pub fn asks_to_stop(&self) -> bool {
        if thread::current().id() == self.owner && (self.poll)() {
            self.stop();
        }
        self.stopped.load(Ordering::Relaxed)
    }
}

/// A `poll` that never stops anything.
#[must_use]
pub fn never() -> bool {
    false
}
