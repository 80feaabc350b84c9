//! Exact video frames, images and their encodings, without Python.
//!
//! The flow of a video: [`index`] lists its packets without decoding, [`plan`] groups the wanted
//! frames by the keyframe they depend on, [`video`] decodes just those segments in parallel and
//! converts straight into the caller's buffer. [`ffmpeg`] is the only module with unsafe code.

mod animation;
pub mod audio;
mod canvas;
pub mod container;
pub mod encode;
pub mod error;
pub mod ffmpeg;
pub mod image;
pub mod index;
mod indexing;
pub mod interrupt;
mod jpeg;
pub mod keyframes;
mod mp4;
mod numbering;
mod parallel;
pub mod patches;
pub mod plan;
mod pool;
pub mod resize;
mod schedule;
pub mod sequence;
mod shortcut;
pub mod source;
mod straight;
mod supply;
pub mod threads;
pub mod video;
mod walk;
pub mod warning;
mod webp;
mod worker;

pub use error::{MediaError, Result};
pub use interrupt::Interrupt;
pub use source::Source;
pub use warning::{MediaWarning, WarningCode};
