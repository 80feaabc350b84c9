//! Hearing what a decoder complains about.
//!
//! With frame threads FFmpeg hands out damaged frames without the mark that they are damaged, but
//! it still says on its log what it met. The log is silent ([`super::initialise`]); this listens.

use std::ffi::{c_char, c_int, c_void};
use std::ptr::{self, addr_of};
use std::sync::atomic::{AtomicBool, Ordering};

use ffmpeg_sys_next as sys;

/// Decoders that can be listened to at the same time in one process.
const PLACES: usize = 256;

/// The level of the lines that we send ourselves, to learn whether they are heard.
const ECHO_LEVEL: c_int = sys::AV_LOG_TRACE;

struct Place {
    taken: AtomicBool,
    heard: AtomicBool,
    echoed: AtomicBool,
}

impl Place {
    const fn new() -> Self {
        let (taken, heard) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { taken, heard, echoed: AtomicBool::new(false) }
    }
}

static HALL: [Place; PLACES] = [const { Place::new() }; PLACES];

/// Listens to one decoder, whose context carries [`Self::opaque`].
#[derive(Debug)]
pub(super) struct Listener {
    place: usize,
}

impl Listener {
    /// Takes a place; None if all are taken.
    pub(super) fn new() -> Option<Self> {
        let free = |place: &Place| !place.taken.swap(true, Ordering::AcqRel);
        let place = HALL.iter().position(free)?;
        let listener = Self { place };
        listener.forget();
        Some(listener)
    }

    /// What a codec context must carry to be listened to.
    pub(super) fn opaque(&self) -> *mut c_void {
        ptr::from_ref(&HALL[self.place]).cast_mut().cast()
    }

    /// Whether the decoder has complained since the last [`Self::forget`].
    pub(super) fn heard(&self) -> bool {
        HALL[self.place].heard.load(Ordering::Acquire)
    }

    /// Whether complaints of `context`, which carries [`Self::opaque`], reach us: another library
    /// in this process may use the same FFmpeg and have taken its log.
    ///
    /// # Safety
    /// `context` points to a valid codec context.
    pub(super) unsafe fn hears(&self, context: *mut sys::AVCodecContext) -> bool {
        let echoed = &HALL[self.place].echoed;
        echoed.store(false, Ordering::Release);
        // SAFETY: promised by the caller; the text asks for no arguments.
        unsafe { sys::av_log(context.cast(), ECHO_LEVEL, c"".as_ptr()) };
        echoed.load(Ordering::Acquire)
    }

    /// Starts anew.
    pub(super) fn forget(&self) {
        HALL[self.place].heard.store(false, Ordering::Release);
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        HALL[self.place].taken.store(false, Ordering::Release);
    }
}

/// Makes FFmpeg call [`listen`] for every log line of this process.
pub(super) fn install() {
    type Callback = unsafe extern "C" fn(*mut c_void, c_int, *const c_char, *mut c_void);
    let listen: Callback = listen;
    // Spelling the other type out would tie it to one kind of processor.
    #[allow(clippy::missing_transmute_annotations)]
    // SAFETY: the only difference to the type that FFmpeg asks for is the last argument, a
    // `va_list`: a pointer, or (on 64-bit ARM) a structure so large that a pointer is passed. It
    // is not touched. The function lives as long as the process.
    unsafe {
        sys::av_log_set_callback(Some(std::mem::transmute::<Callback, _>(listen)));
    }
}

/// Notes a line of at least "info" level from a decoder that is listened to. That level, because
/// concealing damage is only worth an "info" to FFmpeg.
unsafe extern "C" fn listen(
    context: *mut c_void,
    level: c_int,
    _format: *const c_char,
    _arguments: *mut c_void,
) {
    const LEVEL_BITS: c_int = 0xff;
    let level = level & LEVEL_BITS;
    if context.is_null() || (level > sys::AV_LOG_INFO && level != ECHO_LEVEL) {
        return;
    }
    // SAFETY: FFmpeg's rule for log contexts: they start with a pointer to their class. Only what
    // has the class of codec contexts is read as one.
    let opaque = unsafe {
        if *context.cast::<*const sys::AVClass>() != sys::avcodec_get_class() {
            return;
        }
        addr_of!((*context.cast::<sys::AVCodecContext>()).opaque).read()
    };
    // Other libraries in this process may use FFmpeg too, with pointers of their own there.
    let hall = HALL.as_ptr_range();
    let opaque = opaque.cast_const().cast::<Place>();
    if hall.contains(&opaque) {
        // SAFETY: the pointers into the hall that contexts carry are those of `Listener::opaque`.
        let place = unsafe { &*opaque };
        let noted = if level == ECHO_LEVEL { &place.echoed } else { &place.heard };
        noted.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_others_have_taken_is_noticed() {
        super::super::initialise();
        let listener = Listener::new().unwrap();
        // SAFETY: a context without a codec is valid; it is freed at the end.
        unsafe {
            let mut context = sys::avcodec_alloc_context3(ptr::null());
            assert!(!context.is_null() && !listener.hears(context));
            (*context).opaque = listener.opaque();
            assert!(listener.hears(context) && !listener.heard());
            sys::av_log(context.cast(), sys::AV_LOG_INFO, c"concealing".as_ptr());
            assert!(listener.heard());
            sys::av_log_set_callback(Some(sys::av_log_default_callback));
            let deaf = !listener.hears(context);
            install();
            assert!(deaf && listener.hears(context));
            sys::avcodec_free_context(&raw mut context);
        }
    }
}
