//! Landlock: which directories remain, and no TCP, whatever seccomp says.

use std::{
    io,
    path::{Path, PathBuf},
};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, make_bitflags,
};
use rustix::fs::FileType;

use crate::{JailError, Layer, Weaker, gpu::GrantAccess, layer::left_out};

/// The oldest Landlock ABI that the jail takes unasked: 4 (Linux 6.7) is the first that denies TCP.
pub const LANDLOCK_ABI_MIN: u32 = 4;

/// The Landlock ABI that is the first to decide about `ioctl` on devices (Linux 6.10).
const LANDLOCK_ABI_IOCTL: u32 = 5;

/// The Landlock ABI that is the first to decide about sockets that have a path.
const LANDLOCK_ABI_SOCKETS: u32 = 9;

/// `LANDLOCK_CREATE_RULESET_VERSION` of linux/landlock.h, which libc lacks.
const CREATE_RULESET_VERSION: u32 = 1;

/// What was restricted.
pub(crate) struct Restricted {
    /// The kernel's ABI; 0 is none.
    pub(crate) abi: u32,
    /// What it lacks, and was accepted.
    pub(crate) weaker: Option<Weaker>,
}

/// Restricts this thread. `grants`: what a GPU's driver opens. `dials`: sockets that have a path in what is mounted may be connected to.
pub(crate) fn restrict(
    read_write: &[PathBuf],
    read_only: &[PathBuf],
    grants: &[(PathBuf, GrantAccess)],
    dials: bool,
    accept: &[Weaker],
) -> Result<Restricted, JailError> {
    // Whatever the kernel has, what is granted must be there.
    let directories = read_write.iter().map(|path| directory(path)).collect::<Result<Vec<_>, _>>()?;
    let readable = read_only.iter().map(|path| open(path, "a file or a directory"));
    let readable = readable.collect::<Result<Vec<_>, _>>()?;
    let grants =
        grants.iter().map(|(path, access)| Ok((open(path, "a file of the driver's")?.0, access.rights())));
    let grants = grants.collect::<Result<Vec<_>, JailError>>()?;
    let abi = match kernel_abi() {
        Err(JailError::LandlockAbsent { .. }) if accept.contains(&Weaker::NoLandlock) => {
            return Ok(Restricted { abi: 0, weaker: Some(Weaker::NoLandlock) });
        }
        abi => abi?,
    };
    let weaker = (abi < LANDLOCK_ABI_MIN).then_some(Weaker::LandlockWithoutTcp);
    if weaker.is_some_and(|weaker| !accept.contains(&weaker)) {
        return Err(JailError::LandlockOld { found: abi });
    }
    let failed = |error: RulesetError| JailError::Landlock { source: Box::new(error) };
    let known = known(abi);
    let mut ruleset = handled(known).map_err(failed)?;
    for opened in directories {
        ruleset = add(ruleset, opened, DIRECTORY & AccessFs::from_all(known))?;
    }
    for (opened, file_type) in readable {
        ruleset = grant_reading(ruleset, opened, file_type)?;
    }
    for (opened, rights) in grants {
        // Before its ABI `ioctl` is nobody's business but the system call table's.
        let requests = if abi >= LANDLOCK_ABI_IOCTL { AccessFs::IoctlDev.into() } else { BitFlags::EMPTY };
        ruleset = add(ruleset, opened, rights & (AccessFs::from_all(known) | requests))?;
    }
    if dials && abi >= LANDLOCK_ABI_SOCKETS {
        let (root, _) = open(Path::new("/"), "a directory")?;
        ruleset = add(ruleset, root, AccessFs::ResolveUnix.into())?;
    }
    if left_out(Layer::Landlock) {
        return Ok(Restricted { abi, weaker });
    }
    let status = ruleset.restrict_self().map_err(failed)?;
    if status.ruleset == RulesetStatus::NotEnforced || !status.no_new_privs {
        return Err(JailError::LandlockNotEnforced);
    }
    Ok(Restricted { abi, weaker })
}

/// Whether the rules hold on this thread, as far as what is accepted leaves them: neither the root can be listed nor a
/// TCP port be taken. Nobody grants either.
pub(crate) fn refuse(weaker: Option<Weaker>) -> bool {
    use rustix::{
        fs::{Mode, OFlags},
        io::Errno,
        net::{AddressFamily, Ipv4Addr, SocketAddrV4, SocketFlags, SocketType},
    };
    let listed = rustix::fs::open("/", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let socket =
        rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None);
    let bound = match socket {
        Ok(socket) => rustix::net::bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)),
        // Whoever started this process gave such sockets up already, for it and for itself.
        Err(Errno::PERM | Errno::AFNOSUPPORT) => Err(Errno::ACCESS),
        Err(errno) => Err(errno),
    };
    let restricts_tcp = weaker != Some(Weaker::LandlockWithoutTcp);
    listed.err() == Some(Errno::ACCESS) && (!restricts_tcp || bound.err() == Some(Errno::ACCESS))
}

fn kernel_abi() -> Result<u32, JailError> {
    // SAFETY: with this flag the call takes no attributes (null, size 0) and answers a number.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<libc::c_void>(),
            0_usize,
            CREATE_RULESET_VERSION,
        )
    };
    u32::try_from(answer).map_err(|_| JailError::LandlockAbsent { source: io::Error::last_os_error() })
}

