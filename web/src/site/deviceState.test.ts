import { describe, expect, test } from "vitest";

import type { Device, DeviceState } from "../api/contract";
import { deviceState } from "./deviceState";

const NAME = { en: "Level", zh: "液位计" };
const at = (time_ms: number) => ({ level: { time_ms, value: 1, quality: 0 } });
const device = (state: DeviceState): Device => ({
  id: "level-1", name: NAME, kind: "drain-level", place: "mh-1", gateway: "gw", state, last: at(1_000),
});

describe("the state of a device", () => {
  test("is the catalogue's until something newer is heard", () => {
    expect(deviceState(device("silent"), at(1_000), false, false)).toBe("silent");
    expect(deviceState(device("silent"), at(2_000), false, false)).toBe("ok");
  });

  test("is silent as soon as an alarm says so, whatever the catalogue said a minute ago", () => {
    expect(deviceState(device("ok"), at(2_000), true, false)).toBe("silent");
  });

  test("is never fine behind a gateway that is offline", () => {
    expect(deviceState(device("ok"), at(2_000), false, true)).toBe("offline");
    expect(deviceState(device("never"), {}, false, true)).toBe("never");
  });
});
