//! Index a file and decode frames of it at three places, twice: the second answer must be the
//! first one's, whether the index came from memory or the file was damaged.
#![no_main]

use std::io::Write;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use media_core::interrupt::never;
use media_core::video::{decode_into, FrameOptions};
use media_core::{index, Interrupt, Source};
use tempfile::TempDir;

const OPTIONS: FrameOptions = FrameOptions { size: Some((16, 16)), rotate: true };

fn folder() -> &'static TempDir {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    FOLDER.get_or_init(|| tempfile::tempdir().expect("a folder for the input"))
}

fuzz_target!(|data: &[u8]| {
    let path = folder().path().join("input");
    let mut file = std::fs::File::create(&path).expect("the input can be created");
    file.write_all(data).expect("the input can be written");
    drop(file);
    let source = Source::file(path);
    let interrupt = Interrupt::new(&never);
    let Ok(found) = index::open(&source, &interrupt) else { return };
    assert!(!found.is_empty() && found.times().len() == found.len());
    let wanted = [0, found.len() / 2, found.len() - 1];
    let mut out = vec![0; OPTIONS.frame_bytes(&found) * wanted.len()];
    let Ok(_) = decode_into(&source, &found, &wanted, OPTIONS, &mut out, &interrupt) else { return };
    // What is left of a damaged Motion JPEG picture is what its buffer held before.
    if found.facts.codec == "mjpeg" {
        return;
    }
    let mut again = vec![1; out.len()];
    if decode_into(&source, &found, &wanted, OPTIONS, &mut again, &interrupt).is_ok() {
        assert!(out == again, "two decodes of one file differ");
    }
});
