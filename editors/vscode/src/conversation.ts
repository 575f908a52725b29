// A conversation as the panel shows it. The extension keeps it, so that a panel that was hidden comes back as it was.

import type { Findings } from "./protocol";

/** Turns that are kept and sent; older ones go. */
export const TURNS_MAX = 40;
/** Characters of one question. */
export const QUESTION_CHARACTERS_MAX = 100_000;

export interface Turn {
  id: string;
  question: string;
  /** What was given with it, in words: `stacks.adb, lines 3 to 9`. */
  about: string[];
  answer: string;
  state: "running" | "done" | "stopped" | "failed";
  /** Why it failed. */
  failure?: string;
  record?: number;
  deployment?: string;
  /** Why the model stopped. */
  stop?: string;
  findings?: Findings;
}

/** What of the editor a question may take with it. */
export interface Subject {
  file?: string;
  /** Its selected lines, from 1. */
  selected?: [number, number];
}

/** From the extension to the panel. */
export type ToPanel =
  | { type: "all"; turns: Turn[]; subject: Subject; model: string }
  | { type: "turn"; turn: Turn }
  | { type: "text"; id: string; text: string }
  | { type: "subject"; subject: Subject }
  | { type: "model"; model: string }
  | { type: "focus" };

/** From the panel to the extension. */
export type FromPanel =
  | { type: "ready" }
  | { type: "ask"; question: string; withFile: boolean; withSelection: boolean }
  | { type: "stop" }
  | { type: "insert"; text: string }
  | { type: "copy"; text: string }
  | { type: "record"; record: number };
