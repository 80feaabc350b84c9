//! Still images.

use std::path::Path;

use media_core::encode::{data_url, encode, ImageFormat};
use media_core::image::{self, Picture};
use media_core::resize::Resizer;
use media_core::source::MEMORY;
use media_core::Result;
use numpy::{PyArray1, PyArray3, PyArrayMethods, PyReadonlyArray3, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

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
            let from = (picture.width, picture.height);
            let mut resizer = Resizer::new(from, (width, height), path)?;
            let mut rgb = vec![0; width as usize * height as usize * 3];
            resizer.resize(&picture.rgb, &mut rgb, path)?;
            Ok(Picture { width, height, rgb })
        }
        _ => Ok(picture),
    }
}

fn to_picture(array: &PyReadonlyArray3<'_, u8>) -> PyResult<Picture> {
    let (height, width, channels) = (array.shape()[0], array.shape()[1], array.shape()[2]);
    let side = |pixels: usize| u32::try_from(pixels).ok().filter(|&pixels| pixels > 0);
    match (side(width), side(height), channels) {
        (Some(width), Some(height), 3) => {
            let rgb = match array.as_slice() {
                Ok(contiguous) => contiguous.to_vec(),
                Err(_) => array.as_array().iter().copied().collect(),
            };
            Ok(Picture { width, height, rgb })
        }
        _ => Err(PyValueError::new_err(format!(
            "a picture has the shape (height, width, 3), got ({height}, {width}, {channels})"
        ))),
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

/// Resizes (height, width, 3) uint8 to `size` = (height, width), bicubic with antialiasing.
#[pyfunction]
#[pyo3(signature = (picture, size))]
pub fn resize<'py>(
    py: Python<'py>,
    picture: PyReadonlyArray3<'py, u8>,
    size: (u32, u32),
) -> PyResult<Pixels<'py>> {
    let source = to_picture(&picture)?;
    let path = Path::new(MEMORY);
    let resized = without_gil(py, path, |_| sized(source, Some(size), path))?;
    to_array(py, resized)
}

/// Encodes (height, width, 3) uint8 as JPEG, PNG or lossless WebP.
#[pyfunction]
#[pyo3(signature = (picture, format, quality))]
pub fn encode_image<'py>(
    py: Python<'py>,
    picture: PyReadonlyArray3<'py, u8>,
    format: &str,
    quality: u8,
) -> PyResult<Bound<'py, PyBytes>> {
    let (format, source) = (format_named(format)?, to_picture(&picture)?);
    let encoded = without_gil(py, Path::new(MEMORY), |_| {
        encode(&source.rgb, source.width, source.height, format, quality)
    })?;
    Ok(PyBytes::new(py, &encoded))
}

/// Encodes as `encode_image` does and wraps the bytes as a `data:` URL.
#[pyfunction]
#[pyo3(signature = (picture, format, quality))]
pub fn image_data_url<'py>(
    py: Python<'py>,
    picture: PyReadonlyArray3<'py, u8>,
    format: &str,
    quality: u8,
) -> PyResult<String> {
    let (format, source) = (format_named(format)?, to_picture(&picture)?);
    without_gil(py, Path::new(MEMORY), |_| {
        let encoded = encode(&source.rgb, source.width, source.height, format, quality)?;
        Ok(data_url(&encoded, format))
    })
}
