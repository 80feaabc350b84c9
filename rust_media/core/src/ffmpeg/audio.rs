//! The best audio stream of a file, and its decoder.

use std::path::{Path, PathBuf};
use std::ptr::{self, NonNull};

use ffmpeg_sys_next as sys;

use super::codec::{self, Received};
use super::formats::Kind;
use super::{describe, owned_text, Demuxer, Frame, Parameters, NO_PTS};
use crate::error::{MediaError, Result};
use crate::source::Source;

/// What the container says about an audio stream.
#[derive(Debug)]
pub struct AudioFacts {
    /// FFmpeg's name of the container format.
    pub format: String,
    /// FFmpeg's name of the codec, e.g. `aac`.
    pub codec: String,
    /// Samples per second and channel.
    pub sample_rate: u32,
    /// Number of channels.
    pub channels: u32,
    /// Seconds per time stamp unit, as (numerator, denominator).
    pub time_base: (i32, i32),
    /// Length in time stamp units; None if the container does not say.
    pub duration: Option<i64>,
    /// Seconds from the start of the file to the first sample.
    pub start_seconds: f64,
    parameters: Parameters,
}

impl Demuxer {
    /// Opens `source` and chooses its best audio stream by FFmpeg's rule.
    ///
    /// # Errors
    /// `Decode` if it is no media file or has no audio stream; `Unreadable` if its source fails.
    pub fn open_audio(source: &Source) -> Result<(Self, AudioFacts)> {
        let mut demuxer = Self::open_header(source, Kind::Audio)?;
        demuxer.probe_streams()?;
        // SAFETY: the context is open; a null decoder pointer is allowed.
        let chosen = unsafe {
            sys::av_find_best_stream(
                demuxer.context.as_ptr(),
                sys::AVMediaType::AVMEDIA_TYPE_AUDIO,
                -1,
                -1,
                ptr::null_mut(),
                0,
            )
        };
        if chosen < 0 {
            return Err(MediaError::decode(source.name(), "the file has no audio stream"));
        }
        demuxer.select(chosen)?;
        let facts = demuxer.audio_facts()?;
        Ok((demuxer, facts))
    }

    fn audio_facts(&self) -> Result<AudioFacts> {
        let stream = self.stream()?;
        // SAFETY: the stream and its codec parameters live as long as the open context; names
        // returned by FFmpeg are static strings or null.
        unsafe {
            let context = self.context.as_ref();
            let stream = stream.as_ref();
            let Some(raw) = NonNull::new(stream.codecpar) else {
                return Err(MediaError::decode(&self.path, "its audio stream has no parameters"));
            };
            let parameters = Parameters::copy_of(raw.as_ptr(), &self.path)?;
            let format = match NonNull::new(context.iformat.cast_mut()) {
                Some(format) => owned_text(format.as_ref().name),
                None => String::new(),
            };
            let (num, den) = (stream.time_base.num, stream.time_base.den);
            let begins = if context.start_time == NO_PTS { 0 } else { context.start_time };
            let start_seconds = match stream.start_time {
                NO_PTS => 0.0,
                start => {
                    start as f64 * f64::from(num) / f64::from(den.max(1))
                        - begins as f64 / f64::from(sys::AV_TIME_BASE)
                }
            };
            let codec_id = ptr::addr_of!((*raw.as_ptr()).codec_id);
            Ok(AudioFacts {
                format,
                codec: owned_text(sys::avcodec_get_name(codec_id.read())),
                sample_rate: u32::try_from((*raw.as_ptr()).sample_rate).unwrap_or(0),
                channels: u32::try_from((*raw.as_ptr()).ch_layout.nb_channels).unwrap_or(0),
                time_base: (num, den),
                duration: Some(stream.duration).filter(|&units| units != NO_PTS && units > 0),
                start_seconds,
                parameters,
            })
        }
    }
}

/// An audio decoder. It drops what containers mark as encoder delay and padding.
#[derive(Debug)]
pub struct AudioDecoder {
    context: NonNull<sys::AVCodecContext>,
    path: PathBuf,
}

impl AudioDecoder {
    /// Opens a decoder for a stream.
    ///
    /// # Errors
    /// `Unsupported` if this FFmpeg has no decoder for the codec, `Decode` if it refuses the
    /// stream's setup data.
    pub fn open(path: &Path, facts: &AudioFacts) -> Result<Self> {
        // SAFETY: a look-up in a static table. The number came from FFmpeg's own enum of the same
        // build, so it is one of the enum's values.
        let codec = unsafe {
            let id = std::mem::transmute::<u32, sys::AVCodecID>(facts.parameters.codec_id());
            sys::avcodec_find_decoder(id)
        };
        if codec.is_null() {
            let reason = format!("this FFmpeg has no decoder for the codec {:?}", facts.codec);
            return Err(MediaError::unsupported(path, reason));
        }
        // SAFETY: the codec is valid and static; the allocation is checked.
        let context = NonNull::new(unsafe { sys::avcodec_alloc_context3(codec) })
            .ok_or_else(|| MediaError::internal(path, "out of memory"))?;
        let decoder = Self { context, path: path.to_owned() };
        // SAFETY: the context is ours and not open yet, so its fields may be set; parameters are
        // valid for the duration of the call; avcodec_open2 takes no options.
        let code = unsafe {
            let raw = context.as_ptr();
            match sys::avcodec_parameters_to_context(raw, facts.parameters.as_ptr()) {
                code if code < 0 => code,
                _ => {
                    // By which the decoder finds the samples that are to be dropped.
                    (*raw).pkt_timebase =
                        sys::AVRational { num: facts.time_base.0, den: facts.time_base.1 };
                    (*raw).thread_count = 1;
                    sys::avcodec_open2(raw, codec, ptr::null_mut())
                }
            }
        };
        if code < 0 {
            let reason =
                format!("its {} decoder cannot be opened: {}", facts.codec, describe(code));
            return Err(MediaError::decode(path, reason));
        }
        Ok(decoder)
    }

    /// Sends the packet that `demuxer` has just read, or None for the end. False if the decoder
    /// refused it as damaged.
    ///
    /// # Errors
    /// `Internal` if the decoder was not drained before.
    pub fn send(&mut self, demuxer: Option<&Demuxer>) -> Result<bool> {
        let packet = demuxer.map_or(ptr::null(), Demuxer::packet);
        // SAFETY: the context is ours; null means end of stream, else the packet is valid.
        unsafe { codec::send(self.context, packet, &self.path) }
    }

    /// Takes the next finished piece of sound.
    pub fn receive(&mut self, frame: &mut Frame) -> Received {
        // SAFETY: the context is ours.
        unsafe { codec::receive(self.context, frame) }
    }
}

impl Drop for AudioDecoder {
    fn drop(&mut self) {
        let mut raw = self.context.as_ptr();
        // SAFETY: allocated by avcodec_alloc_context3 and freed only here.
        unsafe { sys::avcodec_free_context(&raw mut raw) };
    }
}
