//! From decoded frames to output slots: converting, turning, resizing, and standing in for frames
//! that could not be decoded.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{MediaError, Result};
use crate::ffmpeg::{Frame, Orientation, Scaler};
use crate::resize::Resizer;
use crate::video::Job;

/// Turns a decoded frame into an output frame.
pub(crate) struct Canvas<'a> {
    path: &'a Path,
    stored: (u32, u32),
    size_changed: &'a AtomicBool,
    native: (u32, u32),
    resizer: Option<Resizer>,
    orientation: Orientation,
    scaler: Scaler,
    full: Vec<u8>,
}

impl<'a> Canvas<'a> {
    pub(crate) fn new(job: &'a Job<'a>) -> Result<Self> {
        let native = job.index.shown_size(job.options.rotate);
        let size = job.options.output_size(job.index);
        let path = job.index.path.as_path();
        let resizer = if size == native { None } else { Some(Resizer::new(native, size, path)?) };
        let orientation =
            if job.options.rotate { job.index.facts.orientation } else { Orientation::default() };
        Ok(Self {
            path,
            stored: (job.index.facts.width, job.index.facts.height),
            size_changed: &job.size_changed,
            native,
            resizer,
            orientation,
            scaler: Scaler::new(),
            full: Vec::new(),
        })
    }

    pub(crate) fn paint(&mut self, frame: &Frame, slot: &mut [u8]) -> Result<()> {
        if frame.size() != self.stored {
            self.size_changed.store(true, Ordering::Relaxed);
        }
        let Some(resizer) = &mut self.resizer else {
            return self.scaler.convert(frame, self.orientation, self.native, slot, self.path);
        };
        self.full.resize(self.native.0 as usize * self.native.1 as usize * 3, 0);
        self.scaler.convert(frame, self.orientation, self.native, &mut self.full, self.path)?;
        resizer.resize(&self.full, slot, self.path)
    }
}

/// Filling slots from a decode of the whole stream. The nearest earlier frame (before the first
/// one: the first) stands in for frames that could not be decoded, as players do; which one that
/// is does not depend on what else was asked.
pub(crate) struct Fill<'a, 's, 'o> {
    wanted: &'a [usize],
    slots: &'s mut [&'o mut [u8]],
    /// How many of `wanted`, from the start, are filled.
    done: usize,
    canvas: Canvas<'a>,
    path: &'a Path,
    /// The latest frame and its position.
    previous: Option<usize>,
    held: Frame,
    stood_in: Vec<usize>,
}

impl<'a, 's, 'o> Fill<'a, 's, 'o> {
    pub(crate) fn new(job: &'a Job<'a>, slots: &'s mut [&'o mut [u8]]) -> Result<Self> {
        Ok(Self {
            wanted: job.wanted,
            slots,
            done: 0,
            canvas: Canvas::new(job)?,
            path: &job.index.path,
            previous: None,
            held: Frame::new(&job.index.path)?,
            stood_in: Vec::new(),
        })
    }

    pub(crate) fn is_done(&self) -> bool {
        self.done == self.wanted.len()
    }

    /// Takes the frame at `position`, which comes after all earlier ones.
    pub(crate) fn accept(&mut self, position: usize, frame: &mut Frame) -> Result<()> {
        if self.previous.is_some_and(|previous| position <= previous) {
            return Ok(());
        }
        while let Some(&wanted) = self.wanted.get(self.done) {
            if wanted > position {
                break;
            }
            let slot = &mut *self.slots[self.done];
            if wanted == position || self.previous.is_none() {
                self.canvas.paint(frame, slot)?;
            } else {
                self.canvas.paint(&self.held, slot)?;
            }
            if wanted != position {
                self.stood_in.push(wanted);
            }
            self.done += 1;
        }
        self.previous = Some(position);
        std::mem::swap(&mut self.held, frame);
        Ok(())
    }

    /// Lets the last frame stand in for what follows it; returns all positions that another frame
    /// stands in for.
    pub(crate) fn finish(mut self) -> Result<Vec<usize>> {
        if self.is_done() {
            return Ok(self.stood_in);
        }
        if self.previous.is_none() {
            return Err(MediaError::decode(self.path, "no frame of it can be decoded"));
        }
        for at in self.done..self.wanted.len() {
            self.canvas.paint(&self.held, self.slots[at])?;
            self.stood_in.push(self.wanted[at]);
        }
        Ok(self.stood_in)
    }
}
