//! Sound: facts and samples.

use media_core::audio::{self, AudioOptions};
use media_core::ffmpeg::{AudioFacts, AudioShape};
use numpy::{PyArray1, PyArray2, PyArrayMethods};
use pyo3::prelude::*;

use crate::source::SourceArg;
use crate::video::{plain, Warnings};

/// Facts about the best audio stream of a file, from its header.
#[pyclass(frozen, get_all, module = "lmms._media")]
pub struct AudioProbe {
    codec: String,
    container: String,
    sample_rate: u32,
    channels: u32,
    /// Length in time stamp units, if the container says.
    duration: Option<i64>,
    /// Seconds per unit as (numerator, denominator).
    time_base: (i32, i32),
    start_seconds: f64,
}

impl From<AudioFacts> for AudioProbe {
    fn from(facts: AudioFacts) -> Self {
        Self {
            codec: facts.codec,
            container: facts.format,
            sample_rate: facts.sample_rate,
            channels: facts.channels,
            duration: facts.duration,
            time_base: facts.time_base,
            start_seconds: facts.start_seconds,
        }
    }
}

/// Says what is known about the sound of a file.
#[pyfunction]
#[pyo3(signature = (medium))]
pub fn probe_audio(py: Python<'_>, medium: SourceArg) -> PyResult<AudioProbe> {
    medium.work(py, |source, _| Ok(AudioProbe::from(audio::probe(source)?)))
}

type Samples<'py> = (Bound<'py, PyArray2<f32>>, u32, u64, u64, Warnings);

/// Decodes sound; returns (channels, n) float32, the sample rate, the position of the first
/// sample, how many samples of the stream were reached, and the warnings as (code, message).
#[pyfunction]
#[pyo3(signature = (medium, sample_rate, channels, start, end, max_bytes))]
pub fn read_audio(
    py: Python<'_>,
    medium: SourceArg,
    sample_rate: Option<u32>,
    channels: Option<u32>,
    start: f64,
    end: Option<f64>,
    max_bytes: usize,
) -> PyResult<Samples<'_>> {
    let shape = AudioShape { sample_rate, channels };
    let options = AudioOptions { shape, start, end, max_bytes };
    let sound = medium.work(py, |source, interrupt| audio::read(source, options, interrupt))?;
    let count = sound.channels.first().map_or(0, Vec::len);
    let shape = [sound.channels.len(), count];
    let mut channels = sound.channels.into_iter();
    let samples = if shape[0] == 1 {
        PyArray1::from_vec(py, channels.next().unwrap_or_default()).reshape(shape)?
    } else {
        let samples = PyArray2::<f32>::zeros(py, shape, false);
        let mut writable = samples.readwrite();
        for (row, channel) in writable.as_slice_mut()?.chunks_mut(count.max(1)).zip(channels) {
            row.copy_from_slice(&channel);
        }
        drop(writable);
        samples
    };
    Ok((samples, sound.sample_rate, sound.first, sound.reached, plain(&sound.warnings)))
}
