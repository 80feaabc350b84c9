//! Videos that are read piece by piece.

use std::sync::{Mutex, PoisonError};

use media_core::sequence::Sequence;
use media_core::video::FrameOptions;
use numpy::{PyArray4, PyArrayMethods};
use pyo3::prelude::*;

use crate::source::SourceArg;
use crate::video::{frames_array, plain, Warnings};

/// A video that is read in several calls, from front to back: what decodes it stays open.
#[pyclass(frozen, module = "lmms._media")]
pub struct FrameSequence {
    medium: SourceArg,
    /// Width and height of the frames that it gives.
    size: (u32, u32),
    /// Only taken without the GIL, which its holder may need to go on.
    sequence: Mutex<Sequence>,
}

#[pymethods]
impl FrameSequence {
    #[new]
    #[pyo3(signature = (medium, size, rotate, straight))]
    fn new(
        py: Python<'_>,
        medium: SourceArg,
        size: Option<(u32, u32)>,
        rotate: bool,
        straight: bool,
    ) -> PyResult<Self> {
        let options = FrameOptions { size, rotate };
        let sequence = medium
            .work(py, |source, interrupt| Sequence::open(source, options, straight, interrupt))?;
        let size = options.output_size(sequence.index());
        Ok(Self { medium, size, sequence: Mutex::new(sequence) })
    }

    /// As the function `read_frames`, without a limit to the bytes.
    #[pyo3(signature = (indices, out = None))]
    fn read<'py>(
        &self,
        py: Python<'py>,
        indices: Vec<usize>,
        out: Option<Bound<'py, PyAny>>,
    ) -> PyResult<(Bound<'py, PyArray4<u8>>, Warnings)> {
        let (width, height) = self.size;
        let shape = [indices.len(), height as usize, width as usize, 3];
        let frames = frames_array(py, shape, out)?;
        let mut writable = frames.try_readwrite()?;
        let pixels = writable.as_slice_mut()?;
        let warnings = self.medium.work(py, |_, interrupt| {
            let mut sequence = self.sequence.lock().unwrap_or_else(PoisonError::into_inner);
            sequence.read(&indices, pixels, interrupt)
        })?;
        drop(writable);
        Ok((frames, plain(&warnings)))
    }
}
