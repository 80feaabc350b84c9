//! Decoding a whole stream from its start, one frame at a time.

use crate::error::Result;
use crate::ffmpeg::{Decoder, Demuxer, Frame, ReadPacket, Received, StreamFacts};
use crate::interrupt::Interrupt;
use crate::source::Source;
use crate::warning::{MediaWarning, WarningCode};

/// A plain decode of the whole stream from its start, one frame at a time.
pub(crate) struct Walk {
    demuxer: Demuxer,
    decoder: Decoder,
    /// The current frame.
    pub frame: Frame,
    /// Packets sent so far.
    sent: usize,
    /// Packets or frames that the decoder gave up on so far.
    refused: usize,
    /// Frames in which the decoder concealed damage so far.
    concealed: usize,
    draining: bool,
}

impl Walk {
    pub(crate) fn start(source: &Source, facts: &StreamFacts) -> Result<Self> {
        // What FFmpeg makes of a stream with damage may depend on what probing found.
        let (demuxer, decoder) = if facts.probed {
            (Demuxer::reopen(source, facts)?, Decoder::open(source.name(), facts, 1)?)
        } else {
            let (demuxer, facts) = Demuxer::open(source)?;
            let decoder = Decoder::open(source.name(), &facts, 1)?;
            (demuxer, decoder)
        };
        Ok(Self {
            demuxer,
            decoder,
            frame: Frame::new(source.name())?,
            sent: 0,
            refused: 0,
            concealed: 0,
            draining: false,
        })
    }

    /// Moves to the next frame; false at the end.
    pub(crate) fn next(&mut self, interrupt: &Interrupt<'_>) -> Result<bool> {
        loop {
            match self.decoder.receive(&mut self.frame) {
                Received::Frame => {
                    self.concealed += usize::from(self.frame.is_damaged());
                    return Ok(true);
                }
                Received::End => return Ok(false),
                Received::Failed => {
                    self.refused += 1;
                    if self.draining && self.refused > self.sent + MAX_DRAIN_FAILURES {
                        return Ok(false);
                    }
                }
                Received::NeedsInput if self.draining => return Ok(false),
                Received::NeedsInput => self.feed(interrupt)?,
            }
        }
    }

    /// What the decoder met so far, if anything was wrong.
    pub(crate) fn damage(&self) -> Option<MediaWarning> {
        if self.refused == 0 && self.concealed == 0 {
            return None;
        }
        let message = format!(
            "{} of {} packets could not be decoded, {} pictures are incomplete",
            self.refused, self.sent, self.concealed
        );
        Some(MediaWarning::new(WarningCode::DecodeErrors, message))
    }

    fn feed(&mut self, interrupt: &Interrupt<'_>) -> Result<()> {
        interrupt.check(self.demuxer.path())?;
        match self.demuxer.read()? {
            ReadPacket::Packet(_) => {
                self.sent += 1;
                if !self.decoder.send(&self.demuxer)? {
                    self.refused += 1;
                }
            }
            ReadPacket::End | ReadPacket::Failed(_) => {
                self.draining = true;
                self.decoder.send_end()?;
            }
        }
        Ok(())
    }
}

/// A decoder that fails this often while it is emptied will not come to its end.
const MAX_DRAIN_FAILURES: usize = 64;
