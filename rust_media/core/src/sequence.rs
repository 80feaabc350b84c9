//! Reading a video piece by piece, from front to back: what decodes it stays open in between.

use std::fmt;
use std::sync::Arc;

use crate::error::{MediaError, Result};
use crate::ffmpeg::watched;
use crate::index::{self, VideoIndex};
use crate::interrupt::Interrupt;
use crate::source::Source;
use crate::straight::Straight;
use crate::video::{decode_all, FrameOptions, Job};
use crate::warning::MediaWarning;
use crate::worker::Outcome;

/// A video that is read in several calls.
///
/// Where frames have to be decoded from the start (a stream without usable times, damage, or a
/// caller that says so), the next call goes on where the last one was instead of beginning anew.
pub struct Sequence {
    source: Source,
    index: Arc<VideoIndex>,
    options: FrameOptions,
    /// Whether segments of it can be decoded on their own.
    segmented: bool,
    straight: Option<Straight>,
}

impl Sequence {
    /// Opens `source`. With `straight`, it is decoded from its start on one thread, which costs
    /// least where calls end in the middle of long groups of pictures.
    ///
    /// # Errors
    /// As [`index::open`].
    pub fn open(
        source: &Source,
        options: FrameOptions,
        straight: bool,
        interrupt: &Interrupt<'_>,
    ) -> Result<Self> {
        let index = index::open(source, interrupt)?;
        let source = source.clone();
        Ok(Self { source, index, options, segmented: !straight, straight: None })
    }

    /// What is known about the video.
    #[must_use]
    pub fn index(&self) -> &VideoIndex {
        &self.index
    }

    /// Decodes frames as [`crate::video::decode_into`] does, with the same result.
    ///
    /// # Errors
    /// As [`crate::video::decode_into`].
    pub fn read(
        &mut self,
        indices: &[usize],
        out: &mut [u8],
        interrupt: &Interrupt<'_>,
    ) -> Result<Vec<MediaWarning>> {
        let decoded = watched(interrupt, || self.decode(indices, out, interrupt));
        interrupt.check(&self.index.path)?;
        self.index.check_unchanged(&self.source)?;
        decoded
    }

    fn decode(
        &mut self,
        indices: &[usize],
        out: &mut [u8],
        interrupt: &Interrupt<'_>,
    ) -> Result<Vec<MediaWarning>> {
        let Self { source, index, options, .. } = self;
        let ascending = indices.windows(2).all(|pair| pair[0] < pair[1]);
        let Some(&first) = indices.first().filter(|_| ascending) else {
            return decode_all(source, index, indices, *options, out, interrupt);
        };
        index.check_positions(indices)?;
        let bytes = options.frame_bytes(index);
        if bytes == 0 || out.len() != bytes.saturating_mul(indices.len()) {
            return Err(MediaError::internal(&index.path, "the output buffer has another size"));
        }
        let job = Job::new(source, index, indices, *options, interrupt);
        let mut slots: Vec<&mut [u8]> = out.chunks_exact_mut(bytes).collect();
        if self.segmented {
            if job.run_segments(&mut slots)? == Outcome::Complete {
                return Ok(job.warnings());
            }
            self.segmented = false;
        }
        let mut straight = match self.straight.take().filter(|open| open.can_give(first)) {
            Some(open) => open,
            None => Straight::start(source, index)?,
        };
        let warnings = straight.fill(&job, &mut slots)?;
        self.straight = Some(straight);
        Ok(warnings)
    }
}

impl fmt::Debug for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sequence").field("source", &self.source).finish_non_exhaustive()
    }
}
