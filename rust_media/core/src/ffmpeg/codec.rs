//! What decoding pictures and decoding sound have in common: packets in, frames out.

use std::path::Path;
use std::ptr::NonNull;

use ffmpeg_sys_next as sys;

use super::Frame;
use crate::error::{MediaError, Result};

/// What asking a decoder for a frame gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// The caller's frame now holds the next frame in presentation order.
    Frame,
    /// More packets are needed first.
    NeedsInput,
    /// Everything that was sent has come out.
    End,
    /// A frame was lost to damage; others may follow.
    Failed,
}

/// Sends a packet, or null for the end. False if the decoder refused it as damaged.
///
/// # Safety
/// The context is open and the caller's alone; the packet is null or valid.
pub(super) unsafe fn send(
    context: NonNull<sys::AVCodecContext>,
    packet: *const sys::AVPacket,
    path: &Path,
) -> Result<bool> {
    // SAFETY: the caller's promise.
    let code = unsafe { sys::avcodec_send_packet(context.as_ptr(), packet) };
    if code == sys::AVERROR(sys::EAGAIN) {
        return Err(MediaError::internal(path, "the decoder was not drained"));
    }
    Ok(code >= 0 || (packet.is_null() && code == sys::AVERROR_EOF))
}

/// Takes the next finished frame.
///
/// # Safety
/// The context is open and the caller's alone.
pub(super) unsafe fn receive(context: NonNull<sys::AVCodecContext>, frame: &mut Frame) -> Received {
    // SAFETY: the caller's promise; FFmpeg unreferences the frame first.
    let code = unsafe { sys::avcodec_receive_frame(context.as_ptr(), frame.as_mut_ptr()) };
    match code {
        0.. => Received::Frame,
        sys::AVERROR_EOF => Received::End,
        code if code == sys::AVERROR(sys::EAGAIN) => Received::NeedsInput,
        _ => Received::Failed,
    }
}
