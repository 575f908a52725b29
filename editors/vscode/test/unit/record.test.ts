import assert from "node:assert/strict";
import { test } from "node:test";

import { recordPage } from "../../src/recordPage";

const leaf = (index: number, event: object, body: unknown = null) => ({ index, body, leaf: { time_unix_ms: 1_700_000_000_000, event } });

test("a record", () => {
  const asked = { chat: { messages: [{ role: "user", content: "Why?\nResult: leaf 9" }] } };
  const document = {
    ...leaf(5, { kind: "intent", identity: "alice", labels: [], reproducible: true, sampling: { temperature: 0 } }, { prompt_text: JSON.stringify(asked) }),
    related: [
      leaf(6, { kind: "block" }, { block_text: "Bec" }),
      leaf(7, { kind: "result", outcome: "answered", times: { prompt_us: 12 } }, { output_text: "Because." }),
      leaf(8, { kind: "decision", choice: "partly_accepted", accepted_bytes: 4 }),
    ],
  };
  assert.equal(recordPage(5, document), `Record 5: intent
  when                  2023-11-14T22:13:20.000Z
  identity              alice
  labels                none
  reproducible          yes
  sampling              greedy

Prompt: user
  | Why?
  | Result: leaf 9

Answer
  | Because.

Result: leaf 7
  when                  2023-11-14T22:13:20.000Z
  blocks streamed       1
  outcome               answered
  times                 prompt us 12

Decision: leaf 8
  when                  2023-11-14T22:13:20.000Z
  choice                partly accepted
  accepted bytes        4
`);
});

test("a document of another shape is no failure", () => {
  for (const document of [null, [], 7, { leaf: 1, related: {} }, { related: [1, null] }, { leaf: { time_unix_ms: 1e300 } }]) {
    assert.match(recordPage(1, document), /^Record 1: unknown\n/);
  }
});
