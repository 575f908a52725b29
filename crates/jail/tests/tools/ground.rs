//! Where an attempt is made: a tree, a scratch folder, and outside of both what must be neither read, written nor reached.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read, Write},
    net::TcpListener,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            fs::PermissionsExt,
            net::{SocketAddr, UnixListener},
        },
    },
    path::{Path, PathBuf},
    process::Command,
};

pub(crate) struct Ground {
    _directory: tempfile::TempDir,
    pub(crate) tree: PathBuf,
    pub(crate) scratch: PathBuf,
    pub(crate) outside: PathBuf,
    /// 32 hexadecimal digits, in `outside/secret.h` alone. The first is a letter.
    pub(crate) secret: String,
    tcp: TcpListener,
    path: UnixListener,
    name: UnixListener,
    abstract_name: String,
}

impl Ground {
    pub(crate) fn new() -> Ground {
        let directory = tempfile::Builder::new().prefix("cloister-tools-").tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        let [tree, scratch, outside] = ["tree", "scratch", "outside"].map(|name| root.join(name));
        for folder in [&tree, &scratch, &outside] {
            fs::create_dir(folder).unwrap();
        }
        let mut random = [0; 16];
        File::open("/dev/urandom").unwrap().read_exact(&mut random).unwrap();
        let secret: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let secret = format!("f{}", &secret[1..]);
        let abstract_name = format!("cloister-tools-{secret:.8}");
        let address = SocketAddr::from_abstract_name(&abstract_name).unwrap();
        let ground = Ground {
            _directory: directory,
            tcp: TcpListener::bind("127.0.0.1:0").unwrap(),
            path: UnixListener::bind(outside.join("socket")).unwrap(),
            name: UnixListener::bind_addr(&address).unwrap(),
            abstract_name,
            tree,
            scratch,
            outside,
            secret,
        };
        ground.tcp.set_nonblocking(true).unwrap();
        ground.path.set_nonblocking(true).unwrap();
        ground.name.set_nonblocking(true).unwrap();
        write(&ground.outside.join("secret.h"), &format!("{}\n", ground.secret));
        let ada = "package Secret is\n   Word : constant String := \"SECRET\";\nend Secret;\n";
        write(&ground.outside.join("secret.ads"), &ada.replace("SECRET", &ground.secret));
        ground
    }

    /// Names of this ground in a text of the table.
    pub(crate) fn fill(&self, text: &str) -> String {
        let places = [
            ("{TREE}", self.tree.to_str().unwrap()),
            ("{SCRATCH}", self.scratch.to_str().unwrap()),
            ("{OUTSIDE}", self.outside.to_str().unwrap()),
            ("{PORT}", &self.tcp.local_addr().unwrap().port().to_string()),
            ("{ABSTRACT}", &self.abstract_name),
            ("{PARENT}", &std::process::id().to_string()),
            ("{SYSCALLS}", &syscalls()),
        ];
        places.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
    }

