//! Decoded pictures and their orientation.

use std::path::Path;
use std::ptr::{addr_of, NonNull};

use ffmpeg_sys_next as sys;

use super::{describe, owned_text};
use crate::error::{MediaError, Result};

/// How a stored picture is turned to be shown: out(row, column) is taken from the source at
/// (column, row) if `transpose`, else at (row, column), with rows or columns counted from the
/// other end where flipped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Orientation {
    /// Rows become columns.
    pub transpose: bool,
    /// Source columns are counted from the right.
    pub flip_columns: bool,
    /// Source rows are counted from the bottom.
    pub flip_rows: bool,
}

impl Orientation {
    /// Reads a display matrix by the rules of FFmpeg's automatic rotation: angles are rounded to
    /// whole degrees, mirrored matrices give mirrored turns.
    ///
    /// Returns the orientation and the clockwise angle in degrees. Angles other than quarter turns
    /// turn nothing.
    #[must_use]
    pub fn from_display_matrix(matrix: &[i32; 9], counter_clockwise: f64) -> (Self, u32) {
        let none = Self::default();
        if !counter_clockwise.is_finite() {
            return (none, 0);
        }
        let clockwise = (-counter_clockwise.round()).rem_euclid(360.0);
        let near = |angle: f64| (clockwise - angle).abs() < 1.0;
        let orientation = if near(90.0) {
            Self { transpose: true, flip_rows: matrix[3] <= 0, ..none }
        } else if near(180.0) {
            Self { flip_columns: matrix[0] < 0, flip_rows: matrix[4] < 0, ..none }
        } else if near(270.0) {
            Self { transpose: true, flip_columns: true, flip_rows: matrix[3] < 0 }
        } else if near(0.0) {
            Self { flip_rows: matrix[4] < 0, ..none }
        } else {
            none
        };
        (orientation, clockwise as u32 % 360)
    }

    /// Whether pictures are shown as they are stored.
    #[must_use]
    pub fn is_identity(self) -> bool {
        !(self.transpose || self.flip_columns || self.flip_rows)
    }

    /// The shown size of a stored picture of `width` and `height`.
    #[must_use]
    pub fn shown_size(self, width: u32, height: u32) -> (u32, u32) {
        if self.transpose {
            (height, width)
        } else {
            (width, height)
        }
    }

    /// Copies `source` (rows of `stride` elements of `step` bytes) turned into `out`.
    ///
    /// `width` and `height` are the source's; `out_stride` is in bytes.
    fn turn(self, source: &Plane<'_>, out: &mut [u8], out_stride: usize) {
        let (out_width, out_height) = if self.transpose {
            (source.height, source.width)
        } else {
            (source.width, source.height)
        };
        for row in 0..out_height {
            for column in 0..out_width {
                let (mut from_row, mut from_column) =
                    if self.transpose { (column, row) } else { (row, column) };
                if self.flip_rows {
                    from_row = source.height - 1 - from_row;
                }
                if self.flip_columns {
                    from_column = source.width - 1 - from_column;
                }
                let to = row * out_stride + column * source.step;
                out[to..to + source.step].copy_from_slice(source.element(from_row, from_column));
            }
        }
    }

    /// Turns a packed RGB picture into `out`, which has the shown size.
    pub fn turn_rgb(self, rgb: &[u8], width: usize, height: usize, out: &mut [u8]) {
        let source = Plane { bytes: rgb, stride: width * 3, width, height, step: 3 };
        let (out_width, _) = self.shown_size(width as u32, height as u32);
        self.turn(&source, out, out_width as usize * 3);
    }
}

struct Plane<'a> {
    bytes: &'a [u8],
    stride: usize,
    width: usize,
    height: usize,
    step: usize,
}

impl Plane<'_> {
    fn element(&self, row: usize, column: usize) -> &[u8] {
        let start = row * self.stride + column * self.step;
        &self.bytes[start..start + self.step]
    }
}

/// A decoded picture, reused from one receive to the next.
#[derive(Debug)]
pub struct Frame(NonNull<sys::AVFrame>);

// SAFETY: plain memory and counted references to buffers, owned exclusively.
unsafe impl Send for Frame {}

impl Frame {
    /// Allocates an empty frame.
    ///
    /// # Errors
    /// `Internal` without memory.
    pub fn new(path: &Path) -> Result<Self> {
        // SAFETY: allocates or returns null.
        NonNull::new(unsafe { sys::av_frame_alloc() })
            .map(Self)
            .ok_or_else(|| MediaError::internal(path, "out of memory"))
    }

