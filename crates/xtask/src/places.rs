//! Where things are: the repository, the target folder, the cache; and every environment variable
//! that this program reads or gives.

use std::{
    env,
    path::{Path, PathBuf},
};

use crate::failure::Failure;

/// Read: the cache folder. Else `$XDG_CACHE_HOME/cloister`, else `~/.cache/cloister`.
const CACHE: &str = "CLOISTER_CACHE";
/// Read: Cargo's own; where to build. Else `target` in the repository, or in the cache when CI is set.
const TARGET: &str = "CARGO_TARGET_DIR";
/// Read: Cargo's own; where it keeps what it fetched. Else `~/.cargo`.
pub(crate) const CARGO_HOME: &str = "CARGO_HOME";
/// Read: set by CI services. Builds then stay out of the clone.
const CI: &str = "CI";
/// Read, as CUDA's own tools do: where its toolkit is. Else `/usr/local/cuda` or `/opt/cuda`.
const CUDA: &str = "CUDA_PATH";
/// Read and given to tests: the engine worker.
pub(crate) const ENGINE: &str = "CLOISTER_ENGINE";
/// Given to tests: the folder of the programs, as `build` leaves them.
pub(crate) const TEST_PROGRAMS: &str = "CLOISTER_TEST_PROGRAMS";
/// Given to tests: the folder of programs that can leave a layer of their jails out.
pub(crate) const TEST_WEAKENED: &str = "CLOISTER_TEST_WEAKENED";
/// Given to tests: the folder of the test models, `NAME.gguf` each.
pub(crate) const TEST_MODELS: &str = "CLOISTER_TEST_MODELS";
/// Read, to repeat a run, and given to tests: a decimal u64.
pub(crate) const TEST_SEED: &str = "CLOISTER_TEST_SEED";
/// Given to tests: a Python that has the `openai` client.
pub(crate) const TEST_PYTHON: &str = "CLOISTER_TEST_PYTHON";
/// Given to tests: a Python that has the `anthropic` client.
pub(crate) const TEST_ANTHROPIC: &str = "CLOISTER_TEST_ANTHROPIC";

/// Tells tests the Python that has the `ollama` client.
pub(crate) const TEST_OLLAMA: &str = "CLOISTER_TEST_OLLAMA";

/// Tells tests the Python that has `litellm`.
pub(crate) const TEST_LITELLM: &str = "CLOISTER_TEST_LITELLM";

/// Given to tests: a Python that has a client of the Language Server Protocol.
pub(crate) const TEST_PYTEST_LSP: &str = "CLOISTER_TEST_PYTEST_LSP";
/// Given to tests: a Python that has a client of the Agent Client Protocol.
pub(crate) const TEST_ACP: &str = "CLOISTER_TEST_ACP";
/// Given to tests: a Python that has a client of the Model Context Protocol.
pub(crate) const TEST_MCP: &str = "CLOISTER_TEST_MCP";
/// Given to tests: a Python that has the reference implementation of model signing.
pub(crate) const TEST_MODEL_SIGNING: &str = "CLOISTER_TEST_MODEL_SIGNING";
/// Given to tests: axe-core, which looks at the console in a browser.
pub(crate) const TEST_AXE: &str = "CLOISTER_TEST_AXE";
/// Given to tests: the schema of SARIF.
pub(crate) const TEST_SARIF: &str = "CLOISTER_TEST_SARIF";
/// Given to tests: a Python that has other people's readers of what `review`, `gate` and `evidence` write.
pub(crate) const TEST_FORMATS: &str = "CLOISTER_TEST_FORMATS";
/// Given to the fuzzer: the target that it runs.
pub(crate) const FUZZ_TARGET: &str = "CLOISTER_FUZZ_TARGET";
/// Read: a file of words, one a line, that must not occur in the tree (`tidy`).
pub(crate) const TIDY_WORDS: &str = "CLOISTER_TIDY_WORDS";

/// Read by `release`, and given to what it builds: when its sources were made, in seconds since 1970.
pub(crate) const SOURCE_DATE_EPOCH: &str = "SOURCE_DATE_EPOCH";

/// The target of a native build, as rustc names it. Only Linux is built for.
pub(crate) const NATIVE: &str =
    if cfg!(target_arch = "aarch64") { "aarch64-unknown-linux-gnu" } else { "x86_64-unknown-linux-gnu" };

/// The folders, absolute.
pub(crate) struct Places {
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
    pub(crate) cache: PathBuf,
}

impl Places {
    pub(crate) fn find() -> Result<Places, Failure> {
        let manifest_dir = env::var_os("CARGO_MANIFEST_DIR");
        let here = manifest_dir.as_deref().map_or(Path::new(env!("CARGO_MANIFEST_DIR")), Path::new);
        let root = here.ancestors().nth(2).unwrap_or(here).to_owned();
        let cache = match folder(CACHE).or_else(|| Some(folder("XDG_CACHE_HOME")?.join("cloister"))) {
            Some(cache) => cache,
            None => env::home_dir()
                .ok_or_else(|| {
                    Failure::new("no home directory, so no place for the cache")
                        .hint(format!("Set {CACHE} to a folder with 4 GiB of room."))
                })?
                .join(".cache/cloister"),
        };
        let target = match folder(TARGET) {
            Some(target) => target,
            None if env::var_os(CI).is_some() => cache.join("target"),
            None => root.join("target"),
        };
        Ok(Places { target: root.join(target), cache: root.join(cache), root })
    }

    /// Where the release builds of the default members are.
    pub(crate) fn release(&self) -> PathBuf {
        self.target.join("release")
    }

    /// Where the worker is built: C++ and other flags must not disturb the other builds.
    pub(crate) fn engine_target(&self) -> PathBuf {
        self.target.join("engine")
    }

    /// Where the worker for a GPU is built.
    pub(crate) fn cuda_target(&self) -> PathBuf {
        self.target.join("engine-cuda")
    }

    /// The test models.
    pub(crate) fn models(&self) -> PathBuf {
        self.cache.join("models")
    }

    /// The repositories that retrieval is measured on.
    pub(crate) fn corpora(&self) -> PathBuf {
        self.cache.join("corpora")
    }

    /// Programs built once for this repository's use, a folder for each version.
    pub(crate) fn tools(&self) -> PathBuf {
        self.cache.join("tools")
    }
}

/// Where a CUDA toolkit may be, the one that is named first.
pub(crate) fn cuda_toolkits() -> Vec<PathBuf> {
    folder(CUDA)
        .map_or_else(|| ["/usr/local/cuda", "/opt/cuda"].map(PathBuf::from).to_vec(), |path| vec![path])
}

fn folder(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}
