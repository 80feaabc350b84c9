//! Decoding one segment at a time: seek to its keyframe, decode to its last wanted frame.

use std::collections::HashMap;

use crate::canvas::Canvas;
use crate::error::Result;
use crate::ffmpeg::{Decoder, Demuxer, Frame, PacketInfo, ReadPacket, Received};
use crate::index::VideoIndex;
use crate::plan::Segment;
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
    slots: HashMap<i64, &'a mut [u8]>,
}

pub(crate) fn pieces_of<'s>(planned: Vec<Segment>, slots: &'s mut [&mut [u8]]) -> Vec<Piece<'s>> {
    let mut free: Vec<Option<&'s mut [u8]>> = slots.iter_mut().map(|s| Some(&mut **s)).collect();
    planned
        .into_iter()
        .map(|segment| {
            let slots = segment
                .targets
                .iter()
                .filter_map(|target| Some((target.pts, free[target.slot].take()?)))
                .collect();
            Piece { segment, slots }
        })
        .collect()
}

/// One thread's open file, decoder and buffers.
pub(crate) struct Worker<'a> {
    job: &'a Job<'a>,
    demuxer: Demuxer,
    decoder: Decoder,
    frame: Frame,
    canvas: Canvas<'a>,
    may_skip: bool,
}

impl<'a> Worker<'a> {
    pub(crate) fn open(job: &'a Job<'a>) -> Result<Self> {
        let path = &job.index.path;
        Ok(Self {
            job,
            demuxer: Demuxer::reopen(job.source, &job.index.facts)?,
            decoder: Decoder::open(path, &job.index.facts)?,
            frame: Frame::new(path)?,
            canvas: Canvas::new(job)?,
            may_skip: may_skip_non_reference(job.index),
        })
    }

    pub(crate) fn decode(&mut self, piece: &mut Piece<'_>) -> Result<Outcome> {
        let index = self.job.index;
        self.decoder.flush();
        if !self.go_to(&piece.segment)? {
            return Ok(Outcome::NeedsFullDecode);
        }
        let key_pts = index.packets[piece.segment.start as usize].pts;
        let wanted: Vec<u32> = piece.segment.targets.iter().map(|t| t.packet).collect();
        let mut wanted = wanted.into_iter().peekable();
        for at in piece.segment.start..=piece.segment.last {
            self.job.interrupt.check(&index.path)?;
            if at != piece.segment.start && !self.read_expected(at)? {
                return Ok(Outcome::NeedsFullDecode);
            }
            let is_target = wanted.next_if_eq(&at).is_some();
            self.decoder.skip_non_reference(self.may_skip && !is_target);
            if !self.decoder.send(&self.demuxer)? || !self.drain(piece, key_pts)? {
                return Ok(Outcome::NeedsFullDecode);
            }
        }
        self.decoder.skip_non_reference(false);
        self.decoder.send_end()?;
        if self.drain(piece, key_pts)? && piece.slots.is_empty() {
            Ok(Outcome::Complete)
        } else {
            Ok(Outcome::NeedsFullDecode)
        }
    }

    /// Seeks and reads until the demuxer holds the segment's keyframe. False if it cannot be
    /// reached.
    fn go_to(&mut self, segment: &Segment) -> Result<bool> {
        let key = self.job.index.packets[segment.start as usize];
        let stamp = key.seek_stamp();
        let beginning = self.job.index.packets[0].seek_stamp();
        for target in [stamp, beginning.min(stamp)] {
            if self.demuxer.seek(target).is_ok() && self.read_up_to(&key)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Reads on to the packet of `key`; false if the stream ends or is past it already.
    fn read_up_to(&mut self, key: &PacketInfo) -> Result<bool> {
        loop {
            self.job.interrupt.check(&self.job.index.path)?;
            match self.demuxer.read()? {
                ReadPacket::Packet(packet) if packet.pts == key.pts => return Ok(true),
                ReadPacket::Packet(packet) if packet.is_after(key) => return Ok(false),
                ReadPacket::Packet(_) => {}
                ReadPacket::End | ReadPacket::Failed(_) => return Ok(false),
            }
        }
    }

    /// Reads the next packet and checks that it is the one the index has there.
    fn read_expected(&mut self, at: u32) -> Result<bool> {
        let expected = self.job.index.packets[at as usize].pts;
        let read = self.demuxer.read()?;
        Ok(matches!(read, ReadPacket::Packet(packet) if packet.pts == expected))
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
            if let Some(slot) = piece.slots.remove(&pts) {
                self.canvas.paint(&self.frame, slot)?;
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
