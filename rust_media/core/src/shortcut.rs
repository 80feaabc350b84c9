//! Indexing a video by what its container says, without reading it whole.
//!
//! Whatever is not certain is left to the scan of all packets in [`crate::index`], which gives the
//! same answer: damage, several streams, fragments, edits that hide packets, unusual times.

use crate::error::Result;
use crate::ffmpeg::{Demuxer, ListedPacket, PacketInfo, ReadPacket, StreamFacts, NO_PTS};
use crate::interrupt::Interrupt;
use crate::mp4::{sample_times, SampleTimes};
use crate::source::{ReadAt, Source};

/// Codecs whose packets in MP4 files are handed out as they are stored. (Others pass through a
/// parser, which may split packets or find keyframes of its own.)
const STORED_AS_IS: [&str; 3] = ["h264", "hevc", "av1"];
/// Packets at even distances that are read to check the tables against.
const CHECKED: usize = 4;

/// Where a packet's bytes lie in the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// First byte.
    pub offset: u64,
    /// In bytes.
    pub size: u32,
}

/// The packets of a video, in decode order.
pub(crate) struct Listing {
    pub packets: Vec<PacketInfo>,
    /// Empty if only the demuxer can find them.
    pub places: Vec<Place>,
}

/// Lists the packets of the stream that `facts` came from, whose first packet `demuxer` has just
/// given. None where there is no short way.
pub(crate) fn list_packets(
    source: &Source,
    demuxer: &mut Demuxer,
    facts: &StreamFacts,
    first: PacketInfo,
    interrupt: &Interrupt<'_>,
) -> Result<Option<Listing>> {
    if facts.format.starts_with("mov") {
        if STORED_AS_IS.contains(&facts.codec.as_str()) {
            return from_tables(source, demuxer, facts, first);
        }
        return Ok(None);
    }
    let mut packets = vec![first];
    loop {
        match demuxer.read()? {
            ReadPacket::Packet(packet) => packets.push(packet),
            ReadPacket::End => return Ok(Some(Listing { packets, places: Vec::new() })),
            ReadPacket::Failed(_) => return Ok(None),
        }
        if packets.len() > crate::index::MAX_PACKETS {
            return Ok(None);
        }
        if packets.len() % 1024 == 0 {
            interrupt.check(demuxer.path())?;
        }
    }
}

/// Lists the packets of an MP4 file: places, decode times and keyframes from FFmpeg's index of it,
/// composition times from the file's table, checked against packets that FFmpeg reads.
fn from_tables(
    source: &Source,
    demuxer: &mut Demuxer,
    facts: &StreamFacts,
    first: PacketInfo,
) -> Result<Option<Listing>> {
    let Some(listed) = demuxer.listed_packets() else { return Ok(None) };
    if listed.is_empty() || i64::try_from(listed.len()) != Ok(facts.declared_frames) {
        return Ok(None);
    }
    let Some(track) = demuxer.track_number() else { return Ok(None) };
    let reader = source.open()?;
    let Some(times) = sample_times(reader.as_ref(), track) else { return Ok(None) };
    if !agree(&times, &listed, facts, reader.as_ref()) {
        return Ok(None);
    }
    let Some(mut packets) = assemble(&times, &listed, first) else { return Ok(None) };
    if !confirmed(demuxer, &listed, &mut packets, first)? {
        return Ok(None);
    }
    let places = listed.iter().map(|l| Place { offset: l.offset, size: l.size }).collect();
    Ok(Some(Listing { packets, places }))
}

/// Whether both see the same samples, all of them inside the file.
fn agree(
    times: &SampleTimes,
    listed: &[ListedPacket],
    facts: &StreamFacts,
    reader: &dyn ReadAt,
) -> bool {
    if times.sizes.len() != listed.len()
        || facts.time_base != (1, times.time_scale.try_into().unwrap_or(0))
    {
        return false;
    }
    let length = reader.len();
    let mut steps =
        times.decode_steps.iter().flat_map(|&(count, step)| (0..count).map(move |_| step));
    let mut expected = listed[0].dts;
    listed.iter().enumerate().all(|(at, packet)| {
        let same = packet.dts == expected
            && times.sizes.get(at) == Some(packet.size)
            && packet.offset.checked_add(u64::from(packet.size)).is_some_and(|end| end <= length);
        expected = expected.saturating_add(i64::from(steps.next().unwrap_or(0)));
        same
    })
}

fn assemble(
    times: &SampleTimes,
    listed: &[ListedPacket],
    first: PacketInfo,
) -> Option<Vec<PacketInfo>> {
    if first.pts == NO_PTS || first.dts == NO_PTS {
        return None;
    }
    let mut offsets =
        times.offsets.iter().flat_map(|&(count, offset)| (0..count).map(move |_| offset));
    let mut offset = || i64::from(offsets.next().unwrap_or(0));
    let mut packets: Vec<PacketInfo> = Vec::with_capacity(listed.len());
    let mut shift = None;
    for packet in listed {
        let offset = offset();
        // Edit lists and negative offsets shift all packets alike.
        let shift = *shift.get_or_insert(first.pts.checked_sub(first.dts)?.checked_sub(offset)?);
        packets.push(PacketInfo {
            pts: packet.dts.checked_add(offset)?.checked_add(shift)?,
            dts: packet.dts,
            duration: 0,
            key: packet.key,
            discard: false,
            corrupt: false,
        });
    }
    Some(packets)
}

/// Reads some packets, the last ones among them, and compares. The duration of the last one shown
/// is taken over: it belongs to the index, and FFmpeg has its own rules for it.
fn confirmed(
    demuxer: &mut Demuxer,
    listed: &[ListedPacket],
    packets: &mut [PacketInfo],
    first: PacketInfo,
) -> Result<bool> {
    let like = |read: PacketInfo, made: PacketInfo| PacketInfo { duration: 0, ..read } == made;
    if !demuxer.is_at(&listed[0]) || !like(first, packets[0]) {
        return Ok(false);
    }
    packets[0].duration = first.duration;
    let end = packets.len() - 1;
    let shown_last = (0..=end).max_by_key(|&at| packets[at].pts).unwrap_or(end);
    let mut checked: Vec<usize> = (1..=CHECKED).map(|part| end * part / CHECKED).collect();
    checked.push(shown_last);
    for at in checked.into_iter().filter(|&at| at > 0) {
        let Some(read) = demuxer.read_at(listed[at].dts)? else { return Ok(false) };
        packets[at].duration = 0;
        if !demuxer.is_at(&listed[at]) || !like(read, packets[at]) {
            return Ok(false);
        }
        packets[at].duration = read.duration;
    }
    Ok(true)
}
