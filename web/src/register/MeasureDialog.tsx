/** A temperature for somebody who is written down already. */

import { Button, Modal } from "antd";
import { useState } from "react";

import type { FreshPassage, TemperatureGiven, Visit } from "../api/contract";
import { useWords } from "../i18n/words";
import { useNow } from "../state/clock";
import { TemperatureField, temperatureOf } from "./TemperatureField";
import { texts } from "./texts";

interface Props {
  visit: Visit;
  passages: readonly FreshPassage[];
  limit_c: number | null;
  isBusy: boolean;
  save: (temperature: TemperatureGiven) => void;
  close: () => void;
}

export function MeasureDialog({ visit, passages, limit_c, isBusy, save, close }: Props) {
  const words = useWords(texts);
  const now_ms = useNow(1000);
  const [typed, setTyped] = useState("");
  const [isAsked, setAsked] = useState(false);
  const submit = () => {
    const temperature = temperatureOf(typed, passages, now_ms);
    if (temperature === null) setAsked(true);
    else save(temperature);
  };
  return (
    <Modal
      open
      centered
      title={words.measureTitle(visit.person?.visitor ?? "")}
      onCancel={close}
      footer={[
        <Button key="cancel" size="large" onClick={close}>
          {words.cancel}
        </Button>,
        <Button key="save" size="large" type="primary" loading={isBusy} onClick={submit}>
          {visit.state === "announced" ? words.admitOne : words.save}
        </Button>,
      ]}
    >
      <TemperatureField
        id="again-temperature"
        passages={passages}
        limit_c={limit_c}
        typed={typed}
        type={setTyped}
        isAsked={isAsked}
      />
    </Modal>
  );
}
