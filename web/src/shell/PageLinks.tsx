/** The pages this person may open, as links: they can be opened in another tab or sent to a colleague. */

import type { User } from "../api/contract";
import { inLanguage, useLanguage } from "../i18n/language";
import { useWords } from "../i18n/words";
import { pageAddress, useRoute } from "../state/route";
import { pagesInMenu, type PageEntry } from "./pages";
import { texts } from "./texts";

interface Props {
  user: User;
  current: PageEntry | null;
  /** Called when one was followed. */
  followed?: () => void;
}

export function PageLinks({ user, current, followed }: Props) {
  const words = useWords(texts);
  const language = useLanguage();
  const route = useRoute();
  return (
    <nav aria-label={words.menu}>
      <ul className="page-links">
        {pagesInMenu(user).map(({ id, title, Icon }) => (
          <li key={id}>
            <a
              className="page-link"
              href={pageAddress(id, {}, route)}
              aria-current={id === current?.id ? "page" : undefined}
              onClick={followed}
            >
              <Icon /> {inLanguage(title, language)}
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}
