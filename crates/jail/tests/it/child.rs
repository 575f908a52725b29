//! The other side: what the program does when it was started by itself.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener},
    os::unix::{
        fs::{FileExt, PermissionsExt},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    sync::mpsc,
    thread,
    time::Duration,
};

use jail::{
    Applied, Jail, Kind,
    channel::Channel,
    probe::{self, ProbeResult},
    spawn::{InheritedError, inherited},
};
use rustix::net::SendFlags;
use serde::{Deserialize, Serialize};

use super::hosts::ACCEPT;
use crate::hostile;

/// Names of variables that tell the child what to be.
pub(crate) const ROLE: &str = "JAIL_ROLE";
/// The user to become first; empty for none.
pub(crate) const USER: &str = "JAIL_USER";
/// The parent's process number.
pub(crate) const PARENT: &str = "JAIL_PARENT";
/// A directory to keep.
pub(crate) const DIRECTORY: &str = "JAIL_DIRECTORY";

/// Sockets in the directory: the one that the relay may connect to, and another.
pub(crate) const UPSTREAM: &str = "upstream.sock";
pub(crate) const NEIGHBOUR: &str = "neighbour.sock";

/// The sealed file's content.
pub(crate) const MODEL: &[u8] = b"weights";

/// Threads started inside the jail, beside the main one.
pub(crate) const THREADS: usize = 3;

/// What the child tells the test.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) applied: Option<Applied>,
    /// The chain of messages of the error that refused the jail.
    pub(crate) error: Option<String>,
    pub(crate) probes: Vec<ProbeResult>,
    /// What was tried of what stays allowed, and `ok` or what went wrong.
    pub(crate) work: Vec<(String, String)>,
}

