//! The sample tables of an MP4 or `QuickTime` file (ISO/IEC 14496-12), as far as FFmpeg's own index
//! leaves them out: when samples are shown. Reading them saves reading the whole file.
//!
//! Only plain files are understood: one sample description, no fragments, whole tables. For all
//! others the answer is None, and the packets themselves have to be read.

use crate::source::{read_up_to, ReadAt};

/// Bytes of a `moov` box beyond which it is not read: 93 hours at 60 frames per second take half.
const MAX_MOOV_BYTES: u64 = 1 << 28;
/// A file has few top-level boxes; a damaged one may look as if it had millions.
const MAX_TOP_LEVEL_BOXES: usize = 10_000;

/// Decode and composition times of a track, run by run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SampleTimes {
    /// Units per second.
    pub time_scale: u32,
    /// Bytes of each sample.
    pub sizes: SampleSizes,
    /// (samples, units from one sample's decode time to the next one's).
    pub decode_steps: Vec<(u32, u32)>,
    /// (samples, units from decoding to showing); empty if both are the same.
    pub offsets: Vec<(u32, i32)>,
}

/// Bytes of the samples of a track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SampleSizes {
    /// This many samples of one size.
    Equal { count: u32, size: u32 },
    /// One size each.
    Each(Vec<u32>),
}

impl SampleSizes {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Equal { count, .. } => *count as usize,
            Self::Each(sizes) => sizes.len(),
        }
    }

    pub(crate) fn get(&self, at: usize) -> Option<u32> {
        match self {
            Self::Equal { count, size } => (at < *count as usize).then_some(*size),
            Self::Each(sizes) => sizes.get(at).copied(),
        }
    }
}

/// Reads the times of the track with the number `track`.
///
/// None if the file is not of the plain kind, or cannot be read.
pub(crate) fn sample_times(reader: &dyn ReadAt, track: u32) -> Option<SampleTimes> {
    let moov = read_moov(reader)?;
    if Boxes(&moov).any(|(kind, _)| kind == *b"mvex") {
        return None;
    }
    let mut tracks = Boxes(&moov)
        .filter(|(kind, payload)| kind == b"trak" && track_number(payload) == Some(track));
    let (_, found) = tracks.next()?;
    if tracks.next().is_some() {
        return None;
    }
    let media = only(found, *b"mdia")?;
    let table = only(only(media, *b"minf")?, *b"stbl")?;
    if Boxes(table).any(|(kind, _)| matches!(&kind, b"senc" | b"saiz" | b"stz2"))
        || word(only(table, *b"stsd")?, 4)? != 1
    {
        return None;
    }
    let times = SampleTimes {
        time_scale: time_scale(only(media, *b"mdhd")?)?,
        sizes: sizes(only(table, *b"stsz")?)?,
        decode_steps: pairs(only(table, *b"stts")?)?,
        offsets: offsets(table)?,
    };
    let samples = times.sizes.len() as u64;
    let total = |counts: &mut dyn Iterator<Item = u32>| counts.map(u64::from).sum::<u64>();
    let whole = total(&mut times.decode_steps.iter().map(|run| run.0)) == samples
        && (times.offsets.is_empty()
            || total(&mut times.offsets.iter().map(|run| run.0)) == samples);
    whole.then_some(times)
}

/// Reads the payload of the first top-level `moov` box.
fn read_moov(reader: &dyn ReadAt) -> Option<Vec<u8>> {
    let mut position = 0_u64;
    for _ in 0..MAX_TOP_LEVEL_BOXES {
        let mut header = [0_u8; 16];
        let read = read_up_to(reader, position, &mut header).ok()?;
        let (size, start) = match word(&header[..read], 0)? {
            0 => (reader.len().checked_sub(position)?, 8),
            1 if read == 16 => (u64::from_be_bytes(header[8..].try_into().ok()?), 16),
            size => (u64::from(size), 8),
        };
        let payload = size.checked_sub(start)?;
        match header.get(4..8)? {
            b"moov" if payload <= MAX_MOOV_BYTES => {
                let mut bytes = vec![0; usize::try_from(payload.min(reader.len())).ok()?];
                let read = read_up_to(reader, position + start, &mut bytes).ok()?;
                return (read as u64 == payload).then_some(bytes);
            }
            b"moov" | b"moof" | b"sidx" => return None,
            _ => position = position.checked_add(size)?,
        }
    }
    None
}

/// The boxes that follow each other in a payload; ends at the first that does not fit.
struct Boxes<'a>(&'a [u8]);

impl<'a> Iterator for Boxes<'a> {
    type Item = ([u8; 4], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let size = word(self.0, 0)? as usize;
        let kind = self.0.get(4..8)?.try_into().ok()?;
        let payload = self.0.get(8..size)?;
        self.0 = self.0.get(size..)?;
        Some((kind, payload))
    }
}

