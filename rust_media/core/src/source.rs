//! Where the bytes of a medium come from: a file, a byte range of a file, memory, or anything that
//! can be read at an offset.

use std::fmt::{self, Debug};
use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use crate::error::{MediaError, Result};

/// What errors call bytes without a name.
pub const MEMORY: &str = "<memory>";

/// Bytes that can be read at any offset, from several threads at once.
#[allow(clippy::len_without_is_empty)]
pub trait ReadAt: Send + Sync + Debug {
    /// Reads up to `buffer.len()` bytes at `offset` and says how many. Fewer may come at any
    /// time; none only at the end.
    ///
    /// # Errors
    /// Whatever the storage reports.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// How many bytes there are.
    fn len(&self) -> u64;
}

/// Reads until `buffer` is full or the end is reached; says how many bytes there were.
///
/// # Errors
/// Whatever the storage reports, and `UnexpectedEof` if it has fewer bytes than it announced.
pub fn read_up_to(reader: &dyn ReadAt, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match read_some(reader, offset + filled as u64, &mut buffer[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

/// One read within the announced size. Zero only at that size: a source that ends earlier, or
/// that claims more bytes than were asked for, is an error and not a short medium.
///
/// # Errors
/// As [`read_up_to`].
pub fn read_some(reader: &dyn ReadAt, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let left = reader.len().saturating_sub(offset);
    let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
    if wanted == 0 {
        return Ok(0);
    }
    loop {
        match reader.read_at(offset, &mut buffer[..wanted]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(0) => {
                let words =
                    format!("nothing came at byte {offset} of the announced {}", reader.len());
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, words));
            }
            Ok(read) if read > wanted => {
                let words = format!("{read} bytes came at byte {offset} where {wanted} were asked");
                return Err(io::Error::new(io::ErrorKind::InvalidData, words));
            }
            other => return other,
        }
    }
}

/// What tells whether two sources have the same content, without reading it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Identity {
    /// A file as it was at some time, or a range of it.
    File {
        /// The path as it was given.
        path: PathBuf,
        /// Number of the file system and of the file in it.
        inode: (u64, u64),
        /// In bytes.
        size: u64,
        /// Seconds and nanoseconds of the last change.
        modified: (i64, i64),
        /// First byte and number of bytes; None for the whole file.
        range: Option<(u64, u64)>,
    },
    /// What the caller says the content is called.
    Key(String),
    /// One source object and its clones.
    Instance(u64),
}

#[derive(Clone)]
enum Content {
    File(PathBuf),
    Range { path: PathBuf, offset: u64, length: u64 },
    Reader(Arc<dyn ReadAt>),
}

/// A medium: its content, and what it is called in messages. Cheap to clone.
#[derive(Clone)]
pub struct Source {
    name: PathBuf,
    content: Content,
    identity: Option<Identity>,
}

impl Source {
    /// A whole file.
    #[must_use]
    pub fn file(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self { name: path.clone(), content: Content::File(path), identity: None }
    }

    /// `length` bytes of a file from `offset` on, for example a stored member of an archive.
    #[must_use]
    pub fn range(path: impl Into<PathBuf>, offset: u64, length: u64) -> Self {
        let path = path.into();
        let name = format!("bytes://{offset}-{length}::{}", path.display()).into();
        Self { name, content: Content::Range { path, offset, length }, identity: None }
    }

    /// Bytes in memory.
    #[must_use]
    pub fn memory<B>(bytes: B) -> Self
    where
        B: AsRef<[u8]> + Send + Sync + 'static,
    {
        Self::reader(Arc::new(Memory(bytes)), MEMORY)
    }

    /// Anything that can be read at an offset.
    #[must_use]
    pub fn reader(reader: Arc<dyn ReadAt>, name: impl Into<PathBuf>) -> Self {
        Self { name: name.into(), content: Content::Reader(reader), identity: None }
    }

