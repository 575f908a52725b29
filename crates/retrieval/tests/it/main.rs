//! Indexes of real repositories and folders, made on disk, and what is found in them.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails; what it writes may be lost"
)]

mod hostile;
mod rights;
mod sources;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use protocol::context::SourceFacts;
use retrieval::build::{Build, Built, build};
use retrieval::{Readable, Sources};
use tempfile::TempDir;

/// A folder with a source, and its indexes beside it.
pub(crate) struct Lab {
    folder: TempDir,
}

impl Lab {
    pub(crate) fn new(files: &[(&str, &str)]) -> Lab {
        let lab = Lab { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(lab.root()).unwrap();
        for (path, text) in files {
            lab.write(path, text.as_bytes());
        }
        lab
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("source")
    }

    pub(crate) fn index(&self, number: u32) -> PathBuf {
        self.folder.path().join(number.to_string())
    }

    pub(crate) fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// Makes the root a repository of all that is in it.
    pub(crate) fn commit(&self) -> String {
        if !self.root().join(".git").exists() {
            git(&self.root(), &["init", "-q", "-b", "main"]);
        }
        git(&self.root(), &["add", "-A", "-f"]);
        git(&self.root(), &["commit", "-q", "--allow-empty", "-m", "as it is"]);
        git(&self.root(), &["rev-parse", "HEAD"])
    }

    pub(crate) fn asked(&self, number: u32) -> Build {
        let published = number.checked_sub(1).filter(|before| *before > 0);
        Build {
            root: self.root(),
            branch: None,
            building: self.index(number),
            published: published.map(|before| self.index(before)),
            threads: 2,
        }
    }

    pub(crate) fn build(&self, number: u32) -> Built {
        build(&self.asked(number), &mut |_| ()).unwrap()
    }

    /// The source alone, readable.
    pub(crate) fn readable(&self, number: u32) -> Readable {
        let sources = Sources::default();
        sources.set(vec![facts("source", &["everyone"])]);
        sources.publish("source", &self.index(number)).unwrap();
        sources.readable(|_| true)
    }
}

pub(crate) fn facts(name: &str, readers: &[&str]) -> SourceFacts {
    let readers = readers.iter().map(ToString::to_string).collect();
    SourceFacts { name: name.to_owned(), readers, labels: Vec::new(), rules_file: None }
}

pub(crate) fn git(root: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.arg("-C").arg(root).args([
        "-c",
        "user.name=t",
        "-c",
        "user.email=t@t",
        "-c",
        "commit.gpgsign=false",
    ]);
    command.args(arguments).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
    let output = command.output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

pub(crate) const SENSORS: &str = "\
package Flight.Sensors is

   type Reading is record
      Pressure_Pa : Float;
      Valid       : Boolean;
   end record;

   --  The static pressure, filtered.
   function Read_Pressure (Port : Natural) return Reading;

end Flight.Sensors;
";
pub(crate) const ALTITUDE: &str = "\
with Flight.Sensors;

package body Flight.Altitude is

   function Altitude_M (Port : Natural) return Float is
      Now : constant Flight.Sensors.Reading := Flight.Sensors.Read_Pressure (Port);
   begin
      return 44_330.0 * (1.0 - Now.Pressure_Pa / 101_325.0);
   end Altitude_M;

end Flight.Altitude;
";
