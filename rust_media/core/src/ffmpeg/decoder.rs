//! Decoding packets to frames.

use std::path::{Path, PathBuf};
use std::ptr::{self, NonNull};

use ffmpeg_sys_next as sys;

use super::codec::{self, Received};
use super::complaint::Listener;
use super::nal;
use super::{describe, Demuxer, Frame, Packet, PacketInfo, StreamFacts, MAX_PIXELS};
use crate::error::{MediaError, Result};

/// Codecs whose decoders leave what they cannot read of a damaged picture as its buffer was: with
/// FFmpeg's pool the rest of some earlier picture, which depends on what else was asked for, and on
/// threads. Theirs are blank.
const KEEPS_WHAT_WAS_THERE: [&str; 2] = ["mjpeg", "hevc"];

/// Width and height in pixels, and FFmpeg's number of the pixel format.
pub(super) type PictureFormat = ((u32, u32), i32);

/// A video decoder.
#[derive(Debug)]
pub struct Decoder {
    context: NonNull<sys::AVCodecContext>,
    path: PathBuf,
    /// Set for decoders with threads of their own. Dropped after the context is closed.
    listener: Option<Listener>,
}

// SAFETY: a codec context may be used from any thread as long as it is one at a time, which
// exclusive ownership of this type guarantees.
unsafe impl Send for Decoder {}

