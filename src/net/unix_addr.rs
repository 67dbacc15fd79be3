//! Names of Unix-domain sockets, always such as the kernel takes: knows no file system and no socket.

use std::ffi::OsStr;
use std::fmt::{self, Write as _};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use socket2::SockAddr;

use super::AddrError;

/// The name of a Unix-domain stream socket: a path, or a Linux abstract name.
///
/// It is checked when made, so that it always fits the kernel's address. An abstract name has neither a file nor
/// permissions: every process in the same network namespace can connect to it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct UnixAddr(Name);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Name {
    Path(PathBuf),
    /// The bytes after the leading NUL.
    Abstract(Box<[u8]>),
}

impl UnixAddr {
    /// What stands before the name in the text of an [`Addr`](super::Addr).
    pub const PREFIX: &'static str = "unix:";

    /// The most bytes a path or an abstract name may have: the kernel's field without the NUL.
    pub const LIMIT: usize = if cfg!(any(target_os = "linux", target_os = "android")) { 107 } else { 103 };

    /// The socket at `path`; a relative one counts from the working directory of the moment it is used.
    ///
    /// # Errors
    ///
    /// If the path is empty, longer than [`LIMIT`](UnixAddr::LIMIT), contains a NUL or ends like a directory.
    pub fn path(path: impl Into<PathBuf>) -> Result<Self, AddrError> {
        let path = path.into();
        let bytes = path.as_os_str().as_bytes();
        let text = || Escaped(bytes).to_string();
        if bytes.is_empty() {
            return Err(AddrError::PathEmpty);
        }
        if bytes.contains(&0) {
            return Err(AddrError::ControlCharacter { text: text() });
        }
        if bytes.len() > UnixAddr::LIMIT {
            return Err(AddrError::PathTooLong { text: text(), length: bytes.len(), limit: UnixAddr::LIMIT });
        }
        if path.file_name().is_none() || bytes.ends_with(b"/") || bytes.ends_with(b"/.") {
            return Err(AddrError::PathIsDirectory { text: text() });
        }
        Ok(UnixAddr(Name::Path(path)))
    }

    /// The Linux abstract name `name`, without its leading NUL or `@`; any bytes are allowed.
    ///
    /// # Errors
    ///
    /// If the name is empty or longer than [`LIMIT`](UnixAddr::LIMIT), or the system knows no abstract names.
    pub fn abstract_name(name: &[u8]) -> Result<Self, AddrError> {
        if !cfg!(any(target_os = "linux", target_os = "android")) {
            return Err(AddrError::NameUnsupported);
        }
        if name.is_empty() {
            return Err(AddrError::NameEmpty);
        }
        if name.len() > UnixAddr::LIMIT {
            let text = Escaped(name).to_string();
            return Err(AddrError::PathTooLong { text, length: name.len(), limit: UnixAddr::LIMIT });
        }
        Ok(UnixAddr(Name::Abstract(name.into())))
    }

    /// The path, unless it is an abstract name.
    #[must_use]
    pub fn as_path(&self) -> Option<&Path> {
        match &self.0 {
            Name::Path(path) => Some(path),
            Name::Abstract(_) => None,
        }
    }

    /// The abstract name without its leading NUL, unless it is a path.
    #[must_use]
    pub fn as_abstract_name(&self) -> Option<&[u8]> {
        match &self.0 {
            Name::Path(_) => None,
            Name::Abstract(name) => Some(name),
        }
    }

    /// The name the kernel gave, which may be one byte longer than what it takes from us; `None` if it is unnamed.
    pub(super) fn from_kernel(address: &SockAddr) -> Option<Self> {
        if let Some(path) = address.as_pathname() {
            return Some(UnixAddr(Name::Path(path.to_owned())));
        }
        address.as_abstract_namespace().map(|name| UnixAddr(Name::Abstract(name.into())))
    }

    /// A name as it stands in the kernel's address: an abstract one begins with a NUL; `None` if it is empty.
    pub(crate) fn from_bytes(name: &[u8]) -> Option<Self> {
        match name {
            [] => None,
            [0, name @ ..] => Some(UnixAddr(Name::Abstract(name.into()))),
            path => Some(UnixAddr(Name::Path(OsStr::from_bytes(path).into()))),
        }
    }

