/**
 * `prefgrad sample`: candidates of a model's own for each prompt, their scores, and pairs of them.
 * @module
 */

import { realpath } from "node:fs/promises";
import { type PromptRow, readPrompts } from "../data/readPrompts.js";
import { fingerprint } from "../files/fingerprint.js";
import { type CandidateOptions, type Candidates, candidatesOf } from "../methods/candidates.js";
import { Halted } from "../methods/chat/requests.js";
import { rejectionSample } from "../methods/rejectionSample.js";
import type { Reward } from "../methods/reward.js";
import {
  bestWorst,
  firstRoundRank,
  type Pairing,
  rankedPairs,
  tournament,
} from "../methods/rewardRanking.js";
import { type LoadedModel, loadModel } from "../models/loadModel.js";
import { withLora } from "../models/lora.js";
import { modelInfo } from "../models/modelInfo.js";
import type { Tokenizer } from "../models/tokenizer.js";
import { realize } from "../tensor/evaluate.js";
import { treeContents } from "../training/keptNumbers.js";
import { fullPolicy } from "../training/policy.js";
import { VERSION } from "../training/version.js";
import { asInput, InputError, InterruptedError } from "./input.js";
import { interrupts } from "./interrupts.js";
import { checkDevice, loaded } from "./model.js";
import type { OptionsOf } from "./options.js";
import { sampleProgress } from "./progress.js";
import { rewardKind, type Scorer } from "./reward.js";
import { openSampleOutput, type SampleCounts, type SampleOutput } from "./sampleOutput.js";
import { integer, table } from "./text.js";

type SampleFlags = OptionsOf<"sample">;
type Ids = readonly number[];
type Policies = Parameters<Awaited<ReturnType<typeof rewardKind>>["open"]>[0];

/** Most new tokens where nothing says how many. */
const NEW_TOKENS = 256;

const PAIRINGS: Readonly<Record<SampleFlags["pairs"], Pairing>> = {
  "best-worst": bestWorst,
  "first-round": firstRoundRank,
  tournament,
  none: () => [],
};

/** Writes pairs or candidates to `--output`, prompt by prompt, and its path to standard output. */
export async function sample(flags: SampleFlags): Promise<void> {
  checkTogether(flags);
  checkDevice(flags);
  await checkOutput(flags);
  const kind = await rewardKind(flags);
  const { tokenizer, config } = await asInput(() => modelInfo(flags.model, flags.revision));
  if (!tokenizer) throw new InputError(`${flags.model} has no tokenizer.json`);
  const rows = await promptsOf(flags, tokenizer, config.contextLength);

  const { lm, adapter } = await loaded(flags);
  const other = await referenceOf(flags, config.vocabularySize);
  const parameters = adapter ? await realize(withLora(lm, adapter)) : lm.parameters;
  const policies = {
    policy: fullPolicy({ model: lm.model, parameters }),
    reference: fullPolicy(other ?? lm),
  } as Policies;
  const { output: path, resume, overwrite } = flags;
  const settings = {
    ...settingsOf(flags),
    ...kind.settings,
    "--model": await printOf(treeContents(lm.parameters)),
    "--adapter": adapter ? await printOf(treeContents(adapter.parameters)) : undefined,
    "--reference-model": other && (await printOf(treeContents(other.parameters))),
    "--data": await printOf(rowContents(rows)),
  };
  const output = await openSampleOutput(path, { settings, resume, overwrite });
  const progress = sampleProgress(process.stderr, output.counts.prompts, rows.length);
  for (const notice of output.notices) progress.notice(notice);
  const { signal, restore } = interrupts(() => {
    progress.notice("stopping; Ctrl-C once more ends at once");
  });
  let scorer: Scorer | undefined;
  let spent = false;
  try {
    scorer = await kind.open(policies, signal);
    const reward = rewardOf(rows, tokenizer, scorer);
    const sampled = { ...lm, parameters, tokenizer: null };
    const asked = rows.map(({ ids }) => ({ ids, text: ids }));
    const how = { ...samplingOf(flags), first: output.counts.prompts, signal };
    for await (const found of candidatesOf(sampled, asked, reward, how)) {
      await write(output, found, rows[found.index]!, flags, lm, tokenizer);
      progress.step(output.counts.prompts, output.counts.score / output.counts.candidates);
    }
  } catch (error) {
    if (!(error instanceof Halted)) throw error;
    spent = error.reason === "budget";
  } finally {
    progress.stop();
    await scorer?.close();
    await output.close();
    restore();
  }
  const { prompts } = output.counts;
  if (signal.aborted && prompts < rows.length) {
    throw new InterruptedError(
      `interrupted; ${path} has ${prompts} of ${rows.length} prompts: --resume goes on`,
    );
  }
  const figures = [...figuresOf(output.counts, rows.length, flags), ...(scorer?.figures() ?? [])];
  process.stderr.write(`${table(figures)}\n`);
  if (spent) process.stderr.write("the budget is spent: --resume with a larger one goes on\n");
  process.stdout.write(`${path}\n`);
}

