import { describe, expect, test } from "vitest";

interface Texts {
  en: object;
  zh: object;
}

type Leaf = string | ((...args: never[]) => string);

const modules = import.meta.glob<{ texts: Texts }>("../*/texts.ts", { eager: true });
/** Chinese texts that are the same word everywhere: names of formats and protocols. */
const SAME_IN_BOTH = new Set(["PDF", "Excel", "CSV", "Webhook", "MQTT"]);

function leaves(node: object, path = ""): Map<string, Leaf> {
  const found = new Map<string, Leaf>();
  for (const [key, value] of Object.entries(node)) {
    const here = path === "" ? key : `${path}.${key}`;
    if (typeof value === "object") for (const [deeper, leaf] of leaves(value as object, here)) found.set(deeper, leaf);
    else found.set(here, value as Leaf);
  }
  return found;
}

/** Numbers above one, so that the plural is the form tested. */
function said(leaf: Leaf): { text: string; values: number[] } {
  if (typeof leaf === "string") return { text: leaf, values: [] };
  const values = Array.from({ length: leaf.length }, (_, index) => 71 + index);
  return { text: (leaf as (...args: number[]) => string)(...values), values };
}

test("there are pages with texts", () => {
  expect(Object.keys(modules)).toContain("../shell/texts.ts");
});

describe.each(Object.entries(modules))("%s", (_, { texts }) => {
  const [en, zh] = [leaves(texts.en), leaves(texts.zh)];

  test("says the same things in both languages", () => {
    expect([...zh.keys()].sort()).toEqual([...en.keys()].sort());
  });

  test.each([...en.keys()])("%s", (key) => {
    const [english, chinese] = [said(en.get(key) as Leaf), said(zh.get(key) as Leaf)];
    expect(chinese.values.length).toBe(english.values.length);
    for (const { text, values } of [english, chinese]) {
      expect(text.trim()).not.toBe("");
      for (const value of values) expect(text).toContain(String(value));
    }
    expect(english.text).not.toMatch(/\p{Script=Han}/u);
    if (!SAME_IN_BOTH.has(chinese.text)) expect(chinese.text).toMatch(/\p{Script=Han}/u);
  });
});
