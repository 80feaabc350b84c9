//! Frames to the rows of patches that vision transformers take.

use std::borrow::Cow;
use std::path::Path;

use media_core::patches::{patchify as cut, Levels, PatchGrid, PatchLayout};
use numpy::{PyArray2, PyArrayMethods, PyReadonlyArray2, PyReadonlyArray4, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::errors::to_python;
use crate::memory::zeros;
use crate::signals::without_gil;

type Patches<'py> = (Bound<'py, PyArray2<f32>>, (usize, usize, usize));

/// Cuts (n, height, width, 3) uint8 into float32 (patches, 3 * temporal * patch * patch).
///
/// `layout` is (patch, temporal, merge); `levels` (3, 256) float32 holds what each byte becomes.
/// Returns the patches and their grid (time, rows, columns).
#[pyfunction]
#[pyo3(signature = (frames, layout, levels))]
pub fn patchify<'py>(
    py: Python<'py>,
    frames: PyReadonlyArray4<'py, u8>,
    layout: (usize, usize, usize),
    levels: PyReadonlyArray2<'py, f32>,
) -> PyResult<Patches<'py>> {
    let (count, height, width) = match *frames.shape() {
        [count, height, width, 3] => (count, height, width),
        ref other => {
            return Err(PyValueError::new_err(format!(
                "frames have the shape (n, height, width, 3), got {other:?}"
            )))
        }
    };
    let (patch, temporal, merge) = layout;
    let layout = PatchLayout { patch, temporal, merge };
    let (shape, name) = ([count, height, width], Path::new("<frames>"));
    let grid = PatchGrid::of(shape, layout, name).map_err(|e| to_python(py, &e))?;
    let levels = levels_of(&levels)?;
    let pixels = match frames.as_slice() {
        Ok(contiguous) => Cow::Borrowed(contiguous),
        Err(_) => Cow::Owned(frames.as_array().iter().copied().collect()),
    };
    let patches = zeros::<f32>(py, grid.patches() * grid.depth)?;
    let patches = patches.reshape([grid.patches(), grid.depth])?;
    let mut writable = patches.readwrite();
    let out = writable.as_slice_mut()?;
    without_gil(py, name, |interrupt| cut(&pixels, shape, layout, &levels, out, interrupt))?;
    drop(writable);
    Ok((patches, (grid.frames, grid.rows, grid.columns)))
}

fn levels_of(array: &PyReadonlyArray2<'_, f32>) -> PyResult<Levels> {
    let mut levels: Levels = [[0.0; 256]; 3];
    if array.shape() != [3, 256] {
        let reason = format!("levels have the shape (3, 256), got {:?}", array.shape());
        return Err(PyValueError::new_err(reason));
    }
    for (level, value) in levels.iter_mut().flatten().zip(array.as_array()) {
        *level = *value;
    }
    Ok(levels)
}