pub(crate) fn main(role: &str) -> ExitCode {
    become_user();
    super::hosts::enter();
    let end = match role {
        "supervise_engine" => return supervised(Kind::Engine),
        "supervise_gateway" => return supervised(Kind::Gateway),
        "supervise_importer" => return supervised(Kind::Importer),
        "supervise_relay" => return supervised(Kind::Relay),
        "parent_of_jailed" => return parent_of_jailed(),
        "engine" => jailed(&jail(Kind::Engine), engine),
        "gateway" => jailed(&jail(Kind::Gateway), gateway),
        "importer" => jailed(&jail(Kind::Importer), importer),
        "indexer" => jailed(&jail(Kind::Indexer), indexer),
        "relay" => jailed(&jail(Kind::Relay), relay),
        "memory" => jailed(&Jail { memory_bytes_max: Some(256 << 20), ..jail(Kind::Engine) }, memory),
        "sleeper" => jailed(&Jail { keep_fds: vec![3, 4], ..jail(Kind::Engine) }, |mut end| {
            end.report.take().unwrap().write_all(b"jailed").unwrap();
            thread::sleep(Duration::from_secs(600));
        }),
        "hostile_engine" => jailed(&jail(Kind::Engine), |end| hostile::worker(end, Kind::Engine)),
        "hostile_gateway" => jailed(&jail(Kind::Gateway), |end| hostile::worker(end, Kind::Gateway)),
        "hostile_importer" => jailed(&jail(Kind::Importer), |end| hostile::worker(end, Kind::Importer)),
        "hostile_relay" => jailed(&jail(Kind::Relay), |end| hostile::worker(end, Kind::Relay)),
        "hostile_indexer" => jailed(&jail(Kind::Indexer), |end| hostile::worker(end, Kind::Indexer)),
        "tool" => jailed(&jail(Kind::Tool), |_| ()),
        "interrupt" => jailed(&jail(Kind::Engine), |_| {
            hostile::by_interrupt();
        }),
        "interrupt_unjailed" => {
            let own = i64::from(std::process::id());
            return if hostile::by_interrupt() == own { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
        "unjailed" => {
            let mut end = End::take();
            let probes = probe::run(Kind::Engine, &probe::Places::default());
            end.tell(&Report { probes, ..Report::default() });
            Ok(())
        }
        "threaded" => {
            let (sender, receiver) = mpsc::channel::<()>();
            let _other = thread::spawn(move || receiver.recv());
            let outcome = jailed(&jail(Kind::Engine), |_| ());
            drop(sender);
            outcome
        }
        "orphan" => jailed(&Jail { parent_pid: 1, ..jail(Kind::Engine) }, |_| ()),
        "missing_directory" => refused(&["/nonexistent/directory"]),
        "file_as_directory" => refused(&["/etc/passwd"]),
        "relative_path" => refused(&["tmp"]),
        "file_as_socket" => {
            let refused = jail::apply_with_socket(&jail(Kind::Relay), Path::new("/etc/passwd"));
            told(refused, |_| ())
        }
        "closed_descriptor" => jailed(&Jail { keep_fds: vec![3, 4, 77], ..jail(Kind::Engine) }, |_| ()),
        other => panic!("no role {other}"),
    };
    if end.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// By another exec: a process that has just changed its user may not write its own maps.
fn become_user() {
    let user = std::env::var(USER).unwrap();
    if let Ok(user) = user.parse() {
        let error = Command::new("/proc/self/exe").env(USER, "").uid(user).gid(user).exec();
        panic!("cannot start again: {error}");
    }
}

fn jail(kind: Kind) -> Jail {
    let directory = directory();
    let (read_write, read_only, keep_fds) = match kind {
        Kind::Engine | Kind::GpuEngine => (vec![], vec![], vec![3, 4]),
        Kind::Gateway => (vec![directory], vec![PathBuf::from("/etc/hostname")], vec![3, 4]),
        Kind::Importer | Kind::Indexer => {
            let Folders { medium, blobs, incoming, .. } = Folders::of(&directory);
            (vec![blobs, incoming], vec![medium], vec![3, 4])
        }
        Kind::Relay | Kind::Tool | Kind::ToolKeeper => (vec![], vec![], vec![3, 4]),
    };
    // 5 is the resource, where a test passes one; 6 is a leak and is not kept.
    let resource = fs::metadata("/proc/self/fd/5").is_ok();
    Jail {
        name: "jail-test".to_owned(),
        kind,
        parent_pid: std::env::var(PARENT).unwrap().parse().unwrap(),
        read_write,
        read_only,
        keep_fds: keep_fds.into_iter().chain(resource.then_some(5)).collect(),
        memory_bytes_max: None,
        open_files_max: 256,
        accept: accepted(),
    }
}

fn accepted() -> Vec<jail::Weaker> {
    let names = std::env::var(ACCEPT).unwrap();
    names.split(',').filter(|name| !name.is_empty()).map(|name| name.parse().unwrap()).collect()
}

fn directory() -> PathBuf {
    PathBuf::from(std::env::var(DIRECTORY).unwrap())
}

fn refused(read_write: &[&str]) -> Result<(), ()> {
    jailed(&Jail { read_write: read_write.iter().map(PathBuf::from).collect(), ..jail(Kind::Engine) }, |_| ())
}

/// This side's ends of what the test passed.
pub(crate) struct End {
    pub(crate) channel: Channel,
    /// Until it is told.
    report: Option<File>,
    applied: Option<Applied>,
}

impl End {
    fn take() -> End {
        End {
            channel: Channel::from_descriptor(inherited(3).unwrap()).unwrap(),
            report: Some(inherited(4).unwrap().into()),
            applied: None,
        }
    }

    pub(crate) fn tell(&mut self, report: &Report) {
        let text = serde_json::to_vec(&Report {
            applied: self.applied.clone(),
            error: report.error.clone(),
            probes: report.probes.clone(),
            work: report.work.clone(),
        });
        self.report.take().unwrap().write_all(&text.unwrap()).unwrap();
    }
}

fn jailed(jail: &Jail, body: fn(End)) -> Result<(), ()> {
    told(
        match jail.kind {
            Kind::Relay => jail::apply_with_socket(jail, &directory().join(UPSTREAM)),
            _ => jail::apply(jail),
        },
        body,
    )
}

fn told(applied: Result<Applied, jail::JailError>, body: fn(End)) -> Result<(), ()> {
    match applied {
        Ok(applied) => {
            let mut end = End::take();
            end.applied = Some(applied);
            body(end);
            Ok(())
        }
        Err(error) => {
            let mut message = error.to_string();
            let mut cause = std::error::Error::source(&error);
            while let Some(error) = cause {
                message.push_str(": ");
                message.push_str(&error.to_string());
                cause = error.source();
            }
            End::take().tell(&Report { error: Some(message), ..Report::default() });
            Err(())
        }
    }
}

fn engine(mut end: End) {
    // Threads stay until the test has looked at them from outside.
    let alive = idle_threads();
    let mut work = common_work();
    let model = inherited(5).unwrap();
    work.push(tried("pread of a handed file", || {
        let mut bytes = vec![0; MODEL.len()];
        rustix::io::pread(&model, &mut bytes, 0)?;
        expect(bytes == MODEL)
    }));
    work.push(tried("shared read-only map of a handed file", || {
        use rustix::mm::{MapFlags, ProtFlags};
        expect(jail::sealed::is_sealed(&model) && File::from(model.try_clone()?).metadata()?.len() == 7)?;
        // SAFETY: a new mapping at an address of the kernel's choosing; it is never unmapped.
        let map = unsafe {
            rustix::mm::mmap(std::ptr::null_mut(), 7, ProtFlags::READ, MapFlags::SHARED, &model, 0)?
        };
        // SAFETY: the mapping above; a sealed file neither shrinks nor changes.
        expect(unsafe { std::slice::from_raw_parts(map.cast::<u8>(), 7) } == MODEL)
    }));
    work.push(tried("a descriptor that comes later", || {
        let mut buffer = [0; 16];
        let (_, mut descriptors) = end.channel.recv(&mut buffer).unwrap().unwrap();
        let mut text = Vec::new();
        File::from(descriptors.pop().unwrap()).read_to_end(&mut text)?;
        end.channel.send(&text, &[]).map_err(io::Error::other)
    }));
    finish(&mut end, Kind::Engine, &probe::Places::default(), work);
    drop(alive);
}

#[expect(clippy::disallowed_methods, reason = "what the relay's jail is about")]
fn relay(mut end: End) {
    use std::os::unix::net::{UnixDatagram, UnixStream};
    let directory = directory();
    let alive = idle_threads();
    let mut work = common_work();
    work.push(tried("the one socket, in a runtime", || {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut upstream = tokio::net::UnixStream::connect(jail::SOCKET).await?;
            upstream.write_all(b"ping").await?;
            let mut answer = [0; 4];
            upstream.read_exact(&mut answer).await?;
            expect(&answer == b"pong")
        })
    }));
    work.push(tried("no other socket, by no path", || {
        denied(UnixStream::connect(directory.join(NEIGHBOUR)), libc::ENOENT)?;
        denied(UnixStream::connect(directory.join(UPSTREAM)), libc::ENOENT)?;
        denied(UnixStream::connect(format!("/..{}/{NEIGHBOUR}", directory.display())), libc::ENOENT)?;
        denied(UnixDatagram::unbound().map(drop), libc::EPERM)
    }));
    work.push(tried("no file at all", || {
        denied(File::open("/etc/hostname"), libc::EACCES)?;
        denied(fs::read_dir("/"), libc::EACCES)
    }));
    finish(&mut end, Kind::Relay, &probe::Places::default(), work);
    drop(alive);
}

fn gateway(mut end: End) {
    let directory = directory();
    let alive = idle_threads();
    let mut work = common_work();
    let listener = TcpListener::from(inherited(5).unwrap());
    work.push(tried("accept in a runtime", || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(serve_one(listener))
    }));
    work.push(tried("SQLite in WAL mode", || sqlite(&directory).map_err(io::Error::other)));
    work.push(tried("files in the granted directory", || files(&directory)));
    work.push(tried("a granted file is read only", || {
        let path = "/etc/hostname";
        File::open(path)?;
        denied(File::options().write(true).open(path), libc::EACCES)
    }));
    work.push(tried("nothing beside the grant", || {
        denied(File::create(directory.parent().unwrap().join("beside")), libc::EACCES)?;
        denied(fs::hard_link("/etc/hostname", directory.join("stolen")), libc::EXDEV)
            .or_else(|_| denied(fs::hard_link("/etc/hostname", directory.join("stolen")), libc::EACCES))
            .or_else(|_| denied(fs::hard_link("/etc/hostname", directory.join("stolen")), libc::EPERM))?;
        denied(std::os::unix::fs::symlink("/etc/passwd", directory.join("link")), libc::EPERM)
    }));
    let closed = vec!["/".into(), directory.parent().unwrap().to_owned()];
    let places = probe::Places { read_only: Vec::new(), read_write: vec![directory], closed };
    finish(&mut end, Kind::Gateway, &places, work);
    drop(alive);
}

