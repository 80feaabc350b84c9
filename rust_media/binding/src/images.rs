//! Still images.

use std::borrow::Cow;
use std::path::Path;

use media_core::encode::{encode_many, fingerprints, wrap, Encoded, Form, ImageFormat, PictureRef};
use media_core::image::{self, Picture};
use media_core::resize::Resizer;
use media_core::source::MEMORY;
use media_core::Result;
use numpy::{PyArray1, PyArray3, PyArrayMethods, PyReadonlyArray3, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString};

use crate::signals::without_gil;
use crate::source::SourceArg;

type Pixels<'py> = Bound<'py, PyArray3<u8>>;

fn to_array(py: Python<'_>, picture: Picture) -> PyResult<Pixels<'_>> {
    let shape = [picture.height as usize, picture.width as usize, 3];
    PyArray1::from_vec(py, picture.rgb).reshape(shape)
}

/// Resizes to (height, width) if a size is given and differs.
fn sized(picture: Picture, size: Option<(u32, u32)>, path: &Path) -> Result<Picture> {
    match size {
        Some((height, width)) if (height, width) != (picture.height, picture.width) => {
            let source =
                PictureRef { width: picture.width, height: picture.height, rgb: &picture.rgb };
            resized(source, (width, height), false, path)
        }
        _ => Ok(picture),
    }
}

/// Resizes to (width, height).
fn resized(
    source: PictureRef<'_>,
    size: (u32, u32),
    lanczos: bool,
    path: &Path,
) -> Result<Picture> {
    let (width, height) = size;
    let resizer = Resizer::new((source.width, source.height), size, path)?;
    let mut resizer = if lanczos { resizer.lanczos() } else { resizer };
    let mut rgb = vec![0; width as usize * height as usize * 3];
    resizer.resize(source.rgb, &mut rgb, path)?;
    Ok(Picture { width, height, rgb })
}

/// The pixels of an array, borrowed where they lie in order.
struct Held<'a> {
    width: u32,
    height: u32,
    rgb: Cow<'a, [u8]>,
}

impl<'a> Held<'a> {
    fn of(array: &'a PyReadonlyArray3<'_, u8>) -> PyResult<Self> {
        let (height, width, channels) = (array.shape()[0], array.shape()[1], array.shape()[2]);
        let side = |pixels: usize| u32::try_from(pixels).ok().filter(|&pixels| pixels > 0);
        match (side(width), side(height), channels) {
            (Some(width), Some(height), 3) => {
                let rgb = match array.as_slice() {
                    Ok(contiguous) => Cow::Borrowed(contiguous),
                    Err(_) => Cow::Owned(array.as_array().iter().copied().collect()),
                };
                Ok(Self { width, height, rgb })
            }
            _ => Err(PyValueError::new_err(format!(
                "a picture has the shape (height, width, 3), got ({height}, {width}, {channels})"
            ))),
        }
    }

    fn picture(&self) -> PictureRef<'_> {
        PictureRef { width: self.width, height: self.height, rgb: &self.rgb }
    }
}

fn format_named(name: &str) -> PyResult<ImageFormat> {
    match name.to_ascii_uppercase().as_str() {
        "JPEG" | "JPG" => Ok(ImageFormat::Jpeg),
        "PNG" => Ok(ImageFormat::Png),
        "WEBP" => Ok(ImageFormat::WebP),
        _ => Err(PyValueError::new_err(format!(
            "unknown image format {name:?}; allowed: JPEG, PNG, WEBP"
        ))),
    }
}

fn form_named(name: &str) -> PyResult<Form> {
    match name {
        "file" => Ok(Form::File),
        "base64" => Ok(Form::Base64),
        "url" => Ok(Form::DataUrl),
        _ => {
            Err(PyValueError::new_err(format!("unknown form {name:?}; allowed: file, base64, url")))
        }
    }
}

/// Loads an image as (height, width, 3) uint8.
#[pyfunction]
#[pyo3(signature = (medium, size))]
pub fn load_image(
    py: Python<'_>,
    medium: SourceArg,
    size: Option<(u32, u32)>,
) -> PyResult<Pixels<'_>> {
    let picture = medium.work(py, |source, _| sized(image::load(source)?, size, source.name()))?;
    to_array(py, picture)
}

