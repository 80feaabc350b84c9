//! What Python may name a medium by: a path, bytes, a byte range of a file, an object that can be
//! read at an offset, or a `Source` made of one of them.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use media_core::source::ReadAt;
use media_core::{Interrupt, Result, Source};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyTuple};

use crate::signals::without_gil;

/// An argument that names a medium.
pub struct SourceArg {
    source: Source,
    /// Set for an object with `read_at`.
    object: Option<Arc<Object>>,
}

impl SourceArg {
    pub fn name(&self) -> &Path {
        self.source.name()
    }

    /// Runs `work` with the GIL released; see [`without_gil`]. An exception that `read_at` raised
    /// becomes the cause of the error that it led to.
    pub fn work<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&Source, &Interrupt<'_>) -> Result<T> + Send,
    ) -> PyResult<T> {
        let source = &self.source;
        let result = without_gil(py, source.name(), |interrupt| work(source, interrupt));
        result.inspect_err(|error| {
            if let Some(cause) = self.object.as_ref().and_then(|object| object.take_raised()) {
                error.set_cause(py, Some(cause));
            }
        })
    }

    fn object(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        let name: PathBuf = object.getattr("name")?.extract()?;
        let size: u64 = object.getattr("size")?.extract()?;
        let object = Arc::new(Object {
            held: object.clone().unbind(),
            size,
            turn: Mutex::default(),
            raised: Mutex::default(),
        });
        let reader: Arc<dyn ReadAt> = Arc::clone(&object) as _;
        Ok(Self { source: Source::reader(reader, name), object: Some(object) })
    }

    fn range(parts: &Bound<'_, PyTuple>) -> PyResult<Self> {
        let (path, offset, length): (PathBuf, u64, u64) = parts.extract().map_err(|_| {
            PyValueError::new_err(format!(
                "a byte range is (path, offset, length) with bytes from 0 on, got {parts}"
            ))
        })?;
        Ok(Source::range(path, offset, length).into())
    }
}

impl From<Source> for SourceArg {
    fn from(source: Source) -> Self {
        Self { source, object: None }
    }
}

impl<'py> FromPyObject<'_, 'py> for SourceArg {
    type Error = PyErr;

    fn extract(medium: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let medium = &*medium;
        if let Ok(held) = medium.cast::<PySource>() {
            let held = &held.get().0;
            return Ok(Self { source: held.source.clone(), object: held.object.clone() });
        }
        if let Ok(bytes) = medium.cast::<PyBytes>() {
            return Ok(Source::memory(PyBackedBytes::from(bytes.clone())).into());
        }
        if let Ok(parts) = medium.cast::<PyTuple>() {
            return Self::range(parts);
        }
        if medium.hasattr("read_at")? {
            return Self::object(medium);
        }
        let path: PathBuf = medium.extract().map_err(|_| {
            PyTypeError::new_err(format!(
                "a medium is a path, bytes, (path, offset, length) or an object with read_at, \
                 size and name; got {}",
                medium.get_type()
            ))
        })?;
        Ok(Source::file(path).into())
    }
}

/// A medium that several calls share: what one of them learns about it is remembered for the
/// others, under `key` if it has one, else for as long as this object is used.
#[pyclass(frozen, name = "Source", module = "lmms._media")]
pub struct PySource(SourceArg);

#[pymethods]
impl PySource {
    #[new]
    #[pyo3(signature = (medium, name, key))]
    fn new(medium: SourceArg, name: Option<PathBuf>, key: Option<String>) -> Self {
        let SourceArg { source, object } = medium;
        let source = source.with_key(key);
        let source = match name {
            Some(name) => source.with_name(name),
            None => source,
        };
        Self(SourceArg { source, object })
    }

    /// What messages call it.
    #[getter]
    fn name(&self) -> &OsStr {
        self.0.name().as_os_str()
    }
}

/// A Python object with `read_at(offset, size) -> bytes`.
struct Object {
    held: Py<PyAny>,
    size: u64,
    /// Held while it is asked, so that it need not be safe for threads.
    turn: Mutex<()>,
    /// What its last failing call raised.
    raised: Mutex<Option<PyErr>>,
}

impl Object {
    fn take_raised(&self) -> Option<PyErr> {
        self.raised.lock().ok()?.take()
    }
}

impl ReadAt for Object {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        // Taken without the GIL, which its holder may need to go on.
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        Python::attach(|py| {
            let given = self.held.bind(py).call_method1("read_at", (offset, buffer.len()));
            let read = given.and_then(|given| {
                let bytes = given.extract::<&[u8]>()?;
                // One that is longer than asked is refused by the caller, by its length.
                let kept = bytes.len().min(buffer.len());
                buffer[..kept].copy_from_slice(&bytes[..kept]);
                Ok(bytes.len())
            });
            read.map_err(|error| {
                let told = io::Error::other(format!("read_at raised {error}"));
                if let Ok(mut raised) = self.raised.lock() {
                    *raised = Some(error);
                }
                told
            })
        })
    }

    fn len(&self) -> u64 {
        self.size
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with {} bytes", self.size)
    }
}
