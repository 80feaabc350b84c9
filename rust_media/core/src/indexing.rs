//! Making the index of a video: by its header and tables where they are certain, else by reading
//! all packets, and by decoding once where packets do not name the frames.

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::animation;
use crate::container;
use crate::error::{MediaError, Result};
use crate::ffmpeg::{Demuxer, PacketInfo, ReadPacket, StreamFacts, NO_PTS};
use crate::index::{Numbering, VideoIndex};
use crate::interrupt::Interrupt;
use crate::mp4::all_have_places;
use crate::numbering::number_by_decoding;
use crate::pool;
use crate::shortcut::{is_understood, list_packets, tables_of, Listing, Tables};
use crate::source::Source;
use crate::warning::{MediaWarning, WarningCode};

/// Packets beyond which a file is refused: 93 hours at 60 frames per second, 1 GB of index.
pub(crate) const MAX_PACKETS: usize = 20_000_000;

/// Codecs in which every packet that is shown gives exactly one frame. Others (VP8 has packets
/// that are never shown) are numbered by decoding once.
pub(crate) const ONE_FRAME_PER_PACKET: [&str; 14] = [
    "h264",
    "hevc",
    "vp9",
    "av1",
    "mpeg4",
    "mpeg1video",
    "mpeg2video",
    "mjpeg",
    "png",
    "ffv1",
    "prores",
    "dnxhd",
    "rawvideo",
    "huffyuv",
];

/// Makes the index of a video, remembered or not.
///
/// # Errors
/// As [`crate::index::open`].
pub fn build(source: &Source, interrupt: &Interrupt<'_>) -> Result<VideoIndex> {
    if let Some(index) = animation::index(source, interrupt)? {
        return Ok(index);
    }
    let mut demuxer = Demuxer::open_unprobed(source)?;
    let told = demuxer.header_facts(is_understood);
    if !matches!(told, Ok(None)) {
        let found = told.and_then(|facts| match facts {
            Some(facts) => by_header(source, demuxer, facts, interrupt),
            None => Ok(None),
        });
        if let Some(index) = tolerant(found)? {
            return Ok(index);
        }
        demuxer = Demuxer::open_unprobed(source)?;
    }
    let facts = demuxer.probe()?;
    if facts.rotation % 90 == 0 {
        if let Some(tables) = tables_of(source, &demuxer, &facts)? {
            if let Some(index) = tolerant(by_tables(source, demuxer, facts, &tables))? {
                return Ok(index);
            }
            return build_by_scan(source, interrupt);
        }
    }
    by_scan(source, demuxer, facts, interrupt)
}

/// What a short way stumbles over may still be readable, or else is told better by the long one.
fn tolerant(found: Result<Option<VideoIndex>>) -> Result<Option<VideoIndex>> {
    match found {
        Err(error @ (MediaError::Interrupted { .. } | MediaError::Unreadable { .. })) => Err(error),
        other => Ok(other.unwrap_or(None)),
    }
}

/// Makes the index of a video by reading all of its packets: what [`build`] is tested against.
///
/// # Errors
/// As [`crate::index::open`].
#[doc(hidden)]
pub fn build_by_scan(source: &Source, interrupt: &Interrupt<'_>) -> Result<VideoIndex> {
    let (demuxer, facts) = Demuxer::open(source)?;
    by_scan(source, demuxer, facts, interrupt)
}

