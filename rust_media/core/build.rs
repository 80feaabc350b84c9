//! Tells the code which fields the FFmpeg that it is built against has.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-check-cfg=cfg(ffmpeg_6)");
    // By ffmpeg-sys-next, which reads the version from the headers; empty for older ones.
    if std::env::var("DEP_FFMPEG_FFMPEG_6_0").is_ok_and(|flag| flag == "true") {
        println!("cargo:rustc-cfg=ffmpeg_6");
    }
}
