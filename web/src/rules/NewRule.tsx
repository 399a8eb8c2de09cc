/** Where a new rule begins: its name for good, and what it is like. */

import { Input, Modal } from "antd";
import { useState } from "react";

import type { Named, RuleDocument } from "../api/contract";
import { texts as alarmTexts } from "../alarm-list/texts";
import { inLanguage, useLanguage } from "../i18n/language";
import { useWords } from "../i18n/words";
import { Choice } from "../parts/FilterFields";
import { useCatalogue } from "../state/catalogue";
import { useClassesOfAllSites } from "../state/session";
import { beginRule, BLANK, idMistake } from "./begin";
import { texts } from "./texts";

interface Props {
  rules: readonly RuleDocument[];
  begin: (rule: RuleDocument) => void;
  close: () => void;
}

export function NewRule({ rules, begin, close }: Props) {
  const words = useWords(texts);
  const language = useLanguage();
  const classWords: Readonly<Record<string, string>> = useWords(alarmTexts).classes;
  const { kindsById } = useCatalogue();
  const metrics = new Map([...kindsById.values()].flatMap((kind) => kind.metrics).map(({ id, name }) => [id, name]));
  const classes = useClassesOfAllSites();
  const [id, setId] = useState("");
  const [from, setFrom] = useState(BLANK);
  const [metric, setMetric] = useState([...metrics.keys()][0] ?? "");
  const [alarmClass, setClass] = useState(classes[0] ?? "");
  const [isTried, setTried] = useState(false);
  const mistake = idMistake(id.trim(), rules);
  const copied = rules.find((rule) => rule.id === from) ?? null;

  const go = () => {
    setTried(true);
    if (mistake === null) begin(beginRule(id.trim(), copied, metric, alarmClass));
  };
  return (
    <Modal
      open
      title={words.newRule}
      okText={words.begin}
      cancelText={words.cancel}
      okButtonProps={{ size: "large" }}
      cancelButtonProps={{ size: "large" }}
      onOk={go}
      onCancel={close}
    >
      <div className="rule-new">
        <label htmlFor="rule-new-id">{words.newId}</label>
        <Input
          id="rule-new-id" size="large" value={id} maxLength={63} status={isTried && mistake !== null ? "error" : ""}
          aria-describedby="rule-new-id-error" onChange={({ target }) => setId(target.value)} onPressEnter={go}
        />
        <p id="rule-new-id-error" className="rule-error" role="alert">
          {isTried && mistake !== null ? (mistake === "taken" ? words.idTaken : words.idBad) : null}
        </p>
        <Choice
          label={words.beginsAs} value={from} change={setFrom}
          options={[[BLANK, words.blank], ...rules.map((rule): [string, string] => [rule.id, words.copyOf(inLanguage(rule.name as Named | undefined, language, rule.id))])]}
        />
        {copied === null && (
          <>
            <Choice label={words.metric} value={metric} change={setMetric} options={[...metrics].map(([each, name]): [string, string] => [each, inLanguage(name, language, each)])} />
            <Choice label={words.class} value={alarmClass} change={setClass} options={classes.map((each): [string, string] => [each, classWords[each] ?? each])} />
          </>
        )}
      </div>
    </Modal>
  );
}
