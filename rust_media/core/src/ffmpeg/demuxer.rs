//! Reading packets of the best video stream of a file.

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr::{self, addr_of, NonNull};

use ffmpeg_sys_next as sys;

use super::formats::Kind;
use super::io::{open_nothing, CustomIo};
use super::nal;
use super::{describe, initialise, owned_text, Orientation, Parameters, NO_PTS};
use crate::error::{MediaError, Result};
use crate::source::Source;

/// Containers whose header alone describes the stream fully, so that a second open of the same
/// file can do without probing its packets (10 to 14 ms each).
pub(super) const SELF_DESCRIBING: [&str; 2] = ["mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"];

/// What the container says about the chosen stream.
#[derive(Debug)]
pub struct StreamFacts {
    /// Position of the stream in the file.
    pub stream_index: i32,
    /// FFmpeg's name of the container format.
    pub format: String,
    /// FFmpeg's name of the codec, e.g. `h264`.
    pub codec: String,
    /// FFmpeg's name of the pixel format, e.g. `yuv420p`; empty if unknown.
    pub pixel_format: String,
    /// Width before rotation, in pixels.
    pub width: u32,
    /// Height before rotation, in pixels.
    pub height: u32,
    /// Seconds per time stamp unit, as (numerator, denominator).
    pub time_base: (i32, i32),
    /// Average frames per second as (numerator, denominator); (0, 1) if unknown.
    pub average_rate: (i32, i32),
    /// Frames announced by the container, 0 if it does not say.
    pub declared_frames: i64,
    /// What rotation metadata asks for.
    pub orientation: Orientation,
    /// Clockwise degrees of the rotation metadata, 0 to 359.
    pub rotation: u32,
    /// For opening decoders.
    pub parameters: Parameters,
    /// Whether they come from probing the packets; else from the header alone.
    pub probed: bool,
}

/// The facts about one packet that indexing needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PacketInfo {
    /// Presentation time stamp or [`NO_PTS`].
    pub pts: i64,
    /// Decoding time stamp or [`NO_PTS`].
    pub dts: i64,
    /// In time stamp units, 0 if unknown.
    pub duration: i64,
    /// Whether decoding can start here.
    pub key: bool,
    /// Whether the frame is decoded but not shown (edit list).
    pub discard: bool,
    /// Whether the demuxer saw damage.
    pub corrupt: bool,
}

impl PacketInfo {
    /// The time stamp to seek by. The dts, where there is one: seeking to a keyframe's pts can
    /// land on a later keyframe.
    #[must_use]
    pub fn seek_stamp(&self) -> i64 {
        if self.dts == NO_PTS {
            self.pts
        } else {
            self.dts
        }
    }
}

/// What reading one packet gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadPacket {
    /// The demuxer holds a packet of the stream; see [`Demuxer::packet`].
    Packet(PacketInfo),
    /// The file is at its end.
    End,
    /// Reading failed; nothing more will come.
    Failed(String),
}

/// An open file, reading only its best video stream.
#[derive(Debug)]
pub struct Demuxer {
    pub(super) context: NonNull<sys::AVFormatContext>,
    pub(super) packet: NonNull<sys::AVPacket>,
    pub(super) stream_index: i32,
    pub(super) path: PathBuf,
    /// Bytes of the lengths between the units of an HEVC stream, whose keyframes are looked at.
    unit_lengths: Option<usize>,
    /// What FFmpeg reads through; None if it opened the file itself.
    io: Option<CustomIo>,
}

// SAFETY: a format context has no ties to a thread, nor has what it reads through; exclusive
// ownership keeps it to one thread at a time.
unsafe impl Send for Demuxer {}

impl Demuxer {
    /// Opens `source`, probes its streams and chooses the best video stream by FFmpeg's rule.
    ///
    /// # Errors
    /// `Decode` if it is no media file or has no video stream; `Unreadable` if its source fails.
    pub fn open(source: &Source) -> Result<(Self, StreamFacts)> {
        let mut demuxer = Self::open_header(source, Kind::Video)?;
        let facts = demuxer.probe()?;
        Ok((demuxer, facts))
    }

    /// Probes the streams of a file of which nothing but the header has been read.
    ///
    /// # Errors
    /// As [`Demuxer::open`].
    pub(crate) fn probe(&mut self) -> Result<StreamFacts> {
        self.probe_streams()?;
        let chosen = self.best_video_stream()?;
        self.select(chosen)?;
        self.facts().map(|facts| StreamFacts { probed: true, ..facts })
    }