    /// The name as the kernel takes it.
    pub(super) fn to_kernel(&self) -> std::io::Result<SockAddr> {
        match &self.0 {
            Name::Path(path) => SockAddr::unix(path),
            Name::Abstract(name) => {
                let mut bytes = vec![0];
                bytes.extend_from_slice(name);
                SockAddr::unix(OsStr::from_bytes(&bytes))
            }
        }
    }
}

impl fmt::Display for UnixAddr {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(UnixAddr::PREFIX)?;
        match &self.0 {
            Name::Path(path) => {
                let bytes = path.as_os_str().as_bytes();
                formatter.write_str(if bytes.starts_with(b"@") { "./" } else { "" })?;
                Escaped(bytes).fmt(formatter)
            }
            Name::Abstract(name) => write!(formatter, "@{}", Escaped(name)),
        }
    }
}

impl fmt::Debug for UnixAddr {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "UnixAddr({self})")
    }
}

/// Reads what follows the `unix:`.
impl FromStr for UnixAddr {
    type Err = AddrError;

    fn from_str(text: &str) -> Result<Self, AddrError> {
        if text.chars().any(char::is_control) {
            return Err(AddrError::ControlCharacter { text: text.to_owned() });
        }
        match text.strip_prefix('@') {
            Some(name) => UnixAddr::abstract_name(name.as_bytes()),
            None => UnixAddr::path(text),
        }
    }
}

/// Bytes as text that cannot forge a line of a log: control characters and broken UTF-8 are shown as escapes.
struct Escaped<'a>(&'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                if character.is_control() {
                    write!(formatter, "{}", character.escape_default())?;
                } else {
                    formatter.write_char(character)?;
                }
            }
            for byte in chunk.invalid() {
                write!(formatter, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_fits_up_to_the_limit() {
        for length in [1, UnixAddr::LIMIT - 1, UnixAddr::LIMIT] {
            let addr = UnixAddr::path("x".repeat(length)).unwrap();
            assert!(addr.to_kernel().is_ok(), "{length}");
        }
        let fault = UnixAddr::path("x".repeat(UnixAddr::LIMIT + 1)).unwrap_err();
        assert!(fault.to_string().contains("108 bytes long and the system takes 107"), "{fault}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_abstract_name_fits_up_to_the_limit() {
        for length in [1, UnixAddr::LIMIT - 1, UnixAddr::LIMIT] {
            let addr = UnixAddr::abstract_name(&vec![b'x'; length]).unwrap();
            assert_eq!(UnixAddr::from_kernel(&addr.to_kernel().unwrap()).unwrap(), addr);
        }
        assert!(UnixAddr::abstract_name(&[b'x'; UnixAddr::LIMIT + 1]).is_err());
        assert_eq!(UnixAddr::abstract_name(b"").unwrap_err(), AddrError::NameEmpty);
    }

    #[test]
    fn a_path_that_names_no_file_is_refused() {
        assert_eq!(UnixAddr::path("").unwrap_err(), AddrError::PathEmpty);
        assert!(matches!(UnixAddr::path("/run/").unwrap_err(), AddrError::PathIsDirectory { .. }));
        assert!(matches!(UnixAddr::path("/run/..").unwrap_err(), AddrError::PathIsDirectory { .. }));
        assert!(matches!(UnixAddr::path("a\0b").unwrap_err(), AddrError::ControlCharacter { .. }));
    }

    #[test]
    fn a_name_cannot_forge_a_line_of_a_log() {
        let addr = UnixAddr::path(PathBuf::from(OsStr::from_bytes(b"a\nb\x1b[2J\xff"))).unwrap();
        assert_eq!(addr.to_string(), "unix:a\\nb\\u{1b}[2J\\xff");
    }

    #[test]
    fn a_path_that_begins_with_an_at_sign_is_not_shown_as_an_abstract_name() {
        assert_eq!(UnixAddr::path("@echo").unwrap().to_string(), "unix:./@echo");
    }
}
