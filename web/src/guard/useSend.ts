/** Sends what a guard does about a person, and says who was first when somebody was. */

import { App } from "antd";
import { useState } from "react";

import type { Disposition, AlarmDetail, MissedStep } from "../api/contract";
import { fetchAlarm } from "../api/gatehouse";
import { Problem } from "../api/request";
import { useTexts } from "../i18n/language";
import { useWords } from "../i18n/words";
import { lookUp } from "../show/codes";
import { changeFailureText } from "../show/failure";
import { putAlarm } from "../state/alarms";
import { isHarmless } from "./people";
import { texts as guardTexts } from "./texts";

const SHOWN_FOR_S = 15;

export interface Sending {
  isBusy: boolean;
  /** Whether it was taken; what was not stays typed. `change` is given the step to act on. */
  send: (id: string, seq: number, change: (seq: number) => Promise<AlarmDetail>) => Promise<boolean>;
}

export function useSend(): Sending {
  const texts = useTexts();
  const words = useWords(guardTexts);
  const { notification } = App.useApp();
  const [isBusy, setBusy] = useState(false);

  const sayWhoWasFirst = (since: readonly MissedStep[]) => {
    const decided = since.find(({ disposition }) => disposition !== null);
    const last = decided ?? since.filter(({ actor }) => actor !== null).at(-1) ?? since.at(-1);
    const who = last?.actor ?? "—";
    if (decided !== undefined && decided.disposition !== null) {
      notification.warning({
        title: words.doneAlready,
        description: words.doneAlreadyBy(who, words.done[decided.disposition as Disposition], decided.note ?? ""),
        duration: SHOWN_FOR_S,
      });
    } else {
      const what = last === undefined ? "" : lookUp(texts.detail.what, last.what);
      notification.warning({ title: words.changed, description: words.changedBy(who, what), duration: SHOWN_FOR_S });
    }
  };

  const send = async (id: string, seq: number, change: (seq: number) => Promise<AlarmDetail>): Promise<boolean> => {
    setBusy(true);
    try {
      putAlarm(await change(seq));
      return true;
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (error.status === 409) {
        const since = (error.body.since ?? []) as MissedStep[];
        if (isHarmless(since)) return await send(id, since.at(-1)?.seq ?? seq, change);
        sayWhoWasFirst(since);
        await fetchAlarm(id).then(putAlarm, () => undefined);
        return false;
      }
      // The log-in that follows a session's end says what has happened.
      if (error.status === 401) return false;
      const { title, text } = changeFailureText(error, texts);
      notification.error({ title, description: text, duration: SHOWN_FOR_S });
      return false;
    } finally {
      setBusy(false);
    }
  };

  return { isBusy, send };
}
