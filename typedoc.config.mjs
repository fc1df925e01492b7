/**
 * The documentation site. Formulas in the Markdown become MathML when the site is built: the pages
 * need no script, style sheet or font for them.
 */

import { tex } from "@mdit/plugin-tex";
import temml from "temml";
import { JSX } from "typedoc";

/** Fonts that systems have and in which brackets can grow; a browser without any takes its own. */
const MATH_FONT =
  "font-family: 'STIX Two Math', 'Cambria Math', 'Latin Modern Math', 'DejaVu Math TeX Gyre', math;";

/** @type {Partial<import("typedoc").TypeDocOptions>} */
export default {
  // The playground is built into the site; a link to it from every page.
  plugin: [
    ({ renderer }) => {
      renderer.hooks.on("sidebar.begin", (context) =>
        JSX.createElement(
          "nav",
          { class: "tsd-navigation" },
          JSX.createElement(
            "a",
            { href: context.relativeURL("playground/index.html") },
            "Playground",
          ),
        ),
      );
    },
  ],
  name: "prefgrad",
  entryPoints: ["src/index.ts"],
  projectDocuments: ["docs/*.md"],
  out: "docs/site",
  includeVersion: true,
  excludeInternal: true,
  excludePrivate: true,
  disableSources: true,
  skipErrorChecking: true,
  treatWarningsAsErrors: true,
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
    // A formula that cannot be read ends the build. Wide ones scroll by themselves.
    parser.use(tex, {
      render: (formula, displayMode) => {
        const math = temml
          .renderToString(formula, { displayMode, throwOnError: true })
          .replace(/^<math([^>]*?)(?: style="([^"]*)")?>/, `<math$1 style="${MATH_FONT}$2">`);
        return displayMode ? `<div style="overflow-x: auto">${math}</div>` : math;
      },
    });
  },
};
