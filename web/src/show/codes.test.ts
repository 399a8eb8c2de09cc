import { expect, test } from "vitest";

import { tables } from "../i18n/language";
import { healthText } from "./codes";

const reason = { code: "catching-up", detail: "", behind: 1200, seconds: 9 };

test("catching up says how far behind and how long", () => {
  expect(healthText(reason, tables.en)).toContain("1200 records behind, about 9 s");
  expect(healthText({ ...reason, seconds: null }, tables.en)).not.toContain("about");
});

test("other reasons, and a core that gives no figures, are said in words", () => {
  expect(healthText({ code: "broker-away", detail: "" }, tables.zh)).toBe(tables.zh.reasons["broker-away"]);
  expect(healthText({ code: "catching-up", detail: "" }, tables.en)).toBe(tables.en.reasons["catching-up"]);
});