fn by_scan(
    source: &Source,
    mut demuxer: Demuxer,
    facts: StreamFacts,
    interrupt: &Interrupt<'_>,
) -> Result<VideoIndex> {
    let mut warnings = Vec::new();
    if facts.rotation % 90 != 0 {
        let message = format!("rotation by {} degrees is not applied", facts.rotation);
        warnings.push(MediaWarning::new(WarningCode::OddRotation, message));
    }
    let (packets, failure) = read_packets(&mut demuxer, interrupt)?;
    let announced = announced_packets(source, &demuxer, &facts, packets.len())?;
    drop(demuxer);
    if packets.is_empty() {
        let reason = failure.map_or_else(String::new, |words| format!(": {words}"));
        let reason = format!("its video stream has no frames{reason}");
        return Err(MediaError::decode(source.name(), reason));
    }
    let damage = damage_of(source, announced, &packets, failure.as_deref())?;
    warnings.extend(damage.iter().cloned());
    let mut index = by_packet(source.name(), facts, packets, warnings);
    if !damage.is_empty() || !packets_name_frames(&index) {
        number_by_decoding(source, &mut index, interrupt)?;
    }
    Ok(index)
}

/// Indexes without probing the streams, and if possible without reading all packets. None unless
/// the result is certainly that of doing both.
fn by_header(
    source: &Source,
    mut demuxer: Demuxer,
    mut facts: StreamFacts,
    interrupt: &Interrupt<'_>,
) -> Result<Option<VideoIndex>> {
    if facts.rotation % 90 != 0 {
        return Ok(None);
    }
    let Some(first) = demuxer.first_picture(&mut facts)? else { return Ok(None) };
    let listing = list_packets(source, &mut demuxer, &facts, first, interrupt)?;
    let Some(mut index) = listed(source, facts, listing)? else { return Ok(None) };
    // How far a packet is stored ahead of its turn, at most.
    let ahead = (0..).zip(&index.order).map(|(turn, &stored)| stored.saturating_sub(turn)).max();
    index.facts.set_reordered(ahead.unwrap_or(0) as usize);
    if index.places.is_empty() {
        pool::give(source, &index, demuxer);
    }
    Ok(Some(index))
}

/// Indexes an MP4 file whose streams had to be probed, but without reading all packets. None unless
/// the result is certainly that of doing so.
fn by_tables(
    source: &Source,
    mut demuxer: Demuxer,
    facts: StreamFacts,
    tables: &Tables,
) -> Result<Option<VideoIndex>> {
    let ReadPacket::Packet(first) = demuxer.read()? else { return Ok(None) };
    let listing = tables.list_packets(&mut demuxer, &facts, first)?;
    listed(source, facts, listing)
}

/// Makes the index of listed packets; None if that is not certainly right.
fn listed(
    source: &Source,
    facts: StreamFacts,
    listing: Option<Listing>,
) -> Result<Option<VideoIndex>> {
    let Some(Listing { packets, places }) = listing else { return Ok(None) };
    if packets.iter().any(|packet| packet.discard)
        || !damage_of(source, packets.len(), &packets, None)?.is_empty()
    {
        return Ok(None);
    }
    let index = by_packet(source.name(), facts, packets, Vec::new());
    Ok(packets_name_frames(&index).then_some(VideoIndex { places, ..index }))
}

fn read_packets(
    demuxer: &mut Demuxer,
    interrupt: &Interrupt<'_>,
) -> Result<(Vec<PacketInfo>, Option<String>)> {
    let mut packets = Vec::new();
    loop {
        match demuxer.read()? {
            ReadPacket::Packet(packet) => packets.push(packet),
            ReadPacket::End => return Ok((packets, None)),
            ReadPacket::Failed(words) => return Ok((packets, Some(words))),
        }
        if packets.len() > MAX_PACKETS {
            let reason = format!("it has more than {MAX_PACKETS} frames");
            return Err(MediaError::too_large(demuxer.path(), reason));
        }
        if packets.len() % 1024 == 0 {
            interrupt.check(demuxer.path())?;
        }
    }
}

/// How many packets an MP4 file announces, of which `read` were found: those that its edit list
/// shows and that are not empty. 0 for other containers.
fn announced_packets(
    source: &Source,
    demuxer: &Demuxer,
    facts: &StreamFacts,
    read: usize,
) -> Result<usize> {
    let declared = usize::try_from(facts.declared_frames).unwrap_or(0);
    if !facts.format.starts_with("mov") || read >= declared {
        return Ok(0);
    }
    let reader = source.open()?;
    let track = demuxer.track_number();
    let listed = track.is_some_and(|track| all_have_places(reader.as_ref(), track, declared));
    Ok(if listed { demuxer.listed_count() } else { declared })
}

