//! The packet index of a video: which frames there are, when they are shown, where decoding can
//! start. Made in one pass over the packets, without decoding, and remembered per source.

mod cache;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use crate::animation;
use crate::container;
use crate::error::{MediaError, Result};
use crate::ffmpeg::{watched, Demuxer, PacketInfo, ReadPacket, StreamFacts, NO_PTS};
use crate::interrupt::Interrupt;
use crate::mp4::all_have_places;
use crate::numbering::number_by_decoding;
use crate::pool;
use crate::shortcut::{is_understood, list_packets, Listing, Place};
use crate::source::{Identity, Source};
use crate::warning::{MediaWarning, WarningCode};
use crate::webp::Animation;

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

/// Makes the index of a video, remembered or not.
///
/// # Errors
/// As [`open`].
pub fn build(source: &Source, interrupt: &Interrupt<'_>) -> Result<VideoIndex> {
    if let Some(index) = animation::index(source, interrupt)? {
        return Ok(index);
    }
    let mut demuxer = Demuxer::open_unprobed(source)?;
    match demuxer.header_facts(is_understood) {
        Ok(None) => by_scan(source, demuxer, interrupt),
        Ok(Some(facts)) => match by_header(source, demuxer, facts, interrupt) {
            Ok(Some(index)) => Ok(index),
            Err(error @ (MediaError::Interrupted { .. } | MediaError::Unreadable { .. })) => {
                Err(error)
            }
            // What the short way stumbles over may still be readable, or else is told better.
            Ok(None) | Err(_) => build_by_scan(source, interrupt),
        },
        Err(_) => build_by_scan(source, interrupt),
    }
}

/// Makes the index of a video by reading all of its packets: what [`build`] is tested against.
///
/// # Errors
/// As [`open`].
#[doc(hidden)]
pub fn build_by_scan(source: &Source, interrupt: &Interrupt<'_>) -> Result<VideoIndex> {
    by_scan(source, Demuxer::open_unprobed(source)?, interrupt)
}

fn by_scan(source: &Source, mut demuxer: Demuxer, interrupt: &Interrupt<'_>) -> Result<VideoIndex> {
    let facts = demuxer.probe()?;
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
    let Some(Listing { packets, places }) = listing else { return Ok(None) };
    if packets.iter().any(|packet| packet.discard)
        || !damage_of(source, packets.len(), &packets, None)?.is_empty()
    {
        return Ok(None);
    }
    let mut index = by_packet(source.name(), facts, packets, Vec::new());
    if !packets_name_frames(&index) {
        return Ok(None);
    }
    // How far a packet is stored ahead of its turn, at most.
    let ahead = (0..).zip(&index.order).map(|(turn, &stored)| stored.saturating_sub(turn)).max();
    index.facts.set_reordered(ahead.unwrap_or(0) as usize);
    index.places = places;
    if index.places.is_empty() {
        pool::give(source, &index, demuxer);
    }
    Ok(Some(index))
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
