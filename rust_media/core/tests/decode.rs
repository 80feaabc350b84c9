//! Decoding without Python, on an uncompressed clip written by hand: every frame is one flat grey
//! whose value names it.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

use media_core::interrupt::never;
use media_core::source::ReadAt;
use media_core::video::{decode_into, FrameOptions};
use media_core::{index, Interrupt, MediaError, Source};

const WIDTH: usize = 32;
const HEIGHT: usize = 18;
const FRAMES: usize = 12;
const NATIVE: FrameOptions = FrameOptions { size: None, rotate: true };

fn luma(frame: usize) -> u8 {
    16 + 15 * frame as u8
}

/// The RGB value of a flat grey in BT.601 limited range.
fn grey(frame: usize) -> u8 {
    ((f64::from(luma(frame)) - 16.0) * 255.0 / 219.0).round() as u8
}

fn clip(folder: &Path) -> PathBuf {
    let mut bytes = format!("YUV4MPEG2 W{WIDTH} H{HEIGHT} F10:1 Ip C420jpeg\n").into_bytes();
    for frame in 0..FRAMES {
        bytes.extend_from_slice(b"FRAME\n");
        bytes.extend(std::iter::repeat_n(luma(frame), WIDTH * HEIGHT));
        bytes.extend(std::iter::repeat_n(128, WIDTH * HEIGHT / 2));
    }
    let path = folder.join("clip.y4m");
    std::fs::write(&path, bytes).unwrap();
    path
}

fn decode(path: &Path, indices: &[usize], options: FrameOptions) -> Result<Vec<u8>, MediaError> {
    let interrupt = Interrupt::new(&never);
    let index = index::open(&Source::file(path), &interrupt)?;
    let mut out = vec![0; options.frame_bytes(&index) * indices.len()];
    decode_into(&Source::file(path), &index, indices, options, &mut out, &interrupt)?;
    Ok(out)
}

#[test]
fn the_asked_frames_in_the_asked_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = clip(folder.path());
    let wanted = [7, 0, 11, 7, 3];
    let out = decode(&path, &wanted, NATIVE).unwrap();
    for (frame, pixels) in wanted.iter().zip(out.chunks(WIDTH * HEIGHT * 3)) {
        let expected = grey(*frame);
        assert!(pixels.iter().all(|value| value.abs_diff(expected) <= 1), "frame {frame}");
    }
}

#[test]
fn the_index_knows_frames_and_times() {
    let folder = tempfile::tempdir().unwrap();
    let path = clip(folder.path());
    let index = index::open(&Source::file(&path), &Interrupt::new(&never)).unwrap();
    assert_eq!(index.len(), FRAMES);
    assert_eq!(index.average_rate(), (10, 1));
    assert!((index.duration_seconds() - 1.2).abs() < 1e-9);
    assert!((index.times()[5] - 0.5).abs() < 1e-9);
    assert!(!index.is_variable_rate());
}

#[test]
fn frames_are_resized_into_the_callers_buffer() {
    let folder = tempfile::tempdir().unwrap();
    let path = clip(folder.path());
    let options = FrameOptions { size: Some((5, 7)), rotate: true };
    let out = decode(&path, &[4], options).unwrap();
    assert_eq!(out.len(), 5 * 7 * 3);
    assert!(out.iter().all(|value| value.abs_diff(grey(4)) <= 1));
}

#[test]
fn a_frame_past_the_end_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = clip(folder.path());
    let error = decode(&path, &[FRAMES], NATIVE).unwrap_err();
    assert!(matches!(error, MediaError::OutOfRange { index: FRAMES, total: FRAMES, .. }));
}

#[test]
fn a_wrong_buffer_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = clip(folder.path());
    let interrupt = Interrupt::new(&never);
    let index = index::open(&Source::file(&path), &interrupt).unwrap();
    let mut out = vec![7; NATIVE.frame_bytes(&index) - 1];
    let error =
        decode_into(&Source::file(&path), &index, &[0], NATIVE, &mut out, &interrupt).unwrap_err();
    assert!(matches!(error, MediaError::Internal { .. }));
    assert!(out.iter().all(|&byte| byte == 7));
}

#[test]
fn being_told_to_stop_is_an_error_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = clip(folder.path());
    let index = index::open(&Source::file(&path), &Interrupt::new(&never)).unwrap();
    let mut out = vec![0; NATIVE.frame_bytes(&index)];
    let stop = || true;
    let error =
        decode_into(&Source::file(&path), &index, &[3], NATIVE, &mut out, &Interrupt::new(&stop))
            .unwrap_err();
    assert!(matches!(error, MediaError::Interrupted { .. }));
}

/// The start of a clip, then nothing but zeros, which FFmpeg searches through for more.
#[derive(Debug)]
struct Endless {
    start: Vec<u8>,
    reads: Arc<AtomicUsize>,
}

impl ReadAt for Endless {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        buffer.fill(0);
        let rest = self.start.get(offset as usize..).unwrap_or_default();
        let read = rest.len().min(buffer.len());
        buffer[..read].copy_from_slice(&rest[..read]);
        Ok(buffer.len())
    }

    fn len(&self) -> u64 {
        1 << 40
    }
}

#[test]
fn a_search_through_any_source_can_be_broken_off() {
    let seed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/video/seed_h264.mkv");
    let start = std::fs::read(seed).unwrap();
    let reads = Arc::new(AtomicUsize::new(0));
    let endless =
        Endless { start: start[..start.len() * 2 / 3].to_vec(), reads: Arc::clone(&reads) };
    let source = Source::reader(Arc::new(endless), "endless.mkv");
    let stop = || reads.load(Ordering::Relaxed) > 50;
    let error = index::open(&source, &Interrupt::new(&stop)).unwrap_err();
    assert!(matches!(error, MediaError::Interrupted { .. }), "{error}");
    assert!(reads.load(Ordering::Relaxed) < 100);
}

#[test]
fn what_is_no_video_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.mp4");
    std::fs::write(&empty, b"").unwrap();
    let text = folder.path().join("text.mp4");
    std::fs::write(&text, "plain text ".repeat(1000)).unwrap();
    let reason = |path: &Path| decode(path, &[0], NATIVE).unwrap_err().to_string();
    assert!(reason(&empty).ends_with("empty.mp4: the file is empty (0 bytes)"));
    assert!(reason(&text).contains("text.mp4: not a readable video file"));
    assert!(reason(folder.path()).ends_with("cannot be read: it is a folder"));
    assert!(reason(&folder.path().join("none")).ends_with("none: no such file"));
}