/// The damage that can be seen without decoding.
fn damage_of(
    source: &Source,
    announced: usize,
    packets: &[PacketInfo],
    failure: Option<&str>,
) -> Result<Vec<MediaWarning>> {
    let mut damage = Vec::new();
    if packets.len() < announced {
        let message = format!("{} of {announced} frames are in the file", packets.len());
        damage.push(MediaWarning::new(WarningCode::Truncated, message));
    } else if let Some(message) = container::missing_bytes(source.open()?.as_ref()) {
        damage.push(MediaWarning::new(WarningCode::Truncated, message));
    }
    let corrupt = packets.iter().filter(|packet| packet.corrupt).count();
    if corrupt > 0 {
        let message = format!("{corrupt} of {} packets are damaged", packets.len());
        damage.push(MediaWarning::new(WarningCode::CorruptPackets, message));
    }
    if let Some(words) = failure {
        let message = format!("reading stopped after {} packets: {words}", packets.len());
        damage.push(MediaWarning::new(WarningCode::CorruptPackets, message));
    }
    Ok(damage)
}

/// An index in which every packet that is shown is a frame.
pub(crate) fn by_packet(
    path: &Path,
    facts: StreamFacts,
    packets: Vec<PacketInfo>,
    warnings: Vec<MediaWarning>,
) -> VideoIndex {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut order: Vec<u32> =
        (0..packets.len() as u32).filter(|&at| !packets[at as usize].discard).collect();
    order.sort_by_key(|&at| packets[at as usize].pts);
    let pts: Vec<i64> = order.iter().map(|&at| packets[at as usize].pts).collect();
    let keys = (0..packets.len() as u32).filter(|&at| packets[at as usize].key).collect();
    let last = order.last().map_or(0, |&at| packets[at as usize].duration);
    let last_duration = last_duration(last, &pts);
    VideoIndex {
        path: path.to_owned(),
        facts,
        packets,
        order,
        keys,
        places: Vec::new(),
        serial: NEXT.fetch_add(1, Ordering::Relaxed),
        numbering: Numbering::ByPacket,
        animation: None,
        pts,
        last_duration,
        warnings,
        identity: None,
    }
}

/// The last frame's own duration, or the median step where the container does not say.
pub(crate) fn last_duration(declared: i64, pts: &[i64]) -> i64 {
    if declared > 0 {
        return declared;
    }
    let mut steps: Vec<i64> = pts.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();
    if steps.is_empty() {
        return 0;
    }
    let middle = steps.len() / 2;
    *steps.select_nth_unstable(middle).1
}

/// Whether frame i is certainly the i-th packet by presentation time.
fn packets_name_frames(index: &VideoIndex) -> bool {
    let packets = &index.packets;
    let Some(first_key) = index.keys.first().map(|&at| packets[at as usize]) else {
        return false;
    };
    ONE_FRAME_PER_PACKET.contains(&index.facts.codec.as_str())
        && !index.pts.is_empty()
        && packets.iter().all(|packet| packet.pts != NO_PTS)
        && index.pts.windows(2).all(|pair| pair[0] < pair[1])
        // A stream that starts in the middle of a group: its first pictures cannot be decoded.
        && packets[0].key
        && index.pts[0] >= first_key.pts
        // Those that are shown ascend, so only hidden ones can repeat them.
        && (packets.len() == index.pts.len() || pts_are_unique(packets))
}

fn pts_are_unique(packets: &[PacketInfo]) -> bool {
    let mut seen = HashSet::with_capacity(packets.len());
    packets.iter().all(|packet| seen.insert(packet.pts))
}
