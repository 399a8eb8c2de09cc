/** Language and theme for everything, and the door: the page for those who are logged in, the log-in for others. */

import { DisconnectOutlined } from "@ant-design/icons";
import { App, ConfigProvider, Spin } from "antd";
import enUS from "antd/locale/en_US";
import zhCN from "antd/locale/zh_CN";
import { lazy, Suspense, useEffect } from "react";

import type { Problem } from "../api/request";
import { useLanguage } from "../i18n/language";
import { useWords } from "../i18n/words";
import { Failure } from "../parts/Failure";
import { timeOnDay } from "../show/time";
import { useNow } from "../state/clock";
import { recallHeard } from "../state/connection";
import { follow } from "../state/follow";
import { useLook } from "../state/look";
import { resumeSession, session, type SessionState } from "../state/session";
import { useSelected, useStore } from "../state/store";
import { texts } from "./texts";
import { THEMES } from "./theme";
import "./shell.css";

// Ant Design would write the two characters of 取消 apart.
const BUTTON = { autoInsertSpace: false };
const RETRY_AFTER_MS = 5_000;

const LoginPage = lazy(() => import("../login/LoginPage"));
const EnrolPage = lazy(() => import("../second-factor/EnrolPage"));
const loadFrame = () => import("./Frame");
const Frame = lazy(loadFrame);

export function Root() {
  const language = useLanguage();
  useEffect(() => {
    void resumeSession();
    // Almost always there is a session, and the answer takes as long as the code.
    loadFrame().catch(() => undefined);
  }, []);
  // Not of the frame: what is going on is asked for while its code is still on the way.
  const screen = useSelected(session, screenOf);
  useEffect(() => (screen === null ? undefined : follow()), [screen]);
  useEffect(() => {
    document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  }, [language]);

  return (
    <ConfigProvider locale={language === "zh" ? zhCN : enUS} theme={THEMES[useLook()]} button={BUTTON}>
      <App>
        <Suspense fallback={<Waiting />}>
          <Door />
        </Suspense>
      </App>
    </ConfigProvider>
  );
}

/** Whose screens are open, if any are. Another guard begins anew: they may see other sites. */
function screenOf(now: SessionState): string | null {
  if (now.phase !== "in" || now.session.second_factor?.must_enrol === true) return null;
  return `${now.session.user.name} ${now.session.is_wall ?? false}`;
}

function Door() {
  const now = useStore(session);
  switch (now.phase) {
    case "asking":
      return <Waiting />;
    case "unreachable":
      return <Unreachable problem={now.problem} />;
    case "out":
      return <LoginPage hasExpired={now.expired} />;
    case "in":
      if (now.session.second_factor?.must_enrol === true) return <EnrolPage />;
      return <Frame key={screenOf(now)} user={now.session.user} />;
  }
}

/** A tablet that was switched on before the server must find its way in without anybody's help. */
function Unreachable({ problem }: { problem: Problem }) {
  useEffect(() => {
    const timer = setTimeout(() => void resumeSession(), RETRY_AFTER_MS);
    return () => clearTimeout(timer);
  }, [problem]);
  const words = useWords(texts);
  const known = recallHeard();
  const now_ms = useNow(RETRY_AFTER_MS);
  return (
    <div className="door-problem">
      {known !== null && (
        <p className="door-heard" role="alert">
          <DisconnectOutlined aria-hidden /> {words.lastHeard(timeOnDay(known.heard_ms, known.zone, now_ms))}
        </p>
      )}
      <Failure problem={problem} retry={() => void resumeSession()} />
    </div>
  );
}

function Waiting() {
  return (
    <div className="door-waiting">
      <Spin size="large" />
    </div>
  );
}
