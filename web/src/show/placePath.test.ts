import { expect, test } from "vitest";

import type { Site } from "../api/contract";
import { EMPTY_CATALOGUE } from "../state/catalogue";
import { placePath } from "./placePath";

test("what is about the platform itself stands at no site, and says so in either language", () => {
  expect(placePath(EMPTY_CATALOGUE, "system", null, "en")).toBe("Gatehouse itself");
  expect(placePath(EMPTY_CATALOGUE, "system", null, "zh")).toBe("平台自身");
  // A site that somebody has called so is that site.
  const own = { id: "system", name: { en: "System building", zh: "系统楼" } } as Site;
  expect(placePath({ ...EMPTY_CATALOGUE, sitesById: new Map([["system", own]]) }, "system", null, "zh")).toBe("系统楼");
});
