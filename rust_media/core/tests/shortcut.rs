//! The short way to an index must give what reading all packets gives, or nothing.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use media_core::index::{build, build_by_scan, Numbering, VideoIndex};
use media_core::interrupt::never;
use media_core::video::{decode_into, FrameOptions};
use media_core::{threads, Interrupt, MediaError, Source};

const OPTIONS: FrameOptions = FrameOptions { size: Some((16, 24)), rotate: true };

/// A generator of numbers that look random, the same ones on every run (`SplitMix64`).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) % end as u64) as usize
    }
}

fn long() -> bool {
    std::env::var("LMMS_FUZZ").is_ok_and(|value| value == "long")
}

/// Everything of an index but its packets' decode times, which FFmpeg makes up where a container
/// has none, and the keyframes beyond those that the container lists.
fn told(index: &VideoIndex) -> Vec<String> {
    let facts = &index.facts;
    let packets: Vec<_> = index.packets.iter().map(|p| (p.pts, p.discard, p.corrupt)).collect();
    vec![
        format!("{}x{} of stream {}", facts.width, facts.height, facts.stream_index),
        format!("{} {} {}", facts.codec, facts.format, facts.pixel_format),
        format!("{:?} {:?}", facts.time_base, facts.average_rate),
        format!("{:?} {:?}", facts.declared_frames, facts.orientation),
        format!("{} frames {:?}, first key {:?}", index.len(), index.numbering, index.keys.first()),
        format!("{} {}", index.last_duration, index.duration_seconds()),
        format!("{:?}", index.warnings),
        format!("{:?}", index.order),
        format!("{:?}", index.pts),
        format!("{packets:?}"),
    ]
}

fn compare(source: &Source, what: &str) -> Option<VideoIndex> {
    let interrupt = Interrupt::new(&never);
    let (short, scanned) = (build(source, &interrupt), build_by_scan(source, &interrupt));
    match (short, scanned) {
        (Ok(short), Ok(scanned)) => {
            for (one, other) in told(&short).iter().zip(told(&scanned)) {
                assert!(*one == other, "{what}: {one:.300} but {other:.300}");
            }
            let keys: HashSet<u32> = scanned.keys.iter().copied().collect();
            let extra = short.keys.iter().filter(|key| !keys.contains(key)).count();
            assert!(short.facts.codec != "hevc" || extra == 0, "{what}: {extra} keyframes");
            Some(short)
        }
        (Err(short), Err(scanned)) => {
            assert_eq!(short.to_string(), scanned.to_string(), "{what}");
            None
        }
        (short, scanned) => panic!("{what}: {short:?} but {scanned:?}"),
    }
}

/// Decodes some frames and all; with one thread and with four.
fn decode(source: &Source, index: &VideoIndex, wanted: &[usize], budget: usize) -> Vec<u8> {
    threads::set_budget(budget);
    let mut out = vec![0; OPTIONS.frame_bytes(index) * wanted.len()];
    let done = decode_into(source, index, wanted, OPTIONS, &mut out, &Interrupt::new(&never));
    threads::set_budget(0);
    match done {
        Ok(warnings) => out.extend(format!("{warnings:?}").into_bytes()),
        Err(MediaError::Internal { reason, .. }) => panic!("{reason}"),
        Err(error) => out = error.to_string().into_bytes(),
    }
    out
}

/// Compares what both ways lead to: pictures too, which must not depend on threads either.
fn check(bytes: &[u8], what: &str, pictures: bool) {
    let source = Source::memory(bytes.to_vec());
    let Some(index) = compare(&source, what) else { return };
    if !pictures {
        return;
    }
    let scanned = build_by_scan(&source, &Interrupt::new(&never)).unwrap();
    let end = index.len() - 1;
    let wanted = [end / 7, end / 3, end / 2, end - end / 9, end];
    let mut wanted = wanted.to_vec();
    wanted.dedup();
    let expected = decode(&source, &scanned, &wanted, 1);
    assert!(decode(&source, &index, &wanted, 1) == expected, "{what}: other pictures");
    assert!(decode(&source, &index, &wanted, 4) == expected, "{what}: other pictures, 4 threads");
}

/// Flips bits, cuts, moves or zeroes something.
fn mutate(bytes: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut broken = bytes.to_vec();
    let header = broken.windows(4).position(|kind| kind == b"moov").unwrap_or(0);
    let anywhere = numbers.below(2) == 0;
    for _ in 0..=numbers.below(3) {
        let from = if anywhere { 0 } else { header };
        let span = if anywhere { broken.len() } else { (broken.len() - header).min(3000) };
        let at = (from + numbers.below(span)).min(broken.len() - 1);
        match numbers.below(5) {
            0 => broken[at] ^= 1 << numbers.below(8),
            1 => broken[at] = [0, 1, 0x7f, 0xff][numbers.below(4)],
            2 => broken.truncate(at.max(64)),
            3 => {
                let end = (at + 4).min(broken.len());
                broken[at..end].fill(0);
            }
            _ => {
                let end = broken.len() - 1;
                broken.swap(at.min(end), (from + numbers.below(span)).min(end));
            }
        }
    }
    broken
}

