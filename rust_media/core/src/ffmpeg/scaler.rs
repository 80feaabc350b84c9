//! Converting decoded pictures to packed RGB.

use std::path::Path;
use std::ptr::{self, NonNull};

use ffmpeg_sys_next as sys;

use super::frame::known_pixel_format;
use super::{Frame, Orientation};
use crate::error::{MediaError, Result};

/// SIMD code of swscale works on blocks of up to 32 pixels and may write whole blocks. A row
/// stride that is a multiple of this many bytes keeps those writes inside the row.
const ROW_ALIGNMENT: usize = 96;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key {
    format: i32,
    from: (u32, u32),
    to: (u32, u32),
    colour_space: u32,
    colour_range: u32,
}

/// Converts frames to RGB with swscale's default (bicubic) path, byte for byte what
/// `ffmpeg -pix_fmt rgb24` gives. Keeps its tables while the kind of frame stays the same.
#[derive(Debug, Default)]
pub struct Scaler {
    context: Option<(NonNull<sys::SwsContext>, Key)>,
    rows: Vec<u8>,
    unturned: Vec<u8>,
}

// SAFETY: a scaler context has no ties to a thread; exclusive ownership keeps it to one at a time.
unsafe impl Send for Scaler {}

impl Scaler {
    /// Creates a scaler without tables; they are made for the first frame.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes `frame`, turned by `orientation`, to `out` as packed RGB of `size` (width, height,
    /// after turning). Frames of another size are scaled.
    ///
    /// # Errors
    /// `Internal` if `out` has not exactly the bytes of `size`; `Unsupported` for pixel formats
    /// that swscale cannot read.
    pub fn convert(
        &mut self,
        frame: &Frame,
        orientation: Orientation,
        size: (u32, u32),
        out: &mut [u8],
        path: &Path,
    ) -> Result<()> {
        if out.len() != size.0 as usize * size.1 as usize * 3 {
            return Err(MediaError::internal(path, "the output slot has another size"));
        }
        if orientation.is_identity() {
            return self.scale(frame, size, out, path);
        }
        if let Some(turned) = frame.turned(orientation, path)? {
            return self.scale(&turned, size, out, path);
        }
        // Formats with unequal chroma sampling are converted first and turned as RGB.
        let stored = orientation.shown_size(size.0, size.1);
        let mut unturned = std::mem::take(&mut self.unturned);
        unturned.resize(out.len(), 0);
        let result = self.scale(frame, stored, &mut unturned, path);
        if result.is_ok() {
            orientation.turn_rgb(&unturned, stored.0 as usize, stored.1 as usize, out);
        }
        self.unturned = unturned;
        result
    }

    fn scale(
        &mut self,
        frame: &Frame,
        size: (u32, u32),
        out: &mut [u8],
        path: &Path,
    ) -> Result<()> {
        let context = self.context_for(frame, size, path)?;
        let row_bytes = size.0 as usize * 3;
        if row_bytes % ROW_ALIGNMENT == 0 {
            return scale_into(context, frame, size.1, out, row_bytes, path);
        }
        let stride = row_bytes.next_multiple_of(ROW_ALIGNMENT);
        self.rows.resize(stride * size.1 as usize, 0);
        scale_into(context, frame, size.1, &mut self.rows, stride, path)?;
        for (to, from) in out.chunks_exact_mut(row_bytes).zip(self.rows.chunks_exact(stride)) {
            to.copy_from_slice(&from[..row_bytes]);
        }
        Ok(())
    }

    fn context_for(
        &mut self,
        frame: &Frame,
        to: (u32, u32),
        path: &Path,
    ) -> Result<NonNull<sys::SwsContext>> {
        let key = Key {
            format: frame.format(),
            from: frame.size(),
            to,
            colour_space: frame.colour_space(),
            colour_range: frame.colour_range(),
        };
        if let Some((context, made_for)) = self.context {
            if made_for == key {
                return Ok(context);
            }
        }
        self.release();
        let context = new_context(&key).ok_or_else(|| {
            let name = super::frame::pixel_format_name(key.format);
            MediaError::unsupported(
                path,
                format!(
                    "pictures of {}x{} in pixel format {name:?} cannot be converted to RGB",
                    key.from.0, key.from.1
                ),
            )
        })?;
        self.context = Some((context, key));
        Ok(context)
    }

