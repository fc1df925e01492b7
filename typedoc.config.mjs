/**
 * The documentation site. Formulas in the Markdown become MathML when the site is built: the pages
 * need no script, style sheet or font for them.
 */

import { tex } from "@mdit/plugin-tex";
import temml from "temml";
import { OptionDefaults } from "typedoc";
import { breakablePaths, CATEGORIES, GUIDES, headingsWithCode, load } from "./docs/theme/plugin.js";
import packageJson from "./package.json" with { type: "json" };

/** Fonts that systems have and in which brackets can grow; a browser without any takes its own. */
const MATH_FONT =
  "font-family: 'STIX Two Math', 'Cambria Math', 'Latin Modern Math', 'DejaVu Math TeX Gyre', math;";

/** The modules of the reference: the package's entry points but ".", which exports the same. */
const MODULES = [
  "core",
  "optim",
  "nn",
  "losses",
  "bilevel",
  "dynamics",
  "interop",
  "files",
  "models",
  "data",
  "training",
  "methods",
];
const unlisted = Object.keys(packageJson.exports)
  .map((subpath) => subpath.slice("./".length))
  .find((name) => name !== "" && !name.endsWith(".json") && !MODULES.includes(name));
if (unlisted !== undefined)
  throw new Error(`typedoc.config.mjs: prefgrad/${unlisted} has no place`);

/** @type {Partial<import("typedoc").TypeDocOptions>} */
export default {
  plugin: [load],
  name: "prefgrad",
  entryPoints: MODULES.map((name) => `src/${name === "core" ? name : `${name}/index`}.ts`),
  projectDocuments: GUIDES.map((page) => `docs/${page}.md`),
  out: "docs/site",
  router: "prefgrad",
  customCss: "docs/theme/style.css",
  favicon: "docs/theme/favicon.svg",
  includeVersion: true,
  // A page's own first heading is its title.
  headings: { readme: false, document: false },
  navigation: { includeCategories: true, includeGroups: false, includeFolders: false },
  categorizeByGroup: false,
  categoryOrder: CATEGORIES,
  sort: ["kind", "alphabetical-ignoring-documents"],
  kindSortOrder: ["Document", "Module", "Function", "Class", "Variable", "Interface", "TypeAlias"],
  sortEntryPoints: false,
  useFirstParagraphOfCommentAsSummary: true,
  highlightLanguages: [...OptionDefaults.highlightLanguages, "python"],
  searchInDocuments: true,
  searchInComments: true,
  // A guide says more of what is looked for than one of many options does.
  searchGroupBoosts: { Documents: 4 },
  excludeInternal: true,
  excludePrivate: true,
  disableSources: true,
  skipErrorChecking: true,
  treatWarningsAsErrors: true,
  // How options are made of the table of settings, which docs/options.md lists.
  intentionallyNotExported: ["Flat", "LoraChoice", "PartsOf", "SpoChoice"],
  validation: {
    notExported: true,
    invalidLink: true,
    invalidPath: true,
    rewrittenLink: true,
    notDocumented: true,
    unusedMergeModuleWith: true,
  },
  requiredToBeDocumented: ["Function", "Class", "Interface", "TypeAlias", "Variable", "Enum"],
  markdownItLoader(parser) {
    breakablePaths(parser);
    headingsWithCode(parser);
    // A formula that cannot be read ends the build. One wider than its column scrolls by itself.
    parser.use(tex, {
      render: (formula, displayMode) => {
        const math = temml
          .renderToString(formula, { displayMode, throwOnError: true })
          .replace(/^<math([^>]*?)(?: style="([^"]*)")?>/, `<math$1 style="${MATH_FONT}$2">`);
        return displayMode ? `<div class="formula">${math}</div>` : math;
      },
    });
  },
};
