//! Whether a file is shorter than its container says: a cheap check of the outermost sizes that
//! FFmpeg makes for some formats and passes over in others.

use crate::source::{read_up_to, ReadAt};

const TS_PACKET: u64 = 188;
/// A file has few top-level boxes; a damaged one may look as if it had millions.
const MAX_BOXES: usize = 100_000;

/// Says how many bytes are missing at the end, or None if the file looks complete or is of a
/// format that declares no size.
#[must_use]
pub fn missing_bytes(file: &dyn ReadAt) -> Option<String> {
    let length = file.len();
    let mut head = [0_u8; 64];
    let read = read_up_to(file, 0, &mut head).ok()?;
    let head = &head[..read];
    let declared = if head.get(4..8) == Some(b"ftyp") {
        end_of_boxes(file, length)?
    } else if head.starts_with(b"RIFF") {
        8 + u64::from(u32::from_le_bytes(head.get(4..8)?.try_into().ok()?))
    } else if head.starts_with(&[0x1a, 0x45, 0xdf, 0xa3]) {
        end_of_segment(head)?
    } else if is_transport_stream(file, head) && length % TS_PACKET != 0 {
        length.next_multiple_of(TS_PACKET)
    } else {
        return None;
    };
    (declared > length)
        .then(|| format!("the file has {length} bytes, its container announces {declared}"))
}

/// Whether two packets of an MPEG transport stream stand at the start; one sync byte alone is the
/// "G" of a GIF.
fn is_transport_stream(file: &dyn ReadAt, head: &[u8]) -> bool {
    const SYNC: u8 = 0x47;
    let mut second = [0_u8; 1];
    head.first() == Some(&SYNC)
        && matches!(read_up_to(file, TS_PACKET, &mut second), Ok(1))
        && second[0] == SYNC
}

/// Where the last top-level box of an ISO file ends (ISO/IEC 14496-12, 4.2).
fn end_of_boxes(file: &dyn ReadAt, length: u64) -> Option<u64> {
    let mut position = 0_u64;
    for _ in 0..MAX_BOXES {
        if position + 8 > length {
            break;
        }
        let mut header = [0_u8; 16];
        let read = read_up_to(file, position, &mut header).ok()?;
        let short = u64::from(u32::from_be_bytes(header[..4].try_into().ok()?));
        let size = match short {
            // Up to the end of the file, whatever that is.
            0 => return None,
            1 if read == 16 => u64::from_be_bytes(header[8..].try_into().ok()?),
            size => size,
        };
        if size < 8 {
            return None;
        }
        position = position.checked_add(size)?;
    }
    Some(position)
}

/// Where the segment of a Matroska file ends (RFC 8794); None if its size is unknown (live).
fn end_of_segment(head: &[u8]) -> Option<u64> {
    const SEGMENT: [u8; 4] = [0x18, 0x53, 0x80, 0x67];
    let (header_size, after) = variable_int(head, 4)?;
    let segment = after.checked_add(usize::try_from(header_size).ok()?)?;
    if head.get(segment..segment + 4)? != SEGMENT {
        return None;
    }
    let (size, start) = variable_int(head, segment + 4)?;
    (start as u64).checked_add(size)
}

/// Reads an EBML variable-size integer; returns it and the position after it. None for the
/// reserved value "unknown" (all ones).
fn variable_int(bytes: &[u8], at: usize) -> Option<(u64, usize)> {
    let first = *bytes.get(at)?;
    let width = first.leading_zeros() as usize + 1;
    if width > 8 {
        return None;
    }
    let mut value = u64::from(first) & ((1_u64 << (8 - width)) - 1);
    for &byte in bytes.get(at + 1..at + width)? {
        value = value << 8 | u64::from(byte);
    }
    (value != (1_u64 << (7 * width)) - 1).then_some((value, at + width))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Source;

    fn missing(bytes: &[u8]) -> Option<String> {
        missing_bytes(Source::memory(bytes.to_vec()).open().unwrap().as_ref())
    }

    fn boxed(kind: [u8; 4], payload: usize) -> Vec<u8> {
        let mut bytes = (payload as u32 + 8).to_be_bytes().to_vec();
        bytes.extend_from_slice(&kind);
        bytes.resize(8 + payload, 0);
        bytes
    }

    #[test]
    fn iso_boxes() {
        let whole = [boxed(*b"ftyp", 16), boxed(*b"moov", 40), boxed(*b"mdat", 100)].concat();
        assert_eq!(missing(&whole), None);
        let words = missing(&whole[..whole.len() - 30]).unwrap();
        assert_eq!(words, "the file has 150 bytes, its container announces 180");
    }

    #[test]
    fn matroska_segments() {
        let mut file = vec![0x1a, 0x45, 0xdf, 0xa3, 0x82, 1, 2, 0x18, 0x53, 0x80, 0x67, 0x90];
        let start = file.len();
        file.resize(start + 16, 0);
        assert_eq!(missing(&file), None);
        assert!(missing(&file[..20]).is_some());
        // Unknown size, as written by live encoders.
        file[11] = 0xff;
        assert_eq!(missing(&file[..20]), None);
    }

    #[test]
    fn transport_streams() {
        let packet = [&[0x47_u8], [0; 187].as_slice()].concat();
        let whole = packet.repeat(3);
        assert_eq!(missing(&whole), None);
        assert!(missing(&whole[..500]).is_some());
    }

    #[test]
    fn other_files_are_left_alone() {
        assert_eq!(missing(b""), None);
        assert_eq!(missing(b"RIF"), None);
        assert_eq!(missing(&[b"GIF89a".as_slice(), &[0; 300]].concat()), None);
        assert_eq!(missing(b"some text that is no container at all"), None);
    }
}
