// The token, and every call of this server. The token is in this tab's session storage: other tabs and
// other servers' pages do not see it, and it goes when the tab is closed.

const KEY = "cloister.token";

export const token = () => sessionStorage.getItem(KEY);

export function keep(text) {
  sessionStorage.setItem(KEY, text);
}

export function forget() {
  sessionStorage.removeItem(KEY);
}

/**
 * A token that came in the address, as `cloister console` gives it: `#token=…`. It is taken out of the address and
 * of the tab's history at once. It is only offered: a link from elsewhere must not sign anybody in as another.
 */
export function offered() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given !== null) history.replaceState(null, "", location.pathname + location.search);
  return given;
}

/** What the server said instead of an answer. */
export class Refused extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** Asks; the response when its status is good. A token that is not valid any more is forgotten. */
export async function ask(path, { body, signal, as } = {}) {
  const headers = { authorization: `Bearer ${as ?? token() ?? ""}` };
  if (body !== undefined) headers["content-type"] = "application/json";
  let response;
  try {
    response = await fetch(path, {
      method: body === undefined ? "GET" : "POST",
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal,
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
      referrerPolicy: "no-referrer",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "unreachable", "The server does not answer. Is cloisterd running?");
  }
  if (response.ok) return response;
  let said = {};
  try {
    said = (await response.json()).error ?? {};
  } catch {
    // Not JSON: the status says what there is to say.
  }
  if (response.status === 401 && as === undefined) {
    forget();
    dispatchEvent(new CustomEvent("signed-out"));
  }
  throw new Refused(response.status, said.code, said.message ?? `The server answered with status ${response.status}.`);
}

export const get = async (path) => (await ask(path)).json();
export const post = async (path, body) => (await ask(path, { body })).json();
