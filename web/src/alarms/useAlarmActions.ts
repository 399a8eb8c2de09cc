/** Sending a person's action on an alarm, and what to say when it is not taken. */

import { App } from "antd";
import { useState } from "react";

import type { Alarm, AlarmDetail } from "../api/contract";
import { acknowledgeAlarm, fetchAlarm } from "../api/gatehouse";
import { Problem } from "../api/request";
import { useTexts } from "../i18n/language";
import { whatText } from "../show/codes";
import { changeFailureText } from "../show/failure";
import { putAlarm } from "../state/alarms";

const SHOWN_FOR_S = 12;

/** "conflict": the alarm had moved on. "failed": anything else; the person may want to send the same again. */
export type Outcome = "taken" | "conflict" | "failed";

export interface Answer {
  outcome: Outcome;
  /** After a conflict: the alarm as it is now, if it could be fetched. */
  newest: AlarmDetail | null;
}

export interface AlarmActions {
  isBusy: boolean;
  send: (id: string, change: () => Promise<AlarmDetail>) => Promise<Answer>;
  acknowledge: (alarm: Alarm) => void;
}

export function useAlarmActions(): AlarmActions {
  const texts = useTexts();
  const { notification } = App.useApp();
  const [isBusy, setBusy] = useState(false);

  const send = async (id: string, change: () => Promise<AlarmDetail>): Promise<Answer> => {
    setBusy(true);
    try {
      const newest = await change();
      putAlarm(newest);
      return { outcome: "taken", newest };
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (error.status === 409) {
        // If this fails too, the stream or the next reconnection brings the newest state.
        const newest = await fetchAlarm(id).catch(() => null);
        if (newest !== null) putAlarm(newest);
        else
          notification.warning({
            title: texts.actions.conflict,
            description: texts.actions.conflictHint,
            duration: SHOWN_FOR_S,
          });
        return { outcome: "conflict", newest };
      }
      const { title, text } = changeFailureText(error, texts);
      notification.error({ title, description: text, duration: SHOWN_FOR_S });
      return { outcome: "failed", newest: null };
    } finally {
      setBusy(false);
    }
  };

  return {
    isBusy,
    send,
    acknowledge: (alarm) =>
      void send(alarm.id, () => acknowledgeAlarm(alarm.id, alarm.seq)).then(({ outcome, newest }) => {
        if (outcome !== "conflict" || newest === null) return;
        const last = newest.transitions.filter(({ seq, actor }) => seq > alarm.seq && actor !== null).at(-1);
        const who = last === undefined ? "" : `${last.actor}: ${whatText(last.what, texts)}. `;
        const description = who + texts.actions.conflictHint;
        notification.warning({ title: texts.actions.conflict, description, duration: SHOWN_FOR_S });
      }),
  };
}
