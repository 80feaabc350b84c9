//! Decoding chosen frames: segments in parallel, straight into the caller's buffer.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Mutex;

use crate::error::{contain_panics, panic_message, MediaError, Result};
use crate::ffmpeg::watched;
use crate::index::{Numbering, VideoIndex};
use crate::interrupt::Interrupt;
use crate::plan::segments;
use crate::schedule::divide;
use crate::source::Source;
use crate::straight::Straight;
use crate::threads::Helpers;
use crate::warning::{MediaWarning, WarningCode};
use crate::worker::{pieces_of, Outcome, Piece, Worker};

/// How frames are delivered.
#[derive(Debug, Clone, Copy)]
pub struct FrameOptions {
    /// Output height and width in pixels; None keeps the video's own.
    pub size: Option<(u32, u32)>,
    /// Whether rotation metadata is applied.
    pub rotate: bool,
}

impl FrameOptions {
    /// Width and height of the output frames of a video.
    #[must_use]
    pub fn output_size(&self, index: &VideoIndex) -> (u32, u32) {
        match self.size {
            Some((height, width)) => (width, height),
            None => index.shown_size(self.rotate),
        }
    }

    /// Bytes of one output frame of a video.
    #[must_use]
    pub fn frame_bytes(&self, index: &VideoIndex) -> usize {
        let (width, height) = self.output_size(index);
        (width as usize).saturating_mul(height as usize).saturating_mul(3)
    }
}

/// Decodes the frames of `source`, whose index is `index`, at `indices` (positions in presentation order, any order, repeats allowed)
/// into `out`, which has `indices.len()` times [`FrameOptions::frame_bytes`] bytes.
///
/// Returns what was wrong although every slot was filled.
///
/// # Errors
/// `OutOfRange` for an index past the end, `Decode` if nothing of the video can be decoded,
/// `Unreadable` if the source has changed since it was indexed, `Interrupted` if asked to stop.
pub fn decode_into(
    source: &Source,
    index: &VideoIndex,
    indices: &[usize],
    options: FrameOptions,
    out: &mut [u8],
    interrupt: &Interrupt<'_>,
) -> Result<Vec<MediaWarning>> {
    let decoded =
        watched(interrupt, || decode_all(source, index, indices, options, out, interrupt));
    interrupt.check(&index.path)?;
    index.check_unchanged(source)?;
    decoded
}

pub(crate) fn decode_all(
    source: &Source,
    index: &VideoIndex,
    indices: &[usize],
    options: FrameOptions,
    out: &mut [u8],
    interrupt: &Interrupt<'_>,
) -> Result<Vec<MediaWarning>> {
    let bytes = options.frame_bytes(index);
    if bytes == 0 || out.len() != bytes.saturating_mul(indices.len()) {
        return Err(MediaError::internal(&index.path, "the output buffer has another size"));
    }
    index.check_positions(indices)?;
    if indices.is_empty() {
        return Ok(index.warnings.clone());
    }
    let mut wanted = indices.to_vec();
    wanted.sort_unstable();
    wanted.dedup();
    if wanted == indices {
        return decode_unique(source, index, &wanted, options, out, interrupt);
    }
    decode_shuffled(source, index, indices, &wanted, options, out, interrupt)
}

/// Serves repeated or unsorted indices: every frame is decoded once into the first slot that
/// wants it, then copied to the others.
#[allow(clippy::too_many_arguments)]
fn decode_shuffled(
    source: &Source,
    index: &VideoIndex,
    indices: &[usize],
    wanted: &[usize],
    options: FrameOptions,
    out: &mut [u8],
    interrupt: &Interrupt<'_>,
) -> Result<Vec<MediaWarning>> {
    let bytes = options.frame_bytes(index);
    let mut first_slot: HashMap<usize, usize> = HashMap::new();
    for (slot, &position) in indices.iter().enumerate() {
        first_slot.entry(position).or_insert(slot);
    }
    let mut slots: Vec<(usize, &mut [u8])> =
        out.chunks_exact_mut(bytes).enumerate().map(|(i, s)| (indices[i], s)).collect();
    let mut keep = (0..indices.len()).map(|slot| first_slot.get(&indices[slot]) == Some(&slot));
    slots.retain(|_| keep.next().unwrap_or(false));
    slots.sort_by_key(|(position, _)| *position);
    let slots = slots.into_iter().map(|(_, slot)| slot).collect();
    let warnings = Job::new(source, index, wanted, options, interrupt).run(slots)?;
    for (slot, position) in indices.iter().enumerate() {
        match first_slot.get(position) {
            Some(&from) if from != slot => {
                out.copy_within(from * bytes..(from + 1) * bytes, slot * bytes);
            }
            _ => {}
        }
    }
    Ok(warnings)
}

fn decode_unique(
    source: &Source,
    index: &VideoIndex,
    wanted: &[usize],
    options: FrameOptions,
    out: &mut [u8],
    interrupt: &Interrupt<'_>,
) -> Result<Vec<MediaWarning>> {
    let slots = out.chunks_exact_mut(options.frame_bytes(index)).collect();
    Job::new(source, index, wanted, options, interrupt).run(slots)
}