    /// FFmpeg's choice, but never a cover picture: FFmpeg takes one that is marked as default.
    fn best_video_stream(&self) -> Result<i32> {
        let video = sys::AVMediaType::AVMEDIA_TYPE_VIDEO;
        // SAFETY: the context is open; a null decoder pointer is allowed.
        let best = |wanted: i32| unsafe {
            let context = self.context.as_ptr();
            sys::av_find_best_stream(context, video, wanted, -1, ptr::null_mut(), 0)
        };
        let chosen = best(-1);
        if chosen < 0 {
            return Err(MediaError::decode(&self.path, "the file has no video stream"));
        }
        if !self.is_cover(chosen) {
            return Ok(chosen);
        }
        // SAFETY: a plain field.
        let count = unsafe { self.context.as_ref() }.nb_streams as i32;
        (0..count).find(|&stream| !self.is_cover(stream) && best(stream) == stream).ok_or_else(
            || MediaError::decode(&self.path, "the file has no video stream, only a cover picture"),
        )
    }

    /// Whether a stream is a picture that belongs to the file as a whole.
    pub(super) fn is_cover(&self, stream: i32) -> bool {
        // SAFETY: `streams` holds `nb_streams` valid pointers for as long as the context is open,
        // and callers name one of them.
        let disposition =
            unsafe { (**self.context.as_ref().streams.add(stream as usize)).disposition };
        disposition & sys::AV_DISPOSITION_ATTACHED_PIC != 0
    }

    /// Opens `source` again for a stream that is known already.
    ///
    /// # Errors
    /// As [`Demuxer::open`]; `Decode` if the stream has gone.
    pub fn reopen(source: &Source, facts: &StreamFacts) -> Result<Self> {
        let mut demuxer = Self::open_header(source, Kind::Video)?;
        if !SELF_DESCRIBING.contains(&facts.format.as_str()) {
            demuxer.probe_streams()?;
        }
        demuxer.select(facts.stream_index)?;
        Ok(demuxer)
    }

    /// Opens `source` and reads no further than its header.
    ///
    /// # Errors
    /// As [`Demuxer::open`].
    pub(crate) fn open_unprobed(source: &Source) -> Result<Self> {
        Self::open_header(source, Kind::Video)
    }

    pub(super) fn open_header(source: &Source, kind: Kind) -> Result<Self> {
        initialise();
        let path = source.name();
        let io = match source.as_file() {
            Some(_) => None,
            None => Some(CustomIo::new(source.open()?, path)?),
        };
        let (code, context) = open_input(&url_of(source)?, kind, io.as_ref());
        // Also where FFmpeg made something of the part that it could read.
        let failed = io.as_ref().and_then(CustomIo::failure);
        let Some(context) = context else {
            let refused = format!("not a readable {} file: {}", kind.name(), describe(code));
            return Err(match failed {
                Some(reason) => MediaError::unreadable(path, reason),
                None => MediaError::decode(path, refused),
            });
        };
        // SAFETY: allocates or returns null.
        let packet = unsafe { sys::av_packet_alloc() };
        let Some(packet) = NonNull::new(packet) else {
            let mut raw = context.as_ptr();
            // SAFETY: opened above and not yet owned by anything that would close it.
            unsafe { sys::avformat_close_input(&raw mut raw) };
            return Err(MediaError::internal(path, "out of memory"));
        };
        let path = path.to_owned();
        let demuxer = Self { context, packet, stream_index: -1, path, unit_lengths: None, io };
        demuxer.check_source()?;
        Ok(demuxer)
    }

    /// Fails if the source could not be read: what FFmpeg makes of the rest is not the medium.
    fn check_source(&self) -> Result<()> {
        match self.io.as_ref().and_then(CustomIo::failure) {
            Some(reason) => Err(MediaError::unreadable(&self.path, reason)),
            None => Ok(()),
        }
    }

    pub(super) fn probe_streams(&mut self) -> Result<()> {
        // SAFETY: the context is open; no per-stream options are given.
        let code =
            unsafe { sys::avformat_find_stream_info(self.context.as_ptr(), ptr::null_mut()) };
        self.check_source()?;
        if code < 0 {
            return Err(MediaError::decode(
                &self.path,
                format!("its streams cannot be read: {}", describe(code)),
            ));
        }
        Ok(())
    }

    pub(super) fn stream(&self) -> Result<NonNull<sys::AVStream>> {
        // SAFETY: `streams` holds `nb_streams` pointers for as long as the context is open.
        let found = unsafe {
            let context = self.context.as_ref();
            match usize::try_from(self.stream_index) {
                Ok(index) if index < context.nb_streams as usize => {
                    NonNull::new(*context.streams.add(index))
                }
                _ => None,
            }
        };
        found.ok_or_else(|| MediaError::decode(&self.path, "its stream cannot be found again"))
    }

