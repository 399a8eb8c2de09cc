import { expect, test } from "vitest";

import { recallHeard } from "./connection";

test("when the server was last heard is read back, and nothing else is", () => {
  expect(recallHeard("1795000000000 Asia/Shanghai")).toEqual({ heard_ms: 1_795_000_000_000, zone: "Asia/Shanghai" });
  for (const kept of [null, "", "yesterday Asia/Shanghai", "1795000000000"]) expect(recallHeard(kept)).toBeNull();
});
