//! The frames of an animated WebP file (RFC 9649, 2.7.1), as its chunks list them.

use std::io;
use std::path::Path;

use image::codecs::webp::WebPDecoder;
use image::{DynamicImage, RgbaImage};

use crate::container;
use crate::error::{MediaError, Result};
use crate::indexing::MAX_PACKETS;
use crate::interrupt::Interrupt;
use crate::source::{read_up_to, ReadAt, Source};
use crate::warning::{MediaWarning, WarningCode};

/// Largest canvas, in pixels: decoding takes up to 15 bytes for each, a gigabyte in all.
const MAX_CANVAS_PIXELS: u64 = 1 << 26;
/// Bytes of one stored picture beyond which it is not read; it is decoded from memory.
const MAX_PICTURE_BYTES: u64 = 1 << 28;
/// Milliseconds for which a frame of no duration is shown, as in browsers and in FFmpeg for GIF.
const DEFAULT_DURATION: u32 = 100;

/// A file has few chunks that are no frames; a damaged one may look as if it had millions.
const MAX_OTHER_CHUNKS: usize = 10_000;

const ANIMATED: u8 = 0x02;
const ALPHA: u8 = 0x10;
/// Up to the canvas size in the `VP8X` chunk.
const HEADER_BYTES: usize = 30;
/// A chunk's header, a frame's, that of the chunk within, and the start of a lossless picture.
const FRAME_START_BYTES: usize = 8 + FRAME_HEADER_BYTES + 8 + 5;
const FRAME_HEADER_BYTES: usize = 16;

/// A rectangle of the canvas, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Area {
    pub left: u32,
    pub top: u32,
    pub width: u32,
    pub height: u32,
}

/// One frame as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoredFrame {
    /// The part of the canvas that it covers.
    pub area: Area,
    /// Milliseconds.
    pub duration: u32,
    /// Whether it is blended with what is there; else it replaces it.
    pub blended: bool,
    /// Whether its area becomes transparent before the next frame.
    pub disposed: bool,
    /// Whether nothing of earlier frames shows through.
    pub key: bool,
    /// Where the chunks of its picture are.
    offset: u64,
    size: u64,
}

/// An animation, nothing of it decoded.
#[derive(Debug)]
pub struct Animation {
    /// Width and height in pixels.
    pub(crate) canvas: (u32, u32),
    pub(crate) frames: Vec<StoredFrame>,
    pub(crate) warnings: Vec<MediaWarning>,
}

/// Lists the frames of an animated WebP file; None for any other file.
///
/// # Errors
/// `Decode` if there is no frame in it, `TooLarge` for a canvas or a number of frames beyond all
/// reason, `Unreadable` if the source fails.
pub(crate) fn read_animation(
    source: &Source,
    interrupt: &Interrupt<'_>,
) -> Result<Option<Animation>> {
    let reader = source.open()?;
    let failed = |e: io::Error| MediaError::from_io(source.name(), &e);
    let mut header = [0; HEADER_BYTES];
    let read = read_up_to(reader.as_ref(), 0, &mut header).map_err(failed)?;
    if read < HEADER_BYTES || !announces_animation(&header) {
        return Ok(None);
    }
    let canvas = (1 + three_bytes(&header, 24), 1 + three_bytes(&header, 27));
    if u64::from(canvas.0) * u64::from(canvas.1) > MAX_CANVAS_PIXELS {
        let reason = format!(
            "an animation of {}x{}; at most {MAX_CANVAS_PIXELS} pixels are decoded",
            canvas.0, canvas.1
        );
        return Err(MediaError::too_large(source.name(), reason));
    }
    let mut animation = Animation { canvas, frames: Vec::new(), warnings: Vec::new() };
    let end = 8 + u64::from(four_bytes(&header, 4));
    let mut at = 20 + padded(four_bytes(&header, 16));
    let (mut others, mut refused, mut cut) = (0, 0, false);
    while at + 8 <= end.min(reader.len()) && others < MAX_OTHER_CHUNKS {
        let mut start = [0; FRAME_START_BYTES];
        let read = read_up_to(reader.as_ref(), at, &mut start).map_err(failed)?;
        let size = four_bytes(&start, 4);
        if at + 8 + u64::from(size) > reader.len() {
            cut = true;
            break;
        }
        if start.starts_with(b"ANMF") {
            let previous = animation.frames.last();
            match stored_frame(&start[..read], at, size, canvas, previous) {
                Some(frame) => animation.frames.push(frame),
                None => refused += 1,
            }
        } else {
            others += 1;
        }
        if animation.frames.len() > MAX_PACKETS {
            let reason = format!("it has more than {MAX_PACKETS} frames");
            return Err(MediaError::too_large(source.name(), reason));
        }
        interrupt.check(source.name())?;
        at += 8 + padded(size);
    }
    if animation.frames.is_empty() {
        return Err(MediaError::decode(source.name(), "its animation has no whole frame"));
    }
    animation.warnings = damage_of(reader.as_ref(), refused, cut);
    Ok(Some(animation))
}

/// Whether these are the first bytes of a WebP file that says that it is animated.
fn announces_animation(header: &[u8; HEADER_BYTES]) -> bool {
    header.starts_with(b"RIFF")
        && header[8..16] == *b"WEBPVP8X"
        && four_bytes(header, 16) >= 10
        && header[20] & ANIMATED != 0
}

