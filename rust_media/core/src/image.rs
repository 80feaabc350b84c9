//! Decoding still images.

use std::io::{self, BufRead, BufReader, Read, Seek};
use std::path::Path;

use image::codecs::webp::WebPDecoder;
use image::metadata::Orientation;
use image::{
    ColorType, DynamicImage, ImageBuffer, ImageDecoder, ImageError, ImageReader, Limits, Pixel,
    RgbImage, RgbaImage,
};

use crate::encode::ImageFormat;
use crate::error::{MediaError, Result};
use crate::jpeg;
use crate::source::{Cursor, Source, MEMORY};

/// Largest image that is decoded, in pixels; Pillow's own alarm is at 179 million.
pub const MAX_PIXELS: u64 = 1 << 28;

/// Largest JPEG file that is read, in bytes; it is decoded from memory.
const MAX_JPEG_BYTES: u64 = 1 << 30;

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

fn shown_size(mut source: impl BufRead + Seek, path: &Path) -> Result<(u32, u32)> {
    let (width, height, orientation) = if let Some(data) = jpeg_of(&mut source, path)? {
        let header = jpeg::header(&data, path)?;
        (header.width, header.height, header.orientation)
    } else {
        let mut decoder = decoder_for(source, path)?;
        let (width, height) = decoder.dimensions();
        (width, height, decoder.orientation().unwrap_or(Orientation::NoTransforms))
    };
    let sideways = matches!(
        orientation,
        Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH
    );
    Ok(if sideways { (height, width) } else { (width, height) })
}

/// The whole content if it is a JPEG file; otherwise nothing is consumed.
fn jpeg_of(source: &mut impl BufRead, path: &Path) -> Result<Option<Vec<u8>>> {
    let failed = |e: io::Error| MediaError::from_io(path, &e);
    if !jpeg::is_jpeg(source.fill_buf().map_err(failed)?) {
        return Ok(None);
    }
    let mut data = Vec::new();
    source.take(MAX_JPEG_BYTES + 1).read_to_end(&mut data).map_err(failed)?;
    if data.len() as u64 > MAX_JPEG_BYTES {
        let reason = format!("a JPEG file of more than {MAX_JPEG_BYTES} bytes");
        return Err(MediaError::too_large(path, reason));
    }
    Ok(Some(data))
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

fn picture_of(mut source: impl BufRead + Seek, path: &Path) -> Result<Picture> {
    let (mut image, orientation) = if let Some(data) = jpeg_of(&mut source, path)? {
        let header = jpeg::header(&data, path)?;
        check_size(header.width, header.height, path)?;
        let rgb = jpeg::decode(&data, &header, path)?;
        let image = RgbImage::from_raw(header.width, header.height, rgb)
            .ok_or_else(|| MediaError::internal(path, "a JPEG image of another size"))?;
        (DynamicImage::ImageRgb8(image), header.orientation)
    } else {
        let mut decoder = decoder_for(source, path)?;
        let (width, height) = decoder.dimensions();
        check_size(width, height, path)?;
        let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
        let image = DynamicImage::from_decoder(decoder).map_err(|e| refused(path, &e))?;
        (to_eight_bits(image), orientation)
    };
    image.apply_orientation(orientation);
    let (width, height) = (image.width(), image.height());
    let rgb = if image.color().has_alpha() {
        let mut rgb = vec![0; width as usize * height as usize * 3];
        over_white(&image.into_rgba8(), &mut rgb);
        rgb
    } else {
        image.into_rgb8().into_raw()
    };
    Ok(Picture { width, height, rgb })
}

fn check_size(width: u32, height: u32, path: &Path) -> Result<()> {
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        let reason = format!("an image of {width}x{height}; at most {MAX_PIXELS} pixels are read");
        return Err(MediaError::too_large(path, reason));
    }
    Ok(())
}

