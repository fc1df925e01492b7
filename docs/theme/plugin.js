/**
 * What the documentation site adds to TypeDoc: an order for everything, an address for every page, code in
 * the tables of contents, and the way to pages that compute.
 */

import { readdirSync, readFileSync } from "node:fs";
import { Comment, CommentTag, Converter, JSX, ReflectionKind, StructureRouter } from "typedoc";

/** The guides in reading order; pages below others are named by those, as `children`. */
export const GUIDES = [
  "start",
  "example",
  "coming-from",
  "tensors",
  "optimizers",
  "losses",
  "choosing",
  "spo",
  "bilevel",
  "dynamics",
  "models",
  "data",
  "align",
  "training",
  "objectives",
  "sample",
  "rso",
  "apo",
  "aspo",
  "diffusion",
  "drpo",
  "cli",
  "options",
  "files",
  "interop",
  "devices",
  "demo",
  "benchmarks",
  "papers",
  "architecture",
];

/** Headings of the navigation, and of the lists of functions, in order. */
export const CATEGORIES = [
  // Guides
  "Begin",
  "Guides",
  "Run",
  "Inside",
  "Reference",
  // core
  "Tensors",
  "Creation",
  "Random numbers",
  "Evaluation and devices",
  "Gradients",
  "Elementwise",
  "Activations",
  "Reductions",
  "Movement and shapes",
  "Products",
  "Indexing",
  "Order",
  "Parameter trees",
  // optim
  "Optimizers",
  "Chains",
  "Averages",
  "Schedules",
  // losses
  "Inputs and results",
  "Pairs, with a reference",
  "Pairs, without a reference",
  "Anchored",
  "Batches, tokens, diffusion",
  "Stable preference optimization",
  "Around losses",
  "By name",
  "Log-probabilities",
  // bilevel
  "Steps",
  "Methods",
  // training
  "The loop",
  "Orders and schedules",
  "Objectives",
];