    /// Makes the demuxer drop the packets of all other streams.
    pub(super) fn select(&mut self, stream_index: i32) -> Result<()> {
        self.stream_index = stream_index;
        let chosen = self.stream()?;
        // SAFETY: as in `stream`, whose parameters are valid or null; `discard` is a plain field
        // meant to be set by the caller.
        unsafe {
            let context = self.context.as_ref();
            for index in 0..context.nb_streams as usize {
                let stream = *context.streams.add(index);
                if !stream.is_null() && index as i32 != stream_index {
                    (*stream).discard = sys::AVDiscard::AVDISCARD_ALL;
                }
            }
            self.unit_lengths = hevc_unit_lengths(chosen.as_ref().codecpar);
        }
        Ok(())
    }

    pub(super) fn facts(&self) -> Result<StreamFacts> {
        let stream = self.stream()?;
        // SAFETY: the stream and its codec parameters live as long as the open context; names
        // returned by FFmpeg are static strings or null.
        unsafe {
            let stream_ref = stream.as_ref();
            let Some(raw) = NonNull::new(stream_ref.codecpar) else {
                return Err(MediaError::decode(&self.path, "its video stream has no parameters"));
            };
            let parameters = Parameters::copy_of(raw.as_ptr(), &self.path)?;
            let (width, height) = ((*raw.as_ptr()).width, (*raw.as_ptr()).height);
            if width <= 0 || height <= 0 {
                return Err(MediaError::decode(
                    &self.path,
                    "the size of its pictures cannot be found out: nothing could be decoded",
                ));
            }
            let (orientation, rotation) = display_orientation(stream.as_ptr());
            let format = match NonNull::new((*self.context.as_ptr()).iformat.cast_mut()) {
                Some(format) => owned_text(format.as_ref().name),
                None => String::new(),
            };
            let codec_id = addr_of!((*raw.as_ptr()).codec_id);
            Ok(StreamFacts {
                stream_index: self.stream_index,
                format,
                codec: owned_text(sys::avcodec_get_name(codec_id.read())),
                pixel_format: super::frame::pixel_format_name((*raw.as_ptr()).format),
                width: width.unsigned_abs(),
                height: height.unsigned_abs(),
                time_base: (stream_ref.time_base.num, stream_ref.time_base.den),
                average_rate: (stream_ref.avg_frame_rate.num, stream_ref.avg_frame_rate.den),
                declared_frames: stream_ref.nb_frames,
                orientation,
                rotation,
                parameters,
                probed: false,
            })
        }
    }

    /// Reads the next packet of the chosen stream.
    ///
    /// # Errors
    /// `Unreadable` if the source fails. (Failures of a plain file are FFmpeg's to judge.)
    pub fn read(&mut self) -> Result<ReadPacket> {
        loop {
            // SAFETY: the packet is ours; unref before each read gives back the previous data.
            let code = unsafe {
                sys::av_packet_unref(self.packet.as_ptr());
                sys::av_read_frame(self.context.as_ptr(), self.packet.as_ptr())
            };
            self.check_source()?;
            if code == sys::AVERROR_EOF {
                return Ok(ReadPacket::End);
            }
            if code < 0 {
                return Ok(ReadPacket::Failed(describe(code)));
            }
            // SAFETY: a successful read filled the packet.
            let packet = unsafe { self.packet.as_ref() };
            // An empty one stands for a picture that was left out. To a decoder it would mean the
            // end; FFmpeg's command line tool passes over it, too.
            if packet.stream_index == self.stream_index && packet.size > 0 {
                let key = packet.flags & sys::AV_PKT_FLAG_KEY != 0;
                return Ok(ReadPacket::Packet(PacketInfo {
                    pts: packet.pts,
                    dts: packet.dts,
                    duration: packet.duration,
                    key: key && self.is_random_access().unwrap_or(true),
                    discard: packet.flags & sys::AV_PKT_FLAG_DISCARD != 0,
                    corrupt: packet.flags & sys::AV_PKT_FLAG_CORRUPT != 0,
                }));
            }
        }
    }

    /// Whether decoding can start at an HEVC packet, whatever the container says.
    fn is_random_access(&self) -> Option<bool> {
        nal::is_random_access(self.packet_bytes(), self.unit_lengths?)
    }

    pub(super) fn packet(&self) -> *const sys::AVPacket {
        self.packet.as_ptr()
    }

    /// Goes to the last seekable position at or before `timestamp` (stream units).
    ///
    /// # Errors
    /// `Decode` if the container cannot seek there, `Unreadable` if the source fails.
    pub fn seek(&mut self, timestamp: i64) -> Result<()> {
        // SAFETY: the context is open and the stream index valid.
        let code = unsafe {
            sys::av_seek_frame(
                self.context.as_ptr(),
                self.stream_index,
                timestamp,
                sys::AVSEEK_FLAG_BACKWARD,
            )
        };
        self.check_source()?;
        if code < 0 {
            return Err(MediaError::decode(&self.path, format!("cannot seek: {}", describe(code))));
        }
        Ok(())
    }

