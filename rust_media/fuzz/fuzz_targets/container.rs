//! Walk the outermost boxes of a file.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use media_core::container::missing_bytes;
use tempfile::TempDir;

fn folder() -> &'static TempDir {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    FOLDER.get_or_init(|| tempfile::tempdir().expect("a folder for the input"))
}

fuzz_target!(|data: &[u8]| {
    let path = folder().path().join("input");
    std::fs::write(&path, data).expect("the input can be written");
    if let Some(words) = missing_bytes(&path) {
        assert!(words.contains(&data.len().to_string()), "it names the true length: {words}");
    }
});
