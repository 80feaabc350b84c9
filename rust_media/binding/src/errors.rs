//! `MediaError` to Python exceptions, arm by arm.

use media_core::MediaError;
use pyo3::create_exception;
use pyo3::exceptions::{
    PyFileNotFoundError, PyIndexError, PyKeyboardInterrupt, PyOSError, PyRuntimeError, PyValueError,
};
use pyo3::prelude::*;

create_exception!(_media, NotFoundError, PyFileNotFoundError, "The file does not exist.");
create_exception!(_media, UnreadableError, PyOSError, "The file exists but cannot be opened.");
create_exception!(_media, DecodeError, PyValueError, "The content cannot be decoded.");
create_exception!(_media, TooLargeError, PyValueError, "More than this process will hold.");
create_exception!(_media, UnsupportedError, PyValueError, "This build has no means for it.");
create_exception!(_media, OutOfRangeError, PyIndexError, "A frame index past the end.");
create_exception!(_media, InternalError, PyRuntimeError, "A defect of the library.");

/// Adds the exception classes to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("NotFoundError", py.get_type::<NotFoundError>())?;
    module.add("UnreadableError", py.get_type::<UnreadableError>())?;
    module.add("DecodeError", py.get_type::<DecodeError>())?;
    module.add("TooLargeError", py.get_type::<TooLargeError>())?;
    module.add("UnsupportedError", py.get_type::<UnsupportedError>())?;
    module.add("OutOfRangeError", py.get_type::<OutOfRangeError>())?;
    module.add("InternalError", py.get_type::<InternalError>())
}

/// The Python exception for an error, with the attribute `path`.
pub fn to_python(py: Python<'_>, error: &MediaError) -> PyErr {
    let message = error.to_string();
    let raised = match error {
        MediaError::NotFound { .. } => NotFoundError::new_err(message),
        MediaError::Unreadable { .. } => UnreadableError::new_err(message),
        MediaError::Decode { .. } => DecodeError::new_err(message),
        MediaError::TooLarge { .. } => TooLargeError::new_err(message),
        MediaError::Unsupported { .. } => UnsupportedError::new_err(message),
        MediaError::OutOfRange { .. } => OutOfRangeError::new_err(message),
        MediaError::Interrupted { .. } => PyKeyboardInterrupt::new_err(()),
        MediaError::Internal { .. } => InternalError::new_err(message),
    };
    match raised.value(py).setattr("path", error.path()) {
        Ok(()) => raised,
        Err(failure) => failure,
    }
}
