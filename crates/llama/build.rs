//! Compiles the seam to llama.cpp's CPU backend against the sources that llama.cpp was built from.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    println!("cargo:rerun-if-changed=src/seam.cpp");
    let ggml = source().join("ggml");
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .file("src/seam.cpp")
        .include(ggml.join("include"))
        .include(ggml.join("src"))
        .include(ggml.join("src/ggml-cpu"))
        // Those are of llama.cpp's headers.
        .warnings(false)
        .flag("-w")
        // The sys crate links the C++ library, statically.
        .cpp_link_stdlib(None)
        .compile("cloister_seam");
}

/// Where llama.cpp's sources are: its build directory knows.
fn source() -> PathBuf {
    let cmake = env::var("DEP_LLAMA_GGML_CMAKE_DIR").expect("set by the build of llama-cpp-sys-2");
    let out = Path::new(&cmake).ancestors().nth(2).expect("OUT/lib/cmake");
    let cache = out.join("build/CMakeCache.txt");
    let cache = fs::read_to_string(&cache).unwrap_or_else(|error| panic!("{}: {error}", cache.display()));
    let home = cache.lines().find_map(|line| line.strip_prefix("CMAKE_HOME_DIRECTORY:INTERNAL="));
    home.expect("CMake notes its source directory").into()
}