/// The accesses that are required of a kernel: those of its ABI, up to the fourth.
fn known(abi: u32) -> ABI {
    match abi {
        1 => ABI::V1,
        2 => ABI::V2,
        3 => ABI::V3,
        _ => ABI::V4,
    }
}

/// Everything that the kernel's ABI can deny, up to the fourth, is required; what later ones add is taken when
/// the kernel has it. Handled and not granted is denied.
fn handled(known: ABI) -> Result<RulesetCreated, RulesetError> {
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(known))?;
    let net: BitFlags<AccessNet> = AccessNet::from_all(known);
    if !net.is_empty() {
        ruleset = ruleset.handle_access(net)?;
    }
    ruleset
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::IoctlDev | AccessFs::ResolveUnix)?
        .handle_access(AccessNet::BindUdp | AccessNet::ConnectSendUdp)?
        .scope(Scope::AbstractUnixSocket | Scope::Signal)?
        .create()
        .map(|created| created.set_compatibility(CompatLevel::HardRequirement))
}

/// In a directory: no execution, no devices, no sockets, no pipes, no symbolic links.
const DIRECTORY: BitFlags<AccessFs> = make_bitflags!(AccessFs::{
    ReadFile | ReadDir | WriteFile | Truncate | MakeReg | MakeDir | RemoveFile | RemoveDir | Refer
});

fn directory(path: &Path) -> Result<PathFd, JailError> {
    let (opened, file_type) = open(path, "a directory")?;
    if file_type != FileType::Directory {
        let source = io::Error::from(io::ErrorKind::NotADirectory);
        return Err(JailError::Grant { path: path.to_owned(), expected: "a directory", source });
    }
    Ok(opened)
}

fn grant_reading(
    ruleset: RulesetCreated,
    opened: PathFd,
    file_type: FileType,
) -> Result<RulesetCreated, JailError> {
    let access = if file_type == FileType::Directory {
        AccessFs::ReadFile | AccessFs::ReadDir
    } else {
        AccessFs::ReadFile.into()
    };
    add(ruleset, opened, access)
}

fn open(path: &Path, expected: &'static str) -> Result<(PathFd, FileType), JailError> {
    let failed = |source| JailError::Grant { path: path.to_owned(), expected, source };
    if !path.is_absolute() {
        return Err(failed(io::Error::from(io::ErrorKind::InvalidInput)));
    }
    let opened = PathFd::new(path).map_err(|error| failed(io::Error::other(error)))?;
    let status = rustix::fs::fstat(&opened).map_err(|errno| failed(errno.into()))?;
    Ok((opened, FileType::from_raw_mode(status.st_mode)))
}

fn add(
    ruleset: RulesetCreated,
    opened: PathFd,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, JailError> {
    ruleset
        .add_rule(PathBeneath::new(opened, access))
        .map_err(|error| JailError::Landlock { source: Box::new(error) })
}

/// What remains to a tool, by its own paths. All absolute.
#[derive(Clone, Copy)]
pub(crate) struct ToolPaths<'a> {
    /// May be read and executed.
    pub(crate) toolchain: &'a [PathBuf],
    /// May be read.
    pub(crate) read_only: &'a [PathBuf],
    /// May be read and written; files, directories and symbolic links may be made and removed.
    pub(crate) scratch: &'a Path,
    /// Whether what lies in `scratch` may be executed too.
    pub(crate) scratch_executes: bool,
    /// Device files that may be read and written.
    pub(crate) devices: &'a [PathBuf],
}

/// Restricts this thread, and what it will execute, to a tool's paths. No devices, sockets or pipes can be made.
pub(crate) fn restrict_tool(paths: ToolPaths<'_>) -> Result<(), JailError> {
    let abi = kernel_abi()?;
    if abi < LANDLOCK_ABI_MIN {
        return Err(JailError::LandlockOld { found: abi });
    }
    let failed = |error: RulesetError| JailError::Landlock { source: Box::new(error) };
    let mut ruleset = handled(known(abi)).map_err(failed)?;
    for path in paths.toolchain {
        let (opened, file_type) = open(path, "a file or a directory")?;
        let access = if file_type == FileType::Directory {
            AccessFs::Execute | AccessFs::ReadFile | AccessFs::ReadDir
        } else {
            AccessFs::Execute | AccessFs::ReadFile
        };
        ruleset = add(ruleset, opened, access)?;
    }
    for path in paths.read_only {
        let (opened, file_type) = open(path, "a file or a directory")?;
        ruleset = grant_reading(ruleset, opened, file_type)?;
    }
    for path in paths.devices {
        let (opened, _) = open(path, "a device file")?;
        ruleset = add(ruleset, opened, AccessFs::ReadFile | AccessFs::WriteFile)?;
    }
    let (scratch, _) = open(paths.scratch, "a directory")?;
    let mut access: BitFlags<AccessFs> = make_bitflags!(AccessFs::{
        ReadFile | ReadDir | WriteFile | Truncate | MakeReg | MakeDir | MakeSym | RemoveFile | RemoveDir | Refer
    });
    if paths.scratch_executes {
        access |= AccessFs::Execute;
    }
    ruleset = add(ruleset, scratch, access)?;
    let status = ruleset.restrict_self().map_err(failed)?;
    if status.ruleset == RulesetStatus::NotEnforced || !status.no_new_privs {
        return Err(JailError::LandlockNotEnforced);
    }
    Ok(())
}
