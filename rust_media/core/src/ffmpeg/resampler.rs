//! From decoded sound to planar 32-bit floats at a wanted rate and number of channels.

use std::path::{Path, PathBuf};
use std::ptr::{self, NonNull};

use ffmpeg_sys_next as sys;

use super::{describe, Frame};
use crate::error::{MediaError, Result};

/// Rates beyond are no sound: their filters would only take time and memory.
const RATES: std::ops::RangeInclusive<i32> = 100..=3_072_000;
/// More than any layout has (third-order ambisonics: 16; NHK 22.2: 24).
const MAX_CHANNELS: i32 = 64;

/// What sound is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioShape {
    /// Samples per second; None keeps the stream's.
    pub sample_rate: Option<u32>,
    /// Number of channels; None keeps the stream's.
    pub channels: Option<u32>,
}

/// FFmpeg's resampler with its default settings, set up for frames like the first one.
#[derive(Debug)]
pub struct Resampler {
    context: NonNull<sys::SwrContext>,
    path: PathBuf,
    input: (i32, i32, i32),
    /// Samples per second of the output.
    pub sample_rate: u32,
    /// Channels of the output.
    pub channels: usize,
}

impl Resampler {
    /// Sets up a resampler that takes frames like `frame`.
    ///
    /// # Errors
    /// `Unsupported` for a rate, layout or sample format that FFmpeg cannot convert.
    pub fn new(frame: &Frame, wanted: AudioShape, path: &Path) -> Result<Self> {
        let input = kind_of(frame);
        let (format, rate, channels) = input;
        let Some(format) = known_sample_format(format)
            .filter(|_| RATES.contains(&rate) && (1..=MAX_CHANNELS).contains(&channels))
        else {
            let reason = format!("sound with {channels} channels of {rate} samples per second");
            return Err(MediaError::unsupported(path, reason));
        };
        let out_rate = wanted.sample_rate.map_or(Some(rate), |rate| i32::try_from(rate).ok());
        let out_channels = wanted.channels.map_or(Some(channels), |n| i32::try_from(n).ok());
        let (Some(out_rate), Some(out_channels)) = (
            out_rate.filter(|rate| RATES.contains(rate)),
            out_channels.filter(|n| (1..=MAX_CHANNELS).contains(n)),
        ) else {
            return Err(MediaError::unsupported(path, format!("sound as {wanted:?}")));
        };
        let context = create(frame, format, rate, out_rate, out_channels).map_err(|code| {
            let reason = format!("its sound cannot be converted: {}", describe(code));
            MediaError::unsupported(path, reason)
        })?;
        Ok(Self {
            context,
            path: path.to_owned(),
            input,
            sample_rate: out_rate.unsigned_abs(),
            channels: out_channels.unsigned_abs() as usize,
        })
    }

    /// Whether `frame` is of the kind that the resampler was set up for.
    #[must_use]
    pub fn takes(&self, frame: &Frame) -> bool {
        kind_of(frame) == self.input
    }

    /// How many samples per channel converting `frame` (or, for None, emptying the resampler)
    /// gives at most.
    #[must_use]
    pub fn bound(&self, frame: Option<&Frame>) -> usize {
        let samples = frame.map_or(0, |frame| frame.raw().nb_samples);
        // SAFETY: the context is set up.
        let bound = unsafe { sys::swr_get_out_samples(self.context.as_ptr(), samples) };
        usize::try_from(bound).unwrap_or(0)
    }

