//! The process that has compilers run for a gateway: it takes orders from a stream, and carries out as many at once as
//! there are processors.
//!
//! It may make namespaces, and so is no jailed process itself; it holds no key, opens no file of a stranger's, and
//! understands nothing of what it passes on.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jail::tool::Limits;
use languages::{Checker, Language, Project, Rules, Unit};
use protocol::check::{Against, FromChecker, Order, Ran, TEXT_BYTES_MAX, VERSION};
use protocol::frame;

use crate::project::{self, Listing};
use crate::run::{Folder, NotRun, Runner, succeeded};

/// Orders that may wait.
const QUEUE_MAX: usize = 64;
/// An order that waited longer is not carried out: whoever typed has typed on.
const WAITED_MAX: Duration = Duration::from_secs(30);
/// A listing of a source is as good as new for so long.
const LISTED_FOR: Duration = Duration::from_secs(3);
/// A library that could not be made is tried again after so long.
const FAILED_FOR: Duration = Duration::from_secs(60);
/// Milliseconds for the preparation of a project's library.
const LIBRARY_WALL_MS_MAX: u64 = 300_000;

/// An order, and when it came.
type Waiting = (Instant, Order);

/// What there is of a source, by its name.
type BySource<T> = Box<dyn Fn(&str) -> T + Send + Sync>;

/// What [`serve`] works with.
pub struct Serving {
    /// Runs plans.
    pub runner: Runner,
    /// Where a source is, or why its files cannot be used; asked with each order, so that a source that was removed is
    /// used no more.
    pub source: BySource<Result<PathBuf, String>>,
    /// The rules of a source.
    pub rules: BySource<Rules>,
    /// Runs at once.
    pub threads: usize,
}

/// A source as it was listed last, and what was prepared of it.
#[derive(Default)]
struct Known {
    listed: Option<(Instant, Arc<Listed>)>,
    being_listed: bool,
    library: Option<Library>,
    library_being_made: bool,
}

/// A source's files of one language, copied.
struct Listed {
    /// Where the source is.
    root: PathBuf,
    /// Of the copies, or why there are none.
    copies: Result<Listing, String>,
    /// Their state when they were copied.
    state: u64,
    /// Goes with the last run that reads it.
    _folder: Option<Folder>,
}

/// What was made of a listing of that state, or why nothing was. The folder goes with the last run that reads it.
struct Library {
    root: PathBuf,
    made_at: Instant,
    state: u64,
    made: Result<Arc<Folder>, String>,
}

struct Server {
    serving: Serving,
    known: Mutex<HashMap<(String, Language), Known>>,
}

/// What came of an order.
enum CarriedOut {
    Ran(Box<Ran>),
    /// What it needs is being made.
    NotYet(String),
    /// The checker is none for such a text.
    NothingToSay,
}

/// What an order's text is checked against.
struct Surroundings {
    project: Project,
    /// The copies of the source's files; held until the run is over.
    listed: Option<Arc<Listed>>,
    /// Held until the run is over.
    library: Option<Arc<Folder>>,
    against: Against,
}

impl Surroundings {
    fn none(against: Against) -> Surroundings {
        Surroundings { project: Project::default(), listed: None, library: None, against }
    }
}

/// Serves until the other end is closed. What still runs then is not waited for: it ends with the process.
pub fn serve(stream: UnixStream, serving: Serving) -> io::Result<()> {
    // What an earlier process left.
    let _nothing_there = fs::remove_dir_all(&serving.runner.scratch);
    let threads = serving.threads.max(1);
    let ready = FromChecker::Ready { version: VERSION, toolchains: serving.runner.survey() };
    let writing = Arc::new(Mutex::new(stream.try_clone()?));
    tell(&writing, &ready)?;
    let server = Arc::new(Server { serving, known: Mutex::default() });
    let (orders, waiting): (SyncSender<Waiting>, Receiver<Waiting>) = sync_channel(QUEUE_MAX);
    let waiting = Arc::new(Mutex::new(waiting));
    for number in 0..threads {
        let (server, waiting, writing) = (Arc::clone(&server), Arc::clone(&waiting), Arc::clone(&writing));
        std::thread::Builder::new().name(format!("check-{number}")).spawn(move || {
            loop {
                let order = locked(&waiting).recv();
                let Ok((came, order)) = order else { return };
                let id = order.id;
                let ran = match came.elapsed() {
                    waited if waited > WAITED_MAX => {
                        Err(format!("it waited {} s for others", waited.as_secs()))
                    }
                    // A defect in one check ends no other.
                    _ => catch_unwind(AssertUnwindSafe(|| server.carry_out(&order)))
                        .unwrap_or_else(|_| Err("the check broke off".to_owned())),
                };
                let outcome = match ran {
                    Ok(CarriedOut::Ran(ran)) => FromChecker::Ran { id, ran: *ran },
                    Ok(CarriedOut::NotYet(reason)) => FromChecker::NotYet { id, reason },
                    Ok(CarriedOut::NothingToSay) => FromChecker::NothingToSay { id },
                    Err(reason) => FromChecker::NotRun { id, reason },
                };
                if tell(&writing, &outcome).is_err() {
                    return;
                }
            }
        })?;
    }
    let mut reading = stream;
    while let Some(order) = receive(&mut reading)? {
        if let Err(TrySendError::Full((_, order))) = orders.try_send((Instant::now(), order)) {
            let reason = format!("{QUEUE_MAX} checks wait already");
            tell(&writing, &FromChecker::NotRun { id: order.id, reason })?;
        }
    }
    Ok(())
}

