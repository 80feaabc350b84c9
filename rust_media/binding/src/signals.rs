//! Working without the GIL while Ctrl-C still arrives.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use media_core::error::contain_panics;
use media_core::{Interrupt, Result};
use pyo3::prelude::*;

use crate::errors::to_python;

/// How often the interpreter is asked for signals: often enough to feel instant, rarely enough
/// not to wait for the GIL all the time.
const POLL_EVERY: Duration = Duration::from_millis(100);

/// Runs `work` with the GIL released, contains its panics, and raises a signal handler's exception
/// (usually `KeyboardInterrupt`) if one arrived meanwhile.
pub fn without_gil<T: Send>(
    py: Python<'_>,
    path: &Path,
    work: impl FnOnce(&Interrupt<'_>) -> Result<T> + Send,
) -> PyResult<T> {
    let raised: Mutex<Option<PyErr>> = Mutex::new(None);
    let last = Mutex::new(Instant::now());
    let poll = || {
        let Ok(mut last) = last.lock() else { return false };
        if last.elapsed() < POLL_EVERY {
            return false;
        }
        *last = Instant::now();
        Python::attach(|py| match py.check_signals() {
            Ok(()) => false,
            Err(error) => {
                if let Ok(mut raised) = raised.lock() {
                    *raised = Some(error);
                }
                true
            }
        })
    };
    let result = py.detach(|| contain_panics(path, || work(&Interrupt::new(&poll))));
    // Also when the work was done before it saw the request to stop: the handler has run, so an
    // exception that is dropped here would never be raised again.
    if let Some(signal) = raised.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(signal);
    }
    result.map_err(|error| to_python(py, &error))
}
