import { describe, expect, test } from "vitest";

import { firstLanguage, inLanguage, inTurn, labelled, listed, tables } from "./language";

type Leaf = string | ((...args: never[]) => string);

/** Every text by its path, such as "alarms.none". */
function leaves(node: object, path = ""): Map<string, Leaf> {
  const found = new Map<string, Leaf>();
  for (const [key, value] of Object.entries(node)) {
    const here = path === "" ? key : `${path}.${key}`;
    if (typeof value === "object") for (const [deeper, leaf] of leaves(value, here)) found.set(deeper, leaf);
    else found.set(here, value as Leaf);
  }
  return found;
}

const en = leaves(tables.en);
const zh = leaves(tables.zh);

describe("the two languages", () => {
  test("have the same keys", () => {
    expect([...zh.keys()].sort()).toEqual([...en.keys()].sort());
  });

  test.each([...en.keys()])("%s is said in both, with the same placeholders", (key) => {
    const [inEnglish, inChinese] = [en.get(key), zh.get(key)];
    expect(typeof inChinese).toBe(typeof inEnglish);
    if (typeof inEnglish === "string" && typeof inChinese === "string") {
      expect(inEnglish.trim()).not.toBe("");
      expect(inChinese.trim()).not.toBe("");
    } else if (typeof inEnglish === "function" && typeof inChinese === "function") {
      // Numbers above one, so that the plural is the form tested.
      const values = Array.from({ length: inEnglish.length }, (_, index) => 71 + index);
      for (const say of [inEnglish, inChinese]) {
        const said = (say as (...args: number[]) => string)(...values);
        if (key === "alarms.openCountTitle") expect(said).toContain("71");
        else for (const value of values) expect(said).toContain(String(value));
      }
    }
  });

  test("no Chinese text is left in English", () => {
    // Names of protocols and the other language's own name are the same everywhere.
    const same = new Set(["header.otherLanguage", "detail.channels.mqtt", "detail.channels.webhook"]);
    for (const [key, text] of zh) {
      if (typeof text === "string" && !same.has(key)) expect(text, key).toMatch(/\p{Script=Han}/u);
    }
  });
});

describe("the language of a first visit", () => {
  test("is the remembered one, else Chinese for a Chinese browser, else English", () => {
    expect(firstLanguage("en", "zh-CN")).toBe("en");
    expect(firstLanguage(null, "zh-CN")).toBe("zh");
    expect(firstLanguage(null, "ZH")).toBe("zh");
    expect(firstLanguage("fr", "de")).toBe("en");
  });
});

test("a name missing in one language is shown in the other", () => {
  expect(inLanguage({ en: "Lane", zh: "" }, "zh")).toBe("Lane");
  expect(inLanguage(null, "zh", "lane-1")).toBe("lane-1");
});

test("each language has its own marks between things", () => {
  expect([listed(["a", "b"], "zh"), inTurn(["a", "b"], "zh"), labelled("a", "b", "zh")]).toEqual(["a、b", "a；b", "a：b"]);
  expect([listed(["a", "b"], "en"), inTurn(["a", "b"], "en"), labelled("a", "b", "en")]).toEqual(["a, b", "a; b", "a: b"]);
});