/// Reads an `ANMF` chunk of `size` bytes at `at`, of which `start` are the first ones; None if it
/// is none that can be shown.
fn stored_frame(
    start: &[u8],
    at: u64,
    size: u32,
    canvas: (u32, u32),
    previous: Option<&StoredFrame>,
) -> Option<StoredFrame> {
    const REPLACES: u8 = 0x02;
    const DISPOSED: u8 = 0x01;
    let size = u64::from(size).checked_sub(FRAME_HEADER_BYTES as u64)?;
    let (header, picture) = start.get(8..)?.split_at_checked(FRAME_HEADER_BYTES)?;
    let area = Area {
        left: 2 * three_bytes(header, 0),
        top: 2 * three_bytes(header, 3),
        width: 1 + three_bytes(header, 6),
        height: 1 + three_bytes(header, 9),
    };
    if area.left + area.width > canvas.0 || area.top + area.height > canvas.1 {
        return None;
    }
    // What is opaque replaces anyway.
    let blended = header[15] & REPLACES == 0 && may_be_transparent(picture);
    let whole = |area: Area| (area.width, area.height) == canvas;
    // A canvas that is cleared, or is all painted over.
    let key = previous.is_none_or(|previous| {
        (whole(area) && !blended) || (previous.disposed && (previous.key || whole(previous.area)))
    });
    let duration = match three_bytes(header, 12) {
        0 => DEFAULT_DURATION,
        duration => duration,
    };
    Some(StoredFrame {
        area,
        duration,
        blended,
        disposed: header[15] & DISPOSED != 0,
        key,
        offset: at + 8 + FRAME_HEADER_BYTES as u64,
        size,
    })
}

/// Whether a picture that starts with these bytes may have transparent pixels.
fn may_be_transparent(picture: &[u8]) -> bool {
    const SIGNATURE: u8 = 0x2f;
    /// Of the word behind the signature, after both sides of 14 bits.
    const ALPHA_USED: u32 = 1 << 28;
    match picture.get(..4) {
        Some(b"VP8 ") => false,
        Some(b"VP8L") if picture.len() >= 13 && picture[8] == SIGNATURE => {
            four_bytes(picture, 9) & ALPHA_USED != 0
        }
        _ => true,
    }
}

fn damage_of(reader: &dyn ReadAt, refused: usize, cut: bool) -> Vec<MediaWarning> {
    let mut damage = Vec::new();
    if let Some(message) = container::missing_bytes(reader) {
        damage.push(MediaWarning::new(WarningCode::Truncated, message));
    } else if cut {
        let message = "the last part of the animation ends after the file";
        damage.push(MediaWarning::new(WarningCode::Truncated, message));
    }
    if refused > 0 {
        let message = format!("{refused} frames of the animation are damaged and left out");
        damage.push(MediaWarning::new(WarningCode::CorruptPackets, message));
    }
    damage
}

impl StoredFrame {
    /// Decodes the picture; None if that cannot be done.
    ///
    /// # Errors
    /// `Unreadable` if the source fails.
    pub(crate) fn decode(&self, reader: &dyn ReadAt, path: &Path) -> Result<Option<RgbaImage>> {
        let (Ok(size), true) = (usize::try_from(self.size), self.size <= MAX_PICTURE_BYTES) else {
            return Ok(None);
        };
        let mut picture = vec![0; size];
        read_up_to(reader, self.offset, &mut picture).map_err(|e| MediaError::from_io(path, &e))?;
        // The decoder would find out only after it has decoded the picture.
        let area = (self.area.width, self.area.height);
        if lossy_size(&picture).is_some_and(|size| size != area) {
            return Ok(None);
        }
        let decoded = WebPDecoder::new(io::Cursor::new(self.still(&picture)))
            .and_then(|decoder| DynamicImage::from_decoder(decoder).map(DynamicImage::into_rgba8));
        Ok(decoded.ok().filter(|image| image.dimensions() == area))
    }

    /// A file of its own for the chunks of the picture.
    fn still(&self, picture: &[u8]) -> Vec<u8> {
        let three = |value: u32| value.to_le_bytes()[..3].to_vec();
        let flags = if may_be_transparent(picture) { ALPHA } else { 0 };
        let length = (4 + 8 + 10 + self.size) as u32;
        [
            b"RIFF".to_vec(),
            length.to_le_bytes().to_vec(),
            b"WEBPVP8X".to_vec(),
            10_u32.to_le_bytes().to_vec(),
            vec![flags, 0, 0, 0],
            three(self.area.width - 1),
            three(self.area.height - 1),
            picture.to_vec(),
        ]
        .concat()
    }
}

/// Width and height that the first lossy picture (RFC 6386, 9.1) among these chunks announces.
fn lossy_size(mut chunks: &[u8]) -> Option<(u32, u32)> {
    const SIDE: u32 = 0x3fff;
    while chunks.get(..4)? != b"VP8 " {
        let length = chunks.get(4..8).map(|_| padded(four_bytes(chunks, 4)))?;
        chunks = chunks.get(8 + usize::try_from(length).ok()?..)?;
    }
    let side = |at: usize| {
        Some(u32::from(u16::from_le_bytes(chunks.get(at..at + 2)?.try_into().ok()?)) & SIDE)
    };
    Some((side(14)?, side(16)?))
}

/// Bytes that a chunk of `size` takes: an odd one is followed by one more.
fn padded(size: u32) -> u64 {
    u64::from(size) + u64::from(size & 1)
}

fn three_bytes(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], 0])
}

fn four_bytes(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
