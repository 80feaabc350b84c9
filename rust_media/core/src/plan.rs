//! Which packets must be decoded for which frames. Pure: no file is touched.

use crate::ffmpeg::PacketInfo;

/// One wanted frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Position of its packet in decode order.
    pub packet: u32,
    /// Its presentation time stamp, which names it among the decoder's output.
    pub pts: i64,
    /// Where in the output it goes.
    pub slot: usize,
}

/// A run of packets, from a keyframe to the last wanted frame that depends on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Position of the keyframe's packet in decode order.
    pub start: u32,
    /// Position of the last packet to decode.
    pub last: u32,
    /// The wanted frames, by position in decode order.
    pub targets: Vec<Target>,
}

impl Segment {
    /// Packets to read, a measure of the work.
    #[must_use]
    pub fn len(&self) -> usize {
        (self.last - self.start) as usize + 1
    }

    /// Never true: a segment has at least one target.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }
}

/// Groups frames by the keyframe that decoding has to start at, longest segment first.
///
/// `packets` are in decode order, `order` gives the packet of each frame in presentation order,
/// `keys` the packets that decoding can start at. `wanted` are positions in presentation order,
/// ascending and without repeats; the slot of each is its position in `wanted`. None if a frame
/// has no keyframe before it, which an index with [`crate::index::Numbering::ByPacket`] rules out.
#[must_use]
pub fn segments(
    packets: &[PacketInfo],
    order: &[u32],
    keys: &[u32],
    wanted: &[usize],
) -> Option<Vec<Segment>> {
    let mut targets = Vec::with_capacity(wanted.len());
    for (slot, &position) in wanted.iter().enumerate() {
        let packet = *order.get(position)?;
        let pts = packets[packet as usize].pts;
        targets.push((start_for(packets, keys, packet, pts)?, Target { packet, pts, slot }));
    }
    targets.sort_by_key(|(start, target)| (*start, target.packet));
    let mut segments: Vec<Segment> = Vec::new();
    for (start, target) in targets {
        match segments.last_mut() {
            Some(segment) if segment.start == start => {
                segment.last = target.packet;
                segment.targets.push(target);
            }
            _ => segments.push(Segment { start, last: target.packet, targets: vec![target] }),
        }
    }
    segments.sort_by_key(|segment| std::cmp::Reverse(segment.len()));
    Some(segments)
}

/// The last keyframe that is not later than the frame, neither in decode nor in presentation
/// order. The second condition matters for open groups, whose leading pictures are stored after a
/// keyframe, are shown before it, and refer to the group before.
fn start_for(packets: &[PacketInfo], keys: &[u32], packet: u32, pts: i64) -> Option<u32> {
    let upto = keys.partition_point(|&key| key <= packet);
    keys[..upto].iter().rev().copied().find(|&key| packets[key as usize].pts <= pts)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An open group: the second keyframe (pts 6) is stored before two pictures shown before it.
    const PTS: [i64; 10] = [0, 3, 1, 2, 6, 4, 5, 9, 7, 8];
    const KEYS: [u32; 2] = [0, 4];

    fn plan(wanted: &[usize]) -> Vec<Segment> {
        let packets: Vec<PacketInfo> = (0_i64..)
            .zip(PTS)
            .map(|(dts, pts)| PacketInfo {
                pts,
                dts,
                duration: 1,
                key: pts % 6 == 0,
                discard: false,
                corrupt: false,
            })
            .collect();
        let mut order: Vec<u32> = (0..10).collect();
        order.sort_by_key(|&at| PTS[at as usize]);
        segments(&packets, &order, &KEYS, wanted).unwrap()
    }

    #[test]
    fn frames_are_grouped_by_their_keyframe() {
        let plan = plan(&[1, 6, 8]);
        let ends: Vec<(u32, u32)> = plan.iter().map(|s| (s.start, s.last)).collect();
        assert_eq!(ends, [(4, 9), (0, 2)]);
        let slots: Vec<usize> = plan[0].targets.iter().map(|t| t.slot).collect();
        assert_eq!(slots, [1, 2]);
    }

    #[test]
    fn leading_pictures_belong_to_the_group_before() {
        let plan = plan(&[5]);
        assert_eq!((plan[0].start, plan[0].last), (0, 6));
        assert_eq!(plan[0].targets[0].pts, 5);
    }

    #[test]
    fn every_frame_is_planned_once() {
        let plan = plan(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        let mut slots: Vec<usize> =
            plan.iter().flat_map(|s| s.targets.iter().map(|t| t.slot)).collect();
        slots.sort_unstable();
        assert_eq!(slots, (0..10).collect::<Vec<_>>());
        assert!(plan
            .iter()
            .all(|s| s.targets.iter().all(|t| (s.start..=s.last).contains(&t.packet))));
    }
}
