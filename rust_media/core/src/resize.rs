//! Bicubic resizing with antialiasing.

use std::path::Path;

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer as Engine};

use crate::error::{MediaError, Result};

/// Largest side in pixels.
pub const MAX_SIDE: u32 = 1 << 16;

/// Largest output in pixels.
const MAX_PIXELS: u64 = 1 << 28;

/// Resizes packed RGB pictures of one size to another: Catmull-Rom (a = -0.5), widened by the
/// scale when shrinking, in fixed-point arithmetic, along the rows first.
///
/// Gives what PyTorch's antialiased bicubic gives for bytes, so that a processor that is handed
/// the result has nothing left to do. The order matters: values are clipped to 8 bits between the
/// two passes, so with sharp edges the other order differs by up to 30.
#[derive(Debug)]
pub struct Resizer {
    from: (u32, u32),
    to: (u32, u32),
    engine: Engine,
    filter: FilterType,
    /// Already of the final width, still of the source's height.
    narrowed: Vec<u8>,
}

impl Resizer {
    /// Prepares resizing from one size to another, both (width, height).
    ///
    /// # Errors
    /// `Unsupported` if a side is zero or beyond [`MAX_SIDE`], or the output beyond 2^28 pixels.
    pub fn new(from: (u32, u32), to: (u32, u32), path: &Path) -> Result<Self> {
        let possible = |side: u32| (1..=MAX_SIDE).contains(&side);
        if ![from.0, from.1, to.0, to.1].into_iter().all(possible)
            || u64::from(to.0) * u64::from(to.1) > MAX_PIXELS
        {
            let reason = format!(
                "cannot resize {}x{} to {}x{}: sides are 1 to {MAX_SIDE} pixels, at most \
                 {MAX_PIXELS} in all",
                from.0, from.1, to.0, to.1
            );
            return Err(MediaError::unsupported(path, reason));
        }
        let filter = FilterType::CatmullRom;
        Ok(Self { from, to, engine: Engine::new(), filter, narrowed: Vec::new() })
    }

    /// Takes Lanczos' filter (a = 3) instead, as Pillow's `LANCZOS`.
    #[must_use]
    pub fn lanczos(mut self) -> Self {
        self.filter = FilterType::Lanczos3;
        self
    }

    /// Resizes one picture; both slices have exactly the bytes of their size.
    ///
    /// # Errors
    /// `Internal` if a slice has another length.
    pub fn resize(&mut self, picture: &[u8], out: &mut [u8], path: &Path) -> Result<()> {
        let between = (self.to.0, self.from.1);
        if between == self.from || between == self.to {
            return pass(&mut self.engine, self.filter, picture, self.from, out, self.to, path);
        }
        self.narrowed.resize(between.0 as usize * between.1 as usize * 3, 0);
        pass(&mut self.engine, self.filter, picture, self.from, &mut self.narrowed, between, path)?;
        pass(&mut self.engine, self.filter, &self.narrowed, between, out, self.to, path)
    }
}

/// Resizes along one side.
fn pass(
    engine: &mut Engine,
    filter: FilterType,
    picture: &[u8],
    from: (u32, u32),
    out: &mut [u8],
    to: (u32, u32),
    path: &Path,
) -> Result<()> {
    let wrong = |e: &dyn std::fmt::Display| MediaError::internal(path, format!("resize: {e}"));
    let source =
        TypedImageRef::<U8x3>::from_buffer(from.0, from.1, picture).map_err(|e| wrong(&e))?;
    let mut target = TypedImage::<U8x3>::from_buffer(to.0, to.1, out).map_err(|e| wrong(&e))?;
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter));
    engine.resize_typed(&source, &mut target, &options).map_err(|e| wrong(&e))
}