/// What an order has looked at.
fn unit<'a>(order: &'a Order, language: Language, project: &'a Project, rules: &'a Rules) -> Unit<'a> {
    Unit { language, file_name: order.file_name.as_deref(), text: &order.text, project, rules }
}

impl Server {
    fn carry_out(self: &Arc<Server>, order: &Order) -> Result<CarriedOut, String> {
        let started = Instant::now();
        let language = Language::from_name(&order.language).ok_or("no such language")?;
        let checker = language.checkers().iter().find(|checker| checker.name == order.checker);
        let checker = checker.ok_or("no such checker")?;
        if order.text.len() > TEXT_BYTES_MAX {
            return Err(format!("the text is longer than {TEXT_BYTES_MAX} bytes"));
        }
        let missing = self.serving.runner.site.missing(checker);
        if !missing.is_empty() {
            return Err(on_one_line(&NotRun::Missing { programs: missing, package: checker.package }));
        }
        let Surroundings { project, listed, library, against } =
            match self.surroundings(order, language, checker) {
                Ok(surroundings) => surroundings,
                Err(reason) => return Ok(CarriedOut::NotYet(reason)),
            };
        let rules = order.source.as_deref().map(&self.serving.rules).unwrap_or_default();
        let unit = unit(order, language, &project, &rules);
        let Some(plan) = checker.plan(&unit) else { return Ok(CarriedOut::NothingToSay) };
        let copies = listed.iter().filter_map(|listed| Some(listed.copies.as_ref().ok()?.root.clone()));
        let read_only: Vec<PathBuf> = copies.chain(project.library.clone()).collect();
        let outcome = self.serving.runner.run(&plan, &read_only, Limits::default());
        drop((listed, library));
        let outcome = outcome.map_err(|error| on_one_line(&error))?;
        Ok(CarriedOut::Ran(Box::new(Ran {
            succeeded: succeeded(&outcome),
            ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            command: command(plan.program, &plan.arguments),
            against,
            stdout: outcome.stdout.bytes,
            stderr: outcome.stderr.bytes,
        })))
    }

    /// What the order's text is checked against; an error when that is still being made.
    fn surroundings(
        self: &Arc<Server>,
        order: &Order,
        language: Language,
        checker: &'static Checker,
    ) -> Result<Surroundings, String> {
        let Some(name) = order.source.clone() else { return Ok(Surroundings::none(Against::Nothing)) };
        let unusable = |reason: String| {
            // What was prepared of it goes.
            locked(&self.known).retain(|(known, _), _| *known != name);
            Ok(Surroundings::none(Against::Unusable { name: name.clone(), reason }))
        };
        let root = match (self.serving.source)(&name) {
            Ok(root) => root,
            Err(reason) => return unusable(reason),
        };
        if let Some(reason) = project::unusable(&root) {
            return unusable(reason);
        }
        let listed = self.listing(&name, language, root);
        let listing = match &listed.copies {
            Ok(copies) => copies,
            Err(reason) => return unusable(reason.clone()),
        };
        let library = match checker.library(&listing.files) {
            None => None,
            Some(plan) => match self.library(&name, language, &listed, plan) {
                Some(Ok(folder)) => Some(folder),
                Some(Err(reason)) => {
                    let reason = format!("its library was not made: {reason}");
                    return Ok(Surroundings::none(Against::Unusable { name, reason }));
                }
                None => {
                    return Err(format!(
                        "the library of {name} is being made: {} files",
                        listing.files.len()
                    ));
                }
            },
        };
        let folder = library.as_ref().map(|folder| folder.path().to_owned());
        let mut project = listing.project(order.path.as_deref(), folder);
        let declared = Language::declared_in(&unit(order, language, &project, &Rules::default()));
        if let Some(name) = declared {
            project.specification = listing.text(project.directory.as_deref(), &name);
        }
        Ok(Surroundings {
            project,
            listed: Some(Arc::clone(&listed)),
            library,
            against: Against::Source { name },
        })
    }

    /// The newest listing, or one from before while a newer one is made.
    fn listing(self: &Arc<Server>, name: &str, language: Language, root: PathBuf) -> Arc<Listed> {
        let key = (name.to_owned(), language);
        {
            let mut known = locked(&self.known);
            let entry = known.entry(key.clone()).or_default();
            // Of another folder, nothing that was made serves any more.
            if entry.listed.as_ref().is_some_and(|(_, listed)| listed.root != root) {
                *entry = Known::default();
            }
            if let Some((at, listed)) = &entry.listed {
                let listed = Arc::clone(listed);
                if at.elapsed() >= LISTED_FOR && !std::mem::replace(&mut entry.being_listed, true) {
                    let server = Arc::clone(self);
                    std::thread::spawn(move || server.list(&key, language, root));
                }
                return listed;
            }
        }
        self.list(&key, language, root)
    }

