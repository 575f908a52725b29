// The language server's process, and what is asked of it. It is the only thing that this extension talks to.

import * as vscode from "vscode";
import {
  LanguageClient,
  RevealOutputChannelOn,
  State,
  type LanguageClientOptions,
  type Middleware,
  type ServerOptions,
} from "vscode-languageclient/node";

import { findProgram } from "./program";
import * as protocol from "./protocol";
import { initializationOptions, settings } from "./settings";

/** The documents that are completed. Not the output channels and records, which are documents, too. */
const DOCUMENTS = [
  { scheme: "file" },
  { scheme: "untitled" },
];

export class Server implements vscode.Disposable {
  readonly log = vscode.window.createOutputChannel("Cloister", { log: true });
  private client: LanguageClient | undefined;
  /** Starts and stops come one after another. */
  private turn: Promise<void> = Promise.resolve();
  private readonly statusEmitter = new vscode.EventEmitter<protocol.Status>();
  private readonly textEmitter = new vscode.EventEmitter<{ id: string; text: string }>();
  private readonly failureEmitter = new vscode.EventEmitter<string | undefined>();
  readonly onStatus = this.statusEmitter.event;
  readonly onChatText = this.textEmitter.event;
  /** Why there is no server; nothing once there is one. */
  readonly onFailure = this.failureEmitter.event;

  constructor(
    private readonly context: vscode.ExtensionContext,
    private readonly middleware: Middleware,
  ) {}

  start(): Promise<void> {
    return this.next(() => this.startNow());
  }

  restart(): Promise<void> {
    return this.next(async () => {
      await this.stopNow();
      await this.startNow();
    });
  }

  stop(): Promise<void> {
    return this.next(() => this.stopNow());
  }

  private next(step: () => Promise<void>): Promise<void> {
    this.turn = this.turn.then(step, step);
    return this.turn;
  }

  private async startNow(): Promise<void> {
    const found = findProgram(settings().path, this.context.extensionPath);
    if ("missing" in found) {
      this.log.error(found.missing);
      this.failureEmitter.fire(found.missing);
      return;
    }
    this.log.info(`starting ${found.program} lsp (from the ${found.from})`);
    const run: ServerOptions = {
      command: found.program,
      args: ["lsp"],
      // Not the folder that is open: nothing of it shall matter to how the program starts.
      options: { cwd: this.context.extensionPath },
    };
    const options: LanguageClientOptions = {
      documentSelector: DOCUMENTS,
      initializationOptions: await initializationOptions(this.context.secrets),
      outputChannel: this.log,
      revealOutputChannelOn: RevealOutputChannelOn.Never,
      markdown: { isTrusted: { enabledCommands: ["cloister.showRecord"] }, supportHtml: false },
      middleware: this.middleware,
    };
    const client = new LanguageClient("cloister", "Cloister", run, options);
    client.onNotification(protocol.CHAT_TEXT, (one: { id: string; text: string }) => this.textEmitter.fire(one));
    client.onNotification(protocol.STATUS_CHANGED, (status: protocol.Status) => this.statusEmitter.fire(status));
    client.onDidChangeState((change) => {
      if (change.newState === State.Stopped && this.client === client) {
        this.failureEmitter.fire("The language server is not running.");
      }
    });
    try {
      await client.start();
    } catch (error) {
      const reason = `\`cloister lsp\` does not start: ${message(error)}`;
      this.log.error(reason);
      this.failureEmitter.fire(reason);
      return;
    }
    this.client = client;
    this.failureEmitter.fire(undefined);
    try {
      this.statusEmitter.fire(await client.sendRequest<protocol.Status>(protocol.STATUS, {}));
    } catch (error) {
      this.log.warn(`${protocol.STATUS}: ${message(error)}`);
    }
  }

  private async stopNow(): Promise<void> {
    const client = this.client;
    this.client = undefined;
    await client?.dispose();
  }

  /** Says what a person did with a suggestion. Nothing that is shown depends on it. */
  tell(command: string, argument: { suggestion: string | number; bytes?: number }): void {
    this.client?.sendRequest("workspace/executeCommand", { command, arguments: [argument] }).catch((error: unknown) => {
      this.log.warn(`${command}: ${message(error)}`);
    });
  }

  status(): Promise<protocol.Status> {
    return this.running().sendRequest(protocol.STATUS, {});
  }

  chat(params: protocol.ChatParams, token: vscode.CancellationToken): Promise<protocol.ChatAnswer> {
    return this.running().sendRequest(protocol.CHAT, params, token);
  }

  explain(record: number): Promise<unknown> {
    return this.running().sendRequest(protocol.EXPLAIN, { record });
  }

  private running(): LanguageClient {
    if (this.client === undefined) throw new Error("The language server is not running. See Cloister: Show Log.");
    return this.client;
  }

  dispose(): void {
    void this.stop();
    this.statusEmitter.dispose();
    this.textEmitter.dispose();
    this.failureEmitter.dispose();
    this.log.dispose();
  }
}

export function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