    /// Converts `frame`, or what is still held back for None, and returns the samples of each
    /// channel in `out`, which is overwritten.
    ///
    /// # Errors
    /// `Decode` if FFmpeg cannot convert it.
    pub fn convert(&mut self, frame: Option<&Frame>, out: &mut Vec<Vec<f32>>) -> Result<()> {
        let room = self.bound(frame);
        out.resize_with(self.channels, Vec::new);
        for channel in out.iter_mut() {
            channel.clear();
            channel.resize(room, 0.0);
        }
        if room == 0 {
            return Ok(());
        }
        let mut planes: Vec<*mut u8> = out.iter_mut().map(|c| c.as_mut_ptr().cast()).collect();
        let (data, samples) = match frame {
            Some(frame) => (frame.raw().extended_data, frame.raw().nb_samples),
            None => (ptr::null_mut(), 0),
        };
        // SAFETY: every output plane has room for `room` floats; the input planes are those of a
        // frame of the kind that the context was set up for (see `takes`), or null to empty it.
        let code = unsafe {
            sys::swr_convert(
                self.context.as_ptr(),
                planes.as_mut_ptr(),
                i32::try_from(room).unwrap_or(i32::MAX),
                data.cast::<*const u8>(),
                samples,
            )
        };
        let Ok(count) = usize::try_from(code) else {
            let reason = format!("its sound cannot be converted: {}", describe(code));
            return Err(MediaError::decode(&self.path, reason));
        };
        for channel in out.iter_mut() {
            channel.truncate(count);
        }
        Ok(())
    }
}

impl Drop for Resampler {
    fn drop(&mut self) {
        let mut raw = self.context.as_ptr();
        // SAFETY: allocated by swr_alloc_set_opts2 and freed only here.
        unsafe { sys::swr_free(&raw mut raw) };
    }
}

/// Sample format, rate and number of channels of a frame.
fn kind_of(frame: &Frame) -> (i32, i32, i32) {
    let raw = frame.raw();
    (raw.format, raw.sample_rate, raw.ch_layout.nb_channels)
}

/// Checks that a number from a frame is a sample format of this FFmpeg.
fn known_sample_format(format: i32) -> Option<sys::AVSampleFormat> {
    let end = sys::AVSampleFormat::AV_SAMPLE_FMT_NB as i32;
    if !(0..end).contains(&format) {
        return None;
    }
    // SAFETY: the enum of the same build has every value from 0 up to AV_SAMPLE_FMT_NB.
    Some(unsafe { std::mem::transmute::<i32, sys::AVSampleFormat>(format) })
}

fn create(
    frame: &Frame,
    format: sys::AVSampleFormat,
    rate: i32,
    out_rate: i32,
    out_channels: i32,
) -> std::result::Result<NonNull<sys::SwrContext>, i32> {
    let mut context: *mut sys::SwrContext = ptr::null_mut();
    // SAFETY: layouts are plain structures for which zero is a valid empty value; those filled
    // here are given back; the frame's is only read. On failure the context is freed.
    unsafe {
        let mut input: sys::AVChannelLayout = std::mem::zeroed();
        let mut output: sys::AVChannelLayout = std::mem::zeroed();
        let own = &raw const frame.raw().ch_layout;
        // Without a layout FFmpeg's command line tool guesses the usual one for the number.
        if (*own).order == sys::AVChannelOrder::AV_CHANNEL_ORDER_UNSPEC {
            sys::av_channel_layout_default(&raw mut input, (*own).nb_channels);
        } else {
            sys::av_channel_layout_copy(&raw mut input, own);
        }
        if out_channels == input.nb_channels {
            sys::av_channel_layout_copy(&raw mut output, &raw const input);
        } else {
            sys::av_channel_layout_default(&raw mut output, out_channels);
        }
        let mut code = sys::swr_alloc_set_opts2(
            &raw mut context,
            &raw mut output,
            sys::AVSampleFormat::AV_SAMPLE_FMT_FLTP,
            out_rate,
            &raw mut input,
            format,
            rate,
            0,
            ptr::null_mut(),
        );
        if code >= 0 {
            code = sys::swr_init(context);
        }
        sys::av_channel_layout_uninit(&raw mut input);
        sys::av_channel_layout_uninit(&raw mut output);
        if code < 0 {
            sys::swr_free(&raw mut context);
        }
        NonNull::new(context).ok_or(if code < 0 { code } else { sys::AVERROR(sys::ENOMEM) })
    }
}
