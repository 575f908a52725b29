// Server-sent events of a fetch, one after the other.

/** Bytes of one event at most: the last has what checkers and corpora say. */
const EVENT_LENGTH_MAX = 8 << 20;

/** Yields `{ data }` and `{ comment }`. */
export async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      rest += value;
      if (rest.length > EVENT_LENGTH_MAX) throw new Error("An event of the answer is too long.");
      let end;
      while ((end = rest.indexOf("\n\n")) >= 0) {
        const lines = rest.slice(0, end).split("\n");
        rest = rest.slice(end + 2);
        const data = lines.filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trimStart());
        if (data.length > 0) yield { data: data.join("\n") };
        for (const line of lines) if (line.startsWith(":")) yield { comment: line.slice(1).trim() };
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
