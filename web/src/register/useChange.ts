/** Sends a change of the register, and says what came of it. */

import { App } from "antd";
import { useState } from "react";

import { Problem } from "../api/request";
import { useTexts } from "../i18n/language";
import { useWords } from "../i18n/words";
import { failureText } from "../show/failure";
import { texts as registerTexts } from "./texts";

const SHOWN_FOR_S = 12;

export function useChange(): { isBusy: boolean; change: <T>(send: () => Promise<T>) => Promise<T | null> } {
  const words = useWords(registerTexts);
  const texts = useTexts();
  const { notification } = App.useApp();
  const [isBusy, setBusy] = useState(false);
  const change = async <T,>(send: () => Promise<T>): Promise<T | null> => {
    setBusy(true);
    try {
      return await send();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      // The log-in that follows a session's end says what has happened.
      if (error.status === 401) return null;
      const isPassage = error.body.reason === "no-passage" || error.body.reason === "passage-taken";
      const text = isPassage ? words.passageGone : error.status === 409 ? words.changedMeanwhile : failureText(error, texts);
      notification.error({ title: words.failed, description: text, duration: SHOWN_FOR_S });
      return null;
    } finally {
      setBusy(false);
    }
  };
  return { isBusy, change };
}
