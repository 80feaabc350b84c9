//! Animated WebP as a video: FFmpeg 5.1 has no demuxer for it. Each stored picture covers a part of
//! the canvas; what is shown is the canvas over white, as a still image with transparency is.

use std::path::Path;
use std::sync::Arc;

use image::RgbaImage;

use crate::error::{MediaError, Result};
use crate::ffmpeg::{Orientation, PacketInfo, Parameters, StreamFacts};
use crate::image::over_white;
use crate::index::VideoIndex;
use crate::indexing::by_packet;
use crate::interrupt::Interrupt;
use crate::resize::Resizer;
use crate::source::{ReadAt, Source};
use crate::video::Job;
use crate::warning::{MediaWarning, WarningCode};
use crate::webp::{read_animation, Animation, Area, StoredFrame};

/// Time stamps are milliseconds.
const TIME_BASE: (i32, i32) = (1, 1000);

/// Indexes an animated WebP file; None for any other file.
///
/// # Errors
/// As [`read_animation`].
pub(crate) fn index(source: &Source, interrupt: &Interrupt<'_>) -> Result<Option<VideoIndex>> {
    let Some(animation) = read_animation(source, interrupt)? else { return Ok(None) };
    let mut end = 0;
    let packets: Vec<PacketInfo> = animation
        .frames
        .iter()
        .map(|frame| {
            let (pts, duration) = (end, i64::from(frame.duration));
            end += duration;
            PacketInfo { pts, dts: pts, duration, key: frame.key, discard: false, corrupt: false }
        })
        .collect();
    let facts = facts_of(&animation, end, source.name())?;
    let mut index = by_packet(source.name(), facts, packets, animation.warnings.clone());
    index.animation = Some(Arc::new(animation));
    Ok(Some(index))
}

fn facts_of(animation: &Animation, milliseconds: i64, path: &Path) -> Result<StreamFacts> {
    Ok(StreamFacts {
        stream_index: 0,
        format: "webp".to_owned(),
        codec: "webp".to_owned(),
        pixel_format: "rgba".to_owned(),
        width: animation.canvas.0,
        height: animation.canvas.1,
        time_base: TIME_BASE,
        average_rate: average_rate(animation.frames.len(), milliseconds),
        declared_frames: 0,
        orientation: Orientation::default(),
        rotation: 0,
        parameters: Parameters::empty(path)?,
        probed: true,
    })
}

/// Frames per second in lowest terms; (0, 1) if that does not fit.
fn average_rate(frames: usize, milliseconds: i64) -> (i32, i32) {
    let frames = i64::try_from(frames).unwrap_or(0) * i64::from(TIME_BASE.1);
    let (mut divisor, mut rest) = (frames, milliseconds);
    while rest != 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    let reduced = |value: i64| i32::try_from(value.checked_div(divisor)?).ok();
    match (reduced(frames), reduced(milliseconds)) {
        (Some(num), Some(den)) if den > 0 => (num, den),
        _ => (0, 1),
    }
}

/// The canvas of an animation, painted frame by frame.
///
/// A frame that cannot be decoded leaves it as it was, so that the nearest earlier one stands in.
pub(crate) struct Painter {
    animation: Arc<Animation>,
    reader: Arc<dyn ReadAt>,
    canvas: RgbaImage,
    /// The frame to be painted next.
    next: usize,
    /// What becomes transparent before that.
    disposed: Option<Area>,
    /// Whether there is anything on the canvas.
    painted: bool,
    /// Pictures that could not be decoded.
    failed: usize,
    /// Whether painting may begin at frames through which no earlier one shows.
    jumps: bool,
}

impl Painter {
    pub(crate) fn start(source: &Source, animation: &Arc<Animation>) -> Result<Self> {
        let (width, height) = animation.canvas;
        Ok(Self {
            animation: Arc::clone(animation),
            reader: source.open()?,
            canvas: RgbaImage::new(width, height),
            next: 0,
            disposed: None,
            painted: false,
            failed: 0,
            jumps: true,
        })
    }

    /// Whether the frame at `position` is not behind it yet.
    pub(crate) fn can_give(&self, position: usize) -> bool {
        position >= self.next
    }

    /// What could not be decoded so far, if anything: it lacks in the frames after it too.
    pub(crate) fn damage(&self) -> Option<MediaWarning> {
        let message = format!("{} pictures of the animation could not be decoded", self.failed);
        (self.failed > 0).then(|| MediaWarning::new(WarningCode::DecodeErrors, message))
    }

    /// Gives the frames that the job wants; returns those that others stand in for.
    pub(crate) fn fill(&mut self, job: &Job<'_>, slots: &mut [&mut [u8]]) -> Result<Vec<usize>> {
        let mut printer = Printer::new(job)?;
        if let Some(stood_in) = self.attempt(job, slots, &mut printer)? {
            return Ok(stood_in);
        }
        // What shows in place of a damaged picture was painted before it.
        (self.jumps, self.next, self.painted, self.disposed) = (false, 0, false, None);
        self.failed = 0;
        self.canvas.fill(0);
        self.attempt(job, slots, &mut printer)?
            .ok_or_else(|| MediaError::decode(&job.index.path, "no frame of it can be decoded"))
    }

