//! Encode pixels of any small size in every format, straight to base64, and read them back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use media_core::encode::{data_url, encode, ImageFormat};
use media_core::image::load;
use media_core::Source;

fuzz_target!(|data: &[u8]| {
    let [width, height, quality, pixels @ ..] = data else { return };
    let (width, height) = (u32::from(*width), u32::from(*height));
    let bytes = width as usize * height as usize * 3;
    let mut rgb = pixels.to_vec();
    // Also sizes that do not fit the bytes: an error, never a read outside of them.
    if pixels.first().is_some_and(|byte| byte % 8 != 0) {
        rgb.resize(bytes, 128);
    }
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP] {
        let Ok(file) = encode(&rgb, width, height, format, *quality) else { continue };
        let picture = load(&Source::memory(file.clone())).expect("what was encoded decodes");
        assert_eq!((picture.width, picture.height), (width, height));
        assert!(format == ImageFormat::Jpeg || picture.rgb == rgb, "{format:?} is lossless");
        let url = data_url(&file, format);
        assert!(url.starts_with("data:image/") && url.len() > file.len());
    }
});