/** Refuses options that have no meaning beside others. */
function checkTogether(flags: SampleFlags): void {
  const { samples, pairs, accepted, acceptedBeta, temperature } = flags;
  if (temperature === 0 && samples > 1) {
    throw new InputError("--temperature 0 makes all candidates of a prompt the same");
  }
  if (pairs === "none" && accepted !== undefined) {
    throw new InputError("--accepted chooses candidates for pairs, and --pairs none makes none");
  }
  if (accepted === undefined && acceptedBeta !== undefined) {
    throw new InputError("--accepted-beta is part of --accepted: give --accepted, too");
  }
  if (pairs !== "none" && Math.min(samples, accepted ?? samples) < 2) {
    throw new InputError("a pair takes two candidates: --samples and --accepted are at least 2");
  }
  if (accepted !== undefined && accepted > samples) {
    throw new InputError(`--accepted must be at most --samples, ${samples}, got ${accepted}`);
  }
}

/** Refuses to write over what is read. */
async function checkOutput({ output, data, reward }: SampleFlags): Promise<void> {
  const real = (path: string) => realpath(path).catch(() => null);
  const own = await real(output);
  for (const [flag, path] of Object.entries({ data, reward })) {
    if (own === null || (await real(path)) !== own) continue;
    throw new InputError(`--output is the file of --${flag}, which would be lost: choose another`);
  }
}

const newTokensOf = ({ maxNewTokens = NEW_TOKENS }: SampleFlags): number => maxNewTokens;

/** The prompts of `--data`, each with room for its candidates. */
function promptsOf(
  flags: SampleFlags,
  tokenizer: Tokenizer,
  contextLength: number,
): Promise<readonly PromptRow[]> {
  const { data, columns = {}, split, dataRevision, system, chat } = flags;
  const tokens = newTokensOf(flags);
  return asInput(() =>
    readPrompts("sample", data, tokenizer, {
      ...{ columns, system, chat, split, revision: dataRevision },
      limit: flags.limit ?? Number.POSITIVE_INFINITY,
      most: contextLength - tokens,
      why: `leave room for ${tokens} new ones (--max-new-tokens) in the context of ${contextLength}`,
    }),
  );
}

/** The model of `--reference-model`. */
async function referenceOf(
  { referenceModel, dtype }: SampleFlags,
  vocabularySize: number,
): Promise<LoadedModel | undefined> {
  if (referenceModel === undefined) return undefined;
  const other = await asInput(() => loadModel(referenceModel, { dtype, tokenizer: false }));
  if (other.config.vocabularySize === vocabularySize) return other;
  throw new InputError(
    `--reference-model: it has ${other.config.vocabularySize} tokens and --model ${vocabularySize}; they must be the same`,
  );
}

/** How candidates are drawn. */
function samplingOf(flags: SampleFlags): CandidateOptions & { readonly seed: number } {
  const { samples, samplingBatchSize, temperature, topK, topP, minP, repetitionPenalty, seed } =
    flags;
  return {
    ...{ samples, samplingBatchSize, temperature, topK, topP, minP, repetitionPenalty, seed },
    maxNewTokens: newTokensOf(flags),
  };
}

/** What changes the result, by options. What is read has fingerprints. */
function settingsOf(flags: SampleFlags): Readonly<Record<string, unknown>> {
  const { accepted, pairs, device, dtype, limit, system, chat, columns } = flags;
  const { samplingBatchSize, ...drawn } = samplingOf(flags);
  return {
    prefgrad: VERSION,
    "--seed": drawn.seed,
    "--samples": drawn.samples,
    "--max-new-tokens": drawn.maxNewTokens,
    "--temperature": drawn.temperature ?? 1,
    "--top-k": drawn.topK,
    "--top-p": drawn.topP,
    "--min-p": drawn.minP,
    "--repetition-penalty": drawn.repetitionPenalty,
    "--pairs": pairs,
    "--accepted": accepted,
    "--accepted-beta": accepted === undefined ? undefined : acceptedBetaOf(flags),
    "--device": device,
    "--dtype": dtype,
    "--split": flags.split,
    "--data-revision": flags.dataRevision,
    "--columns": columns,
    "--limit": limit,
    "--system": system,
    "--chat": chat,
  };
}

