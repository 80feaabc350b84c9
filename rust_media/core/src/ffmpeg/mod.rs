//! The only door to FFmpeg: small safe types over its C structures.
//!
//! Every function here upholds what FFmpeg's headers ask for, so that callers need no `unsafe`.
//! Pointers returned by FFmpeg are checked before use; enums are read as integers, because a
//! hostile file may carry a value that the generated Rust enum does not have.
#![allow(unsafe_code)]

mod audio;
mod codec;
mod complaint;
mod decoder;
mod demuxer;
mod formats;
mod frame;
mod header;
mod io;
mod nal;
mod packet;
mod parameters;
mod resampler;
mod scaler;
mod watch;

pub use audio::{AudioDecoder, AudioFacts};
pub use codec::Received;
pub use decoder::Decoder;
pub use demuxer::{Demuxer, PacketInfo, ReadPacket, StreamFacts};
pub use frame::{Frame, Orientation};
pub(crate) use header::ListedPacket;
pub use packet::Packet;
pub use parameters::Parameters;
pub use resampler::{AudioShape, Resampler};
pub use scaler::Scaler;
pub use watch::watched;

use std::ffi::CStr;
use std::sync::Once;

use ffmpeg_sys_next as sys;

/// FFmpeg's "no time stamp".
pub const NO_PTS: i64 = sys::AV_NOPTS_VALUE;

/// Largest picture, in pixels, that is decoded: 16K video has 133 million.
pub const MAX_PIXELS: i64 = 1 << 27;

/// Largest single allocation inside FFmpeg. A damaged sample table may ask for gigabytes; the
/// largest honest need is one picture of [`MAX_PIXELS`] with four bytes each, and its padding.
const MAX_ALLOCATION_BYTES: usize = (1 << 29) + (1 << 20);

/// Sets the library up once per process.
pub fn initialise() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: both functions only store an integer in a process-wide variable.
        unsafe {
            // What is wrong with a file is reported through errors and warnings; FFmpeg's own
            // lines on standard error would only tear the progress display.
            sys::av_log_set_level(sys::AV_LOG_QUIET);
            sys::av_max_alloc(MAX_ALLOCATION_BYTES);
        }
        complaint::install();
    });
}

/// The version of libavcodec this process runs with, as `major.minor.micro`.
#[must_use]
pub fn version() -> String {
    // SAFETY: takes no arguments and reads a constant.
    let packed = unsafe { sys::avcodec_version() };
    format!("{}.{}.{}", packed >> 16, (packed >> 8) & 0xff, packed & 0xff)
}

/// FFmpeg's words for an error code.
pub(crate) fn describe(code: i32) -> String {
    let mut text = [0_i8; 128];
    // SAFETY: the buffer and its length belong together; FFmpeg ends the text with a zero byte.
    let words = unsafe {
        sys::av_strerror(code, text.as_mut_ptr().cast(), text.len());
        CStr::from_ptr(text.as_ptr().cast())
    };
    words.to_string_lossy().into_owned()
}

/// Copies a C string that FFmpeg owns; empty for null.
///
/// # Safety
/// `text` is null or points to a string that ends with a zero byte.
unsafe fn owned_text(text: *const std::ffi::c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: promised by the caller.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