    /// The same content under another name.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<PathBuf>) -> Self {
        self.name = name.into();
        self
    }

    /// Lets what is learnt about memory and readers be remembered: under `key`, which names the
    /// content for as long as the process lives, or else for this object and its clones.
    #[must_use]
    pub fn with_key(mut self, key: Option<String>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        self.identity = Some(match key {
            Some(key) => Identity::Key(key),
            None => Identity::Instance(NEXT.fetch_add(1, Ordering::Relaxed)),
        });
        self
    }

    /// What messages call it.
    #[must_use]
    pub fn name(&self) -> &Path {
        &self.name
    }

    /// The path, if it is a whole file.
    #[must_use]
    pub fn as_file(&self) -> Option<&Path> {
        match &self.content {
            Content::File(path) => Some(path),
            _ => None,
        }
    }

    /// Checks that there is something to read, and says what identifies it; None for memory and
    /// readers that were given no key.
    ///
    /// # Errors
    /// `NotFound`, `Unreadable` or `Decode` (empty, or a range past the end of its file).
    pub fn check(&self) -> Result<Option<Identity>> {
        let (path, range) = match &self.content {
            Content::File(path) => (path, None),
            Content::Range { path, offset, length } => (path, Some((*offset, *length))),
            Content::Reader(reader) if reader.len() == 0 => return Err(self.empty("content")),
            Content::Reader(_) => return Ok(self.identity.clone()),
        };
        let metadata = self.check_file(path)?;
        if let Some((offset, length)) = range {
            self.check_range(offset, length, metadata.len())?;
        }
        Ok(Some(Identity::File {
            path: path.clone(),
            inode: (metadata.dev(), metadata.ino()),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            range,
        }))
    }

    /// Checks that `path` is a regular, readable, non-empty file.
    fn check_file(&self, path: &Path) -> Result<Metadata> {
        let metadata = std::fs::metadata(path).map_err(|e| MediaError::from_io(&self.name, &e))?;
        if metadata.is_dir() {
            return Err(MediaError::unreadable(&self.name, "it is a folder"));
        }
        if !metadata.is_file() {
            return Err(MediaError::unreadable(&self.name, "it is not a regular file"));
        }
        File::open(path).map_err(|e| MediaError::from_io(&self.name, &e))?;
        if metadata.len() == 0 {
            return Err(self.empty("file"));
        }
        Ok(metadata)
    }

    fn check_range(&self, offset: u64, length: u64, size: u64) -> Result<()> {
        match offset.checked_add(length) {
            _ if length == 0 => Err(self.empty("content")),
            Some(end) if end <= size => Ok(()),
            _ => {
                let reason = format!(
                    "{length} bytes from byte {offset} on were asked for, but the file has {size}"
                );
                Err(MediaError::decode(&self.name, reason))
            }
        }
    }

    fn empty(&self, what: &str) -> MediaError {
        MediaError::decode(&self.name, format!("the {what} is empty (0 bytes)"))
    }

    /// Opens it for reading.
    ///
    /// # Errors
    /// `NotFound`, `Unreadable`.
    pub fn open(&self) -> Result<Arc<dyn ReadAt>> {
        let open = |path: &Path| File::open(path).map_err(|e| MediaError::from_io(&self.name, &e));
        Ok(match &self.content {
            Content::File(path) => {
                let file = open(path)?;
                let metadata = file.metadata().map_err(|e| MediaError::from_io(&self.name, &e))?;
                Arc::new(FileRange { file, offset: 0, length: metadata.len() })
            }
            Content::Range { path, offset, length } => {
                Arc::new(FileRange { file: open(path)?, offset: *offset, length: *length })
            }
            Content::Reader(reader) => Arc::clone(reader),
        })
    }
}

impl Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("name", &self.name).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct FileRange {
    file: File,
    offset: u64,
    length: u64,
}

impl ReadAt for FileRange {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(buffer, self.offset + offset)
    }

    fn len(&self) -> u64 {
        self.length
    }
}

struct Memory<B>(B);

impl<B: AsRef<[u8]> + Send + Sync> ReadAt for Memory<B> {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.0.as_ref();
        let rest = usize::try_from(offset).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
        let read = rest.len().min(buffer.len());
        buffer[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }

    fn len(&self) -> u64 {
        self.0.as_ref().len() as u64
    }
}

