//! Packets made from bytes that were read without a demuxer.

use std::path::Path;
use std::ptr::NonNull;

use ffmpeg_sys_next as sys;

use super::{describe, PacketInfo};
use crate::error::{MediaError, Result};

/// A packet of its own.
#[derive(Debug)]
pub struct Packet(NonNull<sys::AVPacket>);

// SAFETY: plain memory that is owned exclusively.
unsafe impl Send for Packet {}

impl Packet {
    /// Allocates an empty packet.
    ///
    /// # Errors
    /// `Internal` without memory.
    pub fn new(path: &Path) -> Result<Self> {
        // SAFETY: allocates or returns null.
        NonNull::new(unsafe { sys::av_packet_alloc() })
            .map(Self)
            .ok_or_else(|| MediaError::internal(path, "out of memory"))
    }

    /// Makes it the packet with these facts and bytes.
    ///
    /// # Errors
    /// `Internal` without memory.
    pub fn fill(&mut self, info: &PacketInfo, bytes: &[u8], path: &Path) -> Result<()> {
        let size = i32::try_from(bytes.len())
            .map_err(|_| MediaError::too_large(path, "a packet has more than 2 GiB"))?;
        // SAFETY: the packet is ours; av_new_packet allocates `size` bytes and zeroed padding
        // behind them.
        unsafe {
            let packet = self.0.as_ptr();
            sys::av_packet_unref(packet);
            let code = sys::av_new_packet(packet, size);
            if code < 0 {
                return Err(MediaError::internal(path, describe(code)));
            }
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), (*packet).data, bytes.len());
            (*packet).pts = info.pts;
            (*packet).dts = info.dts;
            (*packet).duration = info.duration;
            (*packet).flags = if info.key { sys::AV_PKT_FLAG_KEY } else { 0 };
        }
        Ok(())
    }

    /// What it holds.
    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: the packet is ours and borrowed.
        unsafe { bytes_of(self.0.as_ptr()) }
    }

    pub(super) fn as_ptr(&self) -> *const sys::AVPacket {
        self.0.as_ptr()
    }
}

/// The bytes of a packet.
///
/// # Safety
/// `packet` is valid, and neither it nor its data is changed or freed as long as the bytes are
/// used.
pub(super) unsafe fn bytes_of<'a>(packet: *const sys::AVPacket) -> &'a [u8] {
    // SAFETY: a packet has `size` bytes behind a non-null `data`.
    unsafe {
        match usize::try_from((*packet).size) {
            Ok(size) if !(*packet).data.is_null() => {
                std::slice::from_raw_parts((*packet).data, size)
            }
            _ => &[],
        }
    }
}

impl Drop for Packet {
    fn drop(&mut self) {
        let mut raw = self.0.as_ptr();
        // SAFETY: allocated by av_packet_alloc and freed only here.
        unsafe { sys::av_packet_free(&raw mut raw) };
    }
}