    /// None if a frame that it has jumped to cannot be decoded, or nothing at all.
    fn attempt(
        &mut self,
        job: &Job<'_>,
        slots: &mut [&mut [u8]],
        printer: &mut Printer<'_>,
    ) -> Result<Option<Vec<usize>>> {
        let mut stood_in = Vec::new();
        // Before the first frame that can be decoded, that one stands in.
        let mut waiting = 0;
        for (number, &wanted) in job.wanted.iter().enumerate() {
            let keys = &job.index.keys;
            let nearest = keys[..keys.partition_point(|&key| key as usize <= wanted)].last();
            if self.jumps {
                self.next = self.next.max(nearest.map_or(0, |&key| key as usize));
            }
            let mut fresh = false;
            while self.next <= wanted {
                job.interrupt.check(&job.index.path)?;
                fresh = self.paint_next(job)?;
                if !fresh && self.jumps {
                    return Ok(None);
                }
            }
            if !fresh {
                stood_in.push(wanted);
            }
            if self.painted {
                for slot in &mut slots[waiting..=number] {
                    printer.print(&self.canvas, slot)?;
                }
                waiting = number + 1;
            }
        }
        while waiting < job.wanted.len() && self.next < self.animation.frames.len() {
            job.interrupt.check(&job.index.path)?;
            if self.paint_next(job)? {
                for slot in &mut slots[waiting..] {
                    printer.print(&self.canvas, slot)?;
                }
                waiting = job.wanted.len();
            }
        }
        Ok((waiting == job.wanted.len()).then_some(stood_in))
    }

    /// Paints the next frame; false if it cannot be decoded.
    fn paint_next(&mut self, job: &Job<'_>) -> Result<bool> {
        let frame = self.animation.frames[self.next];
        self.next += 1;
        let Some(picture) = frame.decode(self.reader.as_ref(), &job.index.path)? else {
            self.failed += 1;
            return Ok(false);
        };
        if frame.key {
            self.canvas.fill(0);
        } else if let Some(area) = self.disposed {
            clear(&mut self.canvas, area);
        }
        paint(&mut self.canvas, &picture, &frame);
        self.disposed = frame.disposed.then_some(frame.area);
        self.painted = true;
        Ok(true)
    }
}

fn clear(canvas: &mut RgbaImage, area: Area) {
    for row in rows(canvas, area) {
        row.fill(0);
    }
}

fn paint(canvas: &mut RgbaImage, picture: &RgbaImage, frame: &StoredFrame) {
    let stored = picture.as_raw().chunks_exact(frame.area.width as usize * 4);
    for (row, stored) in rows(canvas, frame.area).zip(stored) {
        if frame.blended {
            for (below, above) in row.chunks_exact_mut(4).zip(stored.chunks_exact(4)) {
                blend(below, above);
            }
        } else {
            row.copy_from_slice(stored);
        }
    }
}

/// The part of each row of the canvas that lies in `area`.
fn rows(canvas: &mut RgbaImage, area: Area) -> impl Iterator<Item = &mut [u8]> {
    let width = canvas.width() as usize * 4;
    let (left, right) = (area.left as usize * 4, (area.left + area.width) as usize * 4);
    canvas
        .chunks_exact_mut(width)
        .skip(area.top as usize)
        .take(area.height as usize)
        .map(move |row| &mut row[left..right])
}

/// Blends one pixel over another, both with straight alpha, in the integer arithmetic of libwebp's
/// animation decoder.
fn blend(below: &mut [u8], above: &[u8]) {
    let (top, bottom) = (u32::from(above[3]), u32::from(below[3]));
    if top == 255 || bottom == 0 {
        below.copy_from_slice(above);
    } else if top > 0 {
        let shows = (bottom * (256 - top)) >> 8;
        let alpha = top + shows;
        let scale = (1 << 24) / alpha;
        for (low, &high) in below.iter_mut().zip(&above[..3]) {
            *low = (((u32::from(high) * top + u32::from(*low) * shows) * scale) >> 24) as u8;
        }
        below[3] = alpha as u8;
    }
}

/// From the canvas to output slots.
struct Printer<'a> {
    path: &'a Path,
    resizer: Option<Resizer>,
    full: Vec<u8>,
}

impl<'a> Printer<'a> {
    fn new(job: &'a Job<'a>) -> Result<Self> {
        let path = job.index.path.as_path();
        let native = job.index.shown_size(true);
        let size = job.options.output_size(job.index);
        let resizer = if size == native { None } else { Some(Resizer::new(native, size, path)?) };
        Ok(Self { path, resizer, full: Vec::new() })
    }

    fn print(&mut self, canvas: &RgbaImage, slot: &mut [u8]) -> Result<()> {
        let Some(resizer) = &mut self.resizer else {
            over_white(canvas, slot);
            return Ok(());
        };
        self.full.resize(canvas.as_raw().len() / 4 * 3, 0);
        over_white(canvas, &mut self.full);
        resizer.resize(&self.full, slot, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_exact() {
        assert_eq!(average_rate(3, 100), (30, 1));
        assert_eq!(average_rate(7, 290), (700, 29));
        assert_eq!(average_rate(1, 0), (0, 1));
        assert_eq!(average_rate(20_000_000, 20_000_001), (0, 1));
    }

    #[test]
    fn blending_over_opaque_and_transparent_pixels() {
        let blended = |mut below: [u8; 4], above: [u8; 4]| {
            blend(&mut below, &above);
            below
        };
        let green = [0, 200, 0, 255];
        assert_eq!(blended(green, [9, 8, 7, 0]), green);
        assert_eq!(blended(green, [9, 8, 7, 255]), [9, 8, 7, 255]);
        assert_eq!(blended([1, 2, 3, 0], [9, 8, 7, 100]), [9, 8, 7, 100]);
        let half = blended(green, [200, 0, 0, 128]);
        assert!(half[0].abs_diff(100) <= 1 && half[1].abs_diff(100) <= 1 && half[3] >= 254);
    }
}
