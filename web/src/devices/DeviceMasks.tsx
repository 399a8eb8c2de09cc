/** Whether a device is in maintenance or out of service: begun and ended here. */

import { App, Button, Input, Modal, Radio } from "antd";
import { useState } from "react";

import type { Mask } from "../api/contract";
import { endMask, maskDevice } from "../api/gatehouse";
import { Problem } from "../api/request";
import { useTexts } from "../i18n/language";
import { useWords } from "../i18n/words";
import { changeFailureText } from "../show/failure";
import { timeOnDay } from "../show/time";
import { nowMs } from "../state/clock";
import { useMay } from "../state/session";
import { useTyped } from "../state/typed";
import { texts } from "./texts";

const HOUR_MS = 3_600_000;
/** The longest is within what the server takes for either sort. */
const HOURS = { maintenance: [2, 8, 24], "out-of-service": [24, 168, 720] } as const;

interface Props {
  device: string;
  site: string;
  masks: readonly Mask[];
  zone: string;
  reload: () => Promise<void>;
}

export function DeviceMasks({ device, site, masks, zone, reload }: Props) {
  const words = useWords(texts);
  const shared = useTexts();
  const { message } = App.useApp();
  const mayMask = useMay("mask", site);
  const [isAsking, setAsking] = useState(false);
  const [kind, setKind] = useState<keyof typeof HOURS>("maintenance");
  const [hours, setHours] = useState<number>(HOURS.maintenance[0]);
  const [reason, setReason, letGo] = useTyped(`mask ${device}`, () => "");
  const [isReasonMissing, setReasonMissing] = useState(false);
  const [isBusy, setBusy] = useState(false);

  const send = async (change: () => Promise<unknown>) => {
    setBusy(true);
    try {
      await change();
      setAsking(false);
      await reload();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      const { title, text } = changeFailureText(error, shared);
      void message.error(`${title} ${text}`);
    } finally {
      setBusy(false);
    }
  };
  const begin = () => {
    setReasonMissing(reason.trim() === "");
    if (reason.trim() === "") return;
    void send(async () => {
      await maskDevice(device, kind, reason.trim(), nowMs() + hours * HOUR_MS);
      letGo();
    });
  };

  return (
    <>
      {masks.length === 0 && <p className="soft">{words.noMask}</p>}
      <ul className="device-record">
        {masks.map((mask) => (
          <li key={mask.id} className="device-mask">
            <span>
              <strong>{words.kinds[mask.kind]}</strong>
              {mask.until_ms !== null && ` ${words.maskedUntil(timeOnDay(mask.until_ms, zone, nowMs()))}`}
              {` · ${mask.owner} · ${mask.reason}`}
            </span>
            {mayMask && mask.kind !== "shelved" && (
              <Button size="large" disabled={isBusy} onClick={() => void send(() => endMask(mask.id))}>{words.endMask}</Button>
            )}
          </li>
        ))}
      </ul>
      {mayMask && <Button size="large" onClick={() => setAsking(true)}>{words.mask}</Button>}
      <Modal
        open={isAsking}
        centered
        title={words.mask}
        okText={words.save}
        cancelText={words.cancel}
        okButtonProps={{ size: "large", loading: isBusy }}
        cancelButtonProps={{ size: "large" }}
        onOk={begin}
        onCancel={() => {
          letGo();
          setAsking(false);
        }}
      >
        <p>{words.maskHint}</p>
        <Radio.Group
          aria-label={words.kind}
          optionType="button"
          size="large"
          value={kind}
          options={(["maintenance", "out-of-service"] as const).map((value) => ({ value, label: words.kinds[value] }))}
          onChange={({ target }) => {
            const next = target.value as keyof typeof HOURS;
            setKind(next);
            setHours(HOURS[next][0]);
          }}
        />
        <p className="device-label">{words.hours}</p>
        <Radio.Group
          aria-label={words.hours}
          optionType="button"
          size="large"
          value={hours}
          options={HOURS[kind].map((value) => ({ value, label: value < 24 ? words.hoursOf(value) : words.daysOf(value / 24) }))}
          onChange={({ target }) => setHours(target.value as number)}
        />
        <label className="device-label" htmlFor="mask-reason">{words.reason}</label>
        <Input.TextArea
          id="mask-reason"
          rows={2}
          maxLength={2000}
          value={reason}
          status={isReasonMissing ? "error" : ""}
          aria-describedby="mask-reason-missing"
          onChange={({ target }) => setReason(target.value)}
        />
        <p id="mask-reason-missing" className="device-error" role="alert">
          {isReasonMissing && reason.trim() === "" ? words.reasonNeeded : null}
        </p>
      </Modal>
    </>
  );
}
