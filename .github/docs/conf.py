"""The site made of these pages: `make docs`. Sphinx, as it refuses a broken link or reference and is kept well."""

import re
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
PROJECT = tomllib.loads((HERE.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SOURCE = f"{PROJECT['urls']['Repository']}/blob/main/"

project = "Threadbridge"
author = "its authors"
project_copyright = author
version = release = PROJECT["version"]

extensions = ["myst_parser", "sphinxcontrib.mermaid"]
root_doc = "index"
exclude_patterns = ["README.md"]
nitpicky = True

myst_enable_extensions = ["colon_fence"]
myst_fence_as_directive = ["mermaid"]  # the same drawing that the repository's page shows
myst_heading_anchors = 4
suppress_warnings = ["myst.header"]
pygments_style = "friendly"
pygments_dark_style = "native"
mermaid_version = "11.12.0"
mermaid_height = "46rem"
mermaid_fullscreen = False

html_theme = "furo"
html_title = f"Threadbridge {version}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {
    "source_repository": PROJECT["urls"]["Repository"],
    "source_branch": "main",
    "source_directory": ".github/docs/",
}

# The order of the side bar. The pages hold no trace of it, so that they read well in the repository; a page that is
# in none of these lists comes last.
CHAPTERS = {
    "Begin": ["playground", "first-bot", "install"],
    "Set up": ["slack", "many-workspaces", "discord", "discord-shards", "agents", "settings", "commands"],
    "What people see": ["what-people-see", "in-the-chat", "who-may", "speaking-first"],
    "Run it": ["replicas", "watching", "traces", "ops-page", "upgrade", "troubleshooting"],
    "Data and safety": ["data", "encryption", "security"],
    "Understand it": ["architecture", "adapters", "limits", "measured", "releases"],
}
OUTWARD = re.compile(r"\]\((\.\./[^)#\s]*?)(#[^)\s]*)?\)")


def _chapters() -> str:
    there = {page.stem for page in HERE.glob("*.md")} - {"index"}
    named = {page for pages in CHAPTERS.values() for page in pages}
    chapters = {**CHAPTERS, "More": sorted(there - named)}
    parts = []
    for caption, pages in chapters.items():
        if found := [page for page in pages if page in there]:
            parts.append("\n".join(["```{toctree}", ":hidden:", f":caption: {caption}", "", *found, "```"]))
    return "\n\n".join(parts)


def _to_the_repository(link: re.Match[str]) -> str:
    """A link out of this folder leads to the repository's page; a picture is taken along."""
    path, anchor = link.group(1), link.group(2) or ""
    if path.endswith((".png", ".svg")):
        return link.group(0)
    inside = (HERE / path).resolve().relative_to(HERE.parents[1].resolve())
    return f"]({SOURCE}{inside}{anchor})"


def _read(_app, page, source):
    source[0] = OUTWARD.sub(_to_the_repository, source[0])
    if page == root_doc:
        source[0] += "\n" + _chapters() + "\n"


def setup(app):
    app.connect("source-read", _read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
