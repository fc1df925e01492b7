/**
 * `--reward`: what scores the candidates of `prefgrad sample`.
 * @module
 */

import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { Writing } from "../data/formats.js";
import type { PromptRow } from "../data/readPrompts.js";
import { fingerprint } from "../files/fingerprint.js";
import type { PlatformSignal } from "../methods/chat/platform.js";
import { openTranscript } from "../methods/chat/transcript.js";
import { implicitReward } from "../methods/implicitReward.js";
import { judgeReward } from "../methods/prompts/judge.js";
import { type Reward, rewardsOf } from "../methods/reward.js";
import type { Policy } from "../training/policy.js";
import { atEndpoint, JUDGE_KEY, withoutQuery } from "./endpoints.js";
import { asInput, InputError } from "./input.js";
import type { OptionsOf } from "./options.js";
import { stateOf } from "./sampleOutput.js";
import { integer } from "./text.js";

type SampleFlags = OptionsOf<"sample">;

/** Scores of a row's candidates. */
export type Scores = (
  row: PromptRow,
  ids: readonly (readonly number[])[],
  texts: readonly string[],
) => ArrayLike<number> | PromiseLike<ArrayLike<number>>;

/** What scores candidates. */
export interface Scorer {
  readonly scores: Scores;
  /** What is to be said of it at the end. */
  readonly figures: () => readonly (readonly [string, string])[];
  readonly close: () => Promise<void>;
}

/** A kind of rewards, before the model is loaded. */
export interface RewardKind {
  /** What tells it from others, by options. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** The reward, when the run begins. */
  readonly open: (
    policies: { readonly policy: Policy<unknown>; readonly reference: Policy<unknown> },
    signal: PlatformSignal,
  ) => Promise<Scorer>;
}

const isAddress = (reward: string): boolean => /^https?:\/\//i.test(reward);

/** What `--reward` names. @throws InputError. */
export async function rewardKind(flags: SampleFlags): Promise<RewardKind> {
  const { reward, judge, beta, adapter, referenceModel } = flags;
  const isImplicit = reward === "implicit";
  if (isAddress(reward) !== (judge !== undefined)) {
    throw new InputError(
      "--judge is the name of a model at the address of --reward: one needs the other",
    );
  }
  if (!isImplicit && (beta !== undefined || referenceModel !== undefined)) {
    const other = beta === undefined ? "--reference-model" : "--beta";
    throw new InputError(`${other} is of --reward implicit`);
  }
  if (isImplicit) {
    if (adapter !== undefined || referenceModel !== undefined) return implicitKind(beta);
    throw new InputError(
      "--reward implicit: the policy would be its own reference, and every score 0; give --adapter, and the model without it " +
        "is the reference, or --reference-model",
    );
  }
  return judge === undefined ? fileKind(reward) : judgeKind(flags, judge);
}

const nothing = { figures: () => [], close: async () => {} };

function implicitKind(beta = 0.1): RewardKind {
  return {
    settings: { "--reward": "implicit", "--beta": beta },
    async open({ policy, reference }) {
      const reward = implicitReward({ policy, reference, beta });
      return { ...nothing, scores: (row, ids) => reward(row.ids, ids) };
    },
  };
}

async function fileKind(path: string): Promise<RewardKind> {
  const bytes = await readFile(path).catch((error: Error) => {
    throw new InputError(`--reward: ${error.message}`);
  });
  const module = await (import(pathToFileURL(resolve(path)).href) as Promise<object>).catch(
    (error: Error) => {
      throw new InputError(`--reward: ${path} cannot be loaded: ${error.message}`);
    },
  );
  const { default: own } = module as { readonly default?: unknown };
  if (typeof own !== "function") {
    throw new InputError(
      `--reward: ${path} must export a function by default: export default (prompt, completions) => numbers`,
    );
  }
  const reward: Reward<unknown> = async (prompt, completions) => {
    try {
      return await own(prompt, completions);
    } catch (error) {
      const said = error instanceof Error ? (error.stack ?? error.message) : String(error);
      throw new Error(`--reward: ${path}: ${said}`, { cause: error });
    }
  };
  return {
    settings: { "--reward": `a file ${(await fingerprint([bytes])).slice(0, 16)}` },
    open: async () => ({
      ...nothing,
      scores: ({ given }, _, texts) => asInput(() => rewardsOf(reward, given, texts)),
    }),
  };
}

async function judgeKind(flags: SampleFlags, judge: string): Promise<RewardKind> {
  const { reward: address, output, resume, overwrite, timeout, retries, concurrency } = flags;
  const model = await asInput(() => atEndpoint(address, judge, process.env[JUDGE_KEY]));
  const settings = { "--reward": withoutQuery(address), "--judge": judge };
  return {
    settings,
    async open(_, signal) {
      const directory = join(stateOf(output), "judge");
      const transcript = await asInput(() =>
        openTranscript(directory, { settings, resume, overwrite }),
      );
      const budget = { requests: flags.maxRequests, tokens: flags.maxTokens };
      const reward = judgeReward(model, {
        ...{ timeout, retries, concurrency, budget, transcript, signal },
      });
      return {
        scores: ({ given }, __, texts) => reward(promptText(given), texts),
        figures() {
          const { unparsed } = reward.counts;
          return unparsed > 0 ? [["unread verdicts", `${integer(unparsed)}, which scored 0`]] : [];
        },
        close: () => transcript.close(),
      };
    },
  };
}

/** A prompt for a judge: a text, a user's only message, or the messages with who says them. */
function promptText(given: Writing): string {
  if (typeof given === "string") return given;
  const said = given.map(({ role, content }) => {
    return { role, text: typeof content === "string" ? content : JSON.stringify(content ?? "") };
  });
  const [first, ...others] = said;
  if (first?.role === "user" && others.length === 0) return first.text;
  return said.map(({ role, text }) => `${role}: ${text}`).join("\n\n");
}
