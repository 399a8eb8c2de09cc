/** Where the institution has a log-in of its own: the way there, and what came of it when it was not let in. */

import { Alert, Button } from "antd";
import { useEffect, useState } from "react";

import { fetchWays } from "../api/gatehouse";
import { useAnswer } from "../api/useAnswer";
import { useWords } from "../i18n/words";
import { texts } from "./texts";

const AGAIN_AFTER_MS = 5_000;

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
  const { answer: ways, problem, load } = useAnswer(fetchWays);
  const [outcome, setOutcome] = useState<string | null>(null);

  useEffect(() => {
    const found = takeOutcome();
    if (found !== null) setOutcome(found);
  }, []);
  // Name and password work meanwhile.
  useEffect(() => {
    if (problem === null) return undefined;
    const timer = setTimeout(() => void load(), AGAIN_AFTER_MS);
    return () => clearTimeout(timer);
  }, [problem, load]);

  const title = ways?.openid ?? null;
  return (
    <>
      {title !== null && (
        <Button href="/api/v1/session/openid" size="large" block>
          {words.provider(title)}
        </Button>
      )}
      {outcome !== null && (
        <Alert type="warning" showIcon title={outcome === "away" ? words.providerAway : words.providerRefused} />
      )}
    </>
  );
}
