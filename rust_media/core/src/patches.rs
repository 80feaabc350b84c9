//! Frames to the rows of patches that vision transformers of the Qwen-VL family take.

use std::path::Path;

use crate::error::{MediaError, Result};
use crate::interrupt::Interrupt;
use crate::parallel;

/// How pictures are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PatchLayout {
    /// Side of a patch in pixels.
    pub patch: usize,
    /// Frames of one patch.
    pub temporal: usize,
    /// Side, in patches, of the square whose patches the model merges; they are neighbours in the
    /// output.
    pub merge: usize,
}

/// The value of each byte after normalisation, for red, green and blue.
pub type Levels = [[f32; 256]; 3];

/// Patches along time, height and width, and floats per patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PatchGrid {
    /// Patches along time.
    pub frames: usize,
    /// Patches from top to bottom.
    pub rows: usize,
    /// Patches from left to right.
    pub columns: usize,
    /// Floats per patch.
    pub depth: usize,
}

impl PatchGrid {
    /// The grid of frames of one size.
    ///
    /// # Errors
    /// `Unsupported` if a side is no multiple of patch times merge, or anything is zero.
    pub fn of(shape: [usize; 3], layout: PatchLayout, path: &Path) -> Result<Self> {
        let [count, height, width] = shape;
        let PatchLayout { patch, temporal, merge } = layout;
        let factor = patch.saturating_mul(merge);
        let fits = |side: usize| side > 0 && factor > 0 && side % factor == 0;
        if count == 0 || temporal == 0 || !fits(height) || !fits(width) {
            let reason = format!(
                "{count} frames of {width}x{height} have no patches of {patch} pixels, merged by \
                 {merge} and {temporal} frames deep: sides are multiples of {factor}"
            );
            return Err(MediaError::unsupported(path, reason));
        }
        Ok(Self {
            frames: count.div_ceil(temporal),
            rows: height / patch,
            columns: width / patch,
            depth: 3 * temporal * patch * patch,
        })
    }

    /// Patches in all.
    #[must_use]
    pub fn patches(&self) -> usize {
        self.frames * self.rows * self.columns
    }
}

/// Cuts packed RGB frames into patches: (patches, depth) floats, in the order time, rows of merged
/// squares, merged squares, rows and columns within the square; each patch colour first, then
/// time, then its pixels. The last frame stands in for those that a last patch lacks.
///
/// # Errors
/// `Internal` if a slice has another length than its shape; `Interrupted`.
pub fn patchify(
    frames: &[u8],
    shape: [usize; 3],
    layout: PatchLayout,
    levels: &Levels,
    out: &mut [f32],
    interrupt: &Interrupt<'_>,
) -> Result<()> {
    let path = Path::new("<frames>");
    let grid = PatchGrid::of(shape, layout, path)?;
    let [count, height, width] = shape;
    if frames.len() != count * height * width * 3 || out.len() != grid.patches() * grid.depth {
        return Err(MediaError::internal(path, "the frames have another size than their bytes"));
    }
    // A band holds the merged squares of one line of one time step; the bands of a time step
    // follow each other, and so do the time steps.
    let band = layout.merge * grid.columns * grid.depth;
    let bands = grid.rows / layout.merge;
    let size = height * width * 3;
    parallel::map(
        out.chunks_exact_mut(band).enumerate(),
        None,
        path,
        interrupt,
        || Ok(()),
        |(), (position, out)| {
            let first = position / bands * layout.temporal;
            let lines = layout.merge * layout.patch * width * 3;
            let from = position % bands * lines;
            for moment in 0..layout.temporal {
                let frame = (first + moment).min(count - 1) * size + from;
                cut(&frames[frame..frame + lines], width, moment, layout, levels, out);
            }
            Ok(())
        },
    )?;
    Ok(())
}

/// Writes one frame's share of a band of merged squares.
fn cut(
    lines: &[u8],
    width: usize,
    moment: usize,
    layout: PatchLayout,
    levels: &Levels,
    out: &mut [f32],
) {
    let PatchLayout { patch, temporal, merge } = layout;
    let area = patch * patch;
    let depth = 3 * temporal * area;
    let [red, green, blue] = levels;
    for (line, pixels) in lines.chunks_exact(width * 3).enumerate() {
        let (within_square, within_patch) = (line / patch, line % patch);
        for (column, run) in pixels.chunks_exact(patch * 3).enumerate() {
            let square = column / merge * merge * merge;
            let place = square + within_square * merge + column % merge;
            let start = place * depth + moment * area + within_patch * patch;
            let (head, tail) = out[start..].split_at_mut(temporal * area);
            let (middle, tail) = tail.split_at_mut(temporal * area);
            let rows = head[..patch].iter_mut().zip(&mut middle[..patch]).zip(&mut tail[..patch]);
            for (pixel, ((r, g), b)) in run.chunks_exact(3).zip(rows) {
                *r = red[usize::from(pixel[0])];
                *g = green[usize::from(pixel[1])];
                *b = blue[usize::from(pixel[2])];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interrupt::never;

    #[test]
    fn patches_follow_the_merged_squares() {
        let layout = PatchLayout { patch: 2, temporal: 2, merge: 2 };
        let shape = [3, 4, 8];
        let frames: Vec<u8> = (0..3 * 4 * 8 * 3).map(|i| (i % 256) as u8).collect();
        let grid = PatchGrid::of(shape, layout, Path::new("x")).unwrap();
        assert_eq!((grid.frames, grid.rows, grid.columns, grid.depth), (2, 2, 4, 24));
        let mut levels = [[0.0; 256]; 3];
        for channel in &mut levels {
            for (value, level) in channel.iter_mut().enumerate() {
                *level = value as f32;
            }
        }
        let mut out = vec![-1.0; grid.patches() * grid.depth];
        let interrupt = Interrupt::new(&never);
        patchify(&frames, shape, layout, &levels, &mut out, &interrupt).unwrap();
        for patch in 0..grid.patches() {
            let (time, rest) = (patch / 8, patch % 8);
            let (square, within) = (rest / 4, rest % 4);
            let (top, left) = (within / 2, square * 2 + within % 2);
            for at in 0..24 {
                let (channel, moment, y, x) = (at / 8, at / 4 % 2, at / 2 % 2, at % 2);
                let frame = (time * 2 + moment).min(2);
                let pixel = (frame * 4 + top * 2 + y) * 8 + left * 2 + x;
                assert!(
                    (out[patch * 24 + at] - f32::from(frames[pixel * 3 + channel])).abs() < 1e-6
                );
            }
        }
    }

    #[test]
    fn what_is_not_on_the_grid_is_refused() {
        let layout = PatchLayout { patch: 14, temporal: 2, merge: 2 };
        for shape in [[1, 28, 30], [1, 0, 28], [0, 28, 28]] {
            assert!(PatchGrid::of(shape, layout, Path::new("x")).is_err());
        }
        let nothing = PatchLayout { patch: 0, temporal: 2, merge: 2 };
        assert!(PatchGrid::of([1, 28, 28], nothing, Path::new("x")).is_err());
    }
}
