import { expect, test } from "vitest";

import { lookOf, rememberedLook } from "./look";

test("the system decides until somebody chooses", () => {
  expect([lookOf("system", true), lookOf("system", false)]).toEqual(["dark", "light"]);
  expect([lookOf("light", true), lookOf("dark", false)]).toEqual(["light", "dark"]);
});

test("what is remembered and no look is the system's", () => {
  expect([rememberedLook("dark"), rememberedLook("sepia"), rememberedLook(null)]).toEqual(["dark", "system", "system"]);
});
