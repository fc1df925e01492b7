/**
 * Chat templates: the text is the one that transformers (5.18, jinja2 3.1) makes. The templates and
 * conversations of `../shared/golden/models` are read where they are there.
 */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { type ChatMessage, loadTokenizer, type Tokenizer } from "../../src/index.js";
import { byteLevel, tokenizerFiles } from "./tinyTokenizer.js";

const GOLDEN = new URL("../../../shared/golden/models/", import.meta.url).pathname;
const there = existsSync(GOLDEN);

describe.skipIf(!there)("four templates, against transformers (skipped without the files)", () => {
  it.each(there ? readdirSync(join(GOLDEN, "chat-templates")) : [])("%s", async (name) => {
    const golden = JSON.parse(readFileSync(join(GOLDEN, "chat-templates", name), "utf8"));
    const tokenizer = await loadTokenizer(join(GOLDEN, golden.tokenizer));
    expect(golden.cases.length).toBeGreaterThan(30);
    expect(tokenizer.chatTemplates.get("default")).toBe(golden.chat_template);
    for (const { messages, kwargs, text, ids } of golden.cases) {
      const { add_generation_prompt, continue_final_message, ...variables } = kwargs;
      const options = {
        ...variables,
        addGenerationPrompt: add_generation_prompt ?? false,
        continueFinalMessage: continue_final_message ?? false,
      };
      expect(tokenizer.applyChatTemplate(messages, options)).toBe(text);
      expect(tokenizer.applyChatTemplate(messages, { ...options, tokenize: true })).toEqual(ids);
    }
  });
});

const CHATML =
  "{% for m in messages %}<{{ m.role }}>{{ m.content }}{{ eos_token }}{% endfor %}" +
  "{% if add_generation_prompt %}<assistant>{% endif %}";
const config = { eos_token: "<e>", bos_token: null };
const user = (content: unknown): ChatMessage => ({ role: "user", content });
const assistant = (content: unknown): ChatMessage => ({ role: "assistant", content });

let tokenizer: Tokenizer;
beforeAll(async () => {
  const json = byteLevel({ added: [{ content: "<e>" }] });
  tokenizer = await loadTokenizer(tokenizerFiles(json, config, CHATML));
});
const render = (chatTemplate: string, messages: readonly ChatMessage[], options = {}): string =>
  tokenizer.applyChatTemplate(messages, { chatTemplate, ...options });

