//! Encoding pictures to JPEG, PNG and WebP, as bytes, base64 or data URLs.

use std::path::Path;

use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageEncoder};

use crate::error::{MediaError, Result};
use crate::interrupt::Interrupt;
use crate::jpeg;
use crate::parallel;
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

/// A picture that someone else holds.
#[derive(Debug, Clone, Copy)]
pub struct PictureRef<'a> {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// Packed RGB, rows from the top.
    pub rgb: &'a [u8],
}

/// The form in which an encoded picture is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The bytes of a file.
    File,
    /// The file in base64.
    Base64,
    /// The file in a `data:` URL.
    DataUrl,
}

/// An encoded picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encoded {
    /// The bytes of a file.
    Bytes(Vec<u8>),
    /// Base64 or a `data:` URL.
    Text(String),
}

/// Encodes one picture of packed RGB; see [`encode_many`].
///
/// # Errors
/// As [`encode_many`].
pub fn encode(
    rgb: &[u8],
    width: u32,
    height: u32,
    format: ImageFormat,
    quality: u8,
) -> Result<Vec<u8>> {
    Encoder::new(format, quality)?.encode(PictureRef { width, height, rgb })
}

/// Puts the bytes of a file into a form.
#[must_use]
pub fn wrap(file: Vec<u8>, format: ImageFormat, form: Form) -> Encoded {
    match form {
        Form::File => Encoded::Bytes(file),
        Form::DataUrl => Encoded::Text(data_url(&file, format)),
        Form::Base64 => Encoded::Text(base64_simd::STANDARD.encode_to_string(file)),
    }
}

/// Wraps the bytes of a file as a `data:` URL.
#[must_use]
pub fn data_url(file: &[u8], format: ImageFormat) -> String {
    let mut url = format!("data:{};base64,", format.media_type());
    base64_simd::STANDARD.encode_append(file, &mut url);
    url
}

/// Encodes pictures one after the other with one set of parameters.
struct Encoder {
    format: ImageFormat,
    jpeg: Option<jpeg::Writer>,
}

impl Encoder {
    fn new(format: ImageFormat, quality: u8) -> Result<Self> {
        let writer = match format {
            ImageFormat::Jpeg => Some(jpeg::Writer::new(quality)).transpose(),
            _ => Ok(None),
        };
        let jpeg =
            writer.map_err(|e| MediaError::internal(Path::new(MEMORY), format!("JPEG: {e}")))?;
        Ok(Self { format, jpeg })
    }

    fn encode(&mut self, picture: PictureRef<'_>) -> Result<Vec<u8>> {
        let path = Path::new(MEMORY);
        let PictureRef { width, height, rgb } = picture;
        if width == 0 || height == 0 || rgb.len() as u64 != u64::from(width) * u64::from(height) * 3
        {
            return Err(MediaError::internal(path, "the picture has another size than its bytes"));
        }
        let refused = |reason: String| {
            let reason = format!("a {width}x{height} image as {:?}: {reason}", self.format);
            MediaError::unsupported(path, reason)
        };
        let mut out = Vec::new();
        match (&mut self.jpeg, self.format) {
            (Some(writer), _) => out = writer.write(rgb, width, height).map_err(refused)?,
            (None, ImageFormat::WebP) => WebPEncoder::new_lossless(&mut out)
                .write_image(rgb, width, height, ExtendedColorType::Rgb8)
                .map_err(|e| refused(e.to_string()))?,
            (None, _) => encode_png(rgb, width, height, &mut out).map_err(refused)?,
        }
        Ok(out)
    }
}

/// Encodes many pictures over the process's thread budget, at most `threads` at a time.
///
/// `quality` (1 to 100) only matters for JPEG; the other two are lossless.
///
/// # Errors
/// `Internal` if a picture has not exactly the bytes of its size; `Unsupported` for sizes that the
/// format cannot hold (65500 pixels a side for JPEG, 16384 for WebP); `Interrupted`.
pub fn encode_many(
    pictures: &[PictureRef<'_>],
    format: ImageFormat,
    quality: u8,
    form: Form,
    threads: Option<usize>,
    interrupt: &Interrupt<'_>,
) -> Result<Vec<Encoded>> {
    parallel::map(
        pictures.iter(),
        threads,
        Path::new(MEMORY),
        interrupt,
        || Encoder::new(format, quality),
        |encoder, picture| Ok(wrap(encoder.encode(*picture)?, format, form)),
    )
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

/// 128-bit digests of pictures, sizes included, over the process's thread budget.
///
/// Not for content that an adversary made against a known seed: `seed` is drawn anew by every
/// process, so that nobody can prepare two pictures with one digest.
///
/// # Errors
/// `Interrupted`.
pub fn fingerprints(
    pictures: &[PictureRef<'_>],
    seed: u64,
    interrupt: &Interrupt<'_>,
) -> Result<Vec<u128>> {
    parallel::map(
        pictures.iter(),
        None,
        Path::new(MEMORY),
        interrupt,
        || Ok(()),
        |(), picture| {
            let size = u64::from(picture.width) << 32 | u64::from(picture.height);
            Ok(twox_hash::XxHash3_128::oneshot_with_seed(seed ^ size.rotate_left(17), picture.rgb))
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::load;
    use crate::interrupt::never;
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
        let url = wrap(b"abc".to_vec(), ImageFormat::Jpeg, Form::DataUrl);
        assert_eq!(url, Encoded::Text("data:image/jpeg;base64,YWJj".to_owned()));
        let text = wrap(b"abcd".to_vec(), ImageFormat::Png, Form::Base64);
        assert_eq!(text, Encoded::Text("YWJjZA==".to_owned()));
    }

    #[test]
    fn many_are_what_each_is_alone() {
        let all: Vec<Vec<u8>> = (1..9).map(|n| gradient(16 * n, 16)).collect();
        let pictures: Vec<PictureRef<'_>> = all
            .iter()
            .zip(1..)
            .map(|(rgb, n)| PictureRef { width: 16 * n, height: 16, rgb })
            .collect();
        let interrupt = Interrupt::new(&never);
        let format = ImageFormat::Jpeg;
        let many = encode_many(&pictures, format, 90, Form::File, None, &interrupt).unwrap();
        for (picture, file) in pictures.iter().zip(many) {
            let alone = encode(picture.rgb, picture.width, 16, format, 90).unwrap();
            assert_eq!(file, Encoded::Bytes(alone));
        }
    }

    #[test]
    fn a_fingerprint_knows_the_size() {
        let rgb = gradient(8, 2);
        let pictures = [(8, 2), (2, 8), (4, 4), (8, 2)].map(|(width, height)| PictureRef {
            width,
            height,
            rgb: &rgb,
        });
        let found = fingerprints(&pictures, 5, &Interrupt::new(&never)).unwrap();
        assert_eq!(found[0], found[3]);
        assert!(found[0] != found[1] && found[0] != found[2] && found[1] != found[2]);
    }
}
