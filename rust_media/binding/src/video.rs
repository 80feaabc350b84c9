//! Videos: facts, times, frames.

use media_core::index::{self, VideoIndex};
use media_core::keyframes;
use media_core::video::{decode_into, FrameOptions};
use media_core::{MediaError, MediaWarning};
use numpy::{PyArray1, PyArray4, PyArrayMethods, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::errors::to_python;
use crate::memory::zeros;
use crate::source::SourceArg;

pub type Warnings = Vec<(String, String)>;

pub fn plain(warnings: &[MediaWarning]) -> Warnings {
    warnings.iter().map(|w| (w.code.name().to_owned(), w.message.clone())).collect()
}

/// Facts about the best video stream of a file; sizes are after rotation.
#[pyclass(frozen, get_all, module = "lmms._media")]
pub struct Probe {
    width: u32,
    height: u32,
    stored_width: u32,
    stored_height: u32,
    num_frames: usize,
    declared_frames: i64,
    duration_seconds: f64,
    average_rate: (i64, i64),
    codec: String,
    container: String,
    pixel_format: String,
    rotation: u32,
    is_vfr: bool,
    key_frames: usize,
    warnings: Warnings,
}

impl Probe {
    fn of(index: &VideoIndex) -> Self {
        let (width, height) = index.shown_size(true);
        let facts = &index.facts;
        Self {
            width,
            height,
            stored_width: facts.width,
            stored_height: facts.height,
            num_frames: index.len(),
            declared_frames: facts.declared_frames,
            duration_seconds: index.duration_seconds(),
            average_rate: index.average_rate(),
            codec: facts.codec.clone(),
            container: facts.format.clone(),
            pixel_format: facts.pixel_format.clone(),
            rotation: facts.rotation,
            is_vfr: index.is_variable_rate(),
            key_frames: index.key_frames(),
            warnings: plain(&index.warnings),
        }
    }
}

/// Indexes a video and returns what is known about it.
#[pyfunction]
#[pyo3(signature = (medium))]
pub fn probe(py: Python<'_>, medium: SourceArg) -> PyResult<Probe> {
    medium.work(py, |source, interrupt| Ok(Probe::of(&*index::open(source, interrupt)?)))
}

/// Seconds of every frame after the first one's presentation, in presentation order.
#[pyfunction]
#[pyo3(signature = (medium))]
pub fn frame_times(py: Python<'_>, medium: SourceArg) -> PyResult<Bound<'_, PyArray1<f64>>> {
    let times = medium.work(py, |source, interrupt| Ok(index::open(source, interrupt)?.times()))?;
    // Imported by name first: where a signal arrives meanwhile, the line after it would panic.
    py.import("numpy")?;
    Ok(PyArray1::from_vec(py, times))
}

/// For each position in presentation order that of the keyframe nearest to it in time.
#[pyfunction]
#[pyo3(signature = (medium, indices))]
pub fn nearest_key_frames(
    py: Python<'_>,
    medium: SourceArg,
    indices: Vec<usize>,
) -> PyResult<Vec<usize>> {
    let index = medium.work(py, index::open)?;
    medium.work(py, |_, _| keyframes::nearest(&index, &indices))
}

/// Positions in presentation order of the frames that decoding can start at; always also the first.
#[pyfunction]
#[pyo3(signature = (medium))]
pub fn key_frames(py: Python<'_>, medium: SourceArg) -> PyResult<Vec<usize>> {
    medium.work(py, |source, interrupt| Ok(keyframes::positions(&*index::open(source, interrupt)?)))
}

/// Decodes frames by position in presentation order into `out`, or a new array; returns it,
/// (n, height, width, 3) uint8, and the warnings as (code, message).
#[pyfunction]
#[pyo3(signature = (medium, indices, size, rotate, max_bytes, out = None))]
pub fn read_frames<'py>(
    py: Python<'py>,
    medium: SourceArg,
    indices: Vec<usize>,
    size: Option<(u32, u32)>,
    rotate: bool,
    max_bytes: usize,
    out: Option<Bound<'py, PyAny>>,
) -> PyResult<(Bound<'py, PyArray4<u8>>, Warnings)> {
    let index = medium.work(py, index::open)?;
    let options = FrameOptions { size, rotate };
    let (width, height) = options.output_size(&index);
    let bytes = options.frame_bytes(&index).saturating_mul(indices.len());
    if out.is_none() && bytes > max_bytes {
        let reason = format!(
            "{} frames of {width}x{height} take {bytes} bytes; the limit is {max_bytes}",
            indices.len()
        );
        return Err(to_python(
            py,
            &MediaError::TooLarge { path: medium.name().to_owned(), reason },
        ));
    }
    let frames = frames_array(py, [indices.len(), height as usize, width as usize, 3], out)?;
    let mut writable = frames
        .try_readwrite()
        .map_err(|_| PyValueError::new_err("another call is writing to out, or a part of it"))?;
    let pixels = writable.as_slice_mut()?;
    let warnings = medium.work(py, |source, interrupt| {
        decode_into(source, &index, &indices, options, pixels, interrupt)
    })?;
    drop(writable);
    Ok((frames, plain(&warnings)))
}

/// Checks the caller's array, or makes one.
pub fn frames_array<'py>(
    py: Python<'py>,
    shape: [usize; 4],
    given: Option<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyArray4<u8>>> {
    let Some(given) = given else {
        return zeros(py, shape.iter().product())?.reshape(shape);
    };
    // As `zeros` does, and for the same reason.
    py.import("numpy")?;
    if let Ok(array) = given.cast::<PyArray4<u8>>() {
        let writable = given.getattr("flags")?.getattr("writeable")?.is_truthy()?;
        if writable && array.is_c_contiguous() && array.shape() == shape {
            return Ok(array.clone());
        }
    }
    let describe = |name: &str| match given.getattr(name).and_then(|value| value.str()) {
        Ok(text) => text.to_string(),
        Err(_) => "none".to_owned(),
    };
    let writable = given.getattr("flags").and_then(|flags| flags.getattr("writeable")?.is_truthy());
    let state = if matches!(writable, Ok(false)) { "a read-only" } else { "a" };
    Err(PyValueError::new_err(format!(
        "out must be a writable, C-contiguous uint8 array of shape {shape:?}; got {state} {} with \
         shape {}, strides {} and dtype {}",
        given.get_type(),
        describe("shape"),
        describe("strides"),
        describe("dtype")
    )))
}
