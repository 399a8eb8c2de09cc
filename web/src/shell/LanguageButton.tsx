/** Switches to the other language; it names that language in its own words. */

import { GlobalOutlined } from "@ant-design/icons";
import { Button } from "antd";

import { chooseLanguage, useLanguage, useTexts } from "../i18n/language";

export function LanguageButton() {
  const texts = useTexts();
  const language = useLanguage();
  return (
    <Button
      size="large"
      icon={<GlobalOutlined />}
      lang={language === "en" ? "zh" : "en"}
      onClick={() => chooseLanguage(language === "en" ? "zh" : "en")}
    >
      {texts.header.otherLanguage}
    </Button>
  );
}