fn seeds() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/video");
    let mut found: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    found.iter().map(|path| (name(path), std::fs::read(path).unwrap())).collect()
}

#[test]
fn committed_clips_and_damaged_copies() {
    let rounds = if long() { 500 } else { 25 };
    for (name, bytes) in seeds() {
        if !["mp4", "mov", "mkv", "webm"].iter().any(|suffix| name.ends_with(suffix)) {
            continue;
        }
        check(&bytes, &name, true);
        let mut numbers = Numbers(7);
        for round in 0..rounds {
            let what = format!("{name}, round {round}");
            check(&mutate(&bytes, &mut numbers), &what, round % 10 == 0);
        }
    }
}

/// Every kind of file that FFmpeg's tool writes here; minutes, so only where asked for.
#[test]
fn many_kinds_of_files_and_damaged_copies() {
    if !long() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut failures = 0;
    for (number, (suffix, arguments)) in KINDS.iter().enumerate() {
        let path = folder.path().join(format!("{number}.{suffix}"));
        make(&path, arguments);
        let bytes = std::fs::read(&path).unwrap();
        failures += usize::from(fails(&bytes, arguments, true));
        let mut numbers = Numbers(number as u64);
        for round in 0..500 {
            let what = format!("{arguments}, {suffix}, round {round}");
            let broken = mutate(&bytes, &mut numbers);
            failures += usize::from(fails(&broken, &what, round % 10 == 0));
        }
    }
    assert_eq!(failures, 0);
}

/// Runs a check and says whether it failed.
fn fails(bytes: &[u8], what: &str, pictures: bool) -> bool {
    std::panic::catch_unwind(|| check(bytes, what, pictures)).is_err()
}

/// Runs `ffmpeg` on a moving test picture; "|" parts a first run from a second one on its output.
fn make(path: &Path, arguments: &str) {
    let runs: Vec<&str> = arguments.split('|').collect();
    let between = path.with_extension("first.mp4");
    for (number, run) in runs.iter().enumerate() {
        let mut command = Command::new("ffmpeg");
        command.args(["-v", "error", "-y"]);
        if number == 0 {
            command.args(["-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=5"]);
        }
        let last = number + 1 == runs.len();
        for argument in run.split_whitespace() {
            match argument {
                "FIRST" => command.arg(&between),
                other => command.arg(other),
            };
        }
        let target = if last { path } else { between.as_path() };
        assert!(command.arg(target).status().unwrap().success(), "{arguments}");
    }
}

