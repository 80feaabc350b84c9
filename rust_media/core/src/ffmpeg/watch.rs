//! Lets a long read inside FFmpeg be broken off: scanning a huge file for the next packet may take
//! minutes before it returns.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::ptr::{self, NonNull};

use ffmpeg_sys_next as sys;

use crate::interrupt::Interrupt;

thread_local! {
    static CURRENT: Cell<Option<NonNull<Interrupt<'static>>>> = const { Cell::new(None) };
}

/// Puts back what was watched before, also when `work` panics.
struct Restore(Option<NonNull<Interrupt<'static>>>);

impl Drop for Restore {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

/// Runs `work`; reads by FFmpeg that this thread does meanwhile fail once `interrupt` asks to
/// stop. They look like the end of the file, so the caller has to check `interrupt` afterwards.
pub fn watched<T>(interrupt: &Interrupt<'_>, work: impl FnOnce() -> T) -> T {
    let current = NonNull::from(interrupt).cast::<Interrupt<'static>>();
    let _restore = Restore(CURRENT.replace(Some(current)));
    work()
}

/// What a format context asks before each read.
pub(super) fn callback() -> sys::AVIOInterruptCB {
    sys::AVIOInterruptCB { callback: Some(asks_to_stop), opaque: ptr::null_mut() }
}

unsafe extern "C" fn asks_to_stop(_: *mut c_void) -> c_int {
    c_int::from(is_stopped())
}

/// Whether what this thread is at should be broken off.
pub(super) fn is_stopped() -> bool {
    let Some(current) = CURRENT.get() else { return false };
    // SAFETY: `watched` on this thread holds the reference that this came from, and takes the
    // pointer away before it ends.
    let interrupt = unsafe { current.as_ref() };
    // A panic must not cross into C; the next check on the Rust side meets its cause again.
    let stop = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| interrupt.asks_to_stop()));
    stop.unwrap_or(true)
}
