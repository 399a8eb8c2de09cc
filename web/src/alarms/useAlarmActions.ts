/** Sending a person's action on an alarm, and what to say when it is not taken. */

import { App } from "antd";
import { useState } from "react";

import type { Alarm, AlarmDetail } from "../api/contract";
import { acknowledgeAlarm, fetchAlarm } from "../api/gatehouse";
import { Problem } from "../api/request";
import { useTexts } from "../i18n/language";
import { changeFailureText } from "../show/failure";
import { putAlarm } from "../state/alarms";

const SHOWN_FOR_S = 12;

/** "conflict": the alarm had moved on. "failed": anything else; the person may want to send the same again. */
export type Outcome = "taken" | "conflict" | "failed";

export interface AlarmActions {
  isBusy: boolean;
  send: (id: string, change: () => Promise<AlarmDetail>) => Promise<Outcome>;
  acknowledge: (alarm: Alarm) => void;
}

export function useAlarmActions(): AlarmActions {
  const texts = useTexts();
  const { notification } = App.useApp();
  const [isBusy, setBusy] = useState(false);

  const send = async (id: string, change: () => Promise<AlarmDetail>): Promise<Outcome> => {
    setBusy(true);
    try {
      putAlarm(await change());
      return "taken";
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (error.status === 409) {
        notification.warning({
          title: texts.actions.conflict,
          description: texts.actions.conflictHint,
          duration: SHOWN_FOR_S,
        });
        // If this fails too, the stream or the next reconnection brings the newest state.
        await fetchAlarm(id).then(putAlarm, () => undefined);
        return "conflict";
      }
      const { title, text } = changeFailureText(error, texts);
      notification.error({ title, description: text, duration: SHOWN_FOR_S });
      return "failed";
    } finally {
      setBusy(false);
    }
  };

  return {
    isBusy,
    send,
    acknowledge: (alarm) => void send(alarm.id, () => acknowledgeAlarm(alarm.id, alarm.seq)),
  };
}
