//! Binding a Unix-domain socket so that nobody slips in before its permissions hold and no live server loses its path:
//! knows no connection and no loop.
//!
//! Beside the socket `echo.sock` stands `echo.sock.lock`, held locked (flock(2)) for as long as the server listens. Only
//! under that lock is a stale socket taken away, bound anew and, in the end, removed. A server that is killed leaves both
//! files; the lock itself dies with it. The lock file is removed under the lock too, and whoever gets the lock looks
//! whether the file it locked is still the one at the path; if not, it begins anew. So two servers never hold two locks.
//! A server that hands its listener over hands the locked file over as well: the lock stays, and the duty to remove both
//! files is the successor's.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use socket2::Socket;

use super::{Addr, NetError, UnixAddr, os};

/// A bound Unix-domain socket with its claim to the path. Fields are dropped in order: the file goes while the socket
/// still holds its inode, so that the number cannot have been given to another file.
pub(super) struct UnixBound {
    claim: Option<PathClaim>,
    socket: Socket,
}

impl UnixBound {
    /// Binds `addr`; a path gets exactly the permission bits `mode`.
    pub(super) fn bind(addr: &UnixAddr, mode: u32) -> Result<Self, NetError> {
        let Some(path) = addr.as_path() else { return bind_abstract(addr) };
        if mode & !0o777 != 0 {
            return Err(NetError::ModeInvalid { mode });
        }
        let path = std::path::absolute(path).map_err(|source| fail(addr, "find the directory", source))?;
        let lock = LockFile::take(addr, &path)?;
        let (socket, user) = unbound(mode).map_err(|source| fail(addr, "open a socket", source))?;
        clear_stale(addr, &path, user)?;
        bind_name(addr, &socket)?;
        let claim = PathClaim::made(addr, path, lock)?;
        claim.widen(mode).map_err(|source| fail(addr, "set the mode", source))?;
        Ok(UnixBound { claim: Some(claim), socket })
    }

    /// One that another process has bound; without a claim its file is somebody else's to take away.
    pub(super) fn inherited(socket: Socket, claim: Option<PathClaim>) -> Self {
        UnixBound { claim, socket }
    }

    pub(super) fn claim(&self) -> Option<&PathClaim> {
        self.claim.as_ref()
    }

    /// Leaves the files to another process that has the same claim.
    pub(super) fn leave(&mut self) {
        if let Some(claim) = &mut self.claim {
            claim.leave();
        }
    }

    pub(super) fn socket(&self) -> &Socket {
        &self.socket
    }
}

/// An abstract name has no file: nothing to lock, nothing stale, no permissions.
fn bind_abstract(addr: &UnixAddr) -> Result<UnixBound, NetError> {
    let socket = os::unix_socket().map_err(|source| fail(addr, "open a socket", source))?;
    bind_name(addr, &socket)?;
    Ok(UnixBound { claim: None, socket })
}

fn bind_name(addr: &UnixAddr, socket: &Socket) -> Result<(), NetError> {
    addr.to_kernel().and_then(|name| socket.bind(&name)).map_err(|source| fail(addr, "bind", source))
}

/// A socket whose file will be born with at most the bits of `mode` (Linux takes them from the socket's own inode, less
/// the umask), and the number of the user it belongs to. There is no moment at which the file is open wider.
fn unbound(mode: u32) -> io::Result<(Socket, u32)> {
    let file = File::from(OwnedFd::from(os::unix_socket()?));
    if cfg!(any(target_os = "linux", target_os = "android")) {
        file.set_permissions(Permissions::from_mode(mode))?;
    }
    let user = file.metadata()?.uid();
    Ok((Socket::from(OwnedFd::from(file)), user))
}

/// Takes away what a dead server of this user left at `path`. Called under the lock.
fn clear_stale(addr: &UnixAddr, path: &Path, user: u32) -> Result<(), NetError> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(fail(addr, "look at the path", error)),
    };
    if !found.file_type().is_socket() {
        return Err(NetError::PathNotSocket { addr: addr.clone() });
    }
    if is_live(addr)? {
        return Err(NetError::NameInUse { addr: addr.clone() });
    }
    if found.uid() != user {
        return Err(NetError::PathNotOurs { addr: addr.clone(), owner: found.uid(), user });
    }
    remove_if_same(path, Inode::of(&found)).map_err(|source| fail(addr, "remove the stale socket", source))
}

/// Whether somebody answers there: only a refused connection proves that nobody does. A full backlog is an answer, and
/// so is a socket of another type.
fn is_live(addr: &UnixAddr) -> Result<bool, NetError> {
    let probe = os::unix_socket().map_err(|source| fail(addr, "open a socket", source))?;
    let answer = addr.to_kernel().and_then(|name| probe.connect(&name));
    match answer.as_ref().map_err(io::Error::raw_os_error) {
        Err(Some(libc::ECONNREFUSED | libc::ENOENT)) => Ok(false),
        Err(Some(libc::EACCES | libc::EPERM)) => {
            answer.map(|()| true).map_err(|source| fail(addr, "probe", source))
        }
        Ok(()) | Err(_) => Ok(true),
    }
}

fn fail(addr: &UnixAddr, doing: &'static str, source: io::Error) -> NetError {
    NetError::listen(&Addr::Unix(addr.clone()), doing, source)
}

/// The right to a path and the duty to clean it up.
pub(super) struct PathClaim {
    path: PathBuf,
    inode: Inode,
    duty: Duty,
    /// Dropped last.
    lock: LockFile,
}

