//! The keyframes nearest to frames: what a caller takes who wants any picture of about that time
//! for the price of one decoded frame.

use std::collections::HashSet;

use crate::error::Result;
use crate::ffmpeg::NO_PTS;
use crate::index::{Numbering, VideoIndex};

/// For each position that of the keyframe nearest to it in time; of two equally near ones the
/// earlier.
///
/// # Errors
/// `OutOfRange` for a position that the video does not have.
pub fn nearest(index: &VideoIndex, wanted: &[usize]) -> Result<Vec<usize>> {
    index.check_positions(wanted)?;
    let keys = positions(index);
    Ok(wanted.iter().map(|&position| nearest_of(&keys, &index.pts, position)).collect())
}

/// Positions of the frames that decoding can start at, ascending; the first frame always is one.
#[must_use]
pub fn positions(index: &VideoIndex) -> Vec<usize> {
    let mut found: Vec<usize> = match index.numbering {
        Numbering::ByPacket => {
            let keys: HashSet<u32> = index.keys.iter().copied().collect();
            (0..index.order.len()).filter(|&at| keys.contains(&index.order[at])).collect()
        }
        Numbering::ByDecoding => {
            let packets = index.keys.iter().map(|&at| &index.packets[at as usize]);
            let keys: HashSet<i64> = packets.filter(|p| !p.discard).map(|p| p.pts).collect();
            (0..index.pts.len())
                .filter(|&at| index.pts[at] != NO_PTS && keys.contains(&index.pts[at]))
                .collect()
        }
    };
    if found.first() != Some(&0) {
        found.insert(0, 0);
    }
    found
}

fn nearest_of(keys: &[usize], pts: &[i64], position: usize) -> usize {
    let after = keys.partition_point(|&key| key < position);
    let earlier = keys[..after].last().copied();
    let later = keys.get(after).copied();
    let distance = |key: usize| pts[key].abs_diff(pts[position]);
    match (earlier, later) {
        (Some(earlier), Some(later)) if distance(later) < distance(earlier) => later,
        (Some(earlier), _) => earlier,
        (None, Some(later)) => later,
        (None, None) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::nearest_of;

    #[test]
    fn the_nearest_in_time_wins_and_the_earlier_of_two() {
        let pts = [0, 10, 20, 30, 40, 100];
        assert_eq!(nearest_of(&[0, 4], &pts, 1), 0);
        assert_eq!(nearest_of(&[0, 4], &pts, 2), 0);
        assert_eq!(nearest_of(&[0, 4], &pts, 3), 4);
        assert_eq!(nearest_of(&[0, 4], &pts, 4), 4);
        assert_eq!(nearest_of(&[0, 4], &pts, 5), 4);
        assert_eq!(nearest_of(&[0, 5], &pts, 4), 0);
        assert_eq!(nearest_of(&[2], &pts, 0), 2);
    }
}
