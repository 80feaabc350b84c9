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
/// FFmpeg passes over tables with composition offsets beyond this.
const MAX_OFFSET: u32 = 1 << 28;
/// FFmpeg refuses larger samples.
const MAX_SAMPLE_BYTES: u32 = (1 << 30) - 1;

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
    /// Whether there is a list of keyframes; without one all samples are announced as such.
    pub keys_are_listed: bool,
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
    let media = media_of(&moov, track)?;
    let table = sample_table(media)?;
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
        keys_are_listed: keys_are_listed(table)?,
    };
    let samples = times.sizes.len() as u64;
    let total = |counts: &mut dyn Iterator<Item = u32>| counts.map(u64::from).sum::<u64>();
    let whole = total(&mut times.decode_steps.iter().map(|run| run.0)) == samples
        && (times.offsets.is_empty()
            || total(&mut times.offsets.iter().map(|run| run.0)) == samples);
    whole.then_some(times)
}

/// Whether the tables of a track give a place to `samples` samples: then FFmpeg knows all of them,
/// and lists fewer only where an edit list leaves some out. False if that cannot be told.
pub(crate) fn all_have_places(reader: &dyn ReadAt, track: u32, samples: usize) -> bool {
    let found = || {
        let moov = read_moov(reader)?;
        let table = sample_table(media_of(&moov, track)?)?;
        let sizes = sizes(only(table, *b"stsz")?)?;
        let told = (0..sizes.len()).all(|at| sizes.get(at).is_some_and(|s| s <= MAX_SAMPLE_BYTES));
        Some(told && sizes.len() == samples && samples_in_chunks(table)? >= samples as u64)
    };
    found().unwrap_or(false)
}

/// How many samples the chunks of a sample table hold.
fn samples_in_chunks(table: &[u8]) -> Option<u64> {
    let chunks = Boxes(table).find(|(kind, _)| matches!(kind, b"stco" | b"co64"))?;
    let chunks = word(chunks.1, 4)?;
    let runs = only(table, *b"stsc")?;
    let rows = runs.get(8..(word(runs, 4)? as usize).checked_mul(12)?.checked_add(8)?)?;
    let mut starts = rows.chunks_exact(12).map(|row| (word(row, 0), word(row, 4))).peekable();
    let mut samples = 0_u64;
    while let Some((first, each)) = starts.next() {
        let end = match starts.peek() {
            Some((next, _)) => (*next)?,
            None => chunks.checked_add(1)?,
        };
        samples = samples.checked_add(u64::from(end.checked_sub(first?)?) * u64::from(each?))?;
    }
    Some(samples)
}

/// Reads the payload of the only `moov` box, if there are no fragments.
fn read_moov(reader: &dyn ReadAt) -> Option<Vec<u8>> {
    let mut moov = None;
    let mut position = 0;
    for _ in 0..MAX_TOP_LEVEL_BOXES {
        let Some((kind, start, end)) = top_level_box(reader, position) else {
            let (start, size) = moov?;
            let mut bytes = vec![0; size];
            let read = read_up_to(reader, start, &mut bytes).ok()?;
            return (read == size).then_some(bytes);
        };
        match &kind {
            b"moov" if moov.is_none() && end - start <= MAX_MOOV_BYTES && end <= reader.len() => {
                moov = Some((start, usize::try_from(end - start).ok()?));
            }
            b"moov" | b"moof" | b"sidx" => return None,
            _ => {}
        }
        position = end;
    }
    None
}

