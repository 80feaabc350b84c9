//! What can be known of a video from its container's header alone, without reading its packets.

use std::ptr::addr_of;

use ffmpeg_sys_next as sys;

use super::demuxer::{Demuxer, PacketInfo, StreamFacts, SELF_DESCRIBING};
use super::{describe, nal, Decoder, Packet, ReadPacket};
use crate::error::{MediaError, Result};

/// The most pictures by which H.264 may be shown out of decode order (`MAX_DPB_FRAMES`).
const MAX_REORDERED: usize = 16;
/// Packets that are read at most to reach one after seeking to it.
const MAX_READ_TO_REACH: usize = 64;

/// A packet as the container's index lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ListedPacket {
    /// First byte in the file.
    pub offset: u64,
    /// In bytes.
    pub size: u32,
    /// Decode time stamp.
    pub dts: i64,
    /// Whether decoding can start here.
    pub key: bool,
}

impl Demuxer {
    /// Says what the header tells about the only video stream, and reads from that one alone.
    ///
    /// None where the header does not tell what probing the packets would: other containers, those
    /// that `understood` (given the names of format and codec) denies, several video streams, no
    /// constant frame rate. Then nothing is changed, and [`Demuxer::probe`] can still be asked.
    pub(crate) fn header_facts(
        &mut self,
        understood: impl FnOnce(&str, &str) -> bool,
    ) -> Result<Option<StreamFacts>> {
        let Some(stream) = self.only_video_stream() else { return Ok(None) };
        // SAFETY: the stream lives as long as the open context; its parameters are not null; names
        // are static strings or null.
        let told = unsafe {
            let stream = *(*self.context.as_ptr()).streams.add(stream as usize);
            let parameters = (*stream).codecpar;
            let codec = addr_of!((*parameters).codec_id).read();
            let codec = super::owned_text(sys::avcodec_get_name(codec));
            let format = match (*self.context.as_ptr()).iformat {
                format if format.is_null() => String::new(),
                format => super::owned_text((*format).name),
            };
            SELF_DESCRIBING.contains(&format.as_str())
                && understood(&format, &codec)
                && (*stream).avg_frame_rate.num > 0
                // Of a constant rate; others are estimated from the first packets.
                && (*stream).r_frame_rate.num > 0
                && (*parameters).width > 0
                && (*parameters).height > 0
                // Matroska tracks taken over from AVI have decode times for time stamps.
                && (format.starts_with("mov") || (*parameters).codec_tag == 0)
        };
        if !told {
            return Ok(None);
        }
        self.select(stream)?;
        self.facts().map(Some)
    }

    fn only_video_stream(&self) -> Option<i32> {
        // SAFETY: `streams` holds `nb_streams` pointers; the type is a four-byte C enum.
        let mut videos = unsafe {
            let context = self.context.as_ref();
            (0..context.nb_streams).filter(|&index| {
                let parameters = (**context.streams.add(index as usize)).codecpar;
                !parameters.is_null()
                    && addr_of!((*parameters).codec_type).cast::<i32>().read()
                        == sys::AVMediaType::AVMEDIA_TYPE_VIDEO as i32
                    && !self.is_cover(index as i32)
            })
        };
        let first = videos.next()?;
        videos.next().is_none().then_some(first as i32)
    }

    /// Reads the first packet and learns from it the real size and pixel format, which are
    /// corrected in `facts`. None if it does not tell.
    pub(crate) fn first_picture(&mut self, facts: &mut StreamFacts) -> Result<Option<PacketInfo>> {
        let ReadPacket::Packet(first) = self.read()? else { return Ok(None) };
        if !first.key {
            return Ok(None);
        }
        let picture = Decoder::open(self.path(), facts, 1)?.picture_of(self, facts)?;
        let Some((size, format)) = picture else { return Ok(None) };
        (facts.width, facts.height) = size;
        facts.pixel_format = super::frame::pixel_format_name(format);
        facts.parameters.set_picture(size, format);
        Ok(Some(first))
    }

    /// The bytes of the packet that was just read.
    pub(super) fn packet_bytes(&self) -> &[u8] {
        // SAFETY: the packet is ours and borrowed with the demuxer.
        unsafe { super::packet::bytes_of(self.packet.as_ptr()) }
    }

