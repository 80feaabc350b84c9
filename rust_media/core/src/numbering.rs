//! Numbering the frames of a video by decoding it, where its packets do not tell which there are.

use crate::error::{MediaError, Result};
use crate::ffmpeg::NO_PTS;
use crate::index::{Numbering, VideoIndex};
use crate::indexing::last_duration;
use crate::interrupt::Interrupt;
use crate::source::Source;
use crate::walk::Walk;
use crate::warning::{MediaWarning, WarningCode};

/// Decodes the whole stream once to learn which frames it really has.
pub(crate) fn number_by_decoding(
    source: &Source,
    index: &mut VideoIndex,
    interrupt: &Interrupt<'_>,
) -> Result<()> {
    let mut shown = Vec::new();
    let mut last = 0;
    let mut walk = Walk::start(source, &index.facts)?;
    while walk.next(interrupt)? {
        shown.push(walk.frame.best_effort_pts());
        last = walk.frame.duration();
    }
    if shown.is_empty() {
        return Err(MediaError::decode(source.name(), "no frame of it can be decoded"));
    }
    index.warnings.extend(walk.damage());
    let step = average_step(index);
    fill_gaps(&mut shown, step.round() as i64);
    let usable =
        shown.iter().all(|&pts| pts != NO_PTS) && shown.windows(2).all(|pair| pair[0] < pair[1]);
    if !usable {
        spread_evenly(&mut shown, index, step);
        last = 0;
    }
    index.numbering = Numbering::ByDecoding;
    index.last_duration = last_duration(last, &shown);
    index.pts = shown;
    Ok(())
}

/// Time stamp units from one frame to the next at the stream's rate; 25 per second if it has none.
fn average_step(index: &VideoIndex) -> f64 {
    let (num, den) = match index.facts.average_rate {
        (num, den) if num > 0 && den > 0 => (f64::from(num), f64::from(den)),
        _ => (25.0, 1.0),
    };
    (den / num / index.unit_seconds().max(f64::MIN_POSITIVE)).max(1.0)
}

/// Where most frames have a time stamp, lets the others follow the one before, and the first ones
/// lead up to it. (MPEG program streams have one for each pack, which may hold several frames;
/// FFmpeg gives none for what Matroska files show before zero.)
fn fill_gaps(shown: &mut [i64], step: i64) {
    let missing = shown.iter().filter(|&&pts| pts == NO_PTS).count();
    let Some(first) = shown.iter().position(|&pts| pts != NO_PTS) else { return };
    if missing * 2 > shown.len() {
        return;
    }
    for at in (0..first).rev() {
        shown[at] = shown[at + 1].saturating_sub(step);
    }
    for at in first + 1..shown.len() {
        if shown[at] == NO_PTS {
            shown[at] = shown[at - 1].saturating_add(step);
        }
    }
}

/// Gives frames without usable time stamps times by the average frame rate.
fn spread_evenly(shown: &mut [i64], index: &mut VideoIndex, step: f64) {
    // AVI has a constant rate and no time stamps by design: nothing is wrong there.
    if index.facts.format != "avi" {
        let message = "frames carry no usable time stamps; times follow the average frame rate";
        index.warnings.push(MediaWarning::new(WarningCode::NoTimestamps, message));
    }
    for (position, pts) in shown.iter_mut().enumerate() {
        *pts = (position as f64 * step).round() as i64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_missing_times_follow_from_the_others() {
        let mut shown = [NO_PTS, NO_PTS, 10, 20, NO_PTS, 50, 60, NO_PTS];
        fill_gaps(&mut shown, 9);
        assert_eq!(shown, [-8, 1, 10, 20, 29, 50, 60, 69]);
        let mut rare = [10, NO_PTS, NO_PTS];
        fill_gaps(&mut rare, 9);
        assert_eq!(rare, [10, NO_PTS, NO_PTS]);
    }
}
