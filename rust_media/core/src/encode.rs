//! Encoding pictures to JPEG, PNG and WebP, and to data URLs.

use std::path::Path;

use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageEncoder};
use jpeg_encoder::{ColorType, Encoder as JpegEncoder, SamplingFactor};

use crate::error::{MediaError, Result};
use crate::source::MEMORY;

/// A file format for still images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageFormat {
    /// Lossy, with 4:2:0 chroma.
    Jpeg,
    /// Lossless.
    Png,
    /// Lossless WebP.
    WebP,
}

impl ImageFormat {
    /// The media type for HTTP and data URLs.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::WebP => "image/webp",
        }
    }
}

/// Encodes packed RGB.
///
/// `quality` (1 to 100) only matters for JPEG; the other two are lossless.
///
/// # Errors
/// `Internal` if `rgb` has not exactly the bytes of the size; `Unsupported` for sizes that the
/// format cannot hold (65535 pixels a side for JPEG, 16384 for WebP).
pub fn encode(
    rgb: &[u8],
    width: u32,
    height: u32,
    format: ImageFormat,
    quality: u8,
) -> Result<Vec<u8>> {
    let path = Path::new(MEMORY);
    if width == 0 || height == 0 || rgb.len() as u64 != u64::from(width) * u64::from(height) * 3 {
        return Err(MediaError::internal(path, "the picture has another size than its bytes"));
    }
    let refused = |reason: String| {
        let reason = format!("a {width}x{height} image as {format:?}: {reason}");
        MediaError::unsupported(path, reason)
    };
    let mut out = Vec::new();
    match format {
        ImageFormat::Jpeg => {
            let side = |pixels: u32| u16::try_from(pixels).map_err(|e| refused(e.to_string()));
            let mut encoder = JpegEncoder::new(&mut out, quality.clamp(1, 100));
            encoder.set_sampling_factor(SamplingFactor::F_2_2);
            encoder
                .encode(rgb, side(width)?, side(height)?, ColorType::Rgb)
                .map_err(|e| refused(e.to_string()))?;
        }
        ImageFormat::Png => encode_png(rgb, width, height, &mut out).map_err(refused)?,
        ImageFormat::WebP => WebPEncoder::new_lossless(&mut out)
            .write_image(rgb, width, height, ExtendedColorType::Rgb8)
            .map_err(|e| refused(e.to_string()))?,
    }
    Ok(out)
}

fn encode_png(
    rgb: &[u8],
    width: u32,
    height: u32,
    out: &mut Vec<u8>,
) -> std::result::Result<(), String> {
    let mut encoder = png::Encoder::new(out, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    // Over thirty times faster than zlib's level 6 for a quarter more bytes.
    encoder.set_compression(png::Compression::Fast);
    let mut writer = encoder.write_header().map_err(|e| e.to_string())?;
    writer.write_image_data(rgb).map_err(|e| e.to_string())?;
    writer.finish().map_err(|e| e.to_string())
}

/// Wraps encoded bytes as a `data:` URL.
#[must_use]
pub fn data_url(encoded: &[u8], format: ImageFormat) -> String {
    let mut url = format!("data:{};base64,", format.media_type());
    base64_simd::STANDARD.encode_append(encoded, &mut url);
    url
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::load;
    use crate::Source;

    fn gradient(width: u32, height: u32) -> Vec<u8> {
        (0..height)
            .flat_map(|y| (0..width).flat_map(move |x| [(x * 5) as u8, (y * 7) as u8, 90]))
            .collect()
    }

    #[test]
    fn lossless_formats_give_back_every_pixel() {
        let rgb = gradient(37, 21);
        for format in [ImageFormat::Png, ImageFormat::WebP] {
            let picture = load(&Source::memory(encode(&rgb, 37, 21, format, 90).unwrap())).unwrap();
            assert_eq!((picture.width, picture.height), (37, 21));
            assert_eq!(picture.rgb, rgb);
        }
    }

    #[test]
    fn a_wrong_size_is_an_error() {
        assert!(encode(&[0; 10], 3, 3, ImageFormat::Png, 90).is_err());
        assert!(encode(&[], 0, 0, ImageFormat::Jpeg, 90).is_err());
    }

    #[test]
    fn data_urls_name_their_type() {
        assert_eq!(data_url(b"abc", ImageFormat::Jpeg), "data:image/jpeg;base64,YWJj");
    }
}
