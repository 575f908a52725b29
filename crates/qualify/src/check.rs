//! The opinion of a site's own compilers on a unit: plans of `languages`, run in jails of their own.

use std::path::{Path, PathBuf};

use jail::tool::Launcher;
use languages::{Checker, Diagnostic, Language, Project, Severity, Unit, Written};

use crate::judge::LIMITS;
pub use crate::tool::NotRun;
use crate::tool::{Run, Scratch, need, succeeded};

/// What the first checker of the unit's language says, which is the quick one, and where that finds no error, what the
/// further one does, too, if there is one. Each is run in a folder of its own below `scratch_root`, which is gone afterwards. An
/// answer without an error is a clean unit; everything that keeps a checker from saying so is an error.
pub fn opinion(
    launcher: &Launcher<'_>,
    scratch_root: &Path,
    unit: &Unit<'_>,
) -> Result<Vec<Diagnostic>, NotRun> {
    let checker = unit.language.checkers().first().ok_or_else(|| no_checker(unit))?;
    let said = opinion_of(launcher, scratch_root, checker, unit)?;
    match Language::further_checker(unit).filter(|further| further.plan(unit).is_some()) {
        Some(further) if !said.iter().any(|one| one.severity == Severity::Error) => {
            let more = opinion_of(launcher, scratch_root, further, unit)?;
            Ok(said.into_iter().chain(more).collect())
        }
        _ => Ok(said),
    }
}

/// How the unit behaves, as its language's driver says: nothing of one that does not end.
pub fn behaviour(
    launcher: &Launcher<'_>,
    scratch_root: &Path,
    unit: &Unit<'_>,
) -> Result<Vec<Diagnostic>, NotRun> {
    let driver = Language::driver(unit).filter(|driver| driver.plan(unit).is_some());
    let driver = driver.ok_or_else(|| no_checker(unit))?;
    match opinion_of(launcher, scratch_root, driver, unit) {
        Err(NotRun::TimedOut { .. }) => Ok(Vec::new()),
        said => said,
    }
}

/// What one checker says.
pub fn opinion_of(
    launcher: &Launcher<'_>,
    scratch_root: &Path,
    checker: &Checker,
    unit: &Unit<'_>,
) -> Result<Vec<Diagnostic>, NotRun> {
    need(checker.programs, checker.package)?;
    let plan = checker.plan(unit).ok_or_else(|| no_checker(unit))?;
    let scratch = Scratch::new(scratch_root)?;
    for (name, text) in &plan.files {
        scratch.write(name, text)?;
    }
    let read_only = grants(unit.project);
    let run = Run {
        program: plan.program,
        arguments: &plan.arguments,
        executes: plan.executes,
        read_only: &read_only,
        limits: LIMITS,
    };
    let outcome = scratch.run(launcher, &run)?;
    if outcome.end == jail::tool::End::TimedOut {
        let program = checker.name.to_owned();
        return Err(NotRun::TimedOut { program, wall_ms_max: LIMITS.wall_ms_max });
    }
    let written = Written {
        stdout: &outcome.stdout.bytes,
        stderr: &outcome.stderr.bytes,
        succeeded: succeeded(&outcome),
    };
    // A failed run is an error in it, understood or not.
    Ok(checker.read(unit, &written))
}

/// The project's folders that lie in no other of them: no grant of a jail may lie in another.
fn grants(project: &Project) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> =
        project.directories.iter().chain(&project.directory).chain(&project.library).cloned().collect();
    // A folder sorts before what is below it.
    all.sort_unstable();
    all.dedup_by(|below, above| below.starts_with(above));
    all
}

fn no_checker(unit: &Unit<'_>) -> NotRun {
    NotRun::NoChecker { language: unit.language.name() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_grant_lies_in_another() {
        let directories = ["/a/b", "/a", "/ab", "/a/b/c", "/a"].map(PathBuf::from).to_vec();
        let project = Project { directories, directory: Some("/c".into()), ..Project::default() };
        assert_eq!(grants(&project), ["/a", "/ab", "/c"].map(PathBuf::from));
    }
}
