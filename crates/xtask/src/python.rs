//! Pythons that have other people's real programs, for the tests that run them: a virtual environment
//! for each, so that none decides what another is made of.

use std::{fs, path::PathBuf, process::Command};

use crate::{
    engine::sha256_of,
    failure::{During as _, Failure},
    places::{
        Places, TEST_ACP, TEST_ANTHROPIC, TEST_FORMATS, TEST_LITELLM, TEST_MCP, TEST_MODEL_SIGNING,
        TEST_OLLAMA, TEST_PYTEST_LSP, TEST_PYTHON,
    },
    process::{run, succeeds},
};

/// What an environment has.
struct Environment {
    /// Its versions are pinned in `.ci/NAME.txt`.
    name: &'static str,
    /// What tests run of it, as Python imports it.
    module: &'static str,
    /// The variable that tells tests the interpreter.
    variable: &'static str,
}

const ENVIRONMENTS: [Environment; 9] = [
    Environment { name: "openai", module: "openai", variable: TEST_PYTHON },
    Environment { name: "anthropic", module: "anthropic", variable: TEST_ANTHROPIC },
    Environment { name: "ollama", module: "ollama", variable: TEST_OLLAMA },
    Environment { name: "litellm", module: "litellm", variable: TEST_LITELLM },
    Environment { name: "model-signing", module: "model_signing.verifying", variable: TEST_MODEL_SIGNING },
    Environment { name: "pytest-lsp", module: "pytest_lsp", variable: TEST_PYTEST_LSP },
    Environment { name: "acp", module: "acp", variable: TEST_ACP },
    Environment { name: "mcp", module: "mcp.client.stdio", variable: TEST_MCP },
    Environment {
        name: "formats",
        module: "check_jsonschema, cyclonedx.validation.json, in_toto_attestation.v1.statement, securesystemslib.dsse",
        variable: TEST_FORMATS,
    },
];

/// Has the schemas of CycloneDX. No test runs it, so it is made by who asks for it.
const CYCLONEDX: Environment =
    Environment { name: "cyclonedx", module: "cyclonedx.validation.json, jsonschema", variable: "" };

/// A client that people use in terminals; no test runs it, a soak does.
const AIDER: Environment = Environment { name: "aider", module: "aider.main", variable: "" };

/// Draws requests from a description of an HTTP surface; a soak runs it.
const SCHEMATHESIS: Environment =
    Environment { name: "schemathesis", module: "schemathesis.cli", variable: "" };

/// schemathesis, as a program.
pub(crate) fn schemathesis(places: &Places) -> Result<PathBuf, Failure> {
    Ok(SCHEMATHESIS.python(places)?.with_file_name("schemathesis"))
}

/// A Python that has aider.
pub(crate) fn aider(places: &Places) -> Result<PathBuf, Failure> {
    AIDER.python(places)
}

/// A Python that checks bills of materials.
pub(crate) fn cyclonedx(places: &Places) -> Result<PathBuf, Failure> {
    CYCLONEDX.python(places)
}

/// Each environment's variable and interpreter. They are in the cache, made on first use.
pub(crate) fn pythons(places: &Places) -> Result<Vec<(&'static str, PathBuf)>, Failure> {
    ENVIRONMENTS.iter().map(|environment| Ok((environment.variable, environment.python(places)?))).collect()
}

impl Environment {
    fn python(&self, places: &Places) -> Result<PathBuf, Failure> {
        let requirements = places.root.join(".ci").join(format!("{}.txt", self.name));
        let digest = sha256_of(&requirements)?;
        let folder = places.tools().join(format!("{}-{}", self.name, &digest[..12]));
        let python = folder.join("bin/python3");
        // An environment whose making was cut off, or whose system Python went away, is made anew.
        let mut import = Command::new(&python);
        // litellm asks its maker's site for prices otherwise, when it is imported.
        import.args(["-c", &format!("import {}", self.module)]).env("LITELLM_LOCAL_MODEL_COST_MAP", "True");
        if succeeds(&mut import) {
            return Ok(python);
        }
        if folder.exists() {
            fs::remove_dir_all(&folder).during(|| folder.display().to_string())?;
        }
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        let mut install = Command::new(&python);
        install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]);
        run(install.args(["--only-binary=:all:", "--no-deps", "--requirement"]).arg(&requirements))?;
        Ok(python)
    }
}
