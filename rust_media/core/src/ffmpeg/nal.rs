//! NAL units of H.264 and HEVC packets as MP4 and Matroska store them: each behind its length.

/// The bytes that the length of a unit takes, by the stream's setup data (`avcC` or `hvcC`,
/// ISO/IEC 14496-15, 5.3.3.1 and 8.3.3.1); None if the stream is stored in another form.
pub(super) fn length_bytes(codec: &str, record: &[u8]) -> Option<usize> {
    const VERSION: u8 = 1;
    let at = match codec {
        "h264" => 4,
        "hevc" => 21,
        _ => return None,
    };
    let width = usize::from(record.get(at)? & 3) + 1;
    (record.first() == Some(&VERSION)).then_some(width)
}

/// A unit's position in its packet, and its bytes; ends at the first that does not fit.
pub(super) struct Units<'a> {
    packet: &'a [u8],
    width: usize,
    at: usize,
}

impl<'a> Units<'a> {
    pub(super) fn of(packet: &'a [u8], width: usize) -> Self {
        Self { packet, width, at: 0 }
    }
}

impl<'a> Iterator for Units<'a> {
    /// Where its length stands, and the unit.
    type Item = (usize, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (start, body) = (self.at, self.at + self.width);
        let size =
            self.packet.get(start..body)?.iter().fold(0, |size, &b| size << 8 | usize::from(b));
        let unit = self.packet.get(body..body.checked_add(size)?)?;
        self.at = body + size;
        Some((start, unit))
    }
}

/// Whether an HEVC packet holds a picture that decoding can start at (IRAP, ITU-T H.265, 7.4.2.2).
/// None if it shows no picture's start.
///
/// Containers are not to be trusted with this one: FFmpeg's decoder paints over missing references
/// and does not say so.
pub(super) fn is_random_access(packet: &[u8], width: usize) -> Option<bool> {
    const PICTURES: std::ops::Range<u8> = 0..32;
    const RANDOM_ACCESS: std::ops::Range<u8> = 16..24;
    Units::of(packet, width)
        .filter_map(|(_, unit)| unit.first().map(|&first| first >> 1 & 0x3f))
        .find(|kind| PICTURES.contains(kind))
        .map(|kind| RANDOM_ACCESS.contains(&kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_read_from_the_setup_data() {
        assert_eq!(length_bytes("h264", &[1, 0, 0, 0, 0xff]), Some(4));
        assert_eq!(length_bytes("h264", &[0, 0, 0, 1, 0x67]), None);
        assert_eq!(length_bytes("hevc", &[1; 22]), Some(2));
        assert_eq!(length_bytes("hevc", &[1; 21]), None);
        assert_eq!(length_bytes("vp9", &[1; 30]), None);
    }

    #[test]
    fn the_first_picture_of_a_packet_counts() {
        // A parameter set (33), then a picture: IDR (19) or a trailing one (1).
        let packet = |kind: u8| [0, 2, 33 << 1, 1, 0, 3, kind << 1, 1, 0x80];
        assert_eq!(is_random_access(&packet(19), 2), Some(true));
        assert_eq!(is_random_access(&packet(1), 2), Some(false));
        assert_eq!(is_random_access(&packet(19)[..4], 2), None);
        assert_eq!(is_random_access(&packet(19)[..8], 2), None);
        assert_eq!(is_random_access(&[], 4), None);
        assert_eq!(is_random_access(&[0xff; 9], 4), None);
    }
}