    pub(super) fn as_mut_ptr(&mut self) -> *mut sys::AVFrame {
        self.0.as_ptr()
    }

    pub(super) fn raw(&self) -> &sys::AVFrame {
        // SAFETY: allocated in `new`, valid until drop. Callers read C enum fields of a decoded
        // frame only through the accessors below, which go around the reference.
        unsafe { self.0.as_ref() }
    }

    /// Presentation time stamp of the packet that the frame came from.
    #[must_use]
    pub fn pts(&self) -> i64 {
        self.raw().pts
    }

    /// FFmpeg's best guess of the presentation time stamp.
    #[must_use]
    pub fn best_effort_pts(&self) -> i64 {
        self.raw().best_effort_timestamp
    }

    /// In stream time units, 0 if unknown.
    #[must_use]
    pub fn duration(&self) -> i64 {
        #[cfg(ffmpeg_6)]
        return self.raw().duration;
        #[cfg(not(ffmpeg_6))]
        return self.raw().pkt_duration;
    }

    /// Width and height in pixels, before rotation.
    #[must_use]
    pub fn size(&self) -> (u32, u32) {
        let raw = self.raw();
        (raw.width.max(0).unsigned_abs(), raw.height.max(0).unsigned_abs())
    }

    /// Whether the decoder concealed damage in this frame.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        let raw = self.raw();
        raw.flags & sys::AV_FRAME_FLAG_CORRUPT != 0 || raw.decode_error_flags != 0
    }

    pub(super) fn format(&self) -> i32 {
        self.raw().format
    }

    pub(super) fn colour_space(&self) -> u32 {
        // SAFETY: a four-byte C enum read as an integer.
        unsafe { addr_of!((*self.0.as_ptr()).colorspace).cast::<u32>().read() }
    }

    pub(super) fn colour_range(&self) -> u32 {
        // SAFETY: a four-byte C enum read as an integer.
        unsafe { addr_of!((*self.0.as_ptr()).color_range).cast::<u32>().read() }
    }

    /// Returns the picture turned plane by plane, as FFmpeg's transpose and flip filters do; None
    /// if its pixel format cannot be turned without converting it first.
    ///
    /// # Errors
    /// `Internal` without memory.
    pub fn turned(&self, orientation: Orientation, path: &Path) -> Result<Option<Self>> {
        let Some(layout) = PlaneLayout::of(self.format(), orientation) else {
            return Ok(None);
        };
        let (width, height) = self.size();
        let (out_width, out_height) = orientation.shown_size(width, height);
        let mut out = Self::new(path)?;
        // SAFETY: `out` is ours and empty; format and size are those of a decoded frame (sizes
        // swapped at most); av_frame_get_buffer allocates planes for exactly that.
        let code = unsafe {
            let raw = out.as_mut_ptr();
            (*raw).format = self.format();
            (*raw).width = out_width as i32;
            (*raw).height = out_height as i32;
            let code = sys::av_frame_get_buffer(raw, 64);
            if code < 0 {
                code
            } else {
                sys::av_frame_copy_props(raw, self.0.as_ptr())
            }
        };
        if code < 0 {
            return Err(MediaError::internal(path, describe(code)));
        }
        for plane in 0..layout.planes {
            if !self.turn_plane(&mut out, plane, &layout, orientation) {
                return Ok(None);
            }
        }
        Ok(Some(out))
    }

    fn turn_plane(
        &self,
        out: &mut Self,
        plane: usize,
        layout: &PlaneLayout,
        orientation: Orientation,
    ) -> bool {
        let (width, height) = self.size();
        let (plane_width, plane_height) = layout.plane_size(plane, width, height);
        let step = layout.steps[plane];
        let (source, stride) = (self.raw().data[plane], self.raw().linesize[plane]);
        let (target, out_stride) = (out.raw().data[plane], out.raw().linesize[plane]);
        let (Ok(stride), Ok(out_stride)) = (usize::try_from(stride), usize::try_from(out_stride))
        else {
            return false;
        };
        if source.is_null() || target.is_null() {
            return false;
        }
        let (_, out_rows) = orientation.shown_size(plane_width as u32, plane_height as u32);
        // SAFETY: a plane of a frame has `height` rows of `linesize` bytes, of which the last may
        // end after its visible part; both planes are distinct allocations.
        unsafe {
            let bytes = std::slice::from_raw_parts(
                source,
                stride * (plane_height - 1) + plane_width * step,
            );
            let shown = std::slice::from_raw_parts_mut(target, out_stride * out_rows as usize);
            let from = Plane { bytes, stride, width: plane_width, height: plane_height, step };
            orientation.turn(&from, shown, out_stride);
        }
        true
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        let mut raw = self.0.as_ptr();
        // SAFETY: allocated by av_frame_alloc and freed only here.
        unsafe { sys::av_frame_free(&raw mut raw) };
    }
}

