//! Indexing a video by what its container says, without reading it whole.
//!
//! Whatever is not certain is left to the scan of all packets in [`crate::index`], which gives the
//! same answer: damage, several streams, fragments, edits that hide packets, unusual times.

use crate::error::Result;
use crate::ffmpeg::{Demuxer, ListedPacket, PacketInfo, ReadPacket, StreamFacts, NO_PTS};
use crate::indexing::{MAX_PACKETS, ONE_FRAME_PER_PACKET};
use crate::interrupt::Interrupt;
use crate::mp4::{sample_times, SampleTimes};
use crate::source::{ReadAt, Source};

/// Codecs whose packets in MP4 files are handed out as they are stored. (Others pass through a
/// parser, which may split packets or find keyframes of its own.)
const STORED_AS_IS: [&str; 3] = ["h264", "hevc", "av1"];
/// Packets at even distances, and as many keyframes, that are read to check the tables against.
const CHECKED: usize = 4;
/// Packets that are read where all are said to be keyframes.
const CHECKED_KEYS: usize = 16;

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

/// Whether there may be a short way for a codec in a container, by FFmpeg's names.
pub(crate) fn is_understood(format: &str, codec: &str) -> bool {
    if format.starts_with("mov") {
        STORED_AS_IS.contains(&codec)
    } else {
        ONE_FRAME_PER_PACKET.contains(&codec)
    }
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
        return match tables_of(source, demuxer, facts)? {
            Some(tables) => tables.list_packets(demuxer, facts, first),
            None => Ok(None),
        };
    }
    let mut packets = vec![first];
    loop {
        match demuxer.read()? {
            ReadPacket::Packet(packet) => packets.push(packet),
            ReadPacket::End => return Ok(Some(Listing { packets, places: Vec::new() })),
            ReadPacket::Failed(_) => return Ok(None),
        }
        if packets.len() > MAX_PACKETS {
            return Ok(None);
        }
        if packets.len() % 1024 == 0 {
            interrupt.check(demuxer.path())?;
        }
    }
}

/// What an MP4 file and FFmpeg's index of it say about the packets.
pub(crate) struct Tables {
    times: SampleTimes,
    listed: Vec<ListedPacket>,
}

/// Reads the tables of an MP4 file, from which nothing is read through `demuxer`. None for other
/// containers, and where the tables do not tell everything.
pub(crate) fn tables_of(
    source: &Source,
    demuxer: &Demuxer,
    facts: &StreamFacts,
) -> Result<Option<Tables>> {
    if !facts.format.starts_with("mov")
        || !is_understood(&facts.format, &facts.codec)
        || !usize::try_from(facts.declared_frames).is_ok_and(|count| count <= MAX_PACKETS)
    {
        return Ok(None);
    }
    let Some(listed) = demuxer.listed_packets() else { return Ok(None) };
    if listed.is_empty() || i64::try_from(listed.len()) != Ok(facts.declared_frames) {
        return Ok(None);
    }
    let Some(track) = demuxer.track_number() else { return Ok(None) };
    let reader = source.open()?;
    let times = sample_times(reader.as_ref(), track);
    let times = times.filter(|times| agree(times, &listed, facts, reader.as_ref()));
    Ok(times.map(|times| Tables { times, listed }))
}

impl Tables {
    /// Lists the packets: places, decode times and keyframes from FFmpeg's index, composition times
    /// from the file's table, checked against packets that FFmpeg reads. None if they differ.
    pub(crate) fn list_packets(
        &self,
        demuxer: &mut Demuxer,
        facts: &StreamFacts,
        first: PacketInfo,
    ) -> Result<Option<Listing>> {
        let Self { times, listed } = self;
        let Some(mut packets) = assemble(times, listed, first) else { return Ok(None) };
        let checked = worth_checking(&packets, times.keys_are_listed);
        if !confirmed(demuxer, listed, &mut packets, first, &checked)? {
            return Ok(None);
        }
        // Where the file leaves it open, FFmpeg takes durations from the stream's own notion of its
        // rate. If that is not the container's, they depend on probing and on what was read before.
        let last = packets.iter().max_by_key(|packet| packet.pts).map(|packet| packet.duration);
        let certain =
            last == Some(first.duration) && (facts.probed || last == demuxer.frame_units());
        if !certain && !times.offsets.is_empty() {
            return Ok(None);
        }
        let places = listed.iter().map(|l| Place { offset: l.offset, size: l.size }).collect();
        Ok(Some(Listing { packets, places }))
    }
}

/// Whether both see the same samples, all of them inside the file, which is no smaller than they
/// are together.
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
    let mut total = 0_u64;
    listed.iter().enumerate().all(|(at, packet)| {
        let size = u64::from(packet.size);
        total = total.saturating_add(size);
        let same = packet.dts == expected
            && times.sizes.get(at) == Some(packet.size)
            && packet.offset.checked_add(size).is_some_and(|end| end <= length);
        expected = expected.saturating_add(i64::from(steps.next().unwrap_or(0)));
        same
    }) && total <= length
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

/// Positions of packets to compare with what FFmpeg reads, ascending: some at even distances, some
/// keyframes, the last ones stored and shown.
///
/// FFmpeg finds the keyframes of H.264 and AV1 by looking at the packets. Those that the table does
/// not list are not missed: there are only fewer places to start at. Those that it lists wrongly
/// cost a decode from the start, so a table that is wrong throughout is not believed.
fn worth_checking(packets: &[PacketInfo], keys_are_listed: bool) -> Vec<usize> {
    let end = packets.len() - 1;
    let keys: Vec<usize> = (0..=end).filter(|&at| packets[at].key).collect();
    let even = |count: usize| (1..=CHECKED).map(move |part| count * part / CHECKED);
    let mut chosen: Vec<usize> = even(end).collect();
    chosen.extend(even(keys.len().saturating_sub(1)).filter_map(|at| keys.get(at)));
    chosen.extend((0..=end).max_by_key(|&at| packets[at].pts));
    if !keys_are_listed {
        // At uneven distances, so that no regular group of pictures hides between them.
        let spread = |part: usize| part * part * end / (CHECKED_KEYS * CHECKED_KEYS);
        chosen.extend((1..=CHECKED_KEYS).map(spread));
    }
    chosen.sort_unstable();
    chosen.dedup();
    chosen
}

/// Reads the packets at the positions `checked` and compares. The duration of the last one shown
/// is taken over: it belongs to the index, and FFmpeg has its own rules for it.
fn confirmed(
    demuxer: &mut Demuxer,
    listed: &[ListedPacket],
    packets: &mut [PacketInfo],
    first: PacketInfo,
    checked: &[usize],
) -> Result<bool> {
    let like = |read: PacketInfo, made: PacketInfo| PacketInfo { duration: 0, ..read } == made;
    if !demuxer.is_at(&listed[0]) || !like(first, packets[0]) {
        return Ok(false);
    }
    packets[0].duration = first.duration;
    for &at in checked.iter().filter(|&&at| at > 0) {
        let Some(read) = demuxer.read_at(listed[at].dts)? else { return Ok(false) };
        if !demuxer.is_at(&listed[at]) || !like(read, packets[at]) {
            return Ok(false);
        }
        packets[at].duration = read.duration;
    }
    Ok(true)
}