impl<B: AsRef<[u8]>> Debug for Memory<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes in memory", self.0.as_ref().len())
    }
}

/// Reads a source from front to back, or wherever it is told to go.
#[derive(Debug)]
pub struct Cursor {
    reader: Arc<dyn ReadAt>,
    position: u64,
    failure: Arc<OnceLock<String>>,
}

impl Cursor {
    /// Starts at the first byte.
    #[must_use]
    pub fn new(reader: Arc<dyn ReadAt>) -> Self {
        Self { reader, position: 0, failure: Arc::default() }
    }

    /// Where the reason will be found if reading fails: decoders tend to hide it.
    #[must_use]
    pub fn failure(&self) -> Arc<OnceLock<String>> {
        Arc::clone(&self.failure)
    }
}

impl Read for Cursor {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = read_some(self.reader.as_ref(), self.position, buffer)
            .inspect_err(|error| drop(self.failure.set(error.to_string())))?;
        self.position += read as u64;
        Ok(read)
    }
}

impl Seek for Cursor {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(step) => self.position.checked_add_signed(step),
            SeekFrom::End(step) => self.reader.len().checked_add_signed(step),
        };
        self.position = target.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte at a time, and claims a size of its own.
    #[derive(Debug)]
    struct Trickle {
        bytes: &'static [u8],
        claimed: u64,
    }

    impl ReadAt for Trickle {
        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
            match self.bytes.get(offset as usize) {
                Some(&byte) => {
                    buffer[0] = byte;
                    Ok(1)
                }
                None => Ok(0),
            }
        }

        fn len(&self) -> u64 {
            self.claimed
        }
    }

    #[test]
    fn short_reads_are_put_together() {
        let mut buffer = [0; 8];
        let reader = Trickle { bytes: b"abcdef", claimed: 6 };
        assert_eq!(read_up_to(&reader, 2, &mut buffer).unwrap(), 4);
        assert_eq!(&buffer[..4], b"cdef");
    }

    #[test]
    fn a_source_that_ends_early_is_an_error() {
        let mut buffer = [0; 8];
        let error = read_up_to(&Trickle { bytes: b"abc", claimed: 6 }, 0, &mut buffer).unwrap_err();
        assert_eq!(error.to_string(), "nothing came at byte 3 of the announced 6");
    }

    #[test]
    fn ranges_stay_within_their_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("packed");
        std::fs::write(&path, b"0123456789").unwrap();
        let mut buffer = [0; 16];
        let reader = Source::range(&path, 3, 4).open().unwrap();
        assert_eq!(read_up_to(reader.as_ref(), 0, &mut buffer).unwrap(), 4);
        assert_eq!(&buffer[..4], b"3456");
        assert!(Source::range(&path, 3, 7).check().is_ok());
        for (offset, length) in [(3, 8), (11, 1), (u64::MAX, 2), (3, 0)] {
            let error = Source::range(&path, offset, length).check().unwrap_err();
            assert!(matches!(error, MediaError::Decode { .. }), "{offset} {length}");
        }
    }

    #[test]
    fn only_what_can_be_told_apart_has_an_identity() {
        assert_eq!(Source::memory(vec![1]).check().unwrap(), None);
        let kept = Source::memory(vec![1]).with_key(None);
        assert_eq!(kept.check().unwrap(), kept.clone().check().unwrap());
        let other = Source::memory(vec![1]).with_key(None);
        assert_ne!(kept.check().unwrap(), other.check().unwrap());
        let named = || Source::memory(vec![1]).with_key(Some("v1/7".to_owned()));
        assert_eq!(named().check().unwrap(), named().check().unwrap());
    }

    #[test]
    fn a_cursor_goes_where_it_is_told() {
        let mut cursor = Cursor::new(Source::memory(b"abcdef".to_vec()).open().unwrap());
        let mut text = String::new();
        cursor.seek(SeekFrom::End(-2)).unwrap();
        cursor.read_to_string(&mut text).unwrap();
        assert_eq!(text, "ef");
        assert!(cursor.seek(SeekFrom::Current(-9)).is_err());
    }
}