describe("applyChatTemplate", () => {
  it("gives text, or ids to which nothing is added", () => {
    const chat = [user("Hi")];
    expect(tokenizer.applyChatTemplate(chat)).toBe("<user>Hi<e>");
    expect(tokenizer.applyChatTemplate(chat, { addGenerationPrompt: true })).toBe(
      "<user>Hi<e><assistant>",
    );
    expect(tokenizer.applyChatTemplate(chat, { tokenize: true })).toEqual([
      ...new TextEncoder().encode("<user>Hi"),
      256,
    ]);
  });

  it("ends within the last message that is to be continued", () => {
    const continued = (chat: readonly ChatMessage[], chatTemplate = CHATML) =>
      render(chatTemplate, chat, { continueFinalMessage: true });
    expect(continued([user("Hi"), assistant("So ")])).toBe("<user>Hi<e><assistant>So ");
    const trimming = CHATML.replace("m.content", "m.content | trim");
    expect(continued([user("Hi"), assistant(" So ")], trimming)).toBe("<user>Hi<e><assistant>So");
    expect(() => continued([user("Hi"), assistant("So")], "{{ messages[0].content }}")).toThrow(
      /cannot find the last message/,
    );
    expect(() => continued([user(["parts"])])).toThrow(/whose content is text/);
  });

  const strips: readonly (readonly [string, string, string])[] = [
    ["m.lstrip('\\n')", "\n\n  a", "  a"],
    ["m.rstrip('\\n ')", "a\t \n", "a\t"],
    ["m.strip('xa]^-\\\\')", "-]a^ ok \\x", " ok "],
    ["m.strip('👍')", "👍👎👍", "👎"],
    ["m.strip('')", " a ", " a "],
    ["m.strip(none)", " a ", "a"],
    ["(m.split('|') | last).lstrip('- ')", "b|- a", "a"],
    ["m | trim('x ')", "x a x", "a"],
    ["m | trim(chars='x')", "x a x", " a "],
    // Python's white space: U+001C and U+0085 are, U+FEFF is not.
    ["m.strip()", "\x1c\x85\ufeff a\u3000", "\ufeff a"],
    ["m | trim", "\ufeff \x1f", "\ufeff"],
    ["(m | trim) | length", " ab ", "2"],
  ];
  it.each(strips)("strips as Python: %s", (expression, content, text) => {
    const template = `{% set m = messages[0].content %}[{{ ${expression} }}]`;
    expect(render(template, [user(content)])).toBe(`[${text}]`);
    const macro = `{% macro f(m) %}{{ ${expression} }}{% endmacro %}{{ f(messages[0].content) }}`;
    expect(render(macro, [user(content)])).toBe(text);
  });

  it("takes lines with any ending, and leaves the ends of statements' lines out", () => {
    const template =
      "{% for m in messages %}\n  {% if true %}\n- {{ m.content }}\n{% endif %}\n{% endfor %}\n";
    for (const ending of ["\n", "\r\n", "\r"]) {
      const source = template.replaceAll("\n", ending);
      expect(render(source, [user("a"), user("b")])).toBe("- a\n- b\n");
    }
  });

  it("gives templates what transformers gives them", () => {
    const template =
      "{{ bos_token }}{{ eos_token }}{{ tools is none }}{{ documents is none }}{{ add_generation_prompt }}" +
      "{{ thinking }}";
    expect(render(template, [user("")], { thinking: "yes" })).toBe("<e>truetruefalseyes");
    expect(render("{{ tools | tojson }}", [user("")], { tools: [{ é: "<b>" }] })).toBe(
      '[{"é": "<b>"}]',
    );
  });
});

describe("templates", () => {
  const load = (chat_template: unknown, file?: string) =>
    loadTokenizer(tokenizerFiles(byteLevel(), { chat_template }, file));
  const named = [
    { name: "default", template: "plain" },
    { name: "tool_use", template: "tools" },
  ];
  const chat = [user("Hi")];

  it("come from chat_template.jinja before tokenizer_config.json", async () => {
    expect((await load("config")).applyChatTemplate(chat)).toBe("config");
    expect((await load("config", "file\n")).applyChatTemplate(chat)).toBe("file");
    expect((await load(named, "file")).chatTemplates).toEqual(new Map([["default", "file"]]));
  });

  it("are chosen by name, and by tools", async () => {
    const several = await load(named);
    expect(several.applyChatTemplate(chat)).toBe("plain");
    expect(several.applyChatTemplate(chat, { tools: [{}] })).toBe("tools");
    expect(several.applyChatTemplate(chat, { chatTemplate: "tool_use" })).toBe("tools");
    expect(several.applyChatTemplate(chat, { chatTemplate: "{{ messages[0].role }}" })).toBe(
      "user",
    );
    const without = await load([{ name: "a", template: "" }]);
    expect(() => without.applyChatTemplate(chat)).toThrow(/no template is the default.*"a"/);
    expect(() => without.applyChatTemplate(chat, { chatTemplate: "a" })).not.toThrow();
    expect((await load(null)).chatTemplates.size).toBe(0);
  });
});

