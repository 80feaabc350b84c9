//! Sound as 32-bit floats at a wanted rate, equal to what FFmpeg's command line tool writes.

use std::path::Path;

use crate::container;
use crate::error::{MediaError, Result};
use crate::ffmpeg::{
    watched, AudioDecoder, AudioFacts, AudioShape, Demuxer, Frame, ReadPacket, Received, Resampler,
};
use crate::interrupt::Interrupt;
use crate::source::Source;
use crate::warning::{MediaWarning, WarningCode};

/// A decoder that fails this often while it is emptied will not come to its end.
const MAX_DRAIN_FAILURES: usize = 64;

/// Which part of a sound is wanted, and how.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AudioOptions {
    /// Rate and channels.
    pub shape: AudioShape,
    /// Seconds from the first sample of the stream at which to begin; at least 0.
    pub start: f64,
    /// Seconds at which to end; None for the end of the stream.
    pub end: Option<f64>,
    /// Refuses to return more bytes than this.
    pub max_bytes: usize,
}

/// Decoded sound.
#[derive(Debug, Clone, PartialEq)]
pub struct Sound {
    /// The samples of each channel, all of the same number, mostly within -1 and 1.
    pub channels: Vec<Vec<f32>>,
    /// Samples per second.
    pub sample_rate: u32,
    /// Position of the first sample, in samples from the beginning of the stream.
    pub first: u64,
    /// Samples of the stream up to where reading stopped; less than `first` if it ends before.
    pub reached: u64,
    /// What was wrong although something could be decoded.
    pub warnings: Vec<MediaWarning>,
}

/// What the header of a file says about its sound.
///
/// # Errors
/// As [`read`].
pub fn probe(source: &Source) -> Result<AudioFacts> {
    source.check()?;
    Demuxer::open_audio(source).map(|(_, facts)| facts)
}

/// Decodes the best audio stream and converts it.
///
/// A part by time is exactly that part of the whole: everything before it is decoded too, because
/// resampling and most codecs carry state from one sample to the next.
///
/// # Errors
/// `NotFound`, `Unreadable`, `Decode` (no audio, or none of it can be decoded), `Unsupported`,
/// `TooLarge`, `Interrupted`.
pub fn read(source: &Source, options: AudioOptions, interrupt: &Interrupt<'_>) -> Result<Sound> {
    let identity = source.check()?;
    let sound = watched(interrupt, || decode(source, options, interrupt));
    // A read that was broken off looks like the end of the file.
    interrupt.check(source.name())?;
    if source.check()? != identity {
        return Err(MediaError::unreadable(source.name(), "it changed while it was read"));
    }
    sound
}

fn decode(source: &Source, options: AudioOptions, interrupt: &Interrupt<'_>) -> Result<Sound> {
    let (demuxer, facts) = Demuxer::open_audio(source)?;
    let decoder = AudioDecoder::open(source.name(), &facts)?;
    let frame = Frame::new(source.name())?;
    let mut stream = Stream { demuxer, decoder, frame, sent: 0, refused: 0, failure: None };
    let mut tape = Tape::new(source.name(), options);
    while !tape.is_full() && stream.next(interrupt)? {
        tape.take(&stream.frame)?;
    }
    if !tape.is_full() {
        tape.finish()?;
    }
    let Some(sample_rate) = tape.rate() else {
        let why = stream.failure.map_or_else(String::new, |words| format!(": {words}"));
        let reason = format!("nothing of its {} sound can be decoded{why}", facts.codec);
        return Err(MediaError::decode(source.name(), reason));
    };
    Ok(Sound {
        channels: tape.kept,
        sample_rate,
        first: tape.range.map_or(0, |range| range.0),
        reached: tape.position,
        warnings: stream.damage(source)?,
    })
}

/// Decoding from the start, one piece of sound at a time.
struct Stream {
    demuxer: Demuxer,
    decoder: AudioDecoder,
    frame: Frame,
    sent: usize,
    refused: usize,
    failure: Option<String>,
}

impl Stream {
    /// Moves to the next piece; false at the end.
    fn next(&mut self, interrupt: &Interrupt<'_>) -> Result<bool> {
        let mut draining = false;
        let mut drain_failures = 0;
        loop {
            match self.decoder.receive(&mut self.frame) {
                Received::Frame => return Ok(true),
                Received::End => return Ok(false),
                Received::Failed => {
                    self.refused += 1;
                    drain_failures += usize::from(draining);
                    if drain_failures > MAX_DRAIN_FAILURES {
                        return Ok(false);
                    }
                }
                Received::NeedsInput if draining => return Ok(false),
                Received::NeedsInput => draining = !self.feed(interrupt)?,
            }
        }
    }

