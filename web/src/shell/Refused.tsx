/** Instead of a page: that one's role does not open it, or that there is none. */

import { Button, Result } from "antd";

import type { User } from "../api/contract";
import { inLanguage, useLanguage } from "../i18n/language";
import { useWords } from "../i18n/words";
import { openPage } from "../state/route";
import { firstPage, type PageEntry } from "./pages";
import { texts } from "./texts";

export function Refused({ entry, user }: { entry: PageEntry; user: User }) {
  const words = useWords(texts);
  const language = useLanguage();
  const hint = words.refusedHint(inLanguage(entry.title, language));
  return <Instead status="warning" title={words.refusedTitle} hint={hint} user={user} />;
}

export function NoSuchPage({ user }: { user: User }) {
  const words = useWords(texts);
  return <Instead status="info" title={words.unknownTitle} hint={words.unknownHint} user={user} />;
}

interface Props {
  status: "warning" | "info";
  title: string;
  hint: string;
  user: User;
}

function Instead({ status, title, hint, user }: Props) {
  const words = useWords(texts);
  const first = firstPage(user);
  return (
    <div className="page-refused" role="alert">
      <Result
        status={status}
        title={title}
        subTitle={hint}
        extra={
          first !== undefined && (
            <Button type="primary" size="large" onClick={() => openPage(first.id)}>
              {words.toFirst}
            </Button>
          )
        }
      />
    </div>
  );
}
