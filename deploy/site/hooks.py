"""What MkDocs does not do by itself for our pages; called by it, see `mkdocs.yml`."""

import posixpath
import re
from pathlib import Path
from typing import Any

_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((?!\w+:)([^)#\s]+)(#[^)\s]*)?\)")
_LIST_WITHOUT_A_GAP = re.compile(r"(?m)^((?![ \t]|[-*|>#] |\d+\. ).+)\n(?=(?:- |\d+\. ))")


def on_config(config: Any) -> Any:
    """In the navigation `folder/` stands for all pages in it, by name."""
    docs = Path(config.docs_dir)
    for section in config.nav:
        for entries in section.values():
            for entry in entries:
                for title, target in entry.items() if isinstance(entry, dict) else ():
                    if target.endswith("/"):
                        entry[title] = sorted(str(page.relative_to(docs)) for page in (docs / target).glob("*.md"))
    return config


def on_page_markdown(markdown: str, page: Any, **_: object) -> str:
    """A page as the site shows it: files of the repository outside docs/ are named, not linked.

    MkDocs wants an empty line before a list, which our pages leave out.
    """
    here = posixpath.dirname(page.file.src_uri)

    def named(link: re.Match[str]) -> str:
        is_outside = posixpath.normpath(posixpath.join(here, link[2])).startswith("../")
        return link[1] if is_outside else link[0]

    return _LIST_WITHOUT_A_GAP.sub(r"\1\n\n", _LINK.sub(named, markdown))
