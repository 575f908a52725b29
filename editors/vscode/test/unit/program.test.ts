import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { test } from "node:test";

import { findProgram } from "../../src/program";

test("the setting, then the extension's own, then the PATH", (context) => {
  const folder = mkdtempSync(join(tmpdir(), "cloister-program-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const program = (...parts: string[]) => {
    const path = join(folder, ...parts);
    mkdirSync(join(path, ".."), { recursive: true });
    writeFileSync(path, "#!/bin/sh\n");
    chmodSync(path, 0o755);
    return path;
  };
  const extension = join(folder, "extension");
  const path = ["relative", join(folder, "bin")].join(delimiter);
  assert.ok("missing" in findProgram("", extension, path));
  const onPath = program("bin", "cloister");
  assert.deepEqual(findProgram("", extension, path), { program: onPath, from: "path" });
  const own = program("extension", "program", "cloister");
  assert.deepEqual(findProgram("", extension, path), { program: own, from: "extension" });
  const set = program("other");
  assert.deepEqual(findProgram(set, extension, path), { program: set, from: "setting" });
  // One that was named and is not there is not replaced by another.
  assert.ok("missing" in findProgram(join(folder, "absent"), extension, path));
  assert.ok("missing" in findProgram("bin/cloister", extension, path));
});
