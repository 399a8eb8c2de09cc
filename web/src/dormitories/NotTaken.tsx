/** Why a change was not taken, or that nobody knows whether it was. */

import { Alert } from "antd";

import type { Problem } from "../api/request";
import { useTexts } from "../i18n/language";
import { useWords } from "../i18n/words";
import { changeFailureText } from "../show/failure";
import { texts } from "./texts";

export function NotTaken({ problem }: { problem: Problem }) {
  const words = useWords(texts);
  const { title, text } = changeFailureText(problem, useTexts());
  if (problem.status === 409) return <Alert type="warning" showIcon title={words.overtaken} />;
  return <Alert type="warning" showIcon title={title} description={text} />;
}
