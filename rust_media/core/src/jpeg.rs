//! JPEG through libjpeg-turbo, the library underneath Pillow: the same pixels and the same files.

use std::path::Path;

use image::metadata::Orientation;
use turbojpeg::{Compressor, Decompressor, Image, PixelFormat, Subsamp};

use crate::error::{MediaError, Result};

/// Largest side that libjpeg writes.
const MAX_SIDE: u32 = 65_500;

/// Real encoders write about ten scans; a file with many more is made to waste time.
const MAX_SCANS: u32 = 100;

/// Largest part of a picture, in pixels each way, that is coded as one.
const MAX_UNIT_SIDE: u32 = 32;

/// How libjpeg begins a warning after which it has still filled every row, as Pillow keeps them.
const TOLERATED: [&str; 4] =
    ["Corrupt JPEG data", "Inconsistent progression", "Invalid SOS parameters", "Warning: "];

const START: [u8; 2] = [0xFF, 0xD8];
const END: [u8; 2] = [0xFF, 0xD9];

/// What the segments before the first scan say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    /// In pixels, as stored.
    pub width: u32,
    /// In pixels, as stored.
    pub height: u32,
    /// 1 grey, 3 colour, 4 CMYK.
    pub components: u8,
    /// From EXIF.
    pub orientation: Orientation,
    /// Whether the pixels are coded with whole bits.
    whole_bits: bool,
    /// The file without what stands between its segments and without its JFIF version, which are
    /// what a header can be warned of.
    scrubbed: Vec<u8>,
}

/// Whether a file begins as JPEG files do.
pub(crate) fn is_jpeg(data: &[u8]) -> bool {
    data.starts_with(&[0xFF, 0xD8, 0xFF])
}

/// Whether a file ends as complete JPEG files do.
pub(crate) fn is_complete(data: &[u8]) -> bool {
    data.ends_with(&END)
}

/// Reads the header's segments.
pub(crate) fn header(data: &[u8], path: &Path) -> Result<Header> {
    let damaged = || MediaError::decode(path, "the image cannot be decoded: damaged JPEG header");
    let mut frame = None;
    let mut whole_bits = false;
    let mut orientation = Orientation::NoTransforms;
    let mut scrubbed = START.to_vec();
    let mut rest = data.get(START.len()..).ok_or_else(damaged)?;
    loop {
        let at = rest.windows(2).position(|w| w[0] == 0xFF && !matches!(w[1], 0 | 0xFF));
        rest = &rest[at.ok_or_else(damaged)?..];
        let marker = rest[1];
        match marker {
            // Markers without content.
            0x01 | 0xD0..=0xD8 => {
                rest = &rest[2..];
                continue;
            }
            0xD9 => return Err(damaged()),
            _ => {}
        }
        let length = rest.get(2..4).map(|b| usize::from(u16::from_be_bytes([b[0], b[1]])));
        let segment = length.and_then(|l| rest.get(4..2 + l)).ok_or_else(damaged)?;
        match marker {
            0xDA => {
                scrubbed.extend_from_slice(rest);
                break;
            }
            0xC0..=0xCF if !matches!(marker, 0xC4 | 0xC8 | 0xCC) => {
                let sizes = segment.get(..6).ok_or_else(damaged)?;
                let side = |at: usize| u32::from(u16::from_be_bytes([sizes[at], sizes[at + 1]]));
                frame = Some((side(3), side(1), sizes[5]));
                whole_bits = marker < 0xC8;
            }
            0xE1 => {
                if let Some(exif) = segment.strip_prefix(b"Exif\0\0") {
                    orientation = Orientation::from_exif_chunk(exif).unwrap_or(orientation);
                }
            }
            _ => {}
        }
        let whole = 4 + segment.len();
        if marker != 0xE0 {
            scrubbed.extend_from_slice(&rest[..whole]);
        }
        rest = &rest[whole..];
    }
    let (width, height, components) = frame.ok_or_else(damaged)?;
    if width == 0 || height == 0 {
        return Err(damaged());
    }
    Ok(Header { width, height, components, orientation, whole_bits, scrubbed })
}

impl Header {
    /// Whether `data` cannot hold all of the picture: then nothing need be allocated to find out.
    fn is_certainly_cut(&self, data: &[u8]) -> bool {
        let along = |side: u32| u64::from(side.div_ceil(MAX_UNIT_SIDE));
        self.whole_bits && (data.len() as u64) * 8 < along(self.width) * along(self.height)
    }
}