    /// The number of the chosen stream within the container, e.g. `track_ID`.
    pub(crate) fn track_number(&self) -> Option<u32> {
        let stream = self.stream().ok()?;
        // SAFETY: lives as long as the open context.
        u32::try_from(unsafe { stream.as_ref() }.id).ok()
    }

    /// Time stamp units from one frame to the next, by the rate that the header tells.
    pub(crate) fn frame_units(&self) -> Option<i64> {
        let stream = self.stream().ok()?;
        // SAFETY: as above.
        let (rate, unit) = unsafe { (stream.as_ref().r_frame_rate, stream.as_ref().time_base) };
        let units = i64::from(rate.den) * i64::from(unit.den);
        units.checked_div(i64::from(rate.num) * i64::from(unit.num))
    }

    /// The packets that the container's own index lists for the chosen stream, in decode order;
    /// None if one of them is empty, is hidden by an edit list or has no place.
    pub(crate) fn listed_packets(&self) -> Option<Vec<ListedPacket>> {
        let stream = self.stream().ok()?.as_ptr();
        // SAFETY: the stream lives as long as the open context; entries are copied at once, and
        // null is returned past the end.
        unsafe {
            let count = sys::avformat_index_get_entries_count(stream);
            let mut listed = Vec::with_capacity(usize::try_from(count).ok()?);
            for at in 0..count {
                let entry = sys::avformat_index_get_entry(stream, at).as_ref()?;
                if entry.flags() & sys::AVINDEX_DISCARD_FRAME != 0 || entry.size() == 0 {
                    return None;
                }
                listed.push(ListedPacket {
                    offset: u64::try_from(entry.pos).ok()?,
                    size: u32::try_from(entry.size()).ok()?,
                    dts: entry.timestamp,
                    key: entry.flags() & sys::AVINDEX_KEYFRAME != 0,
                });
            }
            Some(listed)
        }
    }

    /// How many packets with content the container's own index lists for the chosen stream.
    pub(crate) fn listed_count(&self) -> usize {
        let Ok(stream) = self.stream() else { return 0 };
        // SAFETY: as above.
        unsafe {
            let count = sys::avformat_index_get_entries_count(stream.as_ptr());
            let entry = |at| sys::avformat_index_get_entry(stream.as_ptr(), at).as_ref();
            (0..count).filter_map(entry).filter(|entry| entry.size() > 0).count()
        }
    }

    /// Reads the packet whose decode time stamp is `dts`, keyframe or not.
    pub(crate) fn read_at(&mut self, dts: i64) -> Result<Option<PacketInfo>> {
        let flags = sys::AVSEEK_FLAG_ANY | sys::AVSEEK_FLAG_BACKWARD;
        // SAFETY: the context is open and the stream index valid.
        let code =
            unsafe { sys::av_seek_frame(self.context.as_ptr(), self.stream_index, dts, flags) };
        if code < 0 {
            return Err(MediaError::decode(self.path(), describe(code)));
        }
        // Some demuxers go further back, to be safe for pictures stored out of order.
        for _ in 0..MAX_READ_TO_REACH {
            match self.read()? {
                ReadPacket::Packet(packet) if packet.dts >= dts => return Ok(Some(packet)),
                ReadPacket::Packet(_) => {}
                _ => break,
            }
        }
        Ok(None)
    }

    /// Whether the packet that was just read lies where `listed` says.
    pub(crate) fn is_at(&self, listed: &ListedPacket) -> bool {
        // SAFETY: the packet is ours.
        let packet = unsafe { self.packet.as_ref() };
        u64::try_from(packet.pos) == Ok(listed.offset)
            && u32::try_from(packet.size) == Ok(listed.size)
    }
}

impl StreamFacts {
    /// Whether decoding can start at a packet that the container calls a keyframe.
    pub(crate) fn may_start_at(&self, packet: &Packet) -> bool {
        let width = nal::length_bytes("hevc", self.parameters.extradata());
        let width = width.filter(|_| self.codec == "hevc");
        width.and_then(|width| nal::is_random_access(packet.bytes(), width)).unwrap_or(true)
    }

    /// Tells H.264 decoders by how many pictures the stream is shown out of decode order, which
    /// not every stream says itself: a decoder that finds out by and by loses pictures.
    pub(crate) fn set_reordered(&mut self, pictures: usize) {
        if self.codec == "h264" {
            self.parameters.set_delay(pictures.min(MAX_REORDERED) as i32);
        }
    }
}
