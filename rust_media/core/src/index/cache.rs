//! Indexes of recently used files, bounded by their packets.

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use super::VideoIndex;
use crate::source::Identity;

const MAX_FILES: usize = 256;
/// About 200 MB.
const MAX_TOTAL_PACKETS: usize = 4_000_000;

type Entries = Vec<(Identity, Arc<VideoIndex>)>;

fn entries() -> &'static Mutex<Entries> {
    static ENTRIES: OnceLock<Mutex<Entries>> = OnceLock::new();
    ENTRIES.get_or_init(Mutex::default)
}

// `try_lock` throughout: in a child forked while another thread held the lock it stays locked
// for ever; there the cache is merely empty.
pub(super) fn get(path: &Path, key: &Identity) -> Option<Arc<VideoIndex>> {
    let mut entries = entries().try_lock().ok()?;
    let at = entries.iter().position(|(k, index)| k == key && index.path == path)?;
    let entry = entries.remove(at);
    let found = Arc::clone(&entry.1);
    entries.push(entry);
    Some(found)
}

pub(super) fn put(key: Identity, index: &Arc<VideoIndex>) {
    let Ok(mut entries) = entries().try_lock() else { return };
    // What a file held before is of no use; other sources may share a name.
    entries.retain(|(old_key, old)| {
        let same_file = matches!(old_key, Identity::File { .. }) && old.path == index.path;
        !same_file && *old_key != key
    });
    entries.push((key, Arc::clone(index)));
    let total = |entries: &Entries| entries.iter().map(|e| e.1.packets.len()).sum::<usize>();
    while entries.len() > MAX_FILES || (entries.len() > 1 && total(&entries) > MAX_TOTAL_PACKETS) {
        entries.remove(0);
    }
}
