/** Where the institution has a log-in of its own: the way there, and what came of it when it was not let in. */

import { Alert, Button } from "antd";
import { useEffect, useState } from "react";

import { fetchWays } from "../api/gatehouse";
import { Problem } from "../api/request";
import { useWords } from "../i18n/words";
import { texts } from "./texts";

/** What the server says in the address when it sends somebody back; read once, and not kept in the address. */
function takeOutcome(): string | null {
  const address = new URL(window.location.href);
  const outcome = address.searchParams.get("login");
  if (outcome !== null) {
    address.searchParams.delete("login");
    window.history.replaceState(window.history.state, "", address);
  }
  return outcome;
}

export function ProviderLogIn() {
  const words = useWords(texts);
  const [title, setTitle] = useState<string | null>(null);
  const [outcome, setOutcome] = useState<string | null>(null);

  useEffect(() => {
    const found = takeOutcome();
    if (found !== null) setOutcome(found);
    fetchWays().then(
      (ways) => setTitle(ways.openid),
      (error: unknown) => {
        // Name and password work without it.
        if (!(error instanceof Problem)) throw error;
      },
    );
  }, []);

  if (title === null) return null;
  return (
    <>
      <Button href="/api/v1/session/openid" size="large" block>
        {words.provider(title)}
      </Button>
      {outcome !== null && (
        <Alert type="warning" showIcon title={outcome === "away" ? words.providerAway : words.providerRefused} />
      )}
    </>
  );
}
