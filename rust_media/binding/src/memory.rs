//! Memory for what is returned.

use numpy::{Element, PyArray1};
use pyo3::exceptions::PyMemoryError;
use pyo3::prelude::*;

/// A new array of `length` zeros.
///
/// Not by `NumPy`'s own allocation, which asks for huge pages: in virtual machines whose host gives
/// memory on first touch, filling those took two to three times as long as filling plain ones.
pub fn zeros<T: Element + Clone + Default>(
    py: Python<'_>,
    length: usize,
) -> PyResult<Bound<'_, PyArray1<T>>> {
    // Imported by name first: where a signal arrives meanwhile, what uses it below would panic.
    py.import("numpy")?;
    // An allocation that fails ends the process, a reservation only tells.
    Vec::<T>::new().try_reserve_exact(length).map_err(|_| {
        PyMemoryError::new_err(format!("no memory for {} bytes", length * size_of::<T>()))
    })?;
    Ok(PyArray1::from_vec(py, vec![T::default(); length]))
}
