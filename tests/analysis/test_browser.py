"""The report as a browser shows it, on a desk and on a phone, in light and dark: nothing in the console, nothing wider than the
screen, no text that is cut, covered by other text, or too small to read. Skipped where there is no Chromium.

Arguments: the program retort, an empty folder."""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

from common import script  # first, as it finds the others
import numpy as np
from support.cli import main, options, run, small

CHROMIUM = next((path for path in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if path), None)
GOOD = dict(teacher_hidden="24,16", teacher_epochs=12, teacher_batch=50, distill_epochs=9, distill_batch=50, label_views=2, augment_shift=1)
MEASURE = """
<script>
addEventListener('load', () => {
  const said = {wide: [], cut: [], covered: [], small: [], images: document.images.length, ink: getComputedStyle(document.body).color};
  const screen = document.documentElement.clientWidth;
  said.screen = innerWidth;
  for (const e of document.body.querySelectorAll('*'))
    if (!e.closest('.scroll, svg') && e.getBoundingClientRect().right > screen + 1) said.wide.push(e.tagName + ' ' + e.className);
  for (const svg of document.querySelectorAll('svg')) {
    const all = svg.getBoundingClientRect(), name = svg.getAttribute('aria-label').slice(0, 40), boxes = [];
    for (const text of svg.querySelectorAll('text')) {
      const b = text.getBoundingClientRect(), words = text.textContent.trim();
      const tall = parseFloat(getComputedStyle(text).fontSize) * all.width / svg.viewBox.baseVal.width;
      if (!words) continue;
      if (b.left < all.left - 1 || b.right > all.right + 1 || b.top < all.top - 1 || b.bottom > all.bottom + 1) said.cut.push(name + ': ' + words);
      if (tall < 9) said.small.push(name + ': ' + words + ' ' + tall.toFixed(1));
      const shrink = 0.14 * tall;  /* letters do not fill their box */
      boxes.push([b.left + shrink, b.top + shrink, b.right - shrink, b.bottom - shrink, words]);
    }
    boxes.forEach((a, i) => boxes.slice(i + 1).forEach(b => {
      if (Math.min(a[2], b[2]) - Math.max(a[0], b[0]) > 0.5 && Math.min(a[3], b[3]) - Math.max(a[1], b[1]) > 0.5)
        said.covered.push(name + ': ' + a[4] + ' | ' + b[4]);
    }));
  }
  parent.postMessage('MEASURED' + JSON.stringify(said) + 'END', '*');
});
</script></body>"""
# A window cannot be as narrow as a phone, a frame can.
FRAME = """<!DOCTYPE html><body><script>addEventListener('message', (event) => { document.body.textContent = event.data; });</script>
<iframe src="measured.html" width="%d" height="900" style="border: 0"></iframe></body>"""


def look(page, width, dark=False):
    """What the browser says of the page, and of a copy that measures itself."""
    with tempfile.TemporaryDirectory() as profile:
        def chromium(path, *words):
            command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--enable-logging=stderr", f"--user-data-dir={profile}",
                       "--window-size=1400,900", "--virtual-time-budget=5000", *words, "file://" + os.path.abspath(path)]
            return subprocess.run(command, capture_output=True, text=True, timeout=120)

        console = [line for line in chromium(page, "--dump-dom").stderr.splitlines() if "CONSOLE" in line]
        assert not console, f"{page}: the browser complains: {console}"
        with open(page, encoding="utf-8") as file:
            source = file.read()
        if dark:
            source = source.replace("@media (prefers-color-scheme: dark)", "@media all")
        with open("measured.html", "w", encoding="utf-8") as file:
            file.write(source.replace("</body>", MEASURE))
        with open("frame.html", "w", encoding="utf-8") as file:
            file.write(FRAME % width)
        found = re.search(r"MEASURED(.*)END", chromium("frame.html", "--dump-dom").stdout, re.S)
    assert found, f"{page}: the browser shows nothing"
    return json.loads(found.group(1).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))


def judge(page):
    for width in 1280, 390:
        said = look(page, width)
        assert said["screen"] == width, f"the window is {said['screen']} wide, not {width}"
        for what in "wide", "cut", "covered", "small":
            assert not said[what], f"{page} at {width} pixels: {what}: {said[what][:12]}"
    assert look(page, 390, dark=True)["ink"] != said["ink"], "there is no dark mode"


def test_run():
    run("run", small("run", **GOOD, eval_cka="true", label_features=1, label_components=4), ranks=2)
    for hidden in 2, 8, 15, 64:
        shutil.copytree("run", f"h{hidden}", ignore=shutil.ignore_patterns("student*", "eval.nc"))
        run("run", small(f"h{hidden}", **GOOD, student_hidden=hidden))
    judge(script("report.py", "run", "h2", "h8", "h15", "h64").stdout.strip())


def test_names():
    """Long names of 30 classes; a student of more layers than can be named."""
    random = np.random.default_rng(4)
    with open("named.csv", "w") as file:
        file.write("a,b,kind\n" + "".join(f"{a:.4f},{b:.4f},a long name of class {i % 30}\n" for i, (a, b) in enumerate(random.normal(0, 1, (600, 2)))))
    run("import", "csv", "named.csv", "-label", "kind", "-o", "named.nc")
    run("run", options(run_dir="named", data_train="named.nc", data_test="named.nc", teacher_hidden="8,8,8", teacher_epochs=2, student_hidden=",".join(["6"] * 29),
                      distill_epochs=2, eval_cka="true"))
    judge(script("report.py", "named").stdout.strip())


def test_regression():
    x = np.random.default_rng(3).uniform(-1, 1, (300, 3)).astype("f4")
    np.save("x.npy", x), np.save("y.npy", np.sin(x))
    run("import", "npy", "x.npy", "y.npy", "-o", "r.nc")
    run("run", options(run_dir="regression", data_train="r.nc", data_test="r.nc", teacher_epochs=1, teacher_hidden=8, distill_epochs=1, distill_loss="mse"))
    judge(script("report.py", "regression").stdout.strip())


if not CHROMIUM:
    print("browser: there is no Chromium here")
    sys.exit(77)
main(test_run, test_names, test_regression)
