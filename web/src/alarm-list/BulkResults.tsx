/** What came of each alarm of a selection. */

import { Alert } from "antd";

import { inLanguage, useLanguage } from "../i18n/language";
import { useWords } from "../i18n/words";
import { alarmPath } from "../show/placePath";
import { useCatalogue } from "../state/catalogue";
import type { BulkLine } from "./bulk";
import { texts } from "./texts";

interface Props {
  lines: readonly BulkLine[];
  close: () => void;
}

export function BulkResults({ lines, close }: Props) {
  const words = useWords(texts);
  const language = useLanguage();
  const catalogue = useCatalogue();
  const done = lines.filter(({ result }) => result === "done").length;
  return (
    <Alert
      type={done === lines.length ? "success" : "warning"}
      showIcon
      className="bulk-results"
      title={words.resultCount(done, lines.length)}
      closable={{ onClose: close, "aria-label": words.dismiss }}
      description={
        done < lines.length && (
          <ul>
            {lines
              .filter(({ result }) => result !== "done")
              .map(({ alarm, result }) => (
                <li key={alarm.id}>
                  {inLanguage(alarm.rule_name, language, alarm.rule)} · {alarmPath(catalogue, alarm, language)}:{" "}
                  <strong>{words.result[result]}</strong>
                </li>
              ))}
          </ul>
        )
      }
    />
  );
}
