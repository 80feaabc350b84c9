//! Walk the outermost boxes of a file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use media_core::container::missing_bytes;
use media_core::Source;

fuzz_target!(|data: &[u8]| {
    let content = Source::memory(data.to_vec()).open().expect("memory can be read");
    if let Some(words) = missing_bytes(content.as_ref()) {
        assert!(words.contains(&data.len().to_string()), "it names the true length: {words}");
    }
});
