//! Decoding still images.

use std::io::{BufRead, BufReader, Seek};
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageReader, Limits};

use crate::error::{MediaError, Result};
use crate::source::{Cursor, Source};

/// Largest image that is decoded, in pixels; Pillow's own alarm is at 179 million.
pub const MAX_PIXELS: u64 = 1 << 28;

/// A decoded picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// Packed RGB, rows from the top.
    pub rgb: Vec<u8>,
}

/// Loads an image as RGB: EXIF orientation applied, transparency over white, palettes and 16 bits
/// per channel reduced to 8, the first picture of an animation.
///
/// # Errors
/// `NotFound`, `Unreadable`, `Decode`, `TooLarge`.
pub fn load(source: &Source) -> Result<Picture> {
    reading(source, |content| picture_of(content, source.name()))
}

/// Width and height of an image as it is shown (EXIF orientation applied), from its header.
///
/// # Errors
/// As [`load`].
pub fn size(source: &Source) -> Result<(u32, u32)> {
    reading(source, |content| shown_size(content, source.name()))
}

/// Runs `work` on the content; a source that fails is never taken for a damaged image.
fn reading<T>(source: &Source, work: impl FnOnce(BufReader<Cursor>) -> Result<T>) -> Result<T> {
    source.check()?;
    let cursor = Cursor::new(source.open()?);
    let failure = cursor.failure();
    let result = work(BufReader::new(cursor));
    match failure.get() {
        Some(reason) => Err(MediaError::unreadable(source.name(), reason)),
        None => result,
    }
}

fn shown_size(source: impl BufRead + Seek, path: &Path) -> Result<(u32, u32)> {
    let mut decoder = decoder_for(source, path)?;
    let (width, height) = decoder.dimensions();
    let sideways = matches!(
        decoder.orientation().unwrap_or(Orientation::NoTransforms),
        Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH
    );
    Ok(if sideways { (height, width) } else { (width, height) })
}

fn decoder_for<'a>(
    source: impl BufRead + Seek + 'a,
    path: &Path,
) -> Result<impl ImageDecoder + 'a> {
    let mut reader = ImageReader::new(source)
        .with_guessed_format()
        .map_err(|e| MediaError::from_io(path, &e))?;
    if reader.format().is_none() {
        let reason = "not an image in a known format (JPEG, PNG, WebP, GIF, BMP, TIFF)";
        return Err(MediaError::decode(path, reason));
    }
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_PIXELS * 8);
    reader.limits(limits);
    reader.into_decoder().map_err(|e| refused(path, &e))
}

fn picture_of(source: impl BufRead + Seek, path: &Path) -> Result<Picture> {
    let mut decoder = decoder_for(source, path)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        let reason = format!("an image of {width}x{height}; at most {MAX_PIXELS} pixels are read");
        return Err(MediaError::too_large(path, reason));
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(|e| refused(path, &e))?;
    image.apply_orientation(orientation);
    let (width, height) = (image.width(), image.height());
    let rgb =
        if image.color().has_alpha() { over_white(&image) } else { image.into_rgb8().into_raw() };
    Ok(Picture { width, height, rgb })
}

/// Blends straight alpha over white, rounding to nearest.
fn over_white(image: &DynamicImage) -> Vec<u8> {
    let blend = |value: u8, alpha: u8| {
        let (value, alpha) = (u32::from(value), u32::from(alpha));
        ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8
    };
    let rgba = image.to_rgba8();
    let mut rgb = Vec::with_capacity(rgba.len() / 4 * 3);
    for pixel in rgba.pixels() {
        let [red, green, blue, alpha] = pixel.0;
        rgb.extend([blend(red, alpha), blend(green, alpha), blend(blue, alpha)]);
    }
    rgb
}

fn refused(path: &Path, error: &ImageError) -> MediaError {
    match error {
        ImageError::Limits(_) => MediaError::too_large(path, format!("the image: {error}")),
        ImageError::Unsupported(_) => MediaError::unsupported(path, error.to_string()),
        _ => MediaError::decode(path, format!("the image cannot be decoded: {error}")),
    }
}
