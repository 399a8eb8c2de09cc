import { expect, test } from "vitest";

import type { User } from "../api/contract";
import { decidesAt, mayAt } from "./may";

const user: User = {
  name: "u", roles: ["engineer", "guard"], sites: ["east", "west"], acts_on: ["drain", "fever"], permissions: ["look", "mask", "guard"],
  may: [
    { site: null, permissions: [], acts_on: [] },
    { site: "east", permissions: ["look", "guard"], acts_on: ["fever"] },
    { site: "west", permissions: ["look", "mask"], acts_on: ["drain"] },
  ],
};
const chief: User = { ...user, sites: null, may: [{ site: null, permissions: ["look", "mask"], acts_on: ["drain"] }] };

test("what may be done at one site is not offered at another", () => {
  expect(["east", "west", "north", null].map((site) => mayAt(user, "mask", site))).toEqual([false, true, false, false]);
  expect(["east", "west", null].map((site) => decidesAt(user, "drain", site))).toEqual([false, true, false]);
});

test("a role at all sites holds at each of them, and for what belongs to none", () => {
  expect(["east", null].map((site) => mayAt(chief, "mask", site))).toEqual([true, true]);
  expect(decidesAt(chief, "drain", "north")).toBe(true);
});
