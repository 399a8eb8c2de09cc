/** Where somebody stands whose role needs a second factor and who has none: nothing else opens until it is set up. */

import { App, Button } from "antd";

import { Problem } from "../api/request";
import { useTexts } from "../i18n/language";
import { useWords } from "../i18n/words";
import { LanguageButton } from "../shell/LanguageButton";
import { failureText } from "../show/failure";
import { logOut } from "../state/session";
import "../login/login.css";
import { SecondFactor } from "./SecondFactor";
import { texts as ownTexts } from "./texts";

export default function EnrolPage() {
  const words = useWords(ownTexts);
  const texts = useTexts();
  const { notification } = App.useApp();
  const leave = () =>
    logOut().catch((error: unknown) => {
      if (!(error instanceof Problem)) throw error;
      notification.error({ title: texts.actions.failed, description: failureText(error, texts) });
    });
  return (
    <main className="login">
      <div className="login-card">
        <div className="login-head">
          <h1>{words.title}</h1>
          <LanguageButton />
        </div>
        <SecondFactor isOn={false} codesLeft={0} mustEnrol />
        <Button size="large" onClick={() => void leave()}>
          {texts.header.logOut}
        </Button>
      </div>
    </main>
  );
}
