//! One error type for everything that media can do wrong.

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::{Path, PathBuf};

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, MediaError>;

/// Why a medium could not be served. Every arm names the file and the reason.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// The path does not exist.
    #[error("{}: no such file", path.display())]
    NotFound {
        /// The path as it was given.
        path: PathBuf,
    },
    /// The file exists but cannot be opened (permissions, a folder, a pipe, an I/O error).
    #[error("{}: cannot be read: {reason}", path.display())]
    Unreadable {
        /// The path as it was given.
        path: PathBuf,
        /// What the operating system said, or what the path is instead of a file.
        reason: String,
    },
    /// The content is not what its decoder can read.
    #[error("{}: {reason}", path.display())]
    Decode {
        /// The path as it was given; `<memory>` for bytes.
        path: PathBuf,
        /// What was wrong, in one sentence.
        reason: String,
    },
    /// More pixels, packets or bytes than this process is willing to hold.
    #[error("{}: {reason}", path.display())]
    TooLarge {
        /// The path as it was given; `<memory>` for bytes.
        path: PathBuf,
        /// Which limit was hit and by how much.
        reason: String,
    },
    /// Content or a request that this build has no means for (codec, format, filter).
    #[error("{}: {reason}", path.display())]
    Unsupported {
        /// The path as it was given; `<memory>` for bytes.
        path: PathBuf,
        /// What is missing.
        reason: String,
    },
    /// A frame index past the end of the video.
    #[error("{}: frame {index} was asked for, but there are {total} frames (0 to {})",
            path.display(), total.saturating_sub(1))]
    OutOfRange {
        /// The path as it was given.
        path: PathBuf,
        /// The index that was asked for.
        index: usize,
        /// How many frames there are.
        total: usize,
    },
    /// The caller asked to stop.
    #[error("{}: interrupted", path.display())]
    Interrupted {
        /// The path that was being worked on.
        path: PathBuf,
    },
    /// A defect of this library or of FFmpeg; never the fault of the input alone.
    #[error("{}: internal error: {reason}", path.display())]
    Internal {
        /// The path that was being worked on.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
}

impl MediaError {
    /// The file that the error is about.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::NotFound { path }
            | Self::Unreadable { path, .. }
            | Self::Decode { path, .. }
            | Self::TooLarge { path, .. }
            | Self::Unsupported { path, .. }
            | Self::OutOfRange { path, .. }
            | Self::Interrupted { path }
            | Self::Internal { path, .. } => path,
        }
    }

    pub(crate) fn decode(path: &Path, reason: impl Into<String>) -> Self {
        Self::Decode { path: path.to_owned(), reason: reason.into() }
    }

    pub(crate) fn unreadable(path: &Path, reason: impl Into<String>) -> Self {
        Self::Unreadable { path: path.to_owned(), reason: reason.into() }
    }

    pub(crate) fn too_large(path: &Path, reason: impl Into<String>) -> Self {
        Self::TooLarge { path: path.to_owned(), reason: reason.into() }
    }

    pub(crate) fn unsupported(path: &Path, reason: impl Into<String>) -> Self {
        Self::Unsupported { path: path.to_owned(), reason: reason.into() }
    }

    pub(crate) fn internal(path: &Path, reason: impl Into<String>) -> Self {
        Self::Internal { path: path.to_owned(), reason: reason.into() }
    }

    pub(crate) fn from_io(path: &Path, error: &std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::NotFound {
            return Self::NotFound { path: path.to_owned() };
        }
        Self::unreadable(path, error.to_string())
    }
}

/// Runs `work` and turns a panic into [`MediaError::Internal`], so that a defect costs one sample
/// and not the process.
///
/// # Errors
/// Whatever `work` returns, or `Internal` with the panic's message.
pub fn contain_panics<T>(path: &Path, work: impl FnOnce() -> Result<T>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result,
        Err(payload) => Err(MediaError::internal(path, panic_message(payload.as_ref()))),
    }
}

pub(crate) fn panic_message(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "unknown".to_owned());
    format!("panic: {text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_internal_error() {
        let error = contain_panics::<()>(Path::new("clip.mp4"), || {
            let empty: Vec<u8> = Vec::new();
            let index = empty.len();
            let _ = empty[index];
            Ok(())
        })
        .unwrap_err();
        assert!(matches!(&error, MediaError::Internal { .. }));
        assert!(error.to_string().contains("clip.mp4: internal error: panic: index out of bounds"));
    }

    #[test]
    fn a_missing_file_is_not_called_unreadable() {
        let io = std::io::Error::from(std::io::ErrorKind::NotFound);
        let error = MediaError::from_io(Path::new("a.mp4"), &io);
        assert!(matches!(error, MediaError::NotFound { .. }));
        assert_eq!(error.to_string(), "a.mp4: no such file");
    }
}