/// Where the elements of a pixel format lie, for formats that can be turned in place.
struct PlaneLayout {
    planes: usize,
    steps: [usize; 4],
    chroma_shift: (u32, u32),
}

impl PlaneLayout {
    fn of(format: i32, orientation: Orientation) -> Option<Self> {
        let pixel_format = known_pixel_format(format)?;
        // SAFETY: descriptors are static; the arrays have the four elements FFmpeg writes.
        unsafe {
            let descriptor = sys::av_pix_fmt_desc_get(pixel_format).as_ref()?;
            let refused = sys::AV_PIX_FMT_FLAG_PAL
                | sys::AV_PIX_FMT_FLAG_BITSTREAM
                | sys::AV_PIX_FMT_FLAG_HWACCEL;
            let shift = (u32::from(descriptor.log2_chroma_w), u32::from(descriptor.log2_chroma_h));
            let planes = usize::try_from(sys::av_pix_fmt_count_planes(pixel_format)).ok()?;
            let packed_chroma = planes == 1 && shift != (0, 0);
            if descriptor.flags & refused as u64 != 0
                || packed_chroma
                || planes > 4
                || (orientation.transpose && shift.0 != shift.1)
            {
                return None;
            }
            let mut raw_steps = [0_i32; 4];
            sys::av_image_fill_max_pixsteps(
                raw_steps.as_mut_ptr(),
                std::ptr::null_mut(),
                descriptor,
            );
            let steps = raw_steps.map(|step| step.max(0) as usize);
            Some(Self { planes, steps, chroma_shift: shift })
        }
    }

    fn plane_size(&self, plane: usize, width: u32, height: u32) -> (usize, usize) {
        let (across, down) = if plane == 1 || plane == 2 { self.chroma_shift } else { (0, 0) };
        (width.div_ceil(1 << across) as usize, height.div_ceil(1 << down) as usize)
    }
}

/// Checks that a number from a frame is a pixel format of this FFmpeg.
pub(super) fn known_pixel_format(format: i32) -> Option<sys::AVPixelFormat> {
    let end = sys::AVPixelFormat::AV_PIX_FMT_NB as i32;
    if !(0..end).contains(&format) {
        return None;
    }
    // SAFETY: the enum of the same build has every value from 0 up to AV_PIX_FMT_NB.
    Some(unsafe { std::mem::transmute::<i32, sys::AVPixelFormat>(format) })
}

pub(super) fn pixel_format_name(format: i32) -> String {
    known_pixel_format(format).map_or_else(String::new, |known| {
        // SAFETY: returns a static string or null.
        unsafe { owned_text(sys::av_get_pix_fmt_name(known)) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quarter_turns_of_a_counted_picture() {
        // 3 wide, 2 high, one distinct value per pixel.
        let rgb: Vec<u8> = (0..6_u8).flat_map(|v| [v, v, v]).collect();
        let turned = |orientation: Orientation| {
            let mut out = vec![0; rgb.len()];
            orientation.turn_rgb(&rgb, 3, 2, &mut out);
            out.chunks(3).map(|p| p[0]).collect::<Vec<_>>()
        };
        let none = Orientation::default();
        let clockwise = Orientation { transpose: true, flip_rows: true, ..none };
        assert_eq!(turned(clockwise), [3, 0, 4, 1, 5, 2]);
        let counter = Orientation { transpose: true, flip_columns: true, ..none };
        assert_eq!(turned(counter), [2, 5, 1, 4, 0, 3]);
        let half = Orientation { flip_columns: true, flip_rows: true, ..none };
        assert_eq!(turned(half), [5, 4, 3, 2, 1, 0]);
    }

    #[test]
    fn display_matrices_follow_ffmpeg() {
        const ONE: i32 = 1 << 16;
        let clockwise = [0, ONE, 0, -ONE, 0, 0, 0, 0, 1 << 30];
        let (orientation, angle) = Orientation::from_display_matrix(&clockwise, -90.0);
        assert!(orientation.transpose && orientation.flip_rows && !orientation.flip_columns);
        assert_eq!(angle, 90);
        let (odd, angle) = Orientation::from_display_matrix(&clockwise, -45.0);
        assert!(odd.is_identity());
        assert_eq!(angle, 45);
    }
}