const KINDS: &[(&str, &str)] = &[
    ("mp4", "-c:v libx264 -bf 0 -g 25"),
    ("mp4", "-c:v libx264 -bf 1 -g 25 -movflags +faststart"),
    ("mp4", "-c:v libx264 -bf 4 -g 40 -x264-params b-pyramid=normal"),
    ("mp4", "-c:v libx264 -bf 3 -g 20 -x264-params open-gop=1:scenecut=0"),
    ("mp4", "-c:v libx264 -bf 2 -g 25 -video_track_timescale 90000"),
    ("mp4", "-c:v libx264 -bf 2 -g 25 -movflags +negative_cts_offsets"),
    ("mp4", "-c:v libx264 -bf 2 -g 25 -use_editlist 0"),
    ("mp4", "-c:v libx264 -bf 2 -movflags +frag_keyframe+empty_moov"),
    ("mp4", "-c:v libx264 -bf 2 -g 25 -movflags +frag_keyframe"),
    ("mp4", "-c:v libx264 -bf 2 -g 25 -movflags +dash+global_sidx"),
    ("mp4", "-c:v libx264 -x264-params intra-refresh=1:keyint=25"),
    ("mp4", "-c:v libx264 -tune zerolatency -preset veryfast -g 30"),
    ("mp4", "-c:v libx264 -g 1"),
    ("mp4", "-c:v libx264 -flags +ilme+ildct -bf 2"),
    ("mp4", "-c:v libx264 -pix_fmt yuv444p10le -bf 2"),
    ("mp4", "-f lavfi -i sine=d=5 -c:v libx264 -bf 2 -g 25 -c:a aac"),
    ("mp4", "-f lavfi -i sine=d=5 -map 1 -map 0 -c:v libx264 -bf 2 -g 25 -c:a aac"),
    (
        "mp4",
        "-vf settb=1/90000,setpts=(N+mod(N\\,3)*0.4)/25/TB -enc_time_base 1:90000 -fps_mode vfr",
    ),
    ("mov", "-c:v libx264 -bf 2 -g 25"),
    ("mp4", "-c:v libx264 -bf 2 -g 25|-ss 1.3 -i FIRST -c copy"),
    ("mp4", "-c:v libx264 -bf 2 -g 25|-i FIRST -t 2.1 -c copy"),
    ("mp4", "-c:v libx264 -bf 2 -g 25|-itsoffset 0.7 -i FIRST -c copy"),
    ("mp4", "-c:v libx264 -bf 2 -g 25|-i FIRST -c copy -metadata:s:v rotate=90"),
    ("mp4", "-c:v libx265 -x265-params log-level=none:bframes=3 -g 25"),
    ("mp4", "-c:v libx265 -x265-params log-level=none:open-gop=1:keyint=20 -tag:v hvc1"),
    ("mp4", "-c:v libx265 -x265-params log-level=none -g 25|-ss 1.3 -i FIRST -c copy"),
    ("mkv", "-c:v libx265 -x265-params log-level=none:bframes=3 -g 25"),
    ("mp4", "-c:v libsvtav1 -preset 10 -g 30"),
    ("mkv", "-c:v libsvtav1 -preset 10 -g 30"),
    ("mp4", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 30"),
    ("webm", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 30"),
    ("webm", "-c:v libvpx -deadline realtime -g 30"),
    ("mkv", "-c:v libx264 -bf 3 -g 25"),
    ("mkv", "-c:v libx264 -bf 3 -g 20 -x264-params open-gop=1:scenecut=0"),
    ("mkv", "-c:v libx264 -tune zerolatency -preset veryfast -g 30"),
    ("mkv", "-c:v mpeg4 -bf 2 -g 25"),
    ("mkv", "-c:v mpeg2video -bf 2 -g 25"),
    ("mp4", "-c:v mpeg4 -bf 2 -g 25"),
    ("mov", "-c:v mjpeg -pix_fmt yuvj420p"),
    ("mov", "-c:v prores_ks"),
];

/// The box of a kind within an MP4 file: where its payload starts.
fn payload_of(bytes: &[u8], kind: [u8; 4]) -> usize {
    bytes.windows(4).position(|window| *window == kind).unwrap() + 4
}

fn seed(name: &str) -> Vec<u8> {
    seeds().into_iter().find(|(found, _)| found == name).unwrap().1
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// Takes sample `at` out of a file whose samples lie in one chunk before the tables; in the table
/// it stays, empty.
fn emptied(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let (sizes, chunks) = (payload_of(&bytes, *b"stsz") + 12, payload_of(&bytes, *b"stco"));
    assert_eq!(word(&bytes, chunks + 4), 1);
    let before: u32 = (0..at).map(|sample| word(&bytes, sizes + 4 * sample)).sum();
    let start = (word(&bytes, chunks + 8) + before) as usize;
    let size = word(&bytes, sizes + 4 * at);
    bytes[sizes + 4 * at..sizes + 4 * at + 4].fill(0);
    let data = payload_of(&bytes, *b"mdat") - 8;
    let length = word(&bytes, data) - size;
    bytes[data..data + 4].copy_from_slice(&length.to_be_bytes());
    bytes.drain(start..start + size as usize);
    bytes
}

#[test]
fn plain_files_are_not_read_whole() {
    let by_tables = ["h264.mp4", "hevc.mp4", "moov_last.mp4", "vfr.mp4", "av1.mp4"];
    let by_packets = ["edit_list.mov", "fragmented.mp4", "hevc.mkv", "vp9.webm"];
    for (names, expected) in [(by_tables.as_slice(), true), (by_packets.as_slice(), false)] {
        for name in names {
            let bytes = seed(&format!("seed_{name}"));
            let index = compare(&Source::memory(bytes), name).unwrap();
            assert_eq!(!index.places.is_empty(), expected, "{name}");
        }
    }
}

#[test]
fn an_empty_sample_is_no_frame() {
    for name in ["seed_moov_last.mp4", "seed_hevc.mp4"] {
        let bytes = seed(name);
        assert!(payload_of(&bytes, *b"mdat") < payload_of(&bytes, *b"moov"));
        let whole = compare(&Source::memory(bytes.clone()), name).unwrap();
        let at = whole.len() - 2;
        check(&emptied(&bytes, at), name, true);
        let index = compare(&Source::memory(emptied(&bytes, at)), name).unwrap();
        assert_eq!(index.len(), whole.len() - 1, "{name}");
        assert_eq!(index.numbering, Numbering::ByPacket, "{name}");
        assert!(index.warnings.is_empty(), "{name}: {:?}", index.warnings);
    }
}

#[test]
fn keyframes_are_not_taken_on_trust() {
    for name in ["seed_h264.mp4", "seed_hevc.mp4"] {
        let mut bytes = seed(name);
        let expected = compare(&Source::memory(bytes.clone()), name).unwrap();
        let kind = payload_of(&bytes, *b"stss") - 4;
        // Without a list all samples are said to be keyframes.
        bytes[kind..kind + 4].copy_from_slice(b"free");
        check(&bytes, name, true);
        let index = compare(&Source::memory(bytes.clone()), name).unwrap();
        assert_eq!(index.keys, expected.keys, "{name}");
        // With an empty one FFmpeg looks for them.
        bytes[kind..kind + 4].copy_from_slice(b"stss");
        bytes[kind + 8..kind + 12].fill(0);
        check(&bytes, name, true);
    }
}
