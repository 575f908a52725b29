import assert from "node:assert/strict";
import { test } from "node:test";

import { Offers, type Offer } from "../../src/offers";

const URI = "file:///a.adb";

function watched() {
  const told: [string | number, number][] = [];
  const states: boolean[] = [];
  const offers = new Offers((suggestion, bytes) => told.push([suggestion, bytes]), (isOffered) => states.push(isOffered));
  return { offers, told, states };
}

function offer(insertText: string, more: Partial<Offer> = {}): Offer {
  return { suggestion: "s1", uri: URI, offset: 10, insertText, taken: 0, ...more };
}

function insert(offset: number, text: string) {
  return [{ rangeOffset: offset, rangeLength: 0, text }];
}

test("words that were taken over are told, in bytes", () => {
  const { offers, told } = watched();
  offers.show(offer("né Top := 0;"));
  offers.change(URI, insert(10, "né"));
  offers.change(URI, insert(12, " Top"));
  offers.change(URI, insert(0, "-- elsewhere\n"));
  offers.change(URI, insert(29, " :="));
  assert.deepEqual(told, [["s1", 3], ["s1", 4]]);
});

test("what is typed is not taken over", () => {
  const { offers, told, states } = watched();
  offers.show(offer("Foo (A);"));
  for (const [at, letter] of ["F", "o", "o", " "].entries()) offers.change(URI, insert(10 + at, letter));
  offers.change(URI, insert(14, "()"));
  assert.deepEqual(told, []);
  assert.deepEqual(states, [true, false]);
});

test("a pair that the editor closes is typed, too", () => {
  const { offers, told } = watched();
  offers.show(offer("(); end"));
  offers.change(URI, insert(10, "()"));
  assert.deepEqual(told, []);
});

test("the last piece is told by the item's command", () => {
  const { offers, told, states } = watched();
  offers.show(offer("Top := 0;"));
  offers.change(URI, insert(10, "Top"));
  offers.change(URI, insert(13, " := 0;"));
  assert.deepEqual(told, [["s1", 3]]);
  assert.deepEqual(states, [true, false]);
});

test("the same suggestion, offered again for its rest, goes on", () => {
  const { offers, told } = watched();
  offers.show(offer("Top := 0;"));
  offers.change(URI, insert(10, "Top"));
  offers.show(offer(" := 0;", { offset: 13 }));
  offers.change(URI, insert(13, " :="));
  // What stands in the word already is part of the item, and not taken over.
  offers.show(offer("Item_Count;", { suggestion: "s2", offset: 20, taken: 4 }));
  offers.change(URI, insert(24, "_Count"));
  assert.deepEqual(told, [["s1", 3], ["s1", 3], ["s2", 6]]);
});

test("another document, a deletion or another text end it or not", () => {
  const { offers, states } = watched();
  offers.show(offer("Top"));
  offers.change("file:///b.adb", insert(10, "x"));
  assert.notEqual(offers.current, undefined);
  offers.change(URI, [{ rangeOffset: 10, rangeLength: 1, text: "" }]);
  assert.equal(offers.current, undefined);
  assert.deepEqual(states, [true, false]);
});