describe("the assistant's mask", () => {
  const chat = [user("Hi"), assistant("né"), user("ok"), assistant("👍")];
  /** The text of the ids that are the assistant's. */
  const written = (chatTemplate: string, messages = chat, options = {}): readonly string[] => {
    const { ids, assistantMask } = tokenizer.applyChatTemplate(messages, {
      ...options,
      chatTemplate,
      returnAssistantTokensMask: true,
    });
    const all = { ...options, chatTemplate, tokenize: true } as const;
    expect(ids).toEqual(tokenizer.applyChatTemplate(messages, all));
    expect(assistantMask.length).toBe(ids.length);
    const runs: number[][] = [];
    for (const [i, id] of ids.entries()) {
      if (assistantMask[i] !== 1) continue;
      if (assistantMask[i - 1] !== 1) runs.push([]);
      runs.at(-1)!.push(id);
    }
    return runs.map((run) => tokenizer.decode(run));
  };
  const template = (open: string, close: string): string =>
    `{% for m in messages %}<{{ m.role }}> {% if m.role == 'assistant' %}${open} {{ m.content }}` +
    `<e>\n${close}{% else %}{{ m.content }}{% endif %}\n{% endfor %}`;

  it("is 1 for what stands between {% generation %} and {% endgeneration %}", () => {
    const tags = template("{% generation %}", "{% endgeneration %}");
    expect(written(tags)).toEqual([" né<e>\n", " 👍<e>\n"]);
    expect(render(tags, chat.slice(0, 2))).toBe("<user> Hi<assistant>  né<e>\n");
  });

  it("keeps what the tags do to the white space around them", () => {
    const dashes = template("{%- generation -%}", "{%- endgeneration -%}");
    expect(written(dashes)).toEqual(["né<e>", "👍<e>"]);
    expect(render(dashes, chat.slice(0, 2))).toBe("<user> Hi<assistant> né<e>");
    // A statement that strips the text before it stops at the tag.
    const strips = "{% generation %}a\n{% endgeneration %}\n{%- if true %}b{% endif %}";
    expect(render(strips, chat)).toBe("a\nb");
  });

  it("ends where a message is to be continued", () => {
    const tags = template("{% generation %}", "{% endgeneration %}");
    expect(written(tags, chat, { continueFinalMessage: true })).toEqual([" né<e>\n", " 👍"]);
  });

  it("finds the places in texts that have characters for private use", () => {
    const tags = template("{% generation %}", "{% endgeneration %}");
    expect(written(tags, [assistant("\ue000\ue001\ue002")])).toEqual([" \ue000\ue001\ue002<e>\n"]);
  });

  it("is refused where the template marks nothing", () => {
    expect(() => written(CHATML)).toThrow(/\{% generation %\}/);
  });
});

describe("bad input", () => {
  const apply = (messages: unknown, options?: Record<string, unknown>): string =>
    tokenizer.applyChatTemplate(messages as readonly ChatMessage[], options);

  it("names the message and the option", () => {
    expect(() => apply([])).toThrow(/messages must be an array of at least one/);
    expect(() => apply("Hi")).toThrow(/messages must be an array/);
    expect(() => apply([user("Hi"), { content: "no role" }])).toThrow(/messages\[1\] must be/);
    expect(() => apply([user("Hi")], { tokenize: 1 })).toThrow(/tokenize must be true or false/);
    expect(() => apply([user("Hi")], { add_generation_prompt: true })).not.toThrow();
    expect(() => apply([user("Hi")], { addGenerationPromt: true })).toThrow(
      /did you mean `addGenerationPrompt`/,
    );
    expect(() => apply([user("Hi")], [] as never)).toThrow(/options must be an object/);
    const both = { addGenerationPrompt: true, continueFinalMessage: true };
    expect(() => apply([user("Hi")], both)).toThrow(/give one of them/);
  });

  it("says that a template failed, and keeps why", async () => {
    const failing = "{{ raise_exception('roles must alternate') }}";
    expect(() => render(failing, [user("Hi")])).toThrow(
      "applyChatTemplate: the chat template fails: roles must alternate",
    );
    expect(() => render("{% if %}", [user("Hi")])).toThrow(/the chat template fails/);
    const without = await loadTokenizer(tokenizerFiles(byteLevel()));
    expect(() => without.applyChatTemplate([user("Hi")])).toThrow(/give one as chatTemplate/);
    expect(() => apply([user("\ud800")], { tokenize: true })).toThrow(/surrogate/);
  });
});
