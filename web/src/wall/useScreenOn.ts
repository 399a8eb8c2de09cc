/** Keeps the screen from going dark, where the browser can: over HTTPS, and on the machine itself. */

import { useEffect } from "react";

export function useScreenOn(): void {
  useEffect(() => {
    let isCurrent = true;
    let held: WakeLockSentinel | null = null;
    const hold = async () => {
      const lock = navigator.wakeLock as WakeLock | undefined;
      if (lock === undefined || document.visibilityState !== "visible") return;
      try {
        held = await lock.request("screen");
        if (!isCurrent) await held.release();
      } catch {
        // A machine that saves its battery may refuse; its own settings decide then.
      }
    };
    void hold();
    // The browser lets go of it whenever the page is hidden.
    document.addEventListener("visibilitychange", hold);
    return () => {
      isCurrent = false;
      document.removeEventListener("visibilitychange", hold);
      void held?.release();
    };
  }, []);
}
