//! Decoding one segment at a time: seek to its keyframe, decode to its last wanted frame.

use std::collections::HashMap;

use crate::canvas::Canvas;
use crate::error::Result;
use crate::ffmpeg::{Decoder, Frame, Received};
use crate::index::VideoIndex;
use crate::plan::Segment;
use crate::supply::Supply;
use crate::video::Job;

/// How decoding one segment ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Complete,
    /// Damage, or a container that cannot be entered there: only a decode from the start shows
    /// what FFmpeg makes of it.
    NeedsFullDecode,
}

/// A segment with the slots of its targets.
pub(crate) struct Piece<'a> {
    segment: Segment,
    slots: HashMap<i64, Slot<'a>>,
    /// Slots that are not filled yet.
    left: usize,
}

struct Slot<'a> {
    bytes: &'a mut [u8],
    filled: bool,
}

impl Piece<'_> {
    /// Packets to decode.
    pub(crate) fn len(&self) -> usize {
        self.segment.len()
    }

    fn start_anew(&mut self) {
        self.slots.values_mut().for_each(|slot| slot.filled = false);
        self.left = self.slots.len();
    }
}

pub(crate) fn pieces_of<'s>(planned: Vec<Segment>, slots: &'s mut [&mut [u8]]) -> Vec<Piece<'s>> {
    let mut free: Vec<Option<&'s mut [u8]>> = slots.iter_mut().map(|s| Some(&mut **s)).collect();
    planned
        .into_iter()
        .map(|segment| {
            let slots: HashMap<i64, Slot<'s>> = segment
                .targets
                .iter()
                .filter_map(|target| {
                    let bytes = free[target.slot].take()?;
                    Some((target.pts, Slot { bytes, filled: false }))
                })
                .collect();
            Piece { segment, left: slots.len(), slots }
        })
        .collect()
}

/// One thread's source of packets, decoder and buffers.
pub(crate) struct Worker<'a> {
    job: &'a Job<'a>,
    supply: Supply,
    decoder: Decoder,
    /// Whether it has decoded anything.
    is_used: bool,
    frame_threads: usize,
    frame: Frame,
    canvas: Canvas<'a>,
    may_skip: bool,
}

impl<'a> Worker<'a> {
    pub(crate) fn open(job: &'a Job<'a>, frame_threads: usize) -> Result<Self> {
        let path = &job.index.path;
        Ok(Self {
            job,
            supply: Supply::open(job.source, job.index)?,
            decoder: Decoder::open(path, &job.index.facts, frame_threads)?,
            is_used: false,
            frame_threads,
            frame: Frame::new(path)?,
            canvas: Canvas::new(job)?,
            may_skip: may_skip_non_reference(job.index),
        })
    }

    /// Lets later calls use what is open.
    pub(crate) fn retire(self) {
        self.supply.retire(self.job.source, self.job.index);
    }

    pub(crate) fn decode(&mut self, piece: &mut Piece<'_>) -> Result<Outcome> {
        let outcome = self.attempt(piece)?;
        if self.frame_threads == 1
            || (outcome == Outcome::Complete && !self.decoder.has_complained())
        {
            return Ok(outcome);
        }
        // Only without frame threads the same damage always looks the same, and is marked.
        self.decoder = Decoder::open(&self.job.index.path, &self.job.index.facts, 1)?;
        self.frame_threads = 1;
        piece.start_anew();
        self.attempt(piece)
    }