/// What the importer's jail is about.
pub(crate) struct Folders {
    pub(crate) medium: PathBuf,
    pub(crate) blobs: PathBuf,
    pub(crate) incoming: PathBuf,
    /// Beside them, as the keys are.
    pub(crate) beside: PathBuf,
}

impl Folders {
    pub(crate) fn of(directory: &Path) -> Folders {
        let [medium, blobs, incoming, beside] =
            ["medium", "blobs", "incoming", "beside"].map(|name| directory.join(name));
        Folders { medium, blobs, incoming, beside }
    }

    /// As anybody's, since who is jailed may be nobody.
    pub(crate) fn make(&self) {
        let Folders { medium, blobs, incoming, beside } = self;
        for folder in [medium, blobs, incoming, beside] {
            fs::create_dir(folder).unwrap();
            fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap();
        }
        for folder in [medium, beside] {
            File::create(folder.join("weights")).unwrap().write_all(MODEL).unwrap();
        }
        std::os::unix::fs::symlink("/etc/passwd", medium.join("link")).unwrap();
    }
}

fn importer(mut end: End) {
    use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
    let folders = Folders::of(&directory());
    let Folders { medium, blobs, incoming, beside } = &folders;
    let alive = idle_threads();
    let mut work = common_work();
    work.push(tried("a medium, beneath its descriptor", || {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(medium, flags, Mode::empty())?;
        let beneath = |name| openat2(&root, name, OFlags::RDONLY, Mode::empty(), ResolveFlags::BENEATH);
        let mut bytes = Vec::new();
        File::from(beneath("weights")?).read_to_end(&mut bytes)?;
        expect(bytes == MODEL && fs::read_dir(medium)?.count() == 2)?;
        denied(beneath("link").map_err(io::Error::from), libc::EXDEV)?;
        denied(beneath("../beside/weights").map_err(io::Error::from), libc::EXDEV)
    }));
    work.push(tried("nothing is written on the medium", || {
        let weights = medium.join("weights");
        denied(File::options().write(true).open(&weights), libc::EACCES)?;
        denied(File::create(medium.join("new")), libc::EACCES)?;
        denied(fs::remove_file(&weights), libc::EACCES)?;
        denied(fs::rename(&weights, blobs.join("stolen")), libc::EACCES)
    }));
    work.push(tried("a copy becomes a blob", || {
        let (copy, blob) = (incoming.join("copy"), blobs.join("blob"));
        let lock = File::open(incoming)?;
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive)?;
        let file = File::options().create(true).truncate(false).read(true).write(true).open(&copy)?;
        file.set_len(0)?;
        file.write_all_at(MODEL, 0)?;
        file.sync_all()?;
        file.set_permissions(fs::Permissions::from_mode(0o400))?;
        fs::rename(&copy, &blob)?;
        lock.sync_all()?;
        expect(fs::read(&blob)? == MODEL && rustix::fs::statvfs(incoming)?.f_bavail > 0)?;
        // Asked for, a folder that is there is no error; another is not made.
        denied(fs::create_dir(blobs.join("folder")), libc::EEXIST)?;
        fs::create_dir_all(incoming)?;
        fs::remove_file(&blob)
    }));
    work.push(tried("nothing beside the grants", || {
        let file = beside.join("weights");
        denied(File::open(&file), libc::EACCES)?;
        denied(
            openat2(CWD, &file, OFlags::RDONLY, Mode::empty(), ResolveFlags::empty())
                .map_err(io::Error::from),
            libc::EACCES,
        )?;
        denied(File::create(beside.join("new")), libc::EACCES)?;
        denied(fs::set_permissions(&file, fs::Permissions::from_mode(0o777)), libc::EPERM)?;
        denied(fs::hard_link(&file, blobs.join("stolen")), libc::EPERM)?;
        denied(std::os::unix::fs::symlink(&file, blobs.join("link")), libc::EPERM)?;
        denied(fs::read_dir(beside), libc::EACCES)
    }));
    let places = probe::Places {
        read_only: vec![medium.clone()],
        read_write: vec![blobs.clone(), incoming.clone()],
        closed: vec![beside.clone(), directory()],
    };
    finish(&mut end, Kind::Importer, &places, work);
    drop(alive);
}

