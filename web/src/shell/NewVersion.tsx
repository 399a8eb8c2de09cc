/** A newer version has been served: it is taken when the person says so, not under their hands. */

import { ReloadOutlined } from "@ant-design/icons";
import { Button } from "antd";

import { useWords } from "../i18n/words";
import { useHasNewVersion } from "./installed";
import { texts } from "./texts";

export function NewVersion() {
  const words = useWords(texts);
  if (!useHasNewVersion()) return null;
  return (
    <Button type="primary" size="large" icon={<ReloadOutlined />} title={words.newVersion} onClick={() => location.reload()}>
      <span className="new-version-word">{words.newVersion}</span>
    </Button>
  );
}