const acceptedBetaOf = ({ acceptedBeta = 0.5 }: SampleFlags): number => acceptedBeta;

/** A fingerprint that a person can compare. */
const printOf = async (pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>) =>
  (await fingerprint(pieces)).slice(0, 16);

function* rowContents(rows: readonly PromptRow[]): Generator<Uint8Array> {
  for (const row of rows) yield new TextEncoder().encode(JSON.stringify(row));
}

const textOf = (tokenizer: Tokenizer, ids: Ids): string =>
  tokenizer.decode(ids, { skipSpecialTokens: true });

/** The reward of tokens that a scorer of rows is. */
function rewardOf(
  rows: readonly PromptRow[],
  tokenizer: Tokenizer,
  { scores }: Scorer,
): Reward<Ids> {
  const rowOf = new Map(rows.map((row) => [row.ids, row]));
  return (prompt, completions) => {
    const texts = completions.map((ids) => textOf(tokenizer, ids));
    return scores(rowOf.get(prompt)!, completions, texts);
  };
}

/** Writes what came of a prompt. */
async function write(
  output: SampleOutput,
  { completionIds, rewards }: Candidates<Ids>,
  row: PromptRow,
  flags: SampleFlags,
  { generationConfig }: LoadedModel,
  tokenizer: Tokenizer,
): Promise<void> {
  const { accepted, pairs: pairing, seed } = flags;
  const texts = completionIds.map((ids) => textOf(tokenizer, ids));
  const ended = completionIds.map((ids) => generationConfig.eosTokenIds.includes(ids.at(-1)!));
  const { pairs } = rankedPairs(rewards, `${seed} ${row.row}`, {
    pairing: PAIRINGS[pairing],
    accepted: (of, own) =>
      accepted === undefined
        ? of.map((_, i) => i)
        : rejectionSample(of, { count: accepted, beta: acceptedBetaOf(flags), seed: own }),
  });
  const isChat = typeof row.prompt !== "string";
  const isTrained = (i: number): boolean => !isChat || texts[i]!.trim() !== "";
  const kept = pairs.filter(
    ({ chosen: i, rejected: k }) => texts[i] !== texts[k] && isTrained(i) && isTrained(k),
  );
  const answer = (i: number) => (isChat ? [{ role: "assistant", content: texts[i]! }] : texts[i]!);
  const { prompt, tools, variables } = row;
  const rest = {
    ...(tools && { tools }),
    ...(Object.keys(variables).length > 0 && { chat_template_kwargs: variables }),
    row: row.row,
  };
  const candidates = texts.map((text, i) => {
    return { text, score: rewards[i]!, tokens: completionIds[i]!.length, ended: ended[i]! };
  });
  const lines =
    pairing === "none"
      ? [{ prompt, candidates, ...rest }]
      : kept.map(({ chosen: i, rejected: k }) => ({
          ...{ prompt, chosen: answer(i), rejected: answer(k) },
          ...{ score_chosen: rewards[i]!, score_rejected: rewards[k]!, ...rest },
        }));
  const before = output.counts;
  await output.add(lines.map((line) => `${JSON.stringify(line)}\n`).join(""), {
    prompts: before.prompts + 1,
    candidates: before.candidates + texts.length,
    score: rewards.reduce((sum, own) => sum + own, before.score),
    cut: before.cut + ended.filter((own) => !own).length,
    pairs: before.pairs + kept.length,
  });
}

/** What is said at the end, of the whole output. */
function figuresOf(
  { prompts, candidates, score, cut, pairs }: SampleCounts,
  of: number,
  flags: SampleFlags,
): readonly (readonly [string, string])[] {
  return [
    ["prompts", `${integer(prompts)} of ${integer(of)}`],
    [
      "candidates",
      `${integer(candidates)}, ${integer(cut)} of them cut at ${newTokensOf(flags)} tokens`,
    ],
    ["mean score", candidates === 0 ? "–" : String(Number((score / candidates).toPrecision(4)))],
    ...(flags.pairs === "none" ? [] : [["pairs", integer(pairs)] as const]),
  ];
}
