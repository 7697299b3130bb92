"""What the pages link to in the repository beside docs/: it comes along, so that the links lead somewhere without a network.

The pages are read as plain Markdown too, where ``../CONTRIBUTING.md`` is right. Here other pages and files of the repository
become pages and files of the site, and a link to a folder becomes its text (or, where ``repo_url`` is set, a link there).
"""

import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from notebooks import notebook_page

ROOT = Path(__file__).parents[2]
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "examples": "notebooks.md",
}
"""Pages of the repository, and what they are called on the site."""

NOTEBOOKS = sorted(path.stem for path in (ROOT / "examples").glob("*.ipynb"))
PAGES |= {f"examples/{name}.ipynb": f"notebooks/{name}.md" for name in NOTEBOOKS}

_LINK = re.compile(r"\[(?P<text>[^\]]*)\]\((?:\.\./)(?P<path>[^)#\s]+?)/?(?P<anchor>#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Take in the pages and files of the repository that are linked to."""
    linked = {
        found["path"]
        for file in files.documentation_pages()
        if "/" not in file.src_uri
        for found in _LINK.finditer(file.content_string)
    }
    for path in sorted(linked - set(PAGES)):
        if (ROOT / path).is_file():
            files.append(File.generated(config, f"repository/{path}", abs_src_path=str(ROOT / path)))
    for path in ("CONTRIBUTING.md", "CHANGELOG.md"):
        text = (ROOT / path).read_text(encoding="utf-8")
        files.append(File.generated(config, PAGES[path], content=text.replace("](docs/", "](")))
    for name in NOTEBOOKS:
        text = (ROOT / "examples" / f"{name}.ipynb").read_text(encoding="utf-8")
        for file in notebook_page(text, f"notebooks/{name}", config):
            files.append(file)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links out of docs/ to what came along."""
    if "/" in page.file.src_uri:  # pages of folders link within the site
        return markdown

    def turned(found: re.Match[str]) -> str:
        text, path, anchor = found["text"], found["path"], found["anchor"] or ""
        if path in PAGES:
            return f"[{text}]({PAGES[path]})"
        if (ROOT / path).is_file():
            return f"[{text}](repository/{path}{anchor})"
        return f"[{text}]({config.repo_url.rstrip('/')}/tree/main/{path})" if config.repo_url else text

    return _LINK.sub(turned, markdown)


def on_page_context(context: dict[str, Any], page: Page, config: MkDocsConfig, nav: Any) -> dict[str, Any]:
    """Let a page that ends in ``.es.md`` speak Spanish around its text as well."""
    config.theme["language"] = "es" if page.file.src_uri.endswith(".es.md") else "en"
    return context