/// What an index is made of: the tree is read, and files come and go in one folder.
fn indexer(mut end: End) {
    let kind = end.applied.as_ref().unwrap().kind;
    use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
    let folders = Folders::of(&directory());
    let Folders { medium: tree, blobs: index, incoming: scratch, beside } = &folders;
    let alive = idle_threads();
    let mut work = common_work();
    work.push(tried("a tree, beneath its descriptor", || {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(tree, flags, Mode::empty())?;
        let beneath = |name| openat2(&root, name, OFlags::RDONLY, Mode::empty(), ResolveFlags::BENEATH);
        let mut bytes = Vec::new();
        File::from(beneath("weights")?).read_to_end(&mut bytes)?;
        expect(bytes == MODEL && fs::read_dir(tree)?.count() == 2)?;
        denied(beneath("link").map_err(io::Error::from), libc::EXDEV)?;
        denied(File::open(tree.join("link")), libc::EACCES)
    }));
    work.push(tried("files of an index", || files(index).and_then(|()| files(scratch))));
    work.push(tried("SQLite in WAL mode", || sqlite(index).map_err(io::Error::other)));
    work.push(tried("nothing beside the grants, and nothing in the tree", || {
        denied(File::open(beside.join("weights")), libc::EACCES)?;
        denied(File::create(tree.join("new")), libc::EACCES)?;
        denied(fs::remove_file(tree.join("weights")), libc::EACCES)?;
        denied(std::os::unix::fs::symlink("/etc/passwd", index.join("link")), libc::EPERM)?;
        denied(std::process::Command::new("/bin/true").status(), libc::EPERM)
    }));
    let places = probe::Places {
        read_only: vec![tree.clone()],
        read_write: vec![index.clone(), scratch.clone()],
        closed: vec![beside.clone(), directory()],
    };
    finish(&mut end, kind, &places, work);
    drop(alive);
}

