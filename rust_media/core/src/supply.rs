//! Packets for decoding a segment: read straight from where they lie, or through a demuxer.

use std::sync::Arc;

use crate::error::{MediaError, Result};
use crate::ffmpeg::{Decoder, Demuxer, Packet, PacketInfo, ReadPacket};
use crate::index::VideoIndex;
use crate::interrupt::Interrupt;
use crate::plan::Segment;
use crate::pool;
use crate::source::{read_up_to, ReadAt, Source};

/// Bytes read at once from the place of a packet on: those of the following packets too, which
/// are stored next to it.
const READ_AHEAD: usize = 256 << 10;

/// Hands a segment's packets to a decoder, one after the other.
pub(crate) enum Supply {
    Direct(Direct),
    Demuxed(Demuxer),
}

impl Supply {
    pub(crate) fn open(source: &Source, index: &VideoIndex) -> Result<Self> {
        if index.places.is_empty() {
            return pool::take(source, index).map(Self::Demuxed);
        }
        Ok(Self::Direct(Direct {
            reader: source.open()?,
            packet: Packet::new(source.name())?,
            window: Vec::new(),
            window_start: 0,
        }))
    }

    /// Lets a later call use what is open.
    pub(crate) fn retire(self, source: &Source, index: &VideoIndex) {
        if let Self::Demuxed(demuxer) = self {
            pool::give(source, index, demuxer);
        }
    }

    /// Goes to the first packet of a segment; false if it cannot be reached.
    pub(crate) fn go_to(
        &mut self,
        index: &VideoIndex,
        segment: &Segment,
        interrupt: &Interrupt<'_>,
    ) -> Result<bool> {
        match self {
            // A demuxer has looked at the packet before it called it a keyframe; a table has not.
            Self::Direct(direct) => Ok(direct.load(index, segment.start, segment.last)?
                && index.facts.may_start_at(&direct.packet)),
            Self::Demuxed(demuxer) => go_to(demuxer, index, segment, interrupt),
        }
    }

    /// Moves on to the packet `at` of the index; false if it is not what comes.
    pub(crate) fn next(&mut self, index: &VideoIndex, at: u32, last: u32) -> Result<bool> {
        match self {
            Self::Direct(direct) => direct.load(index, at, last),
            Self::Demuxed(demuxer) => {
                let expected = index.packets[at as usize].pts;
                Ok(matches!(demuxer.read()?, ReadPacket::Packet(packet) if packet.pts == expected))
            }
        }
    }

    /// Sends the current packet; false if the decoder refuses it as damaged.
    pub(crate) fn send(&self, decoder: &mut Decoder) -> Result<bool> {
        match self {
            Self::Direct(direct) => decoder.send_packet(&direct.packet),
            Self::Demuxed(demuxer) => decoder.send(demuxer),
        }
    }
}

/// Reads packets from their places.
pub(crate) struct Direct {
    reader: Arc<dyn ReadAt>,
    packet: Packet,
    window: Vec<u8>,
    window_start: u64,
}

impl Direct {
    /// Loads the packet `at`; what is read ahead ends with packet `last`. False if the source has
    /// become shorter.
    fn load(&mut self, index: &VideoIndex, at: u32, last: u32) -> Result<bool> {
        let place = index.places[at as usize];
        let size = place.size as usize;
        if self.held(place.offset, size).is_none() {
            let end = index.places[last as usize];
            let ahead = (end.offset + u64::from(end.size)).saturating_sub(place.offset);
            let ahead = usize::try_from(ahead).unwrap_or(READ_AHEAD).min(READ_AHEAD).max(size);
            self.window.resize(ahead, 0);
            let read = read_up_to(self.reader.as_ref(), place.offset, &mut self.window);
            let read = read.map_err(|e| MediaError::from_io(&index.path, &e))?;
            self.window.truncate(read);
            self.window_start = place.offset;
        }
        let Some(from) = self.held(place.offset, size) else { return Ok(false) };
        let bytes = &self.window[from..from + size];
        self.packet.fill(&index.packets[at as usize], bytes, &index.path)?;
        Ok(true)
    }

    /// Where in the window these bytes start, if it has all of them.
    fn held(&self, offset: u64, size: usize) -> Option<usize> {
        let from = usize::try_from(offset.checked_sub(self.window_start)?).ok()?;
        (from.checked_add(size)? <= self.window.len()).then_some(from)
    }
}

/// Seeks and reads until the demuxer holds the segment's keyframe.
fn go_to(
    demuxer: &mut Demuxer,
    index: &VideoIndex,
    segment: &Segment,
    interrupt: &Interrupt<'_>,
) -> Result<bool> {
    let key = index.packets[segment.start as usize];
    let stamp = key.seek_stamp();
    let beginning = index.packets[0].seek_stamp();
    for target in [stamp, beginning.min(stamp)] {
        if demuxer.seek(target).is_ok() && read_up_to_key(demuxer, &key, interrupt)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Reads on to the packet of `key`; false if the stream ends or is past it already.
fn read_up_to_key(
    demuxer: &mut Demuxer,
    key: &PacketInfo,
    interrupt: &Interrupt<'_>,
) -> Result<bool> {
    loop {
        interrupt.check(demuxer.path())?;
        match demuxer.read()? {
            ReadPacket::Packet(packet) if packet.pts == key.pts => return Ok(true),
            // Not by decode times: where the container has none, they depend on probing.
            ReadPacket::Packet(packet) if packet.key && packet.pts > key.pts => return Ok(false),
            ReadPacket::Packet(_) => {}
            ReadPacket::End | ReadPacket::Failed(_) => return Ok(false),
        }
    }
}