    fn attempt(&mut self, piece: &mut Piece<'_>) -> Result<Outcome> {
        let index = self.job.index;
        let (start, last) = (piece.segment.start, piece.segment.last);
        self.forget()?;
        if !self.supply.go_to(index, &piece.segment, self.job.interrupt)? {
            return Ok(Outcome::NeedsFullDecode);
        }
        let key_pts = index.packets[start as usize].pts;
        let wanted: Vec<u32> = piece.segment.targets.iter().map(|t| t.packet).collect();
        let mut wanted = wanted.into_iter().peekable();
        for at in start..=last {
            self.job.interrupt.check(&index.path)?;
            if at != start && !self.supply.next(index, at, last)? {
                return Ok(Outcome::NeedsFullDecode);
            }
            let is_target = wanted.next_if_eq(&at).is_some();
            self.decoder.skip_non_reference(self.may_skip && !is_target);
            if !self.supply.send(&mut self.decoder)? || !self.drain(piece, key_pts)? {
                return Ok(Outcome::NeedsFullDecode);
            }
        }
        self.decoder.skip_non_reference(false);
        self.decoder.send_end()?;
        if self.drain(piece, key_pts)? && piece.left == 0 {
            Ok(Outcome::Complete)
        } else {
            Ok(Outcome::NeedsFullDecode)
        }
    }

    /// Makes the decoder ready for another segment, of which it must not know what came before.
    fn forget(&mut self) -> Result<()> {
        let VideoIndex { path, facts, .. } = self.job.index;
        // FFmpeg's Motion JPEG decoder keeps tables and a picture when it is flushed, and falls
        // back on them where a damaged one lacks its own.
        if facts.codec == "mjpeg" && self.is_used {
            self.decoder = Decoder::open(path, facts, self.frame_threads)?;
        } else {
            self.decoder.flush();
        }
        self.is_used = true;
        Ok(())
    }

    /// Takes all frames that are ready and paints the wanted ones; false on damage.
    fn drain(&mut self, piece: &mut Piece<'_>, key_pts: i64) -> Result<bool> {
        loop {
            match self.decoder.receive(&mut self.frame) {
                Received::NeedsInput | Received::End => return Ok(true),
                Received::Failed => return Ok(false),
                Received::Frame => {}
            }
            let pts = self.frame.pts();
            // Leading pictures of an open group lack their references here; nobody wants them.
            if pts >= key_pts && self.frame.is_damaged() {
                return Ok(false);
            }
            if let Some(slot) = piece.slots.get_mut(&pts).filter(|slot| !slot.filled) {
                self.canvas.paint(&self.frame, slot.bytes)?;
                slot.filled = true;
                piece.left -= 1;
            }
        }
    }
}

/// Whether the decoder may drop unwanted frames that nothing refers to.
///
/// Exact for H.264 and MPEG-1/2/4, where the stream says which pictures are references. In HEVC
/// the mark only counts within a temporal layer, so it is used only for streams that have one.
fn may_skip_non_reference(index: &VideoIndex) -> bool {
    match index.facts.codec.as_str() {
        "h264" | "mpeg4" | "mpeg2video" | "mpeg1video" => true,
        "hevc" => hevc_temporal_layers(index.facts.parameters.extradata()) == Some(1),
        _ => false,
    }
}

/// Reads the number of temporal layers from an `hvcC` record (ISO/IEC 14496-15, 8.3.3.1); None
/// where the setup data has another form or does not know.
fn hevc_temporal_layers(record: &[u8]) -> Option<u8> {
    const VERSION: u8 = 1;
    const LAYERS_BYTE: usize = 21;
    if record.first() != Some(&VERSION) {
        return None;
    }
    match record.get(LAYERS_BYTE)? >> 3 & 7 {
        0 => None,
        layers => Some(layers),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporal_layers_of_hvcc() {
        let mut record = vec![0_u8; 23];
        assert_eq!(hevc_temporal_layers(&record), None);
        record[0] = 1;
        assert_eq!(hevc_temporal_layers(&record), None);
        record[21] = 1 << 3 | 0b111;
        assert_eq!(hevc_temporal_layers(&record), Some(1));
        record[21] = 3 << 3 | 0b111;
        assert_eq!(hevc_temporal_layers(&record), Some(3));
        assert_eq!(hevc_temporal_layers(&record[..20]), None);
    }
}
