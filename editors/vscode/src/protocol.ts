// What `cloister lsp` speaks beside the Language Server Protocol (docs/lsp.md). All of it comes from another
// program, maybe of another version: whatever may be absent is optional, and is passed over when it is.

/** Notifications and requests of our own, by their names. */
export const CHAT = "cloister/chat";
export const CHAT_TEXT = "cloister/chatText";
export const STATUS = "cloister/status";
export const STATUS_CHANGED = "cloister/statusChanged";
export const EXPLAIN = "cloister/explain";

/** Commands of the server; what a person did with a suggestion. */
export const ACCEPTED = "cloister.accepted";
export const SHOWN = "cloister.shown";
export const REJECTED = "cloister.rejected";

export interface Place {
  line: number;
  character: number;
}

export interface ChatMessage {
  role: "user" | "assistant";
  content: string;
}

export interface ChatParams {
  id: string;
  messages: ChatMessage[];
  uri?: string;
  selection?: { start: Place; end: Place };
  files?: string[];
  deployment?: string;
}

export interface ChatAnswer {
  record?: number;
  deployment?: string;
  text: string;
  stop?: string;
  findings?: Findings;
}

export interface Findings {
  checks?: Check[];
  provenance?: Provenance | null;
  sources?: Source[];
}

export interface Remark {
  severity?: string;
  line?: number | null;
  column?: number | null;
  file?: string | null;
  message?: string;
}

/** What one checker said; lines are the answer's, from 1. */
export interface Check {
  language?: string;
  checker?: string;
  version?: string;
  /** `passed`, `failed` or `not_run`. */
  outcome?: string;
  reason?: string | null;
  claims?: string;
  lines?: [number, number];
  errors?: number;
  errors_before?: number;
  remarks?: Remark[];
}

export interface Origin {
  corpus?: string;
  origin?: { package?: string; version?: string | null; commit?: string | null; path?: string; licence?: { standing?: { stated?: string } } | null };
  blob?: string;
  lines?: [number, number];
}

/** What an answer has in common with known code. */
export interface Match {
  lines?: [number, number];
  lexemes?: number;
  /** `exact`, `renamed`, `near` or `copied`. */
  kind?: string;
  /** In thousandths. */
  similarity?: number | null;
  from?: string | null;
  is_common?: boolean;
  documents?: number;
  packages?: number;
  licences?: string[];
  origins?: Origin[];
  /** `annotate`, `warn` or `block`. */
  action?: string;
}

export interface Provenance {
  corpora?: { name?: string; root?: string }[];
  not_asked?: string[];
  matches?: Match[];
  cut_short?: boolean;
}

/** A passage of the team's sources that the model was given. */
export interface Source {
  /** The passage's place, in words. */
  heading?: string;
  source?: string;
  path?: string;
  file_name?: string;
  first_line?: number;
  last_line?: number;
  page?: number | null;
  headings?: string[];
  revision?: string;
  name?: string;
  why?: unknown[];
  score?: number;
  suspicious?: string | null;
}

export interface Deployment {
  alias?: string;
  name?: string;
  model?: string;
  fill?: boolean;
  up?: boolean;
}

export interface Status {
  server?: string;
  reachable?: boolean;
  error?: string | null;
  version?: string | null;
  deployments?: Deployment[];
  posture?: { record?: number; time_unix_s?: number; outcome?: string } | null;
}

/** The identity of a suggestion, from the command that its item has. */
export function suggestionOf(command: { command: string; arguments?: unknown[] } | undefined): string | number | undefined {
  if (command?.command !== ACCEPTED) return undefined;
  const first = command.arguments?.[0];
  if (typeof first !== "object" || first === null || !("suggestion" in first)) return undefined;
  const suggestion = first.suggestion;
  return typeof suggestion === "string" || typeof suggestion === "number" ? suggestion : undefined;
}
