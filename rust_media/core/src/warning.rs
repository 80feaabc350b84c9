//! What was wrong with a medium although something could be read from it.

use std::fmt;

/// The kinds of warning, stable names for reports and tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WarningCode {
    /// The file ends before its container says it should.
    Truncated,
    /// The container flagged packets as damaged, or reading stopped with an error.
    CorruptPackets,
    /// The decoder refused packets or had to conceal missing parts.
    DecodeErrors,
    /// Frames announced by the container could not be decoded; the nearest earlier one stands in.
    MissingFrames,
    /// Frames carry no usable time stamps; times follow the average frame rate.
    NoTimestamps,
    /// Frames have another size than the stream announces; they are scaled to the announced one.
    SizeChanged,
    /// Rotation metadata asks for an angle that is not a multiple of 90 degrees; not applied.
    OddRotation,
}

impl WarningCode {
    /// The stable name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::CorruptPackets => "corrupt_packets",
            Self::DecodeErrors => "decode_errors",
            Self::MissingFrames => "missing_frames",
            Self::NoTimestamps => "no_timestamps",
            Self::SizeChanged => "size_changed",
            Self::OddRotation => "odd_rotation",
        }
    }
}

/// One warning: a stable code and a sentence with the figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaWarning {
    /// What kind of damage.
    pub code: WarningCode,
    /// The sentence shown to a person.
    pub message: String,
}

impl MediaWarning {
    pub(crate) fn new(code: WarningCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl fmt::Display for MediaWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.name(), self.message)
    }
}