async fn serve_one(listener: TcpListener) -> io::Result<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    listener.set_nonblocking(true)?;
    let (mut client, _) = tokio::net::TcpListener::from_std(listener)?.accept().await?;
    client.set_nodelay(true)?;
    let mut question = [0; 4];
    client.read_exact(&mut question).await?;
    expect(&question == b"ping")?;
    client.write_all(b"pong").await?;
    // An accepted socket belongs to the machine's network. It must not be turned to dial out.
    denied(rustix::net::connect_unspec(&client).map_err(io::Error::from), libc::EPERM)?;
    let fast_open = SendFlags::from_bits_retain(libc::MSG_FASTOPEN.cast_unsigned()) | SendFlags::NOSIGNAL;
    let elsewhere = SocketAddr::from(([192, 0, 2, 1], 443));
    let sent = rustix::net::sendto(&client, b"x", fast_open, &elsewhere);
    denied(sent.map_err(io::Error::from), libc::EPERM)?;
    tokio::task::spawn_blocking(|| ()).await.map_err(io::Error::other)?;
    tokio::time::sleep(Duration::from_millis(1)).await;
    Ok(())
}

fn sqlite(directory: &Path) -> rusqlite::Result<()> {
    let path = directory.join("identity.db");
    let database = rusqlite::Connection::open(&path)?;
    let mode: String = database.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    assert_eq!(mode, "wal");
    database.execute_batch("PRAGMA synchronous = FULL; CREATE TABLE t(number INTEGER, text TEXT);")?;
    let other = thread::spawn(move || -> rusqlite::Result<i64> {
        let other = rusqlite::Connection::open(path)?;
        other.busy_timeout(Duration::from_secs(10))?;
        for number in 0..50 {
            other.execute("INSERT INTO t VALUES (?1, 'from a thread')", [number])?;
        }
        other.query_row("SELECT count(*) FROM t", [], |row| row.get(0))
    });
    assert!(other.join().unwrap()? >= 50);
    // A sorter larger than its cache spills to a temporary file, which cannot be made: in memory.
    database.pragma_update(None, "temp_store", "memory")?;
    let count: i64 =
        database.query_row("SELECT count(*) FROM (SELECT * FROM t ORDER BY text)", [], |row| row.get(0))?;
    assert_eq!(count, 50);
    database.execute_batch("PRAGMA wal_checkpoint(TRUNCATE); VACUUM;")
}

fn files(directory: &Path) -> io::Result<()> {
    let inner = directory.join("inner");
    fs::create_dir(&inner)?;
    let temporary = inner.join("tmp");
    let mut file = File::options().write(true).create_new(true).open(&temporary)?;
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, 8192)?;
    file.write_all(b"leaf")?;
    file.set_len(4)?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive)?;
    file.sync_data()?;
    file.sync_all()?;
    fs::rename(&temporary, inner.join("leaf"))?;
    File::open(&inner)?.sync_all()?;
    expect(fs::read(inner.join("leaf"))? == b"leaf" && fs::read_dir(&inner)?.count() == 1)?;
    expect(rustix::fs::statvfs(&inner)?.f_bavail > 0)?;
    File::options().append(true).open(inner.join("leaf"))?.write_all(b"s")?;
    fs::remove_file(inner.join("leaf"))?;
    fs::remove_dir(&inner)
}

