//! The files of a commit. What is indexed is what is committed: a revision names it, and nothing that git ignores is in it.

use std::path::Path;

use gix::bstr::ByteSlice;

use super::{Entry, FILES_MAX, LeftOut, Listing, PATH_BYTES_MAX, Reason, TreeError, by_path};

pub(crate) struct Repository {
    repository: gix::ThreadSafeRepository,
    branch: Option<String>,
    /// Whether the git folder is inside the source's root.
    has_work_tree: bool,
}

pub(crate) struct Reader(gix::Repository);

impl Repository {
    /// Reads no configuration but the repository's own, and runs nothing.
    pub(super) fn open(
        git_folder: &Path,
        has_work_tree: bool,
        branch: Option<&str>,
    ) -> Result<Repository, TreeError> {
        let options = gix::open::Options::isolated().open_path_as_is(true);
        let repository = gix::ThreadSafeRepository::open_opts(git_folder, options).map_err(refused)?;
        Ok(Repository { repository, branch: branch.map(str::to_owned), has_work_tree })
    }

    pub(super) fn reader(&self) -> Reader {
        let mut repository = self.repository.to_thread_local();
        repository.object_cache_size_if_unset(4 << 20);
        Reader(repository)
    }

    pub(super) fn list(&self) -> Result<Listing, TreeError> {
        let repository = self.repository.to_thread_local();
        let (commit, name) = match &self.branch {
            Some(branch) => {
                let unknown = || TreeError::Branch { branch: branch.clone() };
                let full = format!("refs/heads/{branch}");
                let mut reference = repository.find_reference(full.as_str()).map_err(|_| unknown())?;
                let id = reference.peel_to_id().map_err(refused)?;
                let commit = id.object().map_err(refused)?.peel_to_commit().map_err(refused)?;
                (Some(commit), full)
            }
            None => {
                let head = repository.head().map_err(refused)?;
                let name = head.referent_name().map(|name| name.as_bstr().to_str_lossy().into_owned());
                // A repository without a commit is empty, and not broken.
                let commit =
                    if head.is_unborn() { None } else { Some(repository.head_commit().map_err(refused)?) };
                (commit, name.unwrap_or_default())
            }
        };
        let mut listing = Listing {
            branch: name.strip_prefix("refs/heads/").unwrap_or_default().to_owned(),
            watch: self.watch(&name),
            ..Listing::default()
        };
        let Some(commit) = commit else { return Ok(listing) };
        listing.revision = commit.id().to_string();
        let tree = commit.tree().map_err(refused)?;
        for file in tree.traverse().breadthfirst.files().map_err(refused)? {
            if file.mode.is_tree() {
                continue;
            }
            let path = file.filepath.to_str().ok().filter(|path| path.len() <= PATH_BYTES_MAX);
            let reason = match path {
                _ if file.mode.is_commit() => Some(Reason::Submodule),
                _ if file.mode.is_link() => Some(Reason::NoFile),
                None => Some(Reason::Path),
                Some(_) if listing.entries.len() >= FILES_MAX => Some(Reason::TooMany),
                Some(path) => by_path(path),
            };
            let path = match path {
                Some(path) => path.to_owned(),
                None => file.filepath.to_str_lossy().chars().take(PATH_BYTES_MAX).collect(),
            };
            match reason {
                Some(reason) => listing.left_out.push(LeftOut { path, reason, detail: String::new() }),
                None => listing.entries.push(Entry { path, id: file.oid.to_string() }),
            }
        }
        listing.entries.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(listing)
    }

    /// Where a new commit shows.
    fn watch(&self, name: &str) -> Vec<String> {
        let folder = if self.has_work_tree { ".git/" } else { "" };
        let names = ["HEAD", "packed-refs", "reftable/tables.list", name];
        names.iter().filter(|name| !name.is_empty()).map(|name| format!("{folder}{name}")).collect()
    }
}

impl Reader {
    pub(super) fn read(&self, entry: &Entry, bytes_max: u64) -> Result<Vec<u8>, (Reason, String)> {
        let unreadable = |what: String| (Reason::Unreadable, what);
        let id =
            gix::ObjectId::from_hex(entry.id.as_bytes()).map_err(|error| unreadable(error.to_string()))?;
        let header = self.0.find_header(id).map_err(|error| unreadable(words(&error)))?;
        if header.size() > bytes_max {
            return Err((Reason::TooLarge, format!("{} bytes", header.size())));
        }
        let mut object = self.0.find_object(id).map_err(|error| unreadable(words(&error)))?;
        Ok(std::mem::take(&mut object.data))
    }
}

fn refused(error: impl std::error::Error + 'static) -> TreeError {
    TreeError::Repository { what: words(&error) }
}

/// An error and its causes, on one line.
fn words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    words.replace('\n', " ")
}
