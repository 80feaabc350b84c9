//! Load a picture; what its header announced must be what is given, and it must encode again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use media_core::encode::{encode, ImageFormat};
use media_core::image::{load, size};
use media_core::Source;

/// Larger pictures are legal but would only make the fuzzer slow.
const MAX_SIDE: u32 = 4096;

fuzz_target!(|data: &[u8]| {
    let source = Source::memory(data.to_vec());
    let Ok((width, height)) = size(&source) else { return };
    if width > MAX_SIDE || height > MAX_SIDE {
        return;
    }
    let Ok(picture) = load(&source) else { return };
    assert_eq!((picture.width, picture.height), (width, height));
    assert_eq!(picture.rgb.len(), width as usize * height as usize * 3);
    if width <= 64 && height <= 64 {
        let png = encode(&picture.rgb, width, height, ImageFormat::Png, 90).expect("it encodes");
        let same = load(&Source::memory(png)).expect("it decodes");
        assert!(same.rgb == picture.rgb, "PNG is lossless");
    }
});
