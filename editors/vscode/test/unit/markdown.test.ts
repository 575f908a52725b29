import assert from "node:assert/strict";
import { test } from "node:test";

import { blocks, inlines } from "../../src/panel/markdown";

test("the blocks that models write", () => {
  const kinds = (text: string) => blocks(text).map((block) => block.kind);
  assert.deepEqual(kinds("One\ntwo\n\n# Three\n- a\n- b\n1. c\n> d\n---\n```ada\nnull;\n```\nend"), [
    "paragraph", "heading", "list", "list", "quote", "rule", "code", "paragraph",
  ]);
  const [code] = blocks("```ada\n   null;\n\n   -- ~~~\n```");
  assert.deepEqual(code, { kind: "code", language: "ada", text: "   null;\n\n   -- ~~~", isClosed: true });
});

test("a fence that is still being written has no end", () => {
  assert.deepEqual(blocks("```c\nint a;"), [{ kind: "code", language: "c", text: "int a;", isClosed: false }]);
  assert.deepEqual(blocks("````\n```\n````"), [{ kind: "code", language: "", text: "```", isClosed: true }]);
});

test("a fence within a list loses the list's indentation only", () => {
  const [, code] = blocks("1. so:\n   ```\n   if A then\n      B;\n   ```");
  assert.deepEqual(code, { kind: "code", language: "", text: "if A then\n   B;", isClosed: true });
});

test("within a line", () => {
  assert.deepEqual(inlines("a `**b**` **c d** *e* 2 * 3 * 4"), [
    { kind: "text", text: "a " },
    { kind: "code", text: "**b**" },
    { kind: "text", text: " " },
    { kind: "strong", text: "c d" },
    { kind: "text", text: " " },
    { kind: "emphasis", text: "e" },
    { kind: "text", text: " 2 * 3 * 4" },
  ]);
});

test("HTML, links and pictures stay text", () => {
  for (const text of ["<img src=x onerror=alert(1)>", "[a](javascript:alert(1))", "![a](http://example.org/b.png)"]) {
    assert.deepEqual(blocks(text), [{ kind: "paragraph", inlines: [{ kind: "text", text }] }]);
  }
});

test("no text takes long", () => {
  const start = Date.now();
  for (const text of ["*".repeat(50_000), "`".repeat(50_000), "**a ".repeat(20_000), "- ".repeat(50_000), "`a".repeat(20_000)]) blocks(text);
  assert.ok(Date.now() - start < 2000, `${Date.now() - start} ms`);
});
