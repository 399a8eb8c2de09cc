/** Opens the list of pages over the content; it names the page that is open. */

import { MenuOutlined } from "@ant-design/icons";
import { Drawer } from "antd";
import { useState } from "react";

import type { User } from "../api/contract";
import { inLanguage, useLanguage, useTexts } from "../i18n/language";
import { useWords } from "../i18n/words";
import { PageLinks } from "./PageLinks";
import type { PageEntry } from "./pages";
import { texts } from "./texts";

const WIDTH_PX = 300;

export function MenuButton({ user, current }: { user: User; current: PageEntry | null }) {
  const words = useWords(texts);
  const language = useLanguage();
  const { product } = useTexts();
  const [isOpen, setOpen] = useState(false);
  return (
    <>
      <button type="button" className="menu-button" title={words.openMenu} aria-expanded={isOpen} onClick={() => setOpen(true)}>
        <MenuOutlined aria-hidden />
        <span className="menu-name">{inLanguage(current?.title, language, words.menu)}</span>
      </button>
      <Drawer open={isOpen} placement="left" size={WIDTH_PX} title={product} onClose={() => setOpen(false)}>
        <PageLinks user={user} current={current} followed={() => setOpen(false)} />
      </Drawer>
    </>
  );
}