/// Decodes to packed RGB of the header's size.
///
/// Inks of a CMYK file are taken as inverted, as Adobe writes and Pillow reads them.
pub(crate) fn decode(data: &[u8], header: &Header, path: &Path) -> Result<Vec<u8>> {
    let refused =
        |reason: String| MediaError::decode(path, format!("the image cannot be decoded: {reason}"));
    if header.is_certainly_cut(data) {
        return Err(refused("the file is truncated".to_owned()));
    }
    let mut decoder = Decompressor::new().map_err(|e| refused(e.to_string()))?;
    decoder.set_scan_limit(MAX_SCANS).map_err(|e| refused(e.to_string()))?;
    // A warning of the header ends the wrapper's decoding; without what was warned of it goes on.
    let data = match decoder.read_header(data) {
        Ok(_) => data,
        Err(_) => &header.scrubbed,
    };
    decoder.read_header(data).map_err(|e| refused(reason_of(&e)))?;
    let inks = header.components == 4;
    let format = if inks { PixelFormat::CMYK } else { PixelFormat::RGB };
    let (width, height) = (header.width as usize, header.height as usize);
    let pitch = width * format.size();
    let mut pixels = vec![0; pitch * height];
    let image = Image { pixels: &mut pixels[..], width, pitch, height, format };
    if let Err(error) = decoder.decompress(data, image) {
        let reason = reason_of(&error);
        if reason.starts_with("Premature end") {
            return Err(refused("the file is truncated".to_owned()));
        }
        if !TOLERATED.iter().any(|known| reason.starts_with(known)) {
            return Err(refused(reason));
        }
    }
    Ok(if inks { without_inks(&pixels) } else { pixels })
}

fn reason_of(error: &turbojpeg::Error) -> String {
    match error {
        turbojpeg::Error::TurboJpegError(reason) => reason.clone(),
        other => other.to_string(),
    }
}

/// Inverted CMYK to RGB, with Pillow's rounding.
fn without_inks(pixels: &[u8]) -> Vec<u8> {
    let mut rgb = Vec::with_capacity(pixels.len() / 4 * 3);
    for ink in pixels.chunks_exact(4) {
        let light = i32::from(ink[3]);
        rgb.extend(ink[..3].iter().map(|&value| {
            let product = (255 - i32::from(value)) * light + 128;
            let darker = ((product >> 8) + product) >> 8;
            (light - darker).max(0) as u8
        }));
    }
    rgb
}

/// Writes pictures with 4:2:0 chroma at one quality.
pub(crate) struct Writer {
    compressor: Compressor,
}

impl Writer {
    pub(crate) fn new(quality: u8) -> turbojpeg::Result<Self> {
        let mut compressor = Compressor::new()?;
        compressor.set_subsamp(Subsamp::Sub2x2)?;
        compressor.set_quality(i32::from(quality.clamp(1, 100)))?;
        Ok(Self { compressor })
    }

    pub(crate) fn write(
        &mut self,
        rgb: &[u8],
        width: u32,
        height: u32,
    ) -> std::result::Result<Vec<u8>, String> {
        if width > MAX_SIDE || height > MAX_SIDE {
            return Err(format!("sides are at most {MAX_SIDE} pixels"));
        }
        let (width, height) = (width as usize, height as usize);
        let format = PixelFormat::RGB;
        let image = Image { pixels: rgb, width, pitch: width * 3, height, format };
        self.compressor.compress_to_vec(image).map_err(|e| reason_of(&e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let rgb: Vec<u8> = (0..48 * 32 * 3).map(|i| (i % 251) as u8).collect();
        Writer::new(90).unwrap().write(&rgb, 48, 32).unwrap()
    }

    #[test]
    fn a_header_is_read_with_garbage_between_segments() {
        let mut data = sample();
        let path = Path::new("a.jpg");
        let clean = decode(&data, &header(&data, path).unwrap(), path).unwrap();
        data.splice(2..2, [0x00, 0x12, 0x34]);
        let read = header(&data, path).unwrap();
        assert_eq!((read.width, read.height, read.components), (48, 32, 3));
        assert_eq!(decode(&data, &read, path).unwrap(), clean);
    }

    #[test]
    fn a_picture_far_larger_than_its_data_is_refused_at_once() {
        let mut data = sample();
        let path = Path::new("a.jpg");
        let frame = data.windows(2).position(|marker| marker == [0xFF, 0xC0]).unwrap();
        data[frame + 5..frame + 9].copy_from_slice(&[0x3F, 0xFF, 0x3F, 0xFF]);
        let read = header(&data, path).unwrap();
        assert_eq!((read.width, read.height), (0x3FFF, 0x3FFF));
        let error = decode(&data, &read, path).unwrap_err();
        assert!(error.to_string().ends_with("the file is truncated"));
    }

    #[test]
    fn every_truncation_is_an_error() {
        let data = sample();
        let path = Path::new("a.jpg");
        for length in 0..data.len() - 2 {
            let cut = &data[..length];
            let result = header(cut, path).and_then(|header| decode(cut, &header, path));
            assert!(result.is_err(), "{length} of {} bytes", data.len());
        }
    }
}
