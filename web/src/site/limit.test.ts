import { expect, test } from "vitest";

import type { Device, Rule } from "../api/contract";
import { lowestLimit } from "./limit";

const scanner: Device = {
  id: "scan", name: { en: "", zh: "" }, kind: "gate-scanner", place: "lane", gateway: null, state: "ok", last: {},
};

function rule(change: Partial<Rule>): Rule {
  const levels: Rule["levels"] = [
    { severity: "critical", at_least: 39, at_most: null },
    { severity: "high", at_least: 37.3, at_most: null },
  ];
  return { id: "fever", type: "level", class: "fever", metric: "t", kinds: null, devices: null, levels, ...change };
}

test("the lowest upper limit that concerns the device is shown", () => {
  expect(lowestLimit([rule({})], scanner, "t")).toBe(37.3);
  expect(lowestLimit([rule({ devices: ["scan"], kinds: ["gate-scanner"] })], scanner, "t")).toBe(37.3);
});

test("limits of other series, other kinds, or in other units are not", () => {
  const foreign = [
    rule({ metric: "other" }), rule({ kinds: ["room-meter"] }), rule({ devices: ["scan-2"] }), rule({ type: "rate" }),
    rule({ relative_to: "depth" }), rule({ levels: [{ severity: "low", at_least: null, at_most: 30 }] }),
  ];
  expect(lowestLimit(foreign, scanner, "t")).toBeNull();
});