/// Takes the high byte of deep channels, as Pillow does.
fn to_eight_bits(image: DynamicImage) -> DynamicImage {
    match image {
        DynamicImage::ImageLuma16(deep) => DynamicImage::ImageLuma8(high_bytes(&deep)),
        DynamicImage::ImageLumaA16(deep) => DynamicImage::ImageLumaA8(high_bytes(&deep)),
        DynamicImage::ImageRgb16(deep) => DynamicImage::ImageRgb8(high_bytes(&deep)),
        DynamicImage::ImageRgba16(deep) => DynamicImage::ImageRgba8(high_bytes(&deep)),
        other => other,
    }
}

fn high_bytes<D, S>(deep: &ImageBuffer<D, Vec<u16>>) -> ImageBuffer<S, Vec<u8>>
where
    D: Pixel<Subpixel = u16>,
    S: Pixel<Subpixel = u8>,
{
    let (width, height) = deep.dimensions();
    let bytes = deep.as_raw().iter().map(|value| (value >> 8) as u8).collect();
    // Both have as many channels, so the length always fits.
    ImageBuffer::from_raw(width, height, bytes).unwrap_or_else(|| ImageBuffer::new(width, height))
}

/// The format of a file that shows what [`load`] would give to everyone who reads it: whole,
/// upright, opaque, eight bits, grey or RGB, one picture. None for any other.
#[must_use]
pub fn plain_format(data: &[u8]) -> Option<ImageFormat> {
    const PNG_END: [u8; 12] = [0, 0, 0, 0, b'I', b'E', b'N', b'D', 0xAE, 0x42, 0x60, 0x82];
    let path = Path::new(MEMORY);
    if jpeg::is_jpeg(data) {
        let header = jpeg::header(data, path).ok()?;
        let upright = header.orientation == Orientation::NoTransforms;
        let plain = upright && matches!(header.components, 1 | 3) && jpeg::is_complete(data);
        return plain.then_some(ImageFormat::Jpeg);
    }
    if data.starts_with(b"RIFF") {
        let length =
            u32::from_le_bytes([*data.get(4)?, *data.get(5)?, *data.get(6)?, *data.get(7)?]);
        let mut decoder = WebPDecoder::new(io::Cursor::new(data)).ok()?;
        let whole = data.len() as u64 >= u64::from(length) + 8;
        let plain = whole && !decoder.has_animation() && is_plain(&mut decoder);
        return plain.then_some(ImageFormat::WebP);
    }
    if data.starts_with(b"\x89PNG") && data.ends_with(&PNG_END) {
        let pixels = data.windows(4).position(|name| name == b"IDAT")?;
        let animated = data[..pixels].windows(4).any(|name| name == b"acTL");
        let mut decoder = decoder_for(io::Cursor::new(data), path).ok()?;
        return (!animated && is_plain(&mut decoder)).then_some(ImageFormat::Png);
    }
    None
}

fn is_plain(decoder: &mut impl ImageDecoder) -> bool {
    matches!(decoder.color_type(), ColorType::L8 | ColorType::Rgb8)
        && decoder.orientation().is_ok_and(|turned| turned == Orientation::NoTransforms)
}

/// Writes straight alpha blended over white to `out`, packed RGB, rounding to nearest.
pub(crate) fn over_white(rgba: &RgbaImage, out: &mut [u8]) {
    let blend = |value: u8, alpha: u8| {
        let (value, alpha) = (u32::from(value), u32::from(alpha));
        ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8
    };
    for (to, pixel) in out.chunks_exact_mut(3).zip(rgba.pixels()) {
        let [red, green, blue, alpha] = pixel.0;
        to.copy_from_slice(&[blend(red, alpha), blend(green, alpha), blend(blue, alpha)]);
    }
}

fn refused(path: &Path, error: &ImageError) -> MediaError {
    match error {
        ImageError::Limits(_) => MediaError::too_large(path, format!("the image: {error}")),
        ImageError::Unsupported(_) => MediaError::unsupported(path, error.to_string()),
        _ => MediaError::decode(path, format!("the image cannot be decoded: {error}")),
    }
}