/// (height, width) of an image as it is shown, from its header.
#[pyfunction]
#[pyo3(signature = (medium))]
pub fn image_size(py: Python<'_>, medium: SourceArg) -> PyResult<(u32, u32)> {
    let (width, height) = medium.work(py, |source, _| image::size(source))?;
    Ok((height, width))
}

/// Resizes (height, width, 3) uint8 to `size` = (height, width), with antialiasing; `filter` is
/// "bicubic" or "lanczos".
#[pyfunction]
#[pyo3(signature = (picture, size, filter))]
pub fn resize<'py>(
    py: Python<'py>,
    picture: PyReadonlyArray3<'py, u8>,
    size: (u32, u32),
    filter: &str,
) -> PyResult<Pixels<'py>> {
    let lanczos = match filter {
        "bicubic" => false,
        "lanczos" => true,
        _ => {
            let reason = format!("unknown filter {filter:?}; allowed: bicubic, lanczos");
            return Err(PyValueError::new_err(reason));
        }
    };
    let source = Held::of(&picture)?;
    let (path, size) = (Path::new(MEMORY), (size.1, size.0));
    let resized = without_gil(py, path, |_| resized(source.picture(), size, lanczos, path))?;
    to_array(py, resized)
}

/// Encodes pictures as JPEG, PNG or lossless WebP, on at most `threads` threads.
///
/// `form` is "file" (bytes), "base64" or "url" (text).
#[pyfunction]
#[pyo3(signature = (pictures, format, quality, form, threads))]
pub fn encode_images<'py>(
    py: Python<'py>,
    pictures: Vec<PyReadonlyArray3<'py, u8>>,
    format: &str,
    quality: u8,
    form: &str,
    threads: Option<usize>,
) -> PyResult<Bound<'py, PyList>> {
    let (format, form) = (format_named(format)?, form_named(form)?);
    let held = pictures.iter().map(Held::of).collect::<PyResult<Vec<_>>>()?;
    let encoded = without_gil(py, Path::new(MEMORY), |interrupt| {
        let pictures: Vec<PictureRef<'_>> = held.iter().map(Held::picture).collect();
        encode_many(&pictures, format, quality, form, threads, interrupt)
    })?;
    PyList::new(py, encoded.into_iter().map(|item| to_object(py, item)))
}

/// Puts an encoded file into a form; see `encode_images`.
#[pyfunction]
#[pyo3(signature = (file, format, form))]
pub fn wrap_image<'py>(
    py: Python<'py>,
    file: &[u8],
    format: &str,
    form: &str,
) -> PyResult<Bound<'py, PyAny>> {
    let (format, form) = (format_named(format)?, form_named(form)?);
    let wrapped = without_gil(py, Path::new(MEMORY), |_| Ok(wrap(file.to_vec(), format, form)))?;
    Ok(to_object(py, wrapped))
}

/// The format of a file that shows the same as `load_image` gives to everyone who reads it (whole,
/// upright, opaque, 8-bit grey or RGB, one picture): "JPEG", "PNG", "WEBP"; None for any other.
#[pyfunction]
#[pyo3(signature = (file))]
pub fn plain_image_format(py: Python<'_>, file: &[u8]) -> PyResult<Option<&'static str>> {
    let found = without_gil(py, Path::new(MEMORY), |_| Ok(image::plain_format(file)))?;
    Ok(found.map(|format| match format {
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::Png => "PNG",
        ImageFormat::WebP => "WEBP",
    }))
}

/// 128-bit digests of pictures and their sizes under a seed.
#[pyfunction]
#[pyo3(signature = (pictures, seed))]
pub fn image_fingerprints<'py>(
    py: Python<'py>,
    pictures: Vec<PyReadonlyArray3<'py, u8>>,
    seed: u64,
) -> PyResult<Vec<u128>> {
    let held = pictures.iter().map(Held::of).collect::<PyResult<Vec<_>>>()?;
    without_gil(py, Path::new(MEMORY), |interrupt| {
        let pictures: Vec<PictureRef<'_>> = held.iter().map(Held::picture).collect();
        fingerprints(&pictures, seed, interrupt)
    })
}

fn to_object(py: Python<'_>, encoded: Encoded) -> Bound<'_, PyAny> {
    match encoded {
        Encoded::Bytes(bytes) => PyBytes::new(py, &bytes).into_any(),
        Encoded::Text(text) => PyString::new(py, &text).into_any(),
    }
}