/// One call: ascending distinct frames and a slot for each.
pub(crate) struct Job<'a> {
    pub(crate) source: &'a Source,
    pub(crate) index: &'a VideoIndex,
    pub(crate) wanted: &'a [usize],
    pub(crate) options: FrameOptions,
    pub(crate) interrupt: &'a Interrupt<'a>,
    pub(crate) size_changed: AtomicBool,
}

impl<'a> Job<'a> {
    pub(crate) fn new(
        source: &'a Source,
        index: &'a VideoIndex,
        wanted: &'a [usize],
        options: FrameOptions,
        interrupt: &'a Interrupt<'a>,
    ) -> Self {
        Self { source, index, wanted, options, interrupt, size_changed: AtomicBool::new(false) }
    }

    fn run(&self, mut slots: Vec<&mut [u8]>) -> Result<Vec<MediaWarning>> {
        if self.run_segments(&mut slots)? == Outcome::Complete {
            return Ok(self.warnings());
        }
        Straight::start(self.source, self.index)?.fill(self, &mut slots)
    }

    /// Decodes just the segments that hold the wanted frames, if there is a way to.
    pub(crate) fn run_segments(&self, slots: &mut [&mut [u8]]) -> Result<Outcome> {
        let VideoIndex { packets, order, keys, .. } = self.index;
        if self.index.numbering != Numbering::ByPacket || self.index.animation.is_some() {
            return Ok(Outcome::NeedsFullDecode);
        }
        match segments(packets, order, keys, self.wanted) {
            Some(planned) => self.run_pieces(pieces_of(planned, slots)),
            None => Ok(Outcome::NeedsFullDecode),
        }
    }

    /// Decodes pieces on this thread and as many helpers as the budget has.
    fn run_pieces(&self, pieces: Vec<Piece<'_>>) -> Result<Outcome> {
        let lengths: Vec<usize> = pieces.iter().map(Piece::len).collect();
        // All that are free: threads that find no piece of their own can help inside one.
        let mut helpers = Helpers::borrow(usize::MAX);
        let schedule = divide(&lengths, helpers.count() + 1);
        helpers.keep(schedule.threads() - 1);
        // Longest first, taken from the end.
        let queue = Mutex::new(pieces.into_iter().rev().collect::<Vec<_>>());
        let frame_threads = schedule.frame_threads;
        let work = || watched(self.interrupt, || self.work_off(&queue, frame_threads));
        std::thread::scope(|scope| {
            let mut threads = Vec::with_capacity(schedule.workers - 1);
            for _ in 1..schedule.workers {
                threads.push(std::thread::Builder::new().spawn_scoped(scope, work));
            }
            let mut results = vec![contain_panics(&self.index.path, work)];
            for thread in threads.into_iter().flatten() {
                results.push(thread.join().unwrap_or_else(|payload| {
                    let words = panic_message(payload.as_ref());
                    Err(MediaError::internal(&self.index.path, words))
                }));
            }
            first_of(results)
        })
    }

    /// Takes pieces until none is left.
    fn work_off(&self, queue: &Mutex<Vec<Piece<'_>>>, frame_threads: usize) -> Result<Outcome> {
        let mut worker: Option<Worker<'_>> = None;
        loop {
            let taken = queue.lock().ok().and_then(|mut pieces| pieces.pop());
            let Some(mut piece) = taken else {
                if let Some(worker) = worker {
                    worker.retire();
                }
                return Ok(Outcome::Complete);
            };
            let worker = match &mut worker {
                Some(worker) => worker,
                none => none.insert(Worker::open(self, frame_threads)?),
            };
            match worker.decode(&mut piece) {
                Ok(Outcome::Complete) => {}
                other => {
                    // The others' work would be thrown away.
                    if let Ok(mut pieces) = queue.lock() {
                        pieces.clear();
                    }
                    return other;
                }
            }
        }
    }

    /// Tells which frames others stand in for.
    pub(crate) fn missing_frames(&self, stood_in: &[usize]) -> MediaWarning {
        const NAMED: usize = 8;
        let named: Vec<String> = stood_in.iter().take(NAMED).map(ToString::to_string).collect();
        let more = if stood_in.len() > NAMED { ", …" } else { "" };
        let message = format!(
            "{} of {} wanted frames could not be decoded ({}{more}); the nearest earlier frame \
             stands in",
            stood_in.len(),
            self.wanted.len(),
            named.join(", ")
        );
        MediaWarning::new(WarningCode::MissingFrames, message)
    }

    /// The file's warnings, and what painting found.
    pub(crate) fn warnings(&self) -> Vec<MediaWarning> {
        let mut warnings = self.index.warnings.clone();
        if self.size_changed.load(Ordering::Relaxed) {
            let facts = &self.index.facts;
            let message = format!(
                "some pictures are not {}x{} as the stream announces; they were scaled to it",
                facts.width, facts.height
            );
            warnings.push(MediaWarning::new(WarningCode::SizeChanged, message));
        }
        warnings
    }
}

/// The first real error wins; being told to stop because of it does not.
fn first_of(results: Vec<Result<Outcome>>) -> Result<Outcome> {
    let mut outcome = Outcome::Complete;
    let mut interrupted = None;
    for result in results {
        match result {
            Ok(Outcome::Complete) => {}
            Ok(other) => outcome = other,
            Err(error @ MediaError::Interrupted { .. }) => interrupted = Some(error),
            Err(error) => return Err(error),
        }
    }
    interrupted.map_or(Ok(outcome), Err)
}
