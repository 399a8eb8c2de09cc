/** Name, time with its zone, connection, and the few switches. */

import { CheckCircleFilled, DisconnectOutlined, SyncOutlined, UnlockOutlined } from "@ant-design/icons";

import type { User } from "../api/contract";
import { useLanguage, useTexts } from "../i18n/language";
import { useWords } from "../i18n/words";
import { timeOfDay, zoneName, zoneOffset } from "../show/time";
import { useNow } from "../state/clock";
import { isStale, useConnection } from "../state/connection";
import { useIsInsecure } from "../state/session";
import { LanguageButton } from "./LanguageButton";
import { MenuButton } from "./MenuButton";
import type { PageEntry } from "./pages";
import { SoundButton } from "./SoundButton";
import { texts as shellTexts } from "./texts";
import { UserMenu } from "./UserMenu";

interface Props {
  user: User;
  zone: string;
  current: PageEntry | null;
}

export function Header({ user, zone, current }: Props) {
  const texts = useTexts();
  return (
    <header className="header">
      <MenuButton user={user} current={current} />
      <h1>{texts.product}</h1>
      <HeaderClock zone={zone} />
      <ConnectionState />
      <Insecure />
      <div className="header-buttons">
        <SoundButton />
        <LanguageButton />
        <UserMenu user={user} />
      </div>
    </header>
  );
}

function HeaderClock({ zone }: { zone: string }) {
  const texts = useTexts();
  const language = useLanguage();
  const now_ms = useNow(1_000);
  return (
    <span className="header-clock" title={texts.time.timesIn(zoneName(zone, language, now_ms))}>
      <time>{timeOfDay(now_ms, zone)}</time>
      <span className="zone-long">{zoneName(zone, language, now_ms)}</span>
      <span className="zone-short">{zoneOffset(zone, language, now_ms)}</span>
    </span>
  );
}

function ConnectionState() {
  const texts = useTexts();
  const { phase } = useConnection();
  if (phase === "live")
    return (
      <span className="connection connection-live">
        <CheckCircleFilled aria-hidden /> {texts.connection.live}
      </span>
    );
  if (isStale(phase))
    return (
      <span className="connection connection-off">
        <DisconnectOutlined aria-hidden /> {phase === "halted" ? texts.connection.haltedShort : texts.connection.lostShort}
      </span>
    );
  return (
    <span className="connection">
      <SyncOutlined spin aria-hidden /> {texts.connection.connecting}
    </span>
  );
}

function Insecure() {
  const words = useWords(shellTexts);
  if (!useIsInsecure()) return null;
  return (
    <span className="insecure" title={words.insecureHint}>
      <UnlockOutlined aria-hidden /> {words.insecure}
    </span>
  );
}
