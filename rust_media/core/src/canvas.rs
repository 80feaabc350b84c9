//! From decoded frames to output slots: converting, turning, resizing.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::Result;
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