/// Kind, start and end of the payload of the top-level box at `position`; None at the end, and for
/// what is no box.
fn top_level_box(reader: &dyn ReadAt, position: u64) -> Option<([u8; 4], u64, u64)> {
    let mut header = [0_u8; 16];
    let read = read_up_to(reader, position, &mut header).ok()?;
    let header = &header[..read];
    let (size, before) = match word(header, 0)? {
        0 => (reader.len().checked_sub(position)?, 8),
        1 => (u64::from_be_bytes(header.get(8..16)?.try_into().ok()?), 16),
        size => (u64::from(size), 8),
    };
    let payload = size.checked_sub(before)?;
    let start = position.checked_add(before)?;
    Some((header.get(4..8)?.try_into().ok()?, start, start.checked_add(payload)?))
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

/// The payload of the `mdia` box of the only track with the number `track`.
fn media_of(moov: &[u8], track: u32) -> Option<&[u8]> {
    let mut tracks = Boxes(moov)
        .filter(|(kind, payload)| kind == b"trak" && track_number(payload) == Some(track));
    let (_, found) = tracks.next()?;
    if tracks.next().is_some() {
        return None;
    }
    only(found, *b"mdia")
}

fn sample_table(media: &[u8]) -> Option<&[u8]> {
    only(only(media, *b"minf")?, *b"stbl")
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

/// Whether a sample table lists its keyframes; None if that list is empty, or there are several.
fn keys_are_listed(table: &[u8]) -> Option<bool> {
    if !Boxes(table).any(|(kind, _)| kind == *b"stss") {
        return Some(false);
    }
    (word(only(table, *b"stss")?, 4)? > 0).then_some(true)
}

/// The composition offsets of a sample table; none if it has no such box.
fn offsets(table: &[u8]) -> Option<Vec<(u32, i32)>> {
    if !Boxes(table).any(|(kind, _)| kind == *b"ctts") {
        return Some(Vec::new());
    }
    let rows = pairs(only(table, *b"ctts")?)?;
    if rows.iter().any(|(_, offset)| (*offset as i32).unsigned_abs() > MAX_OFFSET) {
        return None;
    }
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
        assert!(!times.keys_are_listed);
        let listed = read(movie(&boxed(*b"stss", &words(&[0, 1, 1]))), 7).unwrap();
        assert!(listed.keys_are_listed);
        assert_eq!(read([movie(&[]), boxed(*b"free", &[0; 9])].concat(), 7), Some(times.clone()));
        assert_eq!(read([movie(&[]), vec![0, 0, 7]].concat(), 7), Some(times));
    }

    #[test]
    fn samples_are_counted_by_their_chunks() {
        let chunks = |runs: &[u32], places: &[u32]| {
            let runs = [&[0, runs.len() as u32 / 3], runs].concat();
            let places = [&[0, places.len() as u32], places].concat();
            movie(&[boxed(*b"stsc", &words(&runs)), boxed(*b"stco", &words(&places))].concat())
        };
        let whole = |bytes: Vec<u8>, samples| {
            all_have_places(Source::memory(bytes).open().unwrap().as_ref(), 7, samples)
        };
        assert!(whole(chunks(&[1, 2, 1, 3, 1, 1], &[20, 44, 66]), 5));
        assert!(!whole(chunks(&[1, 2, 1, 3, 1, 1], &[20, 44]), 5));
        assert!(!whole(chunks(&[1, 2, 1, 3, 1, 1], &[20, 44, 66]), 6));
        assert!(!whole(chunks(&[9, 2, 1, 3, 1, 1], &[20, 44, 66]), 5));
        assert!(!whole(movie(&[]), 5));
    }

    #[test]
    fn other_files_are_left_to_others() {
        assert_eq!(read(movie(&[]), 8), None);
        assert_eq!(read(movie(&boxed(*b"stts", &words(&[0, 1, 5, 1]))), 7), None);
        assert_eq!(read(movie(&boxed(*b"senc", &[])), 7), None);
        assert_eq!(read(movie(&boxed(*b"stss", &words(&[0, 0]))), 7), None);
        assert_eq!(read([movie(&[]), boxed(*b"moof", &[])].concat(), 7), None);
        assert_eq!(read([movie(&[]), boxed(*b"moov", &[])].concat(), 7), None);
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
