"""The notebooks of examples/ as pages of the site, with the outputs that are kept in them."""

import base64
import json
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File

__all__ = ["notebook_page"]


def notebook_page(text: str, place: str, config: MkDocsConfig) -> list[File]:
    """Give the page ``place`` (without its ending) and the pictures in it, made from the text of a notebook."""
    parts: list[str] = []
    pictures: list[File] = []
    for cell in json.loads(text)["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        for output in cell.get("outputs", []):
            kind, content = _shown(output)
            if kind == "image/png":
                name = f"{place}-{len(pictures) + 1}.png"
                pictures.append(File.generated(config, name, content=base64.b64decode(content)))
                parts.append(f"![Output of the cell above]({name.rpartition('/')[2]})")
            elif kind == "text/html":
                parts.append(f'<div class="cell-output" markdown="0">\n{content}\n</div>')
            elif content.strip():
                parts.append(f"``` {{ .text .cell-output }}\n{content.rstrip()}\n```")
    return [File.generated(config, f"{place}.md", content="\n\n".join(parts) + "\n"), *pictures]


def _shown(output: dict[str, Any]) -> tuple[str, str]:
    """Of the forms in which an output is kept, the one that shows most."""
    if output["output_type"] == "stream":
        return "text/plain", "".join(output["text"])
    forms = output.get("data", {})
    kind = next((each for each in ("image/png", "text/html", "text/plain") if each in forms), "text/plain")
    return kind, "".join(forms.get(kind, ""))
