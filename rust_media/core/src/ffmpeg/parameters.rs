//! What a stream's decoder has to be told.

use std::path::Path;
use std::ptr::{addr_of, NonNull};

use ffmpeg_sys_next as sys;

use super::describe;
use crate::error::{MediaError, Result};

/// A copy of a stream's codec parameters that many decoders can be opened from.
#[derive(Debug)]
pub struct Parameters(NonNull<sys::AVCodecParameters>);

// SAFETY: the structure is written once in `copy_of` and only read afterwards.
unsafe impl Send for Parameters {}
// SAFETY: as above; shared reads of plain memory.
unsafe impl Sync for Parameters {}

impl Parameters {
    /// Those of a stream that FFmpeg does not decode.
    ///
    /// # Errors
    /// `Internal` without memory.
    pub(crate) fn empty(path: &Path) -> Result<Self> {
        // SAFETY: allocates or returns null.
        NonNull::new(unsafe { sys::avcodec_parameters_alloc() })
            .map(Self)
            .ok_or_else(|| MediaError::internal(path, "out of memory"))
    }

    /// # Safety
    /// `source` points to valid codec parameters.
    pub(super) unsafe fn copy_of(
        source: *const sys::AVCodecParameters,
        path: &Path,
    ) -> Result<Self> {
        let copy = Self::empty(path)?;
        // SAFETY: both are valid, the copy checks its own allocations, and Drop frees.
        match unsafe { sys::avcodec_parameters_copy(copy.0.as_ptr(), source) } {
            code if code < 0 => Err(MediaError::internal(path, describe(code))),
            _ => Ok(copy),
        }
    }

    pub(super) fn as_ptr(&self) -> *const sys::AVCodecParameters {
        self.0.as_ptr()
    }

    /// The codec's setup data from the container.
    #[must_use]
    pub fn extradata(&self) -> &[u8] {
        // SAFETY: FFmpeg keeps `extradata_size` readable bytes behind a non-null `extradata`.
        unsafe {
            let parameters = self.0.as_ref();
            match usize::try_from(parameters.extradata_size) {
                Ok(size) if size > 0 && !parameters.extradata.is_null() => {
                    std::slice::from_raw_parts(parameters.extradata, size)
                }
                _ => &[],
            }
        }
    }

    /// Corrects what the header said of the pictures.
    pub(super) fn set_picture(&mut self, size: (u32, u32), format: i32) {
        // SAFETY: plain fields of our own copy; nothing reads them meanwhile.
        unsafe {
            let parameters = self.0.as_mut();
            (parameters.width, parameters.height) = (size.0 as i32, size.1 as i32);
            parameters.format = format;
        }
    }

    /// Sets by how many pictures decoding runs ahead of showing.
    pub(super) fn set_delay(&mut self, pictures: i32) {
        // SAFETY: as above.
        unsafe { self.0.as_mut() }.video_delay = pictures;
    }

    pub(super) fn codec_id(&self) -> u32 {
        // SAFETY: the field is a four-byte C enum; read as integer, any value is fine.
        unsafe { addr_of!((*self.0.as_ptr()).codec_id).cast::<u32>().read() }
    }
}

impl Drop for Parameters {
    fn drop(&mut self) {
        let mut raw = self.0.as_ptr();
        // SAFETY: allocated by avcodec_parameters_alloc and freed only here.
        unsafe { sys::avcodec_parameters_free(&raw mut raw) };
    }
}