    fn release(&mut self) {
        if let Some((context, _)) = self.context.take() {
            // SAFETY: made by sws_getContext and freed only here.
            unsafe { sys::sws_freeContext(context.as_ptr()) };
        }
    }
}

impl Drop for Scaler {
    fn drop(&mut self) {
        self.release();
    }
}

fn new_context(key: &Key) -> Option<NonNull<sys::SwsContext>> {
    let format = known_pixel_format(key.format)?;
    if key.from.0 == 0 || key.from.1 == 0 {
        return None;
    }
    // SAFETY: sizes are positive and bounded by MAX_PIXELS, the formats are known ones; null
    // filters and parameters mean the defaults. Null is returned for what cannot be converted.
    let context = NonNull::new(unsafe {
        sys::sws_getContext(
            key.from.0 as i32,
            key.from.1 as i32,
            format,
            key.to.0 as i32,
            key.to.1 as i32,
            sys::AVPixelFormat::AV_PIX_FMT_RGB24,
            sys::SWS_BICUBIC,
            ptr::null_mut(),
            ptr::null_mut(),
            ptr::null(),
        )
    })?;
    set_colours(context, key);
    Some(context)
}

/// Sets matrix and range from the frame, as FFmpeg's scale filter does; without this swscale
/// takes everything for BT.601 limited range.
fn set_colours(context: NonNull<sys::SwsContext>, key: &Key) {
    const UNSPECIFIED: u32 = 2;
    const FULL_RANGE: u32 = 2;
    let (mut inverse, mut table) = (ptr::null_mut::<i32>(), ptr::null_mut::<i32>());
    let (mut from_full, mut to_full) = (0, 0);
    let (mut brightness, mut contrast, mut saturation) = (0, 0, 0);
    // The matrices swscale has tables for; 8 is YCgCo, which it has not.
    let matrix = match key.colour_space {
        known @ (1..=7 | 9 | 10) => known,
        _ => UNSPECIFIED,
    };
    // SAFETY: all out-pointers are valid; the coefficient tables returned are static or owned by
    // the context, and set copies them. An RGB source makes both calls fail, which is harmless.
    unsafe {
        let known = sys::sws_getColorspaceDetails(
            context.as_ptr(),
            &raw mut inverse,
            &raw mut from_full,
            &raw mut table,
            &raw mut to_full,
            &raw mut brightness,
            &raw mut contrast,
            &raw mut saturation,
        );
        if known < 0 {
            return;
        }
        if key.colour_range != 0 {
            from_full = i32::from(key.colour_range == FULL_RANGE);
        }
        sys::sws_setColorspaceDetails(
            context.as_ptr(),
            sys::sws_getCoefficients(matrix as i32),
            from_full,
            table,
            to_full,
            brightness,
            contrast,
            saturation,
        );
    }
}

fn scale_into(
    context: NonNull<sys::SwsContext>,
    frame: &Frame,
    height: u32,
    out: &mut [u8],
    stride: usize,
    path: &Path,
) -> Result<()> {
    if out.len() < stride * height as usize {
        return Err(MediaError::internal(path, "the conversion buffer is too small"));
    }
    let raw = frame.raw();
    let planes = [out.as_mut_ptr(), ptr::null_mut(), ptr::null_mut(), ptr::null_mut()];
    let strides = [stride as i32, 0, 0, 0];
    // SAFETY: the frame's planes and strides belong together and have the size the context was
    // made for (it is part of the key); `out` holds `height` rows of `stride` bytes, a multiple
    // of the block that swscale writes at once.
    let rows = unsafe {
        sys::sws_scale(
            context.as_ptr(),
            raw.data.as_ptr().cast::<*const u8>(),
            raw.linesize.as_ptr(),
            0,
            raw.height,
            planes.as_ptr(),
            strides.as_ptr(),
        )
    };
    if rows == height as i32 {
        Ok(())
    } else {
        Err(MediaError::internal(path, format!("swscale wrote {rows} of {height} rows")))
    }
}