/** What a declaration is listed under, by its source file: the first that matches. */
const CATEGORY_OF_FILE = [
  [/tensor\/(tensor|shape)\.ts|kernels\/dtype\.ts/, "Tensors"],
  [/tensor\/create\.ts/, "Creation"],
  [/tensor\/random\.ts/, "Random numbers"],
  [/tensor\/(evaluate|pieces|runtime|storage)\.ts|devices\/device\.ts/, "Evaluation and devices"],
  [/src\/autograd\/|ops\/composite\.ts/, "Gradients"],
  [/ops\/elementwise\.ts/, "Elementwise"],
  [/ops\/activations\.ts/, "Activations"],
  [/ops\/reduce\.ts/, "Reductions"],
  [/ops\/(movement|broadcast)\.ts/, "Movement and shapes"],
  [/ops\/(matmul|einsum)\.ts/, "Products"],
  [/ops\/indexing\.ts/, "Indexing"],
  [/ops\/order\.ts/, "Order"],
  [/tensor\/tree\.ts/, "Parameter trees"],
  [/optim\/(chain|links|directions|clipByGlobalNorm)\.ts/, "Chains"],
  [/optim\/exponentialMovingAverage\.ts/, "Averages"],
  [/optim\/schedules\.ts/, "Schedules"],
  [/src\/optim\//, "Optimizers"],
  [/losses\/names\//, "By name"],
  [/src\/logprobs\//, "Log-probabilities"],
  [/losses\/(spo|penaltyWeight)\.ts/, "Stable preference optimization"],
  [/losses\/types\.ts/, "Inputs and results"],
  [/losses\/(mixLosses|preferenceMetrics|divergence|runningStatistics)\.ts/, "Around losses"],
  [/bilevel\/(bilevelStep|types)\.ts/, "Steps"],
  [/src\/bilevel\//, "Methods"],
  [/training\/(fit\w*|observer|runDirectory|checkpoints)\.ts/, "The loop"],
  [/training\/(align|sft|run|runFiles|answers|settings\/options)\.ts/, "Runs"],
  [/training\/(order|schedules)\.ts/, "Orders and schedules"],
  [/training\/\w*[oO]bjective\.ts/, "Objectives"],
];

/** What a loss is listed under, by its source file: the guide that has a heading for it. */
const LOSS_PAGES = {
  "losses-pairwise": "Pairs, with a reference",
  "losses-reference-free": "Pairs, without a reference",
  "losses-anchored": "Anchored",
  "losses-batch-token": "Batches, tokens, diffusion",
};

/** Losses with a heading in a guide, and where they are listed. */
const lossCategories = new Map(
  Object.entries(LOSS_PAGES).flatMap(([page, category]) => {
    const text = readFileSync(`docs/${page}.md`, "utf8");
    return [...text.matchAll(/^### (\w+)$/gm)].map(([, loss]) => [loss, category]);
  }),
);

/** The loss that a file of src/losses/ is named after. */
const lossOf = (file) => `${/([^/]+)\.ts$/.exec(file)[1]}Loss`;

/** Losses' files that hold what belongs to another file's loss. */
const BESIDE = { aspoWeights: "aspo", ktoValue: "kto", udmWeights: "bco", unpairedKto: "kto" };

function categoryOf(file) {
  const found = CATEGORY_OF_FILE.find(([pattern]) => pattern.test(file));
  if (found !== undefined) return found[1];
  if (/src\/(tensor|ops|kernels|devices)\//.test(file)) {
    throw new Error(`${file} has no category in docs/theme/plugin.js`);
  }
  if (!/src\/losses\//.test(file)) return undefined;
  const [, base] = /([^/]+)\.ts$/.exec(file);
  const category = lossCategories.get(lossOf(`${BESIDE[base] ?? base}.ts`));
  if (category === undefined) {
    throw new Error(
      `${file}: no guide has a heading "### ${lossOf(file)}": add one to a page of losses, or the file to ` +
        "docs/theme/plugin.js",
    );
  }
  return category;
}

function addCategory(reflection, category) {
  const documented = reflection.signatures ?? [reflection];
  for (const part of documented) {
    part.comment ??= new Comment();
    part.comment.blockTags.push(new CommentTag("@category", [{ kind: "text", text: category }]));
  }
}

/** Guides are `guides/<title>.html`, what the library exports `api/<module>/<name>.html`. */
class Router extends StructureRouter {
  getIdealBaseName(reflection) {
    if (!reflection.isDocument()) return `api/${super.getIdealBaseName(reflection)}`;
    const words = reflection.name.toLowerCase().match(/[\p{L}\d]+/gu);
    return `guides/${words.join("-")}`;
  }
}

/** Has the guides' part of the navigation open until a reader closes it: TypeDoc keeps that in the storage. */
function openNavigation() {
  const script = `try { for (const name of ["Begin", "Guides", "Run", "Reference"])
    localStorage["tsd-accordion-" + name] ??= "true"; } catch {}`;
  return JSX.createElement("script", null, JSX.createElement(JSX.Raw, { html: script }));
}

/** The way to a page of the playground, from every page. */
const playgroundLink = (page, title, text) => (context) =>
  JSX.createElement(
    "a",
    { class: "playground-link", href: context.relativeURL(`playground/${page}.html`) },
    JSX.createElement("strong", null, title),
    JSX.createElement("span", null, text),
  );

/** Code in headings is text to TypeDoc's table of contents, too. */
export function headingsWithCode(parser) {
  parser.core.ruler.push("headings-with-code", ({ tokens }) => {
    for (const [i, token] of tokens.entries()) {
      if (token.type !== "heading_open") continue;
      for (const child of tokens[i + 1].children) {
        if (child.type !== "code_inline") continue;
        // TypeDoc reads the text of a token from its children where it has some.
        const text = Object.assign(new child.constructor("text", "", 0), {
          content: child.content,
        });
        child.children = [text];
      }
    }
  });
}

/** Paths in code break after a slash: they are the widest words of a table. */
export function breakablePaths(parser) {
  const { escapeHtml } = parser.utils;
  parser.renderer.rules.code_inline = (tokens, i) =>
    `<code>${escapeHtml(tokens[i].content).replaceAll("/", "/<wbr>")}</code>`;
}

export function load(app) {
  const unlisted = readdirSync("docs")
    .filter((file) => file.endsWith(".md"))
    .map((file) => file.slice(0, -".md".length))
    .filter((page) => !GUIDES.includes(page) && !(page in LOSS_PAGES));
  if (unlisted.length > 0) {
    throw new Error(
      `docs/${unlisted[0]}.md has no place in the reading order of docs/theme/plugin.js`,
    );
  }

  const loose = GUIDES.find(
    (page) => !/^category: /m.test(readFileSync(`docs/${page}.md`, "utf8")),
  );
  if (loose !== undefined) {
    throw new Error(`docs/${loose}.md has no "category" between the lines at its top`);
  }

  app.renderer.defineRouter("prefgrad", Router);
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    for (const module of project.getReflectionsByKind(ReflectionKind.Module)) {
      addCategory(module, "Reference");
      for (const child of module.children ?? []) {
        const file = project.getSymbolIdFromReflection(child)?.fileName.replaceAll("\\", "/");
        const category = file === undefined ? undefined : categoryOf(file);
        if (category !== undefined) addCategory(child, category);
      }
    }
  });
  // `{@link name}` reaches what any module exports: a source imports only what it uses.
  app.converter.addUnknownSymbolResolver((reference, reflection) => {
    const [name, ...members] = (reference.symbolReference?.path ?? []).map(({ path }) => path);
    const target = reflection.project
      .getReflectionsByKind(ReflectionKind.Module)
      .map((module) => module.getChildByName([name, ...members]))
      .find((found) => found !== undefined);
    return target && { target };
  });
  // Modules in the order of the entry points, not of the alphabet. TypeDoc has made its lists at -200.
  app.converter.on(
    Converter.EVENT_RESOLVE_END,
    ({ project }) => {
      const inOrder = app.options.getValue("entryPoints").map((path) => /src\/(\w+)/.exec(path)[1]);
      const place = ({ name }) => inOrder.indexOf(name);
      const lists = [...(project.categories ?? []), ...(project.groups ?? [])];
      for (const { children } of lists) {
        if (children.every((child) => child.kindOf(ReflectionKind.Module))) {
          children.sort((a, b) => place(a) - place(b));
        }
      }
    },
    -300,
  );
  app.renderer.hooks.on("head.end", openNavigation);
  for (const link of [
    playgroundLink("index", "Playground", "Align a small model in this browser"),
    playgroundLink("generate", "Try a model", "Load a model directory, and have it write"),
    playgroundLink("align", "Align a model", "Train an adapter on pairs of your own"),
  ]) {
    app.renderer.hooks.on("sidebar.begin", link);
  }
}