/// Whether it is this process that takes the files away in the end. It passes from one process to another one while both
/// have the socket and, since the lock belongs to the open file that they share, the lock.
#[derive(Clone, Debug)]
pub(super) struct Duty(Arc<AtomicBool>);

impl Duty {
    fn of_this_process() -> Self {
        Duty(Arc::new(AtomicBool::new(true)))
    }

    /// That of a process which does not have it yet.
    pub(super) fn of_another() -> Self {
        Duty(Arc::new(AtomicBool::new(false)))
    }

    /// It is this process's from now on.
    pub(super) fn take(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is_ours(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl PathClaim {
    /// The claim to the file that bind(2) has just made.
    fn made(addr: &UnixAddr, path: PathBuf, lock: LockFile) -> Result<Self, NetError> {
        let found = fs::symlink_metadata(&path).map_err(|source| fail(addr, "look at the socket", source))?;
        let duty = lock.duty.clone();
        Ok(PathClaim { path, inode: Inode::of(&found), duty, lock })
    }

    /// The claim of another process to a file, as that one says it is, with the lock it holds.
    pub(super) fn of_another(path: PathBuf, inode: Inode, lock: File, duty: Duty) -> io::Result<Self> {
        let held = Inode::of(&lock.metadata()?);
        let lock = LockFile { path: lock_path(&path), inode: held, duty: duty.clone(), file: lock };
        Ok(PathClaim { path, inode, duty, lock })
    }

    fn leave(&mut self) {
        self.duty = Duty::of_another();
        self.lock.duty = self.duty.clone();
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn inode(&self) -> Inode {
        self.inode
    }

    /// The open file that is locked.
    pub(super) fn lock(&self) -> &File {
        &self.lock.file
    }

    /// Gives back the bits the umask took, so that the mode is exactly as asked. The file only ever opens wider, never
    /// wider than asked, and never another file: it is held by a handle while it is compared and changed.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn widen(&self, mode: u32) -> io::Result<()> {
        use std::os::fd::AsRawFd;

        if fs::symlink_metadata(&self.path)?.permissions().mode() & 0o777 == mode {
            return Ok(());
        }
        let handle =
            OpenOptions::new().read(true).custom_flags(libc::O_PATH | libc::O_NOFOLLOW).open(&self.path)?;
        if Inode::of(&handle.metadata()?) != self.inode {
            return Err(io::Error::other("the socket was replaced while it was set up"));
        }
        fs::set_permissions(format!("/proc/self/fd/{}", handle.as_raw_fd()), Permissions::from_mode(mode))
    }

    /// Other systems give a socket file its mode by the path alone.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn widen(&self, mode: u32) -> io::Result<()> {
        fs::set_permissions(&self.path, Permissions::from_mode(mode))
    }
}

impl Drop for PathClaim {
    fn drop(&mut self) {
        if self.duty.is_ours() {
            // Nobody is left to tell; the next server finds a stale file and clears it.
            let _ = remove_if_same(&self.path, self.inode);
        }
    }
}

/// The locked file beside the socket.
struct LockFile {
    path: PathBuf,
    inode: Inode,
    duty: Duty,
    /// Held for its lock, which ends when the last process that has it closes it.
    file: File,
}

impl LockFile {
    /// Locks the file beside the socket at `path`.
    fn take(addr: &UnixAddr, path: &Path) -> Result<Self, NetError> {
        let path = lock_path(path);
        for _ in 0..LOCK_ATTEMPTS {
            if let Some(lock) = LockFile::try_take(addr, &path)? {
                return Ok(lock);
            }
        }
        Err(NetError::NameInUse { addr: addr.clone() })
    }

    /// One attempt; `None` if the file was removed by its last holder between being opened and being locked.
    fn try_take(addr: &UnixAddr, path: &Path) -> Result<Option<Self>, NetError> {
        let file = open_lock(path).map_err(|source| fail(addr, "open the lock file", source))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(NetError::NameInUse { addr: addr.clone() }),
            Err(TryLockError::Error(source)) => return Err(fail(addr, "lock the lock file", source)),
        }
        let held = file.metadata().map_err(|source| fail(addr, "look at the lock file", source))?;
        let inode = Inode::of(&held);
        let still_there = fs::symlink_metadata(path).is_ok_and(|found| Inode::of(&found) == inode);
        let duty = Duty::of_this_process();
        Ok(still_there.then(|| LockFile { path: path.to_owned(), inode, duty, file }))
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        if self.duty.is_ours() {
            // Still under the lock. A lock file that stays does no harm.
            let _ = remove_if_same(&self.path, self.inode);
        }
    }
}

/// Where the lock file of a socket at `path` stands.
fn lock_path(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".lock");
    PathBuf::from(name)
}

/// Opens or makes the lock file; follows no link, waits for no pipe.
fn open_lock(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)
}

/// Which file it is, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Inode {
    pub(super) device: u64,
    pub(super) number: u64,
}

impl Inode {
    fn of(metadata: &Metadata) -> Self {
        Inode { device: metadata.dev(), number: metadata.ino() }
    }
}

/// Removes what is at `path` if it is still that file. That it is gone already is fine.
fn remove_if_same(path: &Path, inode: Inode) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if Inode::of(&found) == inode => fs::remove_file(path),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// How often a lock file may vanish under our hands before we call the path busy.
const LOCK_ATTEMPTS: usize = 16;