/// The payload of the only box of a kind; None if there is none or more than one.
fn only(payload: &[u8], kind: [u8; 4]) -> Option<&[u8]> {
    let mut found = Boxes(payload).filter(|(other, _)| *other == kind);
    let (_, first) = found.next()?;
    found.next().is_none().then_some(first)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// `track_ID` of the track header of a `trak` payload.
fn track_number(track: &[u8]) -> Option<u32> {
    let header = only(track, *b"tkhd")?;
    word(header, if *header.first()? == 1 { 20 } else { 12 })
}

fn time_scale(header: &[u8]) -> Option<u32> {
    word(header, if *header.first()? == 1 { 20 } else { 12 })
}

fn sizes(table: &[u8]) -> Option<SampleSizes> {
    let (size, count) = (word(table, 4)?, word(table, 8)?);
    if size != 0 {
        return Some(SampleSizes::Equal { count, size });
    }
    let bytes = table.get(12..(count as usize).checked_mul(4)?.checked_add(12)?)?;
    Some(SampleSizes::Each(
        bytes.chunks_exact(4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]])).collect(),
    ))
}

/// The composition offsets of a sample table; none if it has no such box.
fn offsets(table: &[u8]) -> Option<Vec<(u32, i32)>> {
    if !Boxes(table).any(|(kind, _)| kind == *b"ctts") {
        return Some(Vec::new());
    }
    let rows = pairs(only(table, *b"ctts")?)?;
    // Version 0 calls them unsigned, but is written with negative ones too.
    Some(rows.into_iter().map(|(count, offset)| (count, offset as i32)).collect())
}

/// The rows of a table of two columns (`stts`, `ctts`).
fn pairs(table: &[u8]) -> Option<Vec<(u32, u32)>> {
    let count = word(table, 4)? as usize;
    let bytes = table.get(8..count.checked_mul(8)?.checked_add(8)?)?;
    let row = |b: &[u8]| {
        (u32::from_be_bytes([b[0], b[1], b[2], b[3]]), u32::from_be_bytes([b[4], b[5], b[6], b[7]]))
    };
    Some(bytes.chunks_exact(8).map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Source;

    fn boxed(kind: [u8; 4], payload: &[u8]) -> Vec<u8> {
        let mut bytes = (payload.len() as u32 + 8).to_be_bytes().to_vec();
        bytes.extend_from_slice(&kind);
        bytes.extend_from_slice(payload);
        bytes
    }

    fn words(values: &[u32]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_be_bytes()).collect()
    }

    /// A movie with one track, number 7, of five samples; `more` goes into its sample table.
    fn movie(more: &[u8]) -> Vec<u8> {
        let table = [
            boxed(*b"stsd", &words(&[0, 1])),
            boxed(*b"stts", &words(&[0, 2, 4, 512, 1, 100])),
            boxed(*b"ctts", &words(&[0, 2, 1, 1024, 4, u32::MAX])),
            boxed(*b"stsz", &words(&[0, 0, 5, 10, 11, 12, 13, 14])),
            more.to_vec(),
        ]
        .concat();
        let media = [
            boxed(*b"mdhd", &words(&[0, 0, 0, 12800, 0, 0])),
            boxed(*b"minf", &boxed(*b"stbl", &table)),
        ]
        .concat();
        let track =
            [boxed(*b"tkhd", &words(&[0, 0, 0, 7, 0, 0])), boxed(*b"mdia", &media)].concat();
        let parts = [
            boxed(*b"ftyp", b"isom"),
            boxed(*b"mdat", &[0; 40]),
            boxed(*b"moov", &boxed(*b"trak", &track)),
        ];
        parts.concat()
    }

    fn read(bytes: Vec<u8>, track: u32) -> Option<SampleTimes> {
        sample_times(Source::memory(bytes).open().unwrap().as_ref(), track)
    }

    #[test]
    fn the_tables_of_a_plain_file() {
        let times = read(movie(&[]), 7).unwrap();
        assert_eq!(times.time_scale, 12800);
        assert_eq!(times.decode_steps, [(4, 512), (1, 100)]);
        assert_eq!(times.offsets, [(1, 1024), (4, -1)]);
        assert_eq!(times.sizes, SampleSizes::Each(vec![10, 11, 12, 13, 14]));
    }

    #[test]
    fn other_files_are_left_to_others() {
        assert_eq!(read(movie(&[]), 8), None);
        assert_eq!(read(movie(&boxed(*b"stts", &words(&[0, 1, 5, 1]))), 7), None);
        assert_eq!(read(movie(&boxed(*b"senc", &[])), 7), None);
        assert_eq!(read(boxed(*b"moof", &[]), 7), None);
        assert_eq!(read(b"no boxes at all".to_vec(), 7), None);
    }

    #[test]
    fn cut_and_flipped_bytes_never_panic() {
        let whole = movie(&[]);
        for end in 1..whole.len() {
            assert_eq!(read(whole[..end].to_vec(), 7), None, "{end}");
        }
        for at in 0..whole.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut broken = whole.clone();
                broken[at] = value;
                let _ = read(broken, 7);
            }
        }
    }
}
