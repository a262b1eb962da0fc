"""The report as one HTML page: no scripts, nothing from the network, pictures inside it."""
import html
import os
import re

from . import draw
from .command import Unusable


def escape(text):
    return html.escape(str(text), quote=True)


def table(name, head, rows, kind=""):
    """A table that may be wider than a phone. head: titles of the columns, or (title, class), or None; rows: lists of cells,
    as HTML, of which the first one is the row's title."""
    titles = [title if isinstance(title, tuple) else (title, "") for title in head or []]
    cells = "".join(f'<th scope="col" class="{style}">{escape(title)}</th>' for title, style in titles)
    head = f"<thead><tr>{cells}</tr></thead>" if head else ""
    body = "".join(
        f'<tr><th scope="row">{first}</th>' + "".join(f"<td>{cell}</td>" for cell in rest) + "</tr>"
        for first, *rest in rows
    )
    return (
        f'<div class="scroll" role="region" aria-label="{escape(name)}" tabindex="0">'
        f'<table class="{kind}">{head}<tbody>{body}</tbody></table></div>'
    )


def code(text):
    return f"<code>{escape(text)}</code>"


def words(text):
    """A sentence in which `commands` stand between backticks."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text))


def figure(picture, folder):
    """A picture in the page, and as a file in folder."""
    text = draw.svg(picture)
    with open(os.path.join(folder, picture.name + ".svg"), "w", encoding="utf-8") as file:
        file.write(draw.svg_file(text))
    wide = picture.figure.get_size_inches()[0] > 1.2 * draw.WIDTH
    note = f"<p>{escape(picture.caption)}</p>" if picture.caption else ""
    image = draw.svg_inline(text, picture.name, escape(picture.alt))
    if wide:
        image = f'<div class="scroll" role="region" aria-label="{escape(picture.title)}" tabindex="0">{image}</div>'
    kind = ' class="wide"' if wide else ""
    return f"<figure{kind}><figcaption>{escape(picture.title)}</figcaption>{image}{note}</figure>"


def figures(pictures, folder):
    return f'<div class="figures">{"".join(figure(p, folder) for p in pictures)}</div>'


def tiles(found, gap):
    """Samples on which the models disagree, as images with what is said of them; without images as a table.
    found: of disagreement.tiles; gap: what their distance is called."""
    columns = [
        (key, title)
        for key, title in (("label", "label"), ("teacher", "teacher"), ("student", "student"), ("gap", gap))
        if any(key in said for _, said, _ in found)
    ]
    if not all(image for *_, image in found):
        rows = [[sample, *(escape(said.get(key, "")) for key, _ in columns)] for sample, said, _ in found]
        return table("samples on which the models disagree", ["sample", *(title for _, title in columns)], rows)
    parts = []
    for sample, said, image in found:
        words = "<br>".join(f"{title} {escape(said[key])}" for key, title in columns if key in said)
        alt = f"test sample {sample}: " + ", ".join(f"{title} {said[key]}" for key, title in columns if key in said)
        parts.append(
            f'<figure><img src="data:image/png;base64,{image}" alt="{escape(alt)}">'
            f"<figcaption>sample {sample}</figcaption><p>{words}</p></figure>"
        )
    return f'<div class="tiles">{"".join(parts)}</div>'


def write(path, title, sentence, parts, version):
    """Write the page. parts: [(heading, HTML)]; the first one has no heading."""
    with open(os.path.join(os.path.dirname(__file__), "page.css"), encoding="utf-8") as file:
        css = file.read()
    ids = [f"part-{i}" for i in range(len(parts))]
    links = "".join(f'<a href="#{i}">{escape(heading)}</a>' for i, (heading, _) in zip(ids, parts) if heading)
    body = "".join(
        (f'<section><h2 id="{i}">{escape(heading)}</h2>{text}</section>' if heading else text)
        for i, (heading, text) in zip(ids, parts)
    )
    text = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{escape(title)}: report of a distillation</title>
<style>
{css}</style>
</head>
<body>
<header>
<h1>{escape(title)}</h1>
<p class="lead">{escape(sentence)}</p>
<nav aria-label="parts of this page">{links}</nav>
</header>
<main>{body}</main>
<footer><p class="small">Made from NetCDF outputs of Retort {escape(version)}.
The pictures stand beside this page as SVG files.</p></footer>
</body>
</html>
"""
    temporary = path + ".tmp"
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)
    except OSError as error:
        raise Unusable(f"{path}: cannot be written: {error.strerror or error}")
