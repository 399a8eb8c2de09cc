/** Something could not be loaded: what that means, and one button. */

import { Alert, Button } from "antd";

import type { Problem } from "../api/request";
import { useTexts } from "../i18n/language";
import { failureText } from "../show/failure";

export function Failure({ problem, retry }: { problem: Problem; retry: () => void }) {
  const texts = useTexts();
  return (
    <Alert
      type="error"
      showIcon
      title={texts.failure.title}
      description={failureText(problem, texts)}
      action={<Button onClick={retry}>{texts.failure.retry}</Button>}
    />
  );
}