    /// What is read.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Demuxer {
    fn drop(&mut self) {
        let mut packet = self.packet.as_ptr();
        let mut context = self.context.as_ptr();
        // SAFETY: both were allocated by FFmpeg, are owned here, and are freed only here; `io` is
        // dropped after this.
        unsafe {
            sys::av_packet_free(&raw mut packet);
            sys::avformat_close_input(&raw mut context);
        }
    }
}

/// The name that FFmpeg opens, or goes by when it guesses the format of custom input.
fn url_of(source: &Source) -> Result<CString> {
    let name = source.name().as_os_str().as_bytes();
    let url = match source.as_file() {
        // The `file:` prefix keeps names like "concat:a|b" or "http://…" plain file names.
        Some(path) => [b"file:", path.as_os_str().as_bytes()].concat(),
        // Of "zip://clip.ts::archive.zip", the member has the suffix that means something.
        None => match name.windows(2).position(|pair| pair == b"::") {
            Some(end) => name[..end].to_vec(),
            None => name.to_vec(),
        },
    };
    CString::new(url)
        .map_err(|_| MediaError::decode(source.name(), "the path contains a zero byte"))
}

/// Opens `url`, or `io` where there is one, and reads the container's header.
fn open_input(
    url: &CStr,
    kind: Kind,
    io: Option<&CustomIo>,
) -> (i32, Option<NonNull<sys::AVFormatContext>>) {
    let formats = CString::new(kind.formats()).unwrap_or_default();
    let mut options: *mut sys::AVDictionary = ptr::null_mut();
    // SAFETY: a new context or null, which avformat_open_input would replace by its own.
    let mut context = unsafe { sys::avformat_alloc_context() };
    if context.is_null() {
        return (sys::AVERROR(sys::ENOMEM), None);
    }
    // SAFETY: all strings outlive the calls; on failure avformat_open_input frees the context and
    // leaves null; the flag keeps it from closing `io`; the dictionary is freed in any case.
    let code = unsafe {
        (*context).interrupt_callback = super::watch::callback();
        if let Some(io) = io {
            (*context).pb = io.as_ptr();
            (*context).flags |= sys::AVFMT_FLAG_CUSTOM_IO;
            (*context).io_open = Some(open_nothing);
        }
        sys::av_dict_set(&raw mut options, c"protocol_whitelist".as_ptr(), c"file".as_ptr(), 0);
        sys::av_dict_set(&raw mut options, c"format_whitelist".as_ptr(), formats.as_ptr(), 0);
        let code =
            sys::avformat_open_input(&raw mut context, url.as_ptr(), ptr::null(), &raw mut options);
        sys::av_dict_free(&raw mut options);
        code
    };
    (code, NonNull::new(context).filter(|_| code >= 0))
}

/// The bytes of the lengths between the units of an HEVC stream; None for all others.
///
/// # Safety
/// `parameters` is null or points to valid codec parameters.
unsafe fn hevc_unit_lengths(parameters: *const sys::AVCodecParameters) -> Option<usize> {
    // SAFETY: the enum is read as the four-byte integer that it is in C; `extradata_size` readable
    // bytes stand behind a non-null `extradata`.
    unsafe {
        if parameters.is_null() || (*parameters).extradata.is_null() {
            return None;
        }
        let codec = addr_of!((*parameters).codec_id).cast::<u32>().read();
        if codec != sys::AVCodecID::AV_CODEC_ID_HEVC as u32 {
            return None;
        }
        let size = usize::try_from((*parameters).extradata_size).ok()?;
        nal::length_bytes("hevc", std::slice::from_raw_parts((*parameters).extradata, size))
    }
}

/// Reads the display matrix of a stream as FFmpeg's command line tool does.
///
/// # Safety
/// `stream` points to a valid stream.
unsafe fn display_orientation(stream: *const sys::AVStream) -> (Orientation, u32) {
    // SAFETY: the side data belongs to the stream; its size is checked before nine int32 are read.
    let matrix: [i32; 9] = unsafe {
        let mut size = 0_usize;
        let data = sys::av_stream_get_side_data(
            stream,
            sys::AVPacketSideDataType::AV_PKT_DATA_DISPLAYMATRIX,
            &raw mut size,
        );
        if data.is_null() || size < 9 * size_of::<i32>() {
            return (Orientation::default(), 0);
        }
        let bytes = std::slice::from_raw_parts(data, 9 * size_of::<i32>());
        std::array::from_fn(|i| {
            i32::from_ne_bytes([bytes[4 * i], bytes[4 * i + 1], bytes[4 * i + 2], bytes[4 * i + 3]])
        })
    };
    // SAFETY: reads nine values of the array.
    let counter_clockwise = unsafe { sys::av_display_rotation_get(matrix.as_ptr()) };
    Orientation::from_display_matrix(&matrix, counter_clockwise)
}
