import { afterEach, expect, test, vi } from "vitest";

import { saveFile } from "./save";

afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
  vi.restoreAllMocks();
});

test("a file is still there when the browser comes to read it, and is let go of in the end", () => {
  vi.useFakeTimers();
  const link = { href: "", download: "", click: vi.fn() };
  vi.stubGlobal("document", { createElement: () => link });
  vi.spyOn(URL, "createObjectURL").mockReturnValue("blob:a");
  const gone = vi.spyOn(URL, "revokeObjectURL");
  saveFile(new Blob(["a"]), "a.xlsx");
  expect([link.href, link.download, link.click.mock.calls.length]).toEqual(["blob:a", "a.xlsx", 1]);
  vi.advanceTimersByTime(30_000);
  expect(gone).not.toHaveBeenCalled();
  vi.advanceTimersByTime(60_000);
  expect(gone).toHaveBeenCalledExactlyOnceWith("blob:a");
});
