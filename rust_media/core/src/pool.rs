//! Open files kept for the next call on the same video: opening one parses its whole header.

use std::sync::{Mutex, OnceLock};

use crate::error::Result;
use crate::ffmpeg::Demuxer;
use crate::index::VideoIndex;
use crate::source::Source;

/// Open files that are kept at most.
const MAX_KEPT: usize = 8;
/// Packets of a video beyond which it is not kept: its demuxer may hold some 30 bytes for each.
const MAX_PACKETS: usize = 500_000;

struct Kept {
    /// [`VideoIndex::serial`] of the video; a changed file gets a new one.
    serial: u64,
    /// The process that opened it: a forked child shares the position in the file with its parent.
    process: u32,
    demuxer: Demuxer,
}

fn kept() -> &'static Mutex<Vec<Kept>> {
    static KEPT: OnceLock<Mutex<Vec<Kept>>> = OnceLock::new();
    KEPT.get_or_init(Mutex::default)
}

/// Opens a video again, or takes one that is open already.
pub(crate) fn take(source: &Source, index: &VideoIndex) -> Result<Demuxer> {
    // `try_lock`: in a child forked while another thread held the lock it stays locked for ever.
    if let Ok(mut kept) = kept().try_lock() {
        let process = std::process::id();
        kept.retain(|entry| entry.process == process);
        if let Some(at) = kept.iter().position(|entry| entry.serial == index.serial) {
            return Ok(kept.swap_remove(at).demuxer);
        }
    }
    Demuxer::reopen(source, &index.facts)
}

/// Keeps an open video for later. Only files: other sources may hold memory.
pub(crate) fn give(source: &Source, index: &VideoIndex, demuxer: Demuxer) {
    if source.as_file().is_none() || index.packets.len() > MAX_PACKETS {
        return;
    }
    if let Ok(mut kept) = kept().try_lock() {
        if kept.len() >= MAX_KEPT {
            kept.remove(0);
        }
        kept.push(Kept { serial: index.serial, process: std::process::id(), demuxer });
    }
}