/// What every jailed process still can do.
fn common_work() -> Vec<(String, String)> {
    vec![
        tried("descriptors that were not kept are closed", || {
            expect(inherited(6).is_err_and(|error| error == InheritedError::NotPassed { number: 6 }))
        }),
        tried("limits", || {
            use rustix::process::{Resource, getrlimit};
            let limit = |resource| getrlimit(resource).maximum;
            expect(limit(Resource::Core) == Some(1) && limit(Resource::Nofile) == Some(256))?;
            denied(
                rustix::process::setrlimit(Resource::Core, getrlimit(Resource::Core))
                    .map_err(io::Error::from),
                libc::EPERM,
            )
        }),
        tried("threads", || {
            let threads: Vec<_> = (0..16).map(|number| thread::spawn(move || number)).collect();
            let sum: i32 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
            expect(sum == 120 && thread::available_parallelism().is_ok())
        }),
        tried("memory", || {
            let mut large = vec![1_u8; 64 << 20];
            large.resize(96 << 20, 2);
            expect(large.iter().map(|&byte| u64::from(byte)).sum::<u64>() == (64 << 20) + (64 << 20))
        }),
        tried("a panic on a thread", || {
            std::panic::set_hook(Box::new(|_| ()));
            let panicked = thread::spawn(|| panic!("on purpose")).join().is_err();
            let _ = std::panic::take_hook();
            expect(panicked && !std::backtrace::Backtrace::force_capture().to_string().is_empty())
        }),
        tried("time, randomness, sleep", || {
            rustix::rand::getrandom(&mut [0_u8; 16], rustix::rand::GetRandomFlags::empty())?;
            thread::sleep(Duration::from_millis(1));
            expect(std::time::SystemTime::now() > std::time::UNIX_EPOCH)
        }),
    ]
}

fn memory(mut end: End) {
    let work = vec![
        tried("within the limit", || expect(Vec::<u8>::new().try_reserve_exact(64 << 20).is_ok())),
        tried("beyond the limit", || expect(Vec::<u8>::new().try_reserve_exact(512 << 20).is_err())),
    ];
    let padding = (0..4).map(|_| ("-".to_owned(), "ok".to_owned()));
    end.tell(&Report { work: work.into_iter().chain(padding).collect(), ..Report::default() });
}

/// Probes, tells, and waits for the test.
fn finish(end: &mut End, kind: Kind, places: &probe::Places, work: Vec<(String, String)>) {
    let probes = probe::run_on_threads(kind, places, THREADS);
    end.tell(&Report { probes, work, ..Report::default() });
    end.channel.recv(&mut [0; 16]).unwrap();
}

/// Threads that wait until the answer is dropped.
fn idle_threads() -> Vec<mpsc::Sender<()>> {
    (0..THREADS)
        .map(|_| {
            let (sender, receiver) = mpsc::channel();
            thread::spawn(move || receiver.recv());
            sender
        })
        .collect()
}

fn supervised(kind: Kind) -> ExitCode {
    let applied = super::supervise(kind, None);
    assert_eq!(
        applied.route,
        if super::is_root() { jail::Route::Direct } else { jail::Route::UserNamespace }
    );
    ExitCode::SUCCESS
}

fn parent_of_jailed() -> ExitCode {
    let end = End::take();
    let mut sleeper = super::start("sleeper", None, Path::new("/"), &[]);
    let mut text = String::new();
    sleeper.report.read_to_string(&mut text).unwrap();
    assert_eq!(text, "jailed");
    use std::os::fd::AsFd;
    end.channel.send(b"ready", &[sleeper.child.as_fd()]).unwrap();
    thread::sleep(Duration::from_secs(600));
    ExitCode::FAILURE
}

pub(crate) fn tried(what: &str, body: impl FnOnce() -> io::Result<()>) -> (String, String) {
    let outcome = body().map_or_else(|error| error.to_string(), |()| "ok".to_owned());
    (what.to_owned(), outcome)
}

pub(crate) fn expect(holds: bool) -> io::Result<()> {
    if holds { Ok(()) } else { Err(io::Error::other("not as expected")) }
}

pub(crate) fn denied<T>(outcome: io::Result<T>, errno: i32) -> io::Result<()> {
    match outcome {
        Err(error) if error.raw_os_error() == Some(errno) => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Err(io::Error::other("it was allowed")),
    }
}
