/**
 * A process that is asked in lines: one JSON object a line on its standard input, one line of answer to each.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";

/** What is answered to a question that failed there; the process goes on. */
interface Failure {
  readonly error?: string;
}

export class LineProcess<Answer> {
  private readonly process: ChildProcess;
  private readonly waiting: { resolve(answer: Answer): void; reject(error: Error): void }[] = [];
  private failure: Error | null = null;

  constructor(command: string, args: readonly string[], environment: NodeJS.ProcessEnv = {}) {
    this.process = spawn(command, args, {
      stdio: ["pipe", "pipe", "inherit"],
      env: { ...process.env, ...environment },
    });
    createInterface({ input: this.process.stdout! }).on("line", (line) => {
      const answer = JSON.parse(line) as Answer & Failure;
      const asked = this.waiting.shift();
      if (answer.error === undefined) asked?.resolve(answer);
      else asked?.reject(new Error(answer.error));
    });
    const end = (reason: string): void => {
      this.failure = new Error(reason);
      for (const { reject } of this.waiting.splice(0)) reject(this.failure);
    };
    this.process.on("error", (error) => end(`${command} does not start: ${error.message}`));
    this.process.on("exit", (code, signal) => end(`${command} ended with ${signal ?? code}`));
    // Whoever asks next hears why.
    this.process.stdin!.on("error", () => {});
  }

  ask(question: Record<string, unknown>): Promise<Answer> {
    if (this.failure) return Promise.reject(this.failure);
    return new Promise((resolve, reject) => {
      this.waiting.push({ resolve, reject });
      this.process.stdin!.write(`${JSON.stringify(question)}\n`);
    });
  }

  /** Lets it end, and waits until it has. */
  async close(): Promise<void> {
    if (this.failure) return;
    const ended = new Promise((resolve) => this.process.once("exit", resolve));
    this.process.stdin!.end();
    await ended;
  }
}
