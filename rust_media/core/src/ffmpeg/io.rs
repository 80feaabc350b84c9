//! FFmpeg reading through [`ReadAt`] instead of opening a file itself.

use std::ffi::{c_int, c_void};
use std::io;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::Path;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use ffmpeg_sys_next as sys;

use crate::error::{panic_message, MediaError, Result};
use crate::source::{read_some, ReadAt};

/// As much as FFmpeg asks of a file at once.
const BUFFER_BYTES: usize = 64 << 10;

/// What the callbacks work on.
struct State {
    reader: Arc<dyn ReadAt>,
    position: u64,
    failure: Option<String>,
}

/// A byte stream that a format context reads from. Must outlive that context.
#[derive(Debug)]
pub(super) struct CustomIo {
    context: NonNull<sys::AVIOContext>,
    state: NonNull<State>,
}

impl CustomIo {
    pub(super) fn new(reader: Arc<dyn ReadAt>, path: &Path) -> Result<Self> {
        let no_memory = || MediaError::internal(path, "out of memory");
        // SAFETY: allocates or returns null.
        let buffer = unsafe { sys::av_malloc(BUFFER_BYTES) }.cast::<u8>();
        if buffer.is_null() {
            return Err(no_memory());
        }
        let state = Box::into_raw(Box::new(State { reader, position: 0, failure: None }));
        // SAFETY: the buffer has the size that is named, the state lives until Drop, and both
        // callbacks take it for what it is.
        let context = unsafe {
            sys::avio_alloc_context(
                buffer,
                BUFFER_BYTES as c_int,
                0,
                state.cast(),
                Some(read_packet),
                None,
                Some(seek),
            )
        };
        if let (Some(context), Some(state)) = (NonNull::new(context), NonNull::new(state)) {
            return Ok(Self { context, state });
        }
        // SAFETY: nothing has taken either of them over.
        unsafe {
            sys::av_free(buffer.cast());
            drop(Box::from_raw(state));
        }
        Err(no_memory())
    }

    pub(super) fn as_ptr(&self) -> *mut sys::AVIOContext {
        self.context.as_ptr()
    }

    /// Why reading failed, if it ever did. FFmpeg itself may take a failure for the end.
    pub(super) fn failure(&self) -> Option<String> {
        // SAFETY: the state is only changed inside FFmpeg's calls, and none is running: those
        // that use this context need the same exclusive owner.
        unsafe { self.state.as_ref() }.failure.clone()
    }
}

impl Drop for CustomIo {
    fn drop(&mut self) {
        let mut context = self.context.as_ptr();
        // SAFETY: the format context is closed already. FFmpeg may have replaced the buffer, so
        // the current one is freed; the state was leaked by `new` and is freed only here.
        unsafe {
            sys::av_freep((&raw mut (*context).buffer).cast());
            sys::avio_context_free(&raw mut context);
            drop(Box::from_raw(self.state.as_ptr()));
        }
    }
}

/// Refuses to open anything: what a stream of bytes refers to is none of its reader's business.
pub(super) unsafe extern "C" fn open_nothing(
    _: *mut sys::AVFormatContext,
    _: *mut *mut sys::AVIOContext,
    _: *const std::ffi::c_char,
    _: c_int,
    _: *mut *mut sys::AVDictionary,
) -> c_int {
    sys::AVERROR(sys::EPERM)
}

unsafe extern "C" fn read_packet(opaque: *mut c_void, buffer: *mut u8, size: c_int) -> c_int {
    let Ok(length) = usize::try_from(size) else { return sys::AVERROR(sys::EINVAL) };
    if opaque.is_null() || buffer.is_null() || length == 0 {
        return sys::AVERROR(sys::EINVAL);
    }
    // SAFETY: FFmpeg hands back the pointer that `new` gave it, one call at a time.
    let state = unsafe { &mut *opaque.cast::<State>() };
    // FFmpeg itself only asks about files that it opened.
    if super::watch::is_stopped() {
        return sys::AVERROR_EXIT;
    }
    // A source that failed once is not asked again, so that the first reason is the one told.
    if state.failure.is_some() {
        return sys::AVERROR(sys::EIO);
    }
    let outcome = contained(|| {
        let left = state.reader.len().saturating_sub(state.position);
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(length);
        // At the end the buffer still holds what came before and may be gone back to.
        if wanted == 0 {
            return Ok(0);
        }
        // SAFETY: the buffer has at least `size` bytes; they are given a value first, because a
        // reader may look at them.
        let buffer = unsafe {
            ptr::write_bytes(buffer, 0, wanted);
            std::slice::from_raw_parts_mut(buffer, wanted)
        };
        read_some(state.reader.as_ref(), state.position, buffer)
    });
    match outcome {
        Ok(0) => sys::AVERROR_EOF,
        Ok(read) => {
            state.position += read as u64;
            read as c_int
        }
        Err(reason) => {
            state.failure = Some(reason);
            sys::AVERROR(sys::EIO)
        }
    }
}

unsafe extern "C" fn seek(opaque: *mut c_void, offset: i64, whence: c_int) -> i64 {
    const SET: c_int = 0;
    const CURRENT: c_int = 1;
    const END: c_int = 2;
    let refused = i64::from(sys::AVERROR(sys::EINVAL));
    if opaque.is_null() {
        return refused;
    }
    // SAFETY: as in `read_packet`.
    let state = unsafe { &mut *opaque.cast::<State>() };
    let size = match contained(|| Ok(state.reader.len())) {
        Ok(size) => size,
        Err(reason) => {
            state.failure = Some(reason);
            return i64::from(sys::AVERROR(sys::EIO));
        }
    };
    let target = match whence & !sys::AVSEEK_FORCE {
        sys::AVSEEK_SIZE => return i64::try_from(size).unwrap_or(refused),
        SET => u64::try_from(offset).ok(),
        CURRENT => state.position.checked_add_signed(offset),
        END => size.checked_add_signed(offset),
        _ => None,
    };
    match target.and_then(|position| Some((position, i64::try_from(position).ok()?))) {
        Some((position, told)) => {
            state.position = position;
            told
        }
        None => refused,
    }
}

/// Keeps a panic of the reader from unwinding into C.
fn contained<T>(work: impl FnOnce() -> io::Result<T>) -> std::result::Result<T, String> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(error.to_string()),
        Err(payload) => Err(panic_message(payload.as_ref())),
    }
}
