/** Who is logged in, and the way out. */

import { CheckOutlined, LogoutOutlined, SafetyCertificateOutlined, UserOutlined } from "@ant-design/icons";
import { App, Button, Dropdown, Modal } from "antd";
import { useState } from "react";

import type { User } from "../api/contract";
import { Problem } from "../api/request";
import { useTexts } from "../i18n/language";
import { useWords } from "../i18n/words";
import { SecondFactor } from "../second-factor/SecondFactor";
import { texts as factorTexts } from "../second-factor/texts";
import { failureText } from "../show/failure";
import { chooseLook, LOOK_CHOICES, useLookChoice } from "../state/look";
import { logOut, useSecondFactor } from "../state/session";
import { texts as shellTexts } from "./texts";

export function UserMenu({ user }: { user: User }) {
  const texts = useTexts();
  const words = useWords(shellTexts);
  const factorWords = useWords(factorTexts);
  const factor = useSecondFactor();
  const [isFactorOpen, setFactorOpen] = useState(false);
  const choice = useLookChoice();
  const { notification } = App.useApp();

  const leave = async () => {
    try {
      await logOut();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      notification.error({ title: texts.actions.failed, description: failureText(error, texts) });
    }
  };

  return (
    <>
    <Modal
      open={isFactorOpen}
      title={factorWords.title}
      footer={null}
      destroyOnHidden
      // Recovery codes are shown once: a touch beside them is made in passing.
      mask={{ closable: false }}
      keyboard={false}
      onCancel={() => setFactorOpen(false)}
    >
      <SecondFactor key={String(factor.is_on)} isOn={factor.is_on} codesLeft={factor.codes_left} mustEnrol={false} />
    </Modal>
    <Dropdown
      trigger={["click"]}
      menu={{
        items: [
          { key: "who", label: <span className="menu-who">{texts.header.signedInAs(user.name)}</span>, disabled: true },
          {
            key: "look",
            type: "group",
            label: words.looks,
            children: LOOK_CHOICES.map((each) => ({
              key: each,
              label: words.look[each],
              icon: each === choice ? <CheckOutlined /> : <span className="menu-no-icon" />,
              onClick: () => chooseLook(each),
            })),
          },
          {
            key: "factor",
            label: factorWords.menu,
            icon: <SafetyCertificateOutlined />,
            onClick: () => setFactorOpen(true),
          },
          { key: "out", label: texts.header.logOut, icon: <LogoutOutlined />, onClick: () => void leave() },
        ],
      }}
    >
      <Button size="large" icon={<UserOutlined />} title={texts.header.signedInAs(user.name)}>
        <span className="user-name">{user.name}</span>
      </Button>
    </Dropdown>
    </>
  );
}
