//! How many threads work side by side on pieces of a video, and how many inside each piece.
//!
//! Pieces side by side cost nothing extra, so they come first. A video with fewer pieces than
//! threads (long groups of pictures, a single keyframe) would leave threads idle: there, frames of
//! one piece are decoded in parallel by FFmpeg, which costs 13 to 18 % more work.

/// Frame threads beyond which a decoder gains nothing more.
const MAX_FRAME_THREADS: usize = 8;
/// What a further frame thread adds to a decoder's speed, as measured: threads wait for the
/// pictures that theirs refer to.
const FRAME_THREAD_GAIN: f64 = 0.5;
/// Packets' worth of time that starting and emptying a frame thread costs.
const FRAME_THREAD_COST: f64 = 4.0;
/// Frame threads have to promise less than this share of the time without them.
const WORTH_IT: f64 = 0.9;

/// A division of threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Schedule {
    /// Pieces decoded at the same time.
    pub workers: usize,
    /// Frame threads in each of their decoders; 1 means none besides the worker itself.
    pub frame_threads: usize,
}

impl Schedule {
    /// Threads that are busy at the same time.
    pub(crate) fn threads(self) -> usize {
        self.workers * self.frame_threads
    }
}

/// Divides `threads` among pieces of `lengths` packets, longest first.
pub(crate) fn divide(lengths: &[usize], threads: usize) -> Schedule {
    let mut best = Schedule { workers: threads.min(lengths.len()).max(1), frame_threads: 1 };
    // With several pieces for each thread, the last ones to end are short.
    if lengths.len() >= threads.saturating_mul(4) {
        return best;
    }
    let mut least = time(lengths, best) * WORTH_IT;
    for frame_threads in 2..=threads.min(MAX_FRAME_THREADS) {
        let workers = (threads / frame_threads).min(lengths.len());
        let schedule = Schedule { workers, frame_threads };
        let needed = time(lengths, schedule);
        if needed < least {
            (best, least) = (schedule, needed);
        }
    }
    best
}

/// Estimated time until the last worker is done, in packets decoded by one thread.
fn time(lengths: &[usize], schedule: Schedule) -> f64 {
    let further = (schedule.frame_threads - 1) as f64;
    let speed = 1.0 + FRAME_THREAD_GAIN * further;
    let mut busy_until = vec![0.0_f64; schedule.workers];
    for &length in lengths {
        // The worker that is free first takes the longest piece that is left.
        if let Some(first) = busy_until.iter_mut().min_by(|a, b| a.total_cmp(b)) {
            *first += length as f64 / speed + FRAME_THREAD_COST * further;
        }
    }
    busy_until.into_iter().fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn divided(lengths: &[usize], threads: usize) -> (usize, usize) {
        let schedule = divide(lengths, threads);
        assert!(schedule.threads() <= threads);
        (schedule.workers, schedule.frame_threads)
    }

    #[test]
    fn pieces_come_first() {
        assert_eq!(divided(&[40, 39, 30, 28, 25], 2), (2, 1));
        assert_eq!(divided(&[60; 64], 16), (16, 1));
        assert_eq!(divided(&[1650], 1), (1, 1));
    }

    #[test]
    fn a_single_long_piece_gets_all_threads() {
        assert_eq!(divided(&[1650], 2), (1, 2));
        assert_eq!(divided(&[1650], 8), (1, 8));
        assert_eq!(divided(&[250, 250], 8), (2, 4));
    }

    #[test]
    fn unequal_pieces_share() {
        assert_eq!(divided(&[900, 40], 2), (1, 2));
        assert_eq!(divided(&[250, 200], 2), (2, 1));
    }

    #[test]
    fn short_pieces_are_not_worth_it() {
        assert_eq!(divided(&[6], 2), (1, 1));
        assert_eq!(divided(&[1], 16), (1, 1));
    }
}