    /// Sends the next packet; false at the end.
    fn feed(&mut self, interrupt: &Interrupt<'_>) -> Result<bool> {
        interrupt.check(self.demuxer.path())?;
        match self.demuxer.read()? {
            ReadPacket::Packet(_) => {
                self.sent += 1;
                self.refused += usize::from(!self.decoder.send(Some(&self.demuxer))?);
                return Ok(true);
            }
            ReadPacket::Failed(words) => self.failure = Some(words),
            ReadPacket::End => {}
        }
        self.decoder.send(None)?;
        Ok(false)
    }

    fn damage(self, source: &Source) -> Result<Vec<MediaWarning>> {
        let mut damage = Vec::new();
        if let Some(message) = container::missing_bytes(source.open()?.as_ref()) {
            damage.push(MediaWarning::new(WarningCode::Truncated, message));
        }
        if let Some(words) = self.failure {
            let message = format!("reading stopped after {} packets: {words}", self.sent);
            damage.push(MediaWarning::new(WarningCode::CorruptPackets, message));
        }
        if self.refused > 0 {
            let message = format!("{} of {} packets could not be decoded", self.refused, self.sent);
            damage.push(MediaWarning::new(WarningCode::DecodeErrors, message));
        }
        Ok(damage)
    }
}

/// Converts pieces and keeps what lies in the wanted range.
struct Tape<'a> {
    path: &'a Path,
    options: AudioOptions,
    resampler: Option<Resampler>,
    /// First and last sample (exclusive), known with the rate.
    range: Option<(u64, u64)>,
    /// Samples converted so far.
    position: u64,
    kept: Vec<Vec<f32>>,
    fresh: Vec<Vec<f32>>,
}

impl<'a> Tape<'a> {
    fn new(path: &'a Path, options: AudioOptions) -> Self {
        Self {
            path,
            options,
            resampler: None,
            range: None,
            position: 0,
            kept: Vec::new(),
            fresh: Vec::new(),
        }
    }

    fn rate(&self) -> Option<u32> {
        self.resampler.as_ref().map(|resampler| resampler.sample_rate)
    }

    fn is_full(&self) -> bool {
        self.range.is_some_and(|(_, last)| self.position >= last)
    }

    fn take(&mut self, frame: &Frame) -> Result<()> {
        if self.resampler.as_ref().is_some_and(|resampler| !resampler.takes(frame)) {
            // A stream that changes its kind goes on in the kind that it began with.
            self.finish()?;
            let shape =
                AudioShape { sample_rate: self.rate(), channels: Some(self.kept.len() as u32) };
            self.resampler = Some(Resampler::new(frame, shape, self.path)?);
        }
        if self.resampler.is_none() {
            let resampler = Resampler::new(frame, self.options.shape, self.path)?;
            let rate = f64::from(resampler.sample_rate);
            let sample = |seconds: f64| (seconds * rate).round() as u64;
            let last = self.options.end.map_or(u64::MAX, sample);
            self.range = Some((sample(self.options.start), last));
            self.kept.resize_with(resampler.channels, Vec::new);
            self.resampler = Some(resampler);
        }
        self.convert(Some(frame))
    }

    /// Takes what the resampler holds back.
    fn finish(&mut self) -> Result<()> {
        self.convert(None)
    }

    fn convert(&mut self, frame: Option<&Frame>) -> Result<()> {
        let (Some(resampler), Some((first, last))) = (&mut self.resampler, self.range) else {
            return Ok(());
        };
        let held = self.kept.first().map_or(0, Vec::len);
        let most = resampler.bound(frame).saturating_add(held);
        // What is converted but not kept takes room too.
        if most.saturating_mul(resampler.channels * size_of::<f32>()) > self.options.max_bytes {
            let reason = format!(
                "its sound takes more than {} bytes as {} channels of {} samples per second",
                self.options.max_bytes, resampler.channels, resampler.sample_rate
            );
            return Err(MediaError::too_large(self.path, reason));
        }
        resampler.convert(frame, &mut self.fresh)?;
        let count = self.fresh.first().map_or(0, Vec::len);
        let within = |edge: u64| edge.saturating_sub(self.position).min(count as u64) as usize;
        let (from, to) = (within(first), within(last));
        for (kept, fresh) in self.kept.iter_mut().zip(&self.fresh) {
            kept.extend_from_slice(&fresh[from..to.max(from)]);
        }
        self.position += count as u64;
        Ok(())
    }
}
