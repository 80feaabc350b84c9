//! Decoding a video from its start, frame by frame, which a later call can go on with.

use crate::animation::Painter;
use crate::canvas::Canvas;
use crate::error::{MediaError, Result};
use crate::ffmpeg::Frame;
use crate::index::{Numbering, VideoIndex};
use crate::source::Source;
use crate::video::Job;
use crate::walk::Walk;
use crate::warning::{MediaWarning, WarningCode};

/// A decode that only ever goes forward.
pub(crate) enum Straight {
    Video(Box<Walked>),
    Animation(Box<Painter>),
}

impl Straight {
    pub(crate) fn start(source: &Source, index: &VideoIndex) -> Result<Self> {
        Ok(match &index.animation {
            Some(animation) => Self::Animation(Box::new(Painter::start(source, animation)?)),
            None => Self::Video(Box::new(Walked::start(source, index)?)),
        })
    }

    /// Whether the frame at `position` is not behind it yet.
    pub(crate) fn can_give(&self, position: usize) -> bool {
        match self {
            Self::Video(walked) => walked.passed.is_none_or(|passed| position > passed),
            Self::Animation(painter) => painter.can_give(position),
        }
    }

    /// Gives the frames that the job wants, all of them still to come.
    pub(crate) fn fill(
        &mut self,
        job: &Job<'_>,
        slots: &mut [&mut [u8]],
    ) -> Result<Vec<MediaWarning>> {
        let (stood_in, damage) = match self {
            Self::Video(walked) => (walked.fill(job, slots)?, walked.walk.damage()),
            Self::Animation(painter) => (painter.fill(job, slots)?, painter.damage()),
        };
        let mut warnings = job.warnings();
        if warnings.iter().all(|known| known.code != WarningCode::DecodeErrors) {
            warnings.extend(damage);
        }
        if !stood_in.is_empty() {
            warnings.push(job.missing_frames(&stood_in));
        }
        Ok(warnings)
    }
}

/// A walk through a stream, as FFmpeg's command line tool decodes it with one thread.
///
/// The nearest earlier frame (before the first one: the first) stands in for frames that could not
/// be decoded, as players do; which one that is does not depend on what else was asked.
pub(crate) struct Walked {
    walk: Walk,
    /// Frames that came out of the decoder so far.
    count: usize,
    /// Position of the frame that the walk is at, unless that one is behind.
    ahead: Option<usize>,
    /// The latest frame that is behind, and its position.
    held: Frame,
    passed: Option<usize>,
}

impl Walked {
    fn start(source: &Source, index: &VideoIndex) -> Result<Self> {
        Ok(Self {
            walk: Walk::start(source, &index.facts)?,
            count: 0,
            ahead: None,
            held: Frame::new(source.name())?,
            passed: None,
        })
    }

    /// Returns the positions that another frame stands in for.
    fn fill(&mut self, job: &Job<'_>, slots: &mut [&mut [u8]]) -> Result<Vec<usize>> {
        let mut canvas = Canvas::new(job)?;
        let mut stood_in = Vec::new();
        for (&wanted, slot) in job.wanted.iter().zip(slots) {
            let reached = self.go_to(wanted, job)?;
            if reached == Some(wanted) {
                canvas.paint(&self.walk.frame, slot)?;
                continue;
            }
            if self.passed.is_some() {
                canvas.paint(&self.held, slot)?;
            } else if reached.is_some() {
                canvas.paint(&self.walk.frame, slot)?;
            } else {
                return Err(MediaError::decode(&job.index.path, "no frame of it can be decoded"));
            }
            stood_in.push(wanted);
        }
        Ok(stood_in)
    }

    /// Goes to the first frame that is not before `wanted`; None at the end.
    fn go_to(&mut self, wanted: usize, job: &Job<'_>) -> Result<Option<usize>> {
        loop {
            match self.ahead {
                Some(position) if position >= wanted => return Ok(Some(position)),
                Some(position) => {
                    std::mem::swap(&mut self.held, &mut self.walk.frame);
                    self.passed = Some(position);
                    self.ahead = None;
                }
                None => {}
            }
            if !self.walk.next(job.interrupt)? {
                return Ok(None);
            }
            let position = match job.index.numbering {
                Numbering::ByDecoding => Some(self.count),
                Numbering::ByPacket => job.index.pts.binary_search(&self.walk.frame.pts()).ok(),
            };
            self.count += 1;
            self.ahead = position.filter(|&at| self.passed.is_none_or(|passed| at > passed));
        }
    }
}
