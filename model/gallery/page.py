"""The gallery as an HTML page with pictures beside it, and its figures as a Markdown table.

All text is escaped, and the page has no scripts.
"""

from collections.abc import Mapping
from html import escape
from pathlib import Path

from model.gallery.studio import Exhibit, Picture
from model.markdown import table

_STYLE = """
:root { color-scheme: light dark; --ground: #faf9f7; --text: #26282b; --faint: #6b6f74; --line: #dedbd4;
  --card: #fff; --accent: #7a4a2b; }
@media (prefers-color-scheme: dark) { :root { --ground: #17181a; --text: #e4e3df; --faint: #9a9c9f;
  --line: #34363a; --card: #1f2124; --accent: #e0a878; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--text); font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 2rem; margin: 0 0 .25rem; } h2 { font-size: 1.35rem; margin: 0 0 .5rem; }
p { max-width: 46rem; margin: 0 0 1rem; } .faint, figcaption { color: var(--faint); }
nav { margin: 1.25rem 0 2rem; display: flex; flex-wrap: wrap; gap: .4rem 1.1rem; }
a { color: var(--accent); text-decoration: none; } a:hover { text-decoration: underline; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 1.4rem 1.5rem; margin: 0 0 1.5rem; }
table { border-collapse: collapse; margin: 0 0 1.25rem; font-size: .95rem; width: 100%; max-width: 46rem; }
td { border-top: 1px solid var(--line); padding: .3rem 0; vertical-align: top; }
td:last-child { text-align: right; white-space: nowrap; padding-left: 1.5rem;
  font-variant-numeric: tabular-nums; }
figure { margin: 0 0 1.25rem; } figure:last-child { margin: 0; }
img { display: block; max-width: 100%; height: auto; border-radius: 6px; }
figcaption { font-size: .9rem; margin-top: .4rem; }
"""


def write_page(out: Path, exhibits: Mapping[str, Exhibit], about: str) -> Path:
    """Write `out/index.html` and the pictures it shows.

    Args:
        out: an existing folder.
        exhibits: the exhibits by the names of their systems.
        about: a sentence on how the exhibits were made.

    Returns:
        The path of the page.

    Raises:
        OSError: the folder can't be written.
    """
    pictures = out / "pictures"
    pictures.mkdir(exist_ok=True)
    for exhibit in exhibits.values():
        for picture in exhibit.pictures:
            picture.image.save(pictures / f"{picture.name}.png")
    page = out / "index.html"
    page.write_text(html(exhibits, about), encoding="utf-8")
    return page


def html(exhibits: Mapping[str, Exhibit], about: str) -> str:
    """The page as HTML."""
    links = "\n".join(f'<a href="#{escape(n)}">{escape(e.title)}</a>' for n, e in exhibits.items())
    sections = "\n".join(_section(name, exhibit) for name, exhibit in exhibits.items())
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Pumice: the gallery</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>The gallery</h1>
<p class="faint">{escape(about)}</p>
<nav>
{links}
</nav>
{sections}
</main>
</body>
</html>
"""


def _section(name: str, exhibit: Exhibit) -> str:
    rows = "\n".join(f"<tr><td>{escape(a)}</td><td>{escape(b)}</td></tr>" for a, b in exhibit.figures)
    figures = "\n".join(_figure(picture) for picture in exhibit.pictures)
    return f"""<section id="{escape(name)}">
<h2>{escape(exhibit.title)}</h2>
<p>{escape(exhibit.about)}</p>
<table>
{rows}
</table>
{figures}
</section>"""


def _figure(picture: Picture) -> str:
    width, height = picture.image.size
    source, caption = f"pictures/{escape(picture.name)}.png", escape(picture.caption)
    image = f'<img src="{source}" width="{width}" height="{height}" loading="lazy" alt="{caption}">'
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"


def figures_table(exhibits: Mapping[str, Exhibit], about: str) -> str:
    """All figures as a Markdown table, followed by the sentence on how they were made."""
    rows = [
        (exhibit.title if index == 0 else "", what, how_much)
        for exhibit in exhibits.values()
        for index, (what, how_much) in enumerate(exhibit.figures)
    ]
    return f"{table(('system', 'figure', 'value'), rows)}\n\n{about}"