    /// `tree/…` or `scratch/…`.
    pub(crate) fn put(&self, path: &str, text: &str) {
        let path = self.tree.parent().unwrap().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        write(&path, &self.fill(text));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Connections since the last question: over TCP, at the path, at the abstract name.
    pub(crate) fn connections(&self) -> [usize; 3] {
        let count = |accept: &dyn Fn() -> io::Result<()>| {
            std::iter::from_fn(|| match accept() {
                Ok(()) => Some(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
                Err(error) => panic!("{error}"),
            })
            .count()
        };
        [
            count(&|| self.tcp.accept().map(drop)),
            count(&|| self.path.accept().map(drop)),
            count(&|| self.name.accept().map(drop)),
        ]
    }

    /// Whether the secret lies in a file of scratch, or in a name there.
    pub(crate) fn secret_in_scratch(&self) -> bool {
        contents(&self.scratch).iter().any(|(path, bytes)| {
            let found = |bytes: &[u8]| {
                bytes.windows(self.secret.len()).any(|window| window == self.secret.as_bytes())
            };
            found(bytes) || found(path.as_os_str().as_encoded_bytes())
        })
    }

    /// All that a run must leave as it is.
    pub(crate) fn around(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut all = contents(&self.tree);
        all.extend(contents(&self.outside));
        all
    }

    /// Outside any jail, for making what an attempt needs.
    pub(crate) fn prepare(&self, directory: &str, program: &str, arguments: &[&str]) {
        let directory = self.tree.parent().unwrap().join(directory);
        fs::create_dir_all(&directory).unwrap();
        let arguments = arguments.iter().map(|argument| self.fill(argument));
        let output = Command::new(program)
            .args(arguments)
            .current_dir(directory)
            .env("HOME", &self.scratch)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .output()
            .unwrap();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Files and links with what they hold, and empty directories. Sockets are left out.
fn contents(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                found.insert(entry.path(), Vec::new());
                folders.push(entry.path());
            } else if kind.is_symlink() {
                found.insert(
                    entry.path(),
                    fs::read_link(entry.path()).unwrap().into_os_string().into_encoded_bytes(),
                );
            } else if kind.is_file() {
                found.insert(entry.path(), fs::read(entry.path()).unwrap());
            }
        }
    }
    found
}

pub(crate) fn write(path: &Path, text: &str) {
    File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
}

/// Calls that no tool may make, as a list in Python. The arguments do nothing where the call is admitted.
fn syscalls() -> String {
    let calls = [
        ("socket", libc::SYS_socket, "1, 1, 0"),
        ("socketpair", libc::SYS_socketpair, "1, 1, 0, 0"),
        ("connect", libc::SYS_connect, "-1, 0, 0"),
        ("bind", libc::SYS_bind, "-1, 0, 0"),
        ("listen", libc::SYS_listen, "-1, 1"),
        ("accept4", libc::SYS_accept4, "-1, 0, 0, 0"),
        ("sendto", libc::SYS_sendto, "-1, 0, 0, 0, 0, 0"),
        ("sendmsg", libc::SYS_sendmsg, "-1, 0, 0"),
        ("recvmsg", libc::SYS_recvmsg, "-1, 0, 0"),
        ("io_uring_setup", libc::SYS_io_uring_setup, "0, 0"),
        ("io_uring_enter", libc::SYS_io_uring_enter, "-1, 0, 0, 0, 0, 0"),
        ("ptrace", libc::SYS_ptrace, "-1, 0, 0, 0"),
        ("process_vm_readv", libc::SYS_process_vm_readv, "{PARENT}, 0, 0, 0, 0, 0"),
        ("process_vm_writev", libc::SYS_process_vm_writev, "{PARENT}, 0, 0, 0, 0, 0"),
        ("pidfd_open", libc::SYS_pidfd_open, "{PARENT}, 0"),
        ("pidfd_getfd", libc::SYS_pidfd_getfd, "-1, 0, 0"),
        ("bpf", libc::SYS_bpf, "-1, 0, 0"),
        ("userfaultfd", libc::SYS_userfaultfd, "-1"),
        ("perf_event_open", libc::SYS_perf_event_open, "0, 0, -1, -1, 0"),
        ("keyctl", libc::SYS_keyctl, "-1, 0, 0, 0, 0"),
        ("add_key", libc::SYS_add_key, "0, 0, 0, 0, 0"),
        ("mount", libc::SYS_mount, "0, 0, 0, 0, 0"),
        ("open_tree", libc::SYS_open_tree, "-1, 0, -1"),
        ("chroot", libc::SYS_chroot, "0"),
        ("pivot_root", libc::SYS_pivot_root, "0, 0"),
        ("unshare", libc::SYS_unshare, "-1"),
        ("setns", libc::SYS_setns, "-1, 0"),
        ("open_by_handle_at", libc::SYS_open_by_handle_at, "-1, 0, 0"),
        ("kexec_load", libc::SYS_kexec_load, "0, 0, 0, -1"),
        ("init_module", libc::SYS_init_module, "0, 0, 0"),
        ("personality", libc::SYS_personality, "0xffffffff"),
        ("memfd_create", libc::SYS_memfd_create, "0, -1"),
        ("execveat", libc::SYS_execveat, "-1, 0, 0, 0, -1"),
        ("setxattr", libc::SYS_setxattr, "0, 0, 0, 0, 0"),
        ("fchownat", libc::SYS_fchownat, "-1, 0, 0, 0, 0"),
        ("mknodat", libc::SYS_mknodat, "-1, 0, 0, 0"),
        ("seccomp", libc::SYS_seccomp, "-1, 0, 0"),
        ("x32 getpid", 0x4000_0000 | libc::SYS_getpid, "0"),
    ];
    let rows: Vec<String> =
        calls.iter().map(|(name, number, arguments)| format!("('{name}', {number}, {arguments})")).collect();
    format!("[{}]", rows.join(", ")).replace("{PARENT}", &std::process::id().to_string())
}
