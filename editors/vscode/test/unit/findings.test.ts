import assert from "node:assert/strict";
import { test } from "node:test";

import { sections } from "../../src/panel/findings";

test("what was found, in words", () => {
  const [sources, code, checks] = sections({
    sources: [{ source: "flight", path: "src/a.ads", first_line: 3, last_line: 9, revision: "0123456789abcdef", name: "A.B", why: [{ defines: "Trim" }, "similar"], suspicious: null }],
    provenance: {
      corpora: [{ name: "debian", root: "sha256:00" }],
      not_asked: ["crates"],
      matches: [
        {
          lines: [3, 33], lexemes: 120, kind: "exact", documents: 2, packages: 1, licences: ["GPL-3.0-or-later"], action: "warn",
          origins: [{ corpus: "debian", lines: [10, 40], origin: { package: "deb:gzip", version: "1.12-1", path: "lib/sort.c", licence: { standing: { stated: "GPL-3.0-or-later" } } } }],
        },
        { lines: [1, 2], lexemes: 40, kind: "exact", is_common: true },
        { lines: [1, 2], lexemes: 40, kind: "copied", from: "the conversation", is_common: true },
      ],
    },
    checks: [
      { checker: "gnat", version: "12.2.0", outcome: "failed", lines: [4, 28], errors: 1, remarks: [{ severity: "error", line: 4, column: 14, message: "not found" }] },
      { checker: "gnatprove", outcome: "not_run", lines: [4, 28], reason: "it is not installed" },
    ],
  });
  assert.equal(sources?.lines[0]?.text, "flight/src/a.ads:3-9 at 0123456789ab · A.B");
  assert.deepEqual(sources?.lines[0]?.more, ["defines Trim; has words in common"]);
  assert.equal(code?.gist, "1 match · GPL-3.0-or-later");
  assert.equal(code?.weight, "warn");
  assert.deepEqual(code?.lines.map((line) => [line.weight, line.text]), [
    ["bad", "Lines 3 to 33 match known code: 120 lexemes · in 2 files of 1 package · GPL-3.0-or-later"],
    ["none", "Lines 1 to 2 copied from the conversation: 40 lexemes"],
    ["warn", "crates is not open: nothing is known of it"],
    ["none", "Compared with debian"],
  ]);
  assert.deepEqual(code?.lines[0]?.more.at(-1), "deb:gzip 1.12-1: lib/sort.c:10-40 · GPL-3.0-or-later (corpus debian)");
  assert.equal(checks?.gist, "1 failed");
  assert.deepEqual(checks?.lines.map((line) => line.text), [
    "gnat 12.2.0 · lines 4 to 28: 1 error",
    "gnatprove · lines 4 to 28: not checked: it is not installed",
  ]);
});

test("nothing found is said as far as it is known", () => {
  const gists = (findings: Parameters<typeof sections>[0]) => sections(findings).map((one) => `${one.gist}/${one.weight}`);
  assert.deepEqual(gists({}), ["none/none", "not compared/none", "none/none"]);
  assert.deepEqual(gists({ provenance: { corpora: [], matches: [] } })[1], "no corpus here/none");
  assert.deepEqual(gists({ provenance: { corpora: [{ name: "known" }], matches: [] } })[1], "no match/good");
  assert.deepEqual(gists({ provenance: { corpora: [{ name: "known" }], matches: [], cut_short: true } })[1], "no match/warn");
});
