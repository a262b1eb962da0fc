"""What the tests of analysis/ share. Each is called as  X.py RETORT FOLDER : the program, an empty folder to work in."""
import html.parser
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))

from support.cli import SOURCE  # noqa: E402

SCRIPTS = os.path.join(SOURCE, "analysis")
sys.path.insert(1, SCRIPTS)
os.environ["PYTHONDONTWRITEBYTECODE"] = "1"


def script(name, *words, code=0, says=None):
    """Run a script of analysis/. A failure is one line on standard error, and nothing else."""
    command = [sys.executable, os.path.join(SCRIPTS, name), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    what = f"{name} {' '.join(words)}"
    assert done.returncode == code, f"{what}: exit {done.returncode}, not {code}\n{done.stdout}\n{done.stderr}"
    if code == 1:
        assert done.stderr.count("\n") == 1 and done.stderr.startswith(name + ": "), f"{what}: not one line\n{done.stderr}"
    elif code == 0:
        assert done.stderr == "", f"{what}: {done.stderr}"
    text = done.stderr if code else done.stdout
    assert says is None or says in text, f"{what}: does not say '{says}'\n{text}"
    return done


class Page(html.parser.HTMLParser):
    """A page as its parts: figures {id: (value, text)}, headings, lines of what is missing, images, pictures, links, ids."""

    EMPTY = {"meta", "link", "img", "br", "path", "use", "rect", "image"}

    def __init__(self, path):
        super().__init__()
        self.figures, self.headings, self.missing, self.images, self.pictures, self.links, self.ids = {}, [], [], [], [], [], []
        self.tags, self.open, self.text = set(), [], ""
        with open(path, encoding="utf-8") as file:
            self.source = file.read()
        self.feed(self.source)
        self.close()
        assert not self.open, f"{path}: these are not closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.add(tag)
        if "id" in attrs:
            self.ids.append(attrs["id"])
        self.links += [attrs[name] for name in ("src", "href", "xlink:href") if name in attrs]
        if tag == "img":
            self.images.append(attrs)
        if tag == "svg":
            self.pictures.append(attrs)
        if tag not in self.EMPTY:
            self.open.append((tag, attrs))
        self.text = "" if tag in ("data", "h1", "h2", "li") else self.text + "`" * (tag == "code")

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.EMPTY:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag in self.EMPTY:
            return
        name, attrs = self.open.pop()
        assert name == tag, f"</{tag}> closes <{name}>"
        self.text += "`" * (tag == "code")
        if tag == "data":
            assert attrs["id"] not in self.figures, f"{attrs['id']} stands there twice"
            self.figures[attrs["id"]] = float(attrs["value"]), self.text
        elif tag in ("h1", "h2"):
            self.headings.append(self.text)
        elif tag == "li":
            self.missing.append(self.text)

    def handle_data(self, data):
        self.text += data
