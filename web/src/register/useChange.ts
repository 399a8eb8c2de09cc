/** Sends a change of the register, and says what came of it. */

import { App } from "antd";
import { useState } from "react";

import { Problem } from "../api/request";
import { useTexts } from "../i18n/language";
import { useWords } from "../i18n/words";
import { failureText } from "../show/failure";
import { texts as registerTexts } from "./texts";

const SHOWN_FOR_S = 12;
const PASSAGE = new Set<unknown>(["no-passage", "passage-taken", "other-passage"]);
const KEY_USED = "other-request";
const KEY_LOST = "key-lost";

/** `again` is called where the key was used before: the answer to that was lost, and whoever sends now means somebody else. */
type Change = <T>(send: () => Promise<T>, again?: () => void) => Promise<T | null>;

export function useChange(): { isBusy: boolean; change: Change } {
  const words = useWords(registerTexts);
  const texts = useTexts();
  const { notification } = App.useApp();
  const [isBusy, setBusy] = useState(false);
  const change: Change = async (send, again) => {
    setBusy(true);
    try {
      return await send();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      // The log-in that follows a session's end says what has happened.
      if (error.status === 401) return null;
      if (error.body.reason === KEY_USED) again?.();
      const text = PASSAGE.has(error.body.reason)
        ? words.passageGone
        : error.body.reason === KEY_USED
          ? words.takenBefore
          : error.body.reason === KEY_LOST ? words.keyLost
          : error.status === 409 ? words.changedMeanwhile : failureText(error, texts);
      notification.error({ title: words.failed, description: text, duration: SHOWN_FOR_S });
      return null;
    } finally {
      setBusy(false);
    }
  };
  return { isBusy, change };
}
