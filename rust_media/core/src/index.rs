//! The packet index of a video: which frames there are, when they are shown, where decoding can
//! start. Made in one pass over the packets, without decoding, and remembered per source.

mod cache;

use std::path::PathBuf;
use std::sync::Arc;

use crate::error::{MediaError, Result};
use crate::ffmpeg::{watched, PacketInfo, StreamFacts};
pub use crate::indexing::{build, build_by_scan};
use crate::interrupt::Interrupt;
use crate::shortcut::Place;
use crate::source::{Identity, Source};
use crate::warning::MediaWarning;
use crate::webp::Animation;

/// How frame positions are told apart while decoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbering {
    /// Frame i belongs to the i-th packet by presentation time; decoding can start at keyframes.
    ByPacket,
    /// Frame i is the i-th that comes out of the decoder; only decoding from the start finds it.
    ByDecoding,
}

/// Everything known about one video file.
#[derive(Debug)]
pub struct VideoIndex {
    /// What the video is called.
    pub path: PathBuf,
    /// What the container says about the stream.
    pub facts: StreamFacts,
    /// Packets in the order in which they are stored and decoded.
    pub packets: Vec<PacketInfo>,
    /// For [`Numbering::ByPacket`]: position in `packets` of each frame in presentation order.
    pub order: Vec<u32>,
    /// Positions in `packets` at which decoding can start, ascending.
    pub keys: Vec<u32>,
    /// Where the bytes of each packet lie; empty if only the demuxer knows.
    pub places: Vec<Place>,
    /// Tells this index from all others of the process.
    pub serial: u64,
    /// How frames are numbered.
    pub numbering: Numbering,
    /// For animated WebP, which FFmpeg does not read: its frames. Then a packet is a stored frame.
    pub animation: Option<Arc<Animation>>,
    /// Presentation time of each frame in time base units.
    pub pts: Vec<i64>,
    /// How long the last frame is shown, in time base units.
    pub last_duration: i64,
    /// What was wrong with the file although it could be indexed.
    pub warnings: Vec<MediaWarning>,
    /// What the source was when it was indexed; None if it cannot change or cannot tell.
    pub identity: Option<Identity>,
}

impl VideoIndex {
    /// Fails if the source is no longer what was indexed: what was read of it may be of both.
    ///
    /// # Errors
    /// `Unreadable` if it has changed, or as [`Source::check`].
    pub fn check_unchanged(&self, source: &Source) -> Result<()> {
        if self.identity.is_none() || source.check()? == self.identity {
            return Ok(());
        }
        Err(MediaError::unreadable(&self.path, "it changed while it was read"))
    }

    /// Number of frames.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pts.len()
    }

    /// Never true: a video without frames is an error when it is opened.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pts.is_empty()
    }

    /// Seconds per time stamp unit.
    #[must_use]
    pub fn unit_seconds(&self) -> f64 {
        let (num, den) = self.facts.time_base;
        f64::from(num) / f64::from(den.max(1))
    }

    /// Seconds of each frame after the first one's presentation, in presentation order.
    #[must_use]
    pub fn times(&self) -> Vec<f64> {
        let (num, den) = self.facts.time_base;
        let first = self.pts.first().copied().unwrap_or(0);
        self.pts
            .iter()
            // Multiplied first: 1001/30000 has no exact double, 1001 * n / 30000 rounds once.
            .map(|pts| pts.saturating_sub(first) as f64 * f64::from(num) / f64::from(den.max(1)))
            .collect()
    }

    /// Seconds from the first frame's presentation to the end of the last frame's.
    #[must_use]
    pub fn duration_seconds(&self) -> f64 {
        let (num, den) = self.facts.time_base;
        let first = self.pts.first().copied().unwrap_or(0);
        let last = self.pts.last().copied().unwrap_or(0);
        let units = last.saturating_sub(first).saturating_add(self.last_duration);
        units as f64 * f64::from(num) / f64::from(den.max(1))
    }

    /// Average frames per second as (numerator, denominator): the container's figure, or frames
    /// per duration where it has none.
    #[must_use]
    pub fn average_rate(&self) -> (i64, i64) {
        let (num, den) = self.facts.average_rate;
        if num > 0 && den > 0 {
            return (i64::from(num), i64::from(den));
        }
        let seconds = self.duration_seconds();
        if seconds > 0.0 {
            ((self.len() as f64 * 1e6 / seconds).round() as i64, 1_000_000)
        } else {
            (0, 1)
        }
    }

    /// Whether frames are shown for different lengths of time. A difference of one time stamp
    /// unit is rounding (33 and 34 ms in Matroska at 30 frames per second).
    #[must_use]
    pub fn is_variable_rate(&self) -> bool {
        let steps = || self.pts.windows(2).map(|pair| pair[1].saturating_sub(pair[0]));
        match (steps().min(), steps().max()) {
            (Some(least), Some(most)) => most - least > 1,
            _ => false,
        }
    }

    /// How many frames decoding can start at.
    #[must_use]
    pub fn key_frames(&self) -> usize {
        self.keys.iter().filter(|&&at| !self.packets[at as usize].discard).count()
    }

    /// Fails for a position that the video does not have.
    ///
    /// # Errors
    /// `OutOfRange`.
    pub fn check_positions(&self, positions: &[usize]) -> Result<()> {
        match positions.iter().find(|&&position| position >= self.len()) {
            None => Ok(()),
            Some(&beyond) => Err(MediaError::OutOfRange {
                path: self.path.clone(),
                index: beyond,
                total: self.len(),
            }),
        }
    }

    /// Size after rotation, in pixels.
    #[must_use]
    pub fn shown_size(&self, rotate: bool) -> (u32, u32) {
        let (width, height) = (self.facts.width, self.facts.height);
        if rotate {
            self.facts.orientation.shown_size(width, height)
        } else {
            (width, height)
        }
    }
}

/// Returns the index of a video, from memory if its source has not changed since.
///
/// # Errors
/// Everything that [`Source::check`] and [`Demuxer::open`] refuse; `Decode` if no frame can be
/// found; `Unreadable` if the source fails while it is read.
pub fn open(source: &Source, interrupt: &Interrupt<'_>) -> Result<Arc<VideoIndex>> {
    let built = || {
        let index = watched(interrupt, || build(source, interrupt));
        // A read that was broken off looks like the end of the file, or like damage.
        interrupt.check(source.name()).and(index)
    };
    let Some(key) = source.check()? else { return built().map(Arc::new) };
    if let Some(found) = cache::get(source.name(), &key) {
        return Ok(found);
    }
    let mut index = built()?;
    index.identity = Some(key.clone());
    index.check_unchanged(source)?;
    let index = Arc::new(index);
    cache::put(key, &index);
    Ok(index)
}
