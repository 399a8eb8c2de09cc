"""What MkDocs does not do by itself for our pages; called by it, see `mkdocs.yml`."""

import os
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[2]
# Pages that stand beside the code, and are shown as if they stood in docs/: by their place there.
BESIDE = {
    f"{kind}/{readme.parent.name.replace('_', '-')}.md": readme
    for kind in ("drivers", "exports")
    for readme in sorted(ROOT.glob(f"gateway/{kind}/*/README.md"))
}
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
                        there = sorted(str(page.relative_to(docs)) for page in (docs / target).glob("*.md"))
                        entry[title] = there or [place for place in BESIDE if place.startswith(target)]
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that stand beside the code."""
    for place, readme in BESIDE.items():
        files.append(File.generated(config, place, abs_src_path=str(readme)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, **_: object) -> str:
    """A page as the site shows it: files of the repository that are not in the site are named, not linked.

    MkDocs wants an empty line before a list, which our pages leave out.
    """
    here = page.file.src_uri
    source = BESIDE.get(here, Path(config.docs_dir) / here)
    places = {readme: place for place, readme in BESIDE.items()}

    def led(link: re.Match[str]) -> str:
        target = Path(os.path.normpath(source.parent / link[2]))
        if target.is_relative_to(config.docs_dir):
            place = target.relative_to(config.docs_dir).as_posix()
        elif target in places:
            place = places[target]
        else:
            return link[1]
        return f"[{link[1]}]({posixpath.relpath(place, posixpath.dirname(here) or '.')}{link[3] or ''})"

    return _LIST_WITHOUT_A_GAP.sub(r"\1\n\n", _LINK.sub(led, markdown))
