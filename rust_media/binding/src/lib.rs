//! The Python extension `lmms._media`: converts arguments, releases the GIL, maps errors. All
//! decisions are in `media-core` and `irt`.
// PyO3 takes arguments by value.
#![allow(clippy::needless_pass_by_value)]

mod audio;
mod errors;
mod images;
mod irt;
mod memory;
mod patches;
mod sequence;
mod signals;
mod source;
mod video;

use pyo3::prelude::*;

/// The version of libavcodec that this process decodes with.
#[pyfunction]
fn ffmpeg_version() -> String {
    media_core::ffmpeg::version()
}

/// How many threads may decode at the same time in this process.
#[pyfunction]
fn thread_budget() -> usize {
    media_core::threads::budget()
}

/// Sets the number of decoding threads of this process; 0 means one per core.
#[pyfunction]
#[pyo3(signature = (threads))]
fn set_thread_budget(threads: usize) {
    media_core::threads::set_budget(threads);
}

#[pymodule]
fn _media(module: &Bound<'_, PyModule>) -> PyResult<()> {
    errors::register(module)?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<audio::AudioProbe>()?;
    module.add_class::<irt::PyItemPool>()?;
    module.add_class::<sequence::FrameSequence>()?;
    module.add_class::<source::PySource>()?;
    module.add_class::<video::Probe>()?;
    module.add_function(wrap_pyfunction!(ffmpeg_version, module)?)?;
    module.add_function(wrap_pyfunction!(thread_budget, module)?)?;
    module.add_function(wrap_pyfunction!(set_thread_budget, module)?)?;
    module.add_function(wrap_pyfunction!(video::probe, module)?)?;
    module.add_function(wrap_pyfunction!(video::frame_times, module)?)?;
    module.add_function(wrap_pyfunction!(video::read_frames, module)?)?;
    module.add_function(wrap_pyfunction!(audio::probe_audio, module)?)?;
    module.add_function(wrap_pyfunction!(audio::read_audio, module)?)?;
    module.add_function(wrap_pyfunction!(video::key_frames, module)?)?;
    module.add_function(wrap_pyfunction!(video::nearest_key_frames, module)?)?;
    module.add_function(wrap_pyfunction!(images::load_image, module)?)?;
    module.add_function(wrap_pyfunction!(images::image_size, module)?)?;
    module.add_function(wrap_pyfunction!(images::resize, module)?)?;
    module.add_function(wrap_pyfunction!(images::encode_images, module)?)?;
    module.add_function(wrap_pyfunction!(images::image_fingerprints, module)?)?;
    module.add_function(wrap_pyfunction!(images::plain_image_format, module)?)?;
    module.add_function(wrap_pyfunction!(images::wrap_image, module)?)?;
    module.add_function(wrap_pyfunction!(patches::patchify, module)?)?;
    module.add_function(wrap_pyfunction!(irt::irt_estimate, module)?)?;
    module.add_function(wrap_pyfunction!(irt::irt_trajectories, module)?)?;
    Ok(())
}