impl Decoder {
    /// Opens a decoder for a stream that decodes up to `threads` frames at once.
    ///
    /// With one, it runs on the calling thread alone. With more, what is painted over damage
    /// depends on timing, and frames come out without the mark that they are damaged: see
    /// [`Decoder::has_complained`].
    ///
    /// # Errors
    /// `Unsupported` if this FFmpeg has no decoder for the codec, `Decode` if it refuses the
    /// stream's setup data.
    pub fn open(path: &Path, facts: &StreamFacts, threads: usize) -> Result<Self> {
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
        let listener = if threads > 1 { Listener::new() } else { None };
        // SAFETY: the context is ours and not open yet; the listener is freed after it.
        let listener = listener.filter(|listener| unsafe {
            (*context.as_ptr()).opaque = listener.opaque();
            listener.hears(context.as_ptr())
        });
        // Without anyone to listen, damage would go unnoticed.
        let threads = if listener.is_some() { i32::try_from(threads).unwrap_or(1) } else { 1 };
        let decoder = Self { context, path: path.to_owned(), listener };
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
                (*raw).thread_count = threads;
                (*raw).thread_type = sys::FF_THREAD_FRAME;
                (*raw).max_pixels = MAX_PIXELS;
                if KEEPS_WHAT_WAS_THERE.contains(&facts.codec.as_str()) {
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

    /// Whether a decoder with threads has met anything unusual since [`Decoder::flush`], or may
    /// have: then its frames may be damaged or depend on timing. To be asked when it is drained.
    #[must_use]
    pub fn has_complained(&self) -> bool {
        // SAFETY: the context is ours.
        let hears = |listener: &Listener| unsafe { listener.hears(self.context.as_ptr()) };
        self.listener.as_ref().is_some_and(|listener| listener.heard() || !hears(listener))
    }

    /// Sends a packet. False if the decoder refused it as damaged.
    ///
    /// # Errors
    /// `Internal` if the decoder was not drained before.
    pub fn send_packet(&mut self, packet: &Packet) -> Result<bool> {
        self.send_raw(packet.as_ptr())
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
        // SAFETY: the context is ours; null means end of stream, else the packet is valid.
        unsafe { codec::send(self.context, packet, &self.path) }
    }

    /// Takes the next finished frame.
    pub fn receive(&mut self, frame: &mut Frame) -> Received {
        // SAFETY: the context is ours.
        unsafe { codec::receive(self.context, frame) }
    }

    /// Finds out the size and pixel format of the stream whose first packet `demuxer` has just
    /// read. Some decoders know them from the setup data, that of H.264 from the start of the
    /// packet; the others have to decode it. None if it cannot be decoded.
    ///
    /// # Errors
    /// `Internal` without memory.
    pub(super) fn picture_of(
        &mut self,
        demuxer: &Demuxer,
        facts: &StreamFacts,
    ) -> Result<Option<PictureFormat>> {
        if let Some(known) = self.announced_picture() {
            return Ok(Some(known));
        }
        if facts.codec == "h264" {
            let start = start_of_picture(demuxer.packet_bytes(), facts.parameters.extradata());
            if let Some(start) = start {
                // SAFETY: a plain field. What is cut off need not be painted over.
                unsafe { (*self.context.as_ptr()).error_concealment = 0 };
                let mut packet = Packet::new(&self.path)?;
                packet.fill(
                    &PacketInfo { key: true, ..PacketInfo::default() },
                    &start,
                    &self.path,
                )?;
                self.send_packet(&packet)?;
                if let Some(known) = self.announced_picture() {
                    return Ok(Some(known));
                }
                self.flush();
            }
        }
        if !self.send(demuxer)? {
            return Ok(None);
        }
        self.send_end()?;
        let mut frame = Frame::new(&self.path)?;
        match self.receive(&mut frame) {
            Received::Frame => Ok(Some((frame.size(), frame.format()))),
            _ => Ok(None),
        }
    }

    fn announced_picture(&self) -> Option<PictureFormat> {
        // SAFETY: plain fields of our context; the format is a four-byte C enum.
        let (width, height, format) = unsafe {
            let raw = self.context.as_ptr();
            ((*raw).width, (*raw).height, ptr::addr_of!((*raw).pix_fmt).cast::<i32>().read())
        };
        (width > 0 && height > 0 && format >= 0)
            .then_some(((width.unsigned_abs(), height.unsigned_abs()), format))
    }

    /// Forgets everything, so that decoding can start anew at a keyframe.
    pub fn flush(&mut self) {
        // SAFETY: the context is open.
        unsafe { sys::avcodec_flush_buffers(self.context.as_ptr()) };
        if let Some(listener) = &self.listener {
            listener.forget();
        }
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        let mut raw = self.context.as_ptr();
        // SAFETY: allocated by avcodec_alloc_context3 and freed only here.
        unsafe { sys::avcodec_free_context(&raw mut raw) };
    }
}

/// Cuts an H.264 packet off shortly after the header of its first slice, from which on a decoder
/// knows what pictures it will give. `record` is the stream's setup data; None if the stream is
/// not stored with lengths.
fn start_of_picture(packet: &[u8], record: &[u8]) -> Option<Vec<u8>> {
    const SLICES: [u8; 2] = [1, 5];
    const KEPT: usize = 256;
    let width = nal::length_bytes("h264", record).filter(|&width| width > 1)?;
    let is_slice =
        |unit: &[u8]| unit.first().is_some_and(|&first| SLICES.contains(&(first & 0x1f)));
    let (at, unit) = nal::Units::of(packet, width).find(|(_, unit)| is_slice(unit))?;
    let kept = unit.len().min(KEPT);
    let mut start = packet[..at].to_vec();
    start.extend_from_slice(&kept.to_be_bytes()[size_of::<usize>() - width..]);
    start.extend_from_slice(&unit[..kept]);
    Some(start)
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

/// Gives a decoder a picture of zeros; see [`KEEPS_WHAT_WAS_THERE`].
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_cut_after_its_slice_header() {
        let record = [1, 0, 0, 0, 0xfd];
        let slice = [&[5_u8][..], &[7; 400]].concat();
        let packet = [&[0, 2, 6, 9][..], &401_u16.to_be_bytes(), &slice].concat();
        let start = start_of_picture(&packet, &record).unwrap();
        assert_eq!(start[..6], [0, 2, 6, 9, 1, 0]);
        assert_eq!(start.len(), 6 + 256);
        assert_eq!(start_of_picture(&packet[..90], &record), None);
        assert_eq!(start_of_picture(&packet, &[0, 0, 0, 1]), None);
    }
}
