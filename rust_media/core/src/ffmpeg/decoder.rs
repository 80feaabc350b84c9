//! Decoding packets to frames.

use std::path::{Path, PathBuf};
use std::ptr::{self, NonNull};

use ffmpeg_sys_next as sys;

use super::{describe, Demuxer, Frame, StreamFacts, MAX_PIXELS};
use crate::error::{MediaError, Result};

/// What asking a decoder for a frame gave.
#[derive(Debug)]
pub enum Received {
    /// The caller's frame now holds the next frame in presentation order.
    Frame,
    /// More packets are needed first.
    NeedsInput,
    /// Everything that was sent has come out.
    End,
    /// A frame was lost to damage; others may follow.
    Failed,
}

/// A video decoder.
#[derive(Debug)]
pub struct Decoder {
    context: NonNull<sys::AVCodecContext>,
    path: PathBuf,
}

// SAFETY: a codec context may be used from any thread as long as it is one at a time, which
// exclusive ownership of this type guarantees.
unsafe impl Send for Decoder {}

impl Decoder {
    /// Opens a decoder for a stream.
    ///
    /// It runs on the calling thread alone: with FFmpeg's frame threads, what is painted over
    /// damage depends on timing, and frames come out without the mark that they are damaged.
    ///
    /// # Errors
    /// `Unsupported` if this FFmpeg has no decoder for the codec, `Decode` if it refuses the
    /// stream's setup data.
    pub fn open(path: &Path, facts: &StreamFacts) -> Result<Self> {
        let codec = find_codec(facts);
        if codec.is_null() {
            return Err(MediaError::unsupported(
                path,
                format!("this FFmpeg has no decoder for the codec {:?}", facts.codec),
            ));
        }
        // SAFETY: the codec is valid and static; the allocation is checked.
        let context = NonNull::new(unsafe { sys::avcodec_alloc_context3(codec) })
            .ok_or_else(|| MediaError::internal(path, "out of memory"))?;
        let decoder = Self { context, path: path.to_owned() };
        // SAFETY: the context is ours and not open yet, so its fields may be set; parameters are
        // valid for the duration of the call; avcodec_open2 takes no options.
        let code = unsafe {
            let raw = context.as_ptr();
            let code = sys::avcodec_parameters_to_context(raw, facts.parameters.as_ptr());
            if code < 0 {
                code
            } else {
                (*raw).pkt_timebase =
                    sys::AVRational { num: facts.time_base.0, den: facts.time_base.1 };
                (*raw).thread_count = 1;
                (*raw).max_pixels = MAX_PIXELS;
                if facts.codec == "mjpeg" {
                    (*raw).get_buffer2 = Some(blank_buffer);
                }
                sys::avcodec_open2(raw, codec, ptr::null_mut())
            }
        };
        if code < 0 {
            return Err(MediaError::decode(
                path,
                format!("its {} decoder cannot be opened: {}", facts.codec, describe(code)),
            ));
        }
        Ok(decoder)
    }

    /// Chooses whether frames that no other frame refers to are dropped undecoded.
    ///
    /// Takes effect for the packets sent afterwards. Callers drain the decoder after every send,
    /// because it may hold one packet back and apply the later value to it.
    pub fn skip_non_reference(&mut self, skip: bool) {
        let level =
            if skip { sys::AVDiscard::AVDISCARD_NONREF } else { sys::AVDiscard::AVDISCARD_DEFAULT };
        // SAFETY: a plain field that may be changed between packets.
        unsafe { (*self.context.as_ptr()).skip_frame = level };
    }

    /// Sends the packet that `demuxer` has just read. False if the decoder refused it as damaged.
    ///
    /// # Errors
    /// `Internal` if the decoder was not drained before.
    pub fn send(&mut self, demuxer: &Demuxer) -> Result<bool> {
        self.send_raw(demuxer.packet())
    }

    /// Tells the decoder that no packet follows.
    ///
    /// # Errors
    /// `Internal` if the decoder was not drained before.
    pub fn send_end(&mut self) -> Result<()> {
        self.send_raw(ptr::null()).map(|_| ())
    }

    fn send_raw(&mut self, packet: *const sys::AVPacket) -> Result<bool> {
        // SAFETY: null means end of stream, anything else is a valid packet.
        let code = unsafe { sys::avcodec_send_packet(self.context.as_ptr(), packet) };
        if code == sys::AVERROR(sys::EAGAIN) {
            return Err(MediaError::internal(&self.path, "the decoder was not drained"));
        }
        Ok(code >= 0 || (packet.is_null() && code == sys::AVERROR_EOF))
    }

    /// Takes the next finished frame.
    pub fn receive(&mut self, frame: &mut Frame) -> Received {
        // SAFETY: both are valid; FFmpeg unreferences the frame first.
        let code = unsafe { sys::avcodec_receive_frame(self.context.as_ptr(), frame.as_mut_ptr()) };
        match code {
            0.. => Received::Frame,
            sys::AVERROR_EOF => Received::End,
            code if code == sys::AVERROR(sys::EAGAIN) => Received::NeedsInput,
            _ => Received::Failed,
        }
    }

    /// Forgets everything, so that decoding can start anew at a keyframe.
    pub fn flush(&mut self) {
        // SAFETY: the context is open.
        unsafe { sys::avcodec_flush_buffers(self.context.as_ptr()) };
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        let mut raw = self.context.as_ptr();
        // SAFETY: allocated by avcodec_alloc_context3 and freed only here.
        unsafe { sys::avcodec_free_context(&raw mut raw) };
    }
}

/// FFmpeg's default decoder, but dav1d for AV1 where it is built in: it is the fastest by far, and
/// FFmpeg's own AV1 decoder needs hardware.
fn find_codec(facts: &StreamFacts) -> *const sys::AVCodec {
    // SAFETY: look-ups in static tables. The number came from FFmpeg's own enum of the same
    // build, so it is one of the enum's values.
    unsafe {
        if facts.codec == "av1" {
            let dav1d = sys::avcodec_find_decoder_by_name(c"libdav1d".as_ptr());
            if !dav1d.is_null() {
                return dav1d;
            }
        }
        let id = std::mem::transmute::<u32, sys::AVCodecID>(facts.parameters.codec_id());
        sys::avcodec_find_decoder(id)
    }
}

/// Gives a decoder a picture of zeros.
///
/// The Motion JPEG decoder leaves what it cannot read of a damaged picture as its buffer was: with
/// FFmpeg's pool the rest of some earlier picture, which depends on what else was asked for.
unsafe extern "C" fn blank_buffer(
    context: *mut sys::AVCodecContext,
    frame: *mut sys::AVFrame,
    flags: std::ffi::c_int,
) -> std::ffi::c_int {
    // SAFETY: called by the decoder with its own context and a frame to fill; every non-null
    // buffer of a frame that was given data has `size` writable bytes and no other owner yet.
    unsafe {
        let code = sys::avcodec_default_get_buffer2(context, frame, flags);
        if code >= 0 {
            for buffer in (*frame).buf.iter().filter_map(|buffer| buffer.as_ref()) {
                ptr::write_bytes(buffer.data, 0, buffer.size);
            }
        }
        code
    }
}
