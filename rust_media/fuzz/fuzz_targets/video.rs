//! Index a file and decode frames of it at three places, twice: the second answer must be the
//! first one's, however damaged the file is. The short way to the index must give what the long
//! one gives.
#![no_main]

use libfuzzer_sys::fuzz_target;
use media_core::interrupt::never;
use media_core::video::{decode_into, FrameOptions};
use media_core::{index, Interrupt, Source};

const OPTIONS: FrameOptions = FrameOptions { size: Some((16, 16)), rotate: true };

fuzz_target!(|data: &[u8]| {
    let source = Source::memory(data.to_vec());
    let interrupt = Interrupt::new(&never);
    let Ok(found) = index::open(&source, &interrupt) else { return };
    assert!(!found.is_empty() && found.times().len() == found.len());
    // Animations have a way of their own, and one only.
    if found.facts.codec != "webp" {
        let scanned = index::build_by_scan(&source, &interrupt).expect("the long way leads there");
        assert!(found.pts == scanned.pts && found.order == scanned.order, "two ways, two answers");
        assert!(found.warnings == scanned.warnings);
        assert!(found.last_duration == scanned.last_duration);
    }
    let wanted = [0, found.len() / 2, found.len() - 1];
    let mut out = vec![0; OPTIONS.frame_bytes(&found) * wanted.len()];
    let Ok(_) = decode_into(&source, &found, &wanted, OPTIONS, &mut out, &interrupt) else {
        return;
    };
    let mut again = vec![1; out.len()];
    if decode_into(&source, &found, &wanted, OPTIONS, &mut again, &interrupt).is_ok() {
        assert!(out == again, "two decodes of one file differ");
    }
});