    fn list(&self, key: &(String, Language), language: Language, root: PathBuf) -> Arc<Listed> {
        let listing = project::list(&root, language);
        let before =
            locked(&self.known).get(key).and_then(|entry| Some(Arc::clone(&entry.listed.as_ref()?.1)));
        let is_same = |before: &Arc<Listed>| before.root == root && before.state == listing.state;
        let listed = match before.filter(is_same) {
            Some(before) => before,
            None => Arc::new(self.copied(root, &listing)),
        };
        let mut known = locked(&self.known);
        let entry = known.entry(key.clone()).or_default();
        entry.listed = Some((Instant::now(), Arc::clone(&listed)));
        entry.being_listed = false;
        listed
    }

    fn copied(&self, root: PathBuf, listing: &Listing) -> Listed {
        let state = listing.state;
        let copied = self.serving.runner.folder().map_err(|error| on_one_line(&error)).and_then(|folder| {
            let copies = project::copy(listing, folder.path()).map_err(|error| on_one_line(&error))?;
            Ok((copies, folder))
        });
        match copied {
            Ok((copies, folder)) => Listed { root, copies: Ok(copies), state, _folder: Some(folder) },
            Err(reason) => Listed { root, copies: Err(reason), state, _folder: None },
        }
    }

    /// The library of a source, or why there is none; `None` while it is being made. One of an older state serves while
    /// the next is made; one that failed is tried again after a while.
    fn library(
        self: &Arc<Server>,
        name: &str,
        language: Language,
        listed: &Arc<Listed>,
        plan: languages::Plan,
    ) -> Option<Result<Arc<Folder>, String>> {
        let key = (name.to_owned(), language);
        let mut known = locked(&self.known);
        let entry = known.entry(key.clone()).or_default();
        let library = entry.library.as_ref().filter(|library| library.root == listed.root);
        let is_newest = |library: &&Library| {
            library.state == listed.state && (library.made.is_ok() || library.made_at.elapsed() < FAILED_FOR)
        };
        if let Some(newest) = library.filter(is_newest) {
            return Some(newest.made.clone());
        }
        let older = library.and_then(|library| library.made.clone().ok());
        if !std::mem::replace(&mut entry.library_being_made, true) {
            let (server, listed) = (Arc::clone(self), Arc::clone(listed));
            std::thread::spawn(move || server.make_library(&key, &listed, &plan));
        }
        older.map(Ok)
    }

    fn make_library(&self, key: &(String, Language), listed: &Listed, plan: &languages::Plan) {
        let limits = Limits {
            wall_ms_max: LIBRARY_WALL_MS_MAX,
            cpu_s_max: LIBRARY_WALL_MS_MAX / 1000,
            ..Limits::default()
        };
        let runner = &self.serving.runner;
        let granted: Vec<PathBuf> = listed.copies.iter().map(|copies| copies.root.clone()).collect();
        let made = runner.folder().and_then(|folder| {
            runner.run_in(folder.path(), plan, &granted, limits)?;
            Ok(Arc::new(folder))
        });
        let made = made.map_err(|error| on_one_line(&error));
        let library =
            Library { root: listed.root.clone(), made_at: Instant::now(), state: listed.state, made };
        // There is no entry when the source was removed meanwhile, and another one when it lies elsewhere now. The library
        // before goes when the lock is free again.
        let _before = locked(&self.known).get_mut(key).and_then(|entry| {
            entry.library_being_made = false;
            let is_its = entry.listed.as_ref().is_some_and(|(_, now)| now.root == library.root);
            if is_its { entry.library.replace(library) } else { None }
        });
    }
}

/// As records have it: no path of this machine, and no script.
fn command(program: &str, arguments: &[String]) -> Vec<String> {
    let plain = arguments.iter().filter(|word| !word.contains(['/', '\n']));
    std::iter::once(program.to_owned()).chain(plain.cloned()).collect()
}

fn on_one_line(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text.push_str(&format!(": {source}"));
        cause = source.source();
    }
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(1000).collect()
}

fn tell(writing: &Mutex<UnixStream>, message: &FromChecker) -> io::Result<()> {
    let bytes = frame::encode(message).map_err(io::Error::other)?;
    locked(writing).write_all(&bytes)
}

fn receive(reading: &mut UnixStream) -> io::Result<Option<Order>> {
    let mut header = [0; frame::HEADER_BYTES];
    match reading.read_exact(&mut header) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let mut payload = vec![0; frame::payload_len(header).map_err(io::Error::other)?];
    reading.read_exact(&mut payload)?;
    frame::decode(&payload).map(Some).map_err(io::Error::other)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
