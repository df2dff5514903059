"""The static site of notebooks that are made here: what becomes of a cell, what is refused, search and scripts."""

import re
import sys
from urllib.parse import unquote

import pytest
from site_page import Read, search_index

pytest.importorskip("nbconvert")

import nbformat  # noqa: E402
from nbformat import v4  # noqa: E402

from sdbnn_lite.errors import UsageError  # noqa: E402
from sdbnn_lite.pages import chain, site  # noqa: E402

NOTHING = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="  # one pixel


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A repository of its own; returns a function that fills its notebooks/ and builds the site."""
    notebooks = tmp_path / "repository" / "notebooks"
    notebooks.mkdir(parents=True)
    monkeypatch.setattr(chain, "NOTEBOOKS", notebooks)

    def build(**cells):
        for name, content in cells.items():
            nb = v4.new_notebook(cells=content, metadata={"kernelspec": chain.KERNEL})
            chain.write(nb, notebooks / f"{name}.ipynb")
        monkeypatch.setattr(chain, "CHAIN", tuple(f"{name}.ipynb" for name in cells))
        site.build(tmp_path / "out")
        return tmp_path / "out"

    return build


def test_cells_become_html(folder):
    picture = {"output_type": "display_data", "data": {"image/png": NOTHING, "text/plain": "[picture]"}}
    picture["metadata"] = {"image/png": {"alt": 'a "dot" & more', "width": 900}}
    result = {"output_type": "execute_result", "execution_count": 1, "metadata": {}, "data": {"text/plain": "<1>"}}
    words = {"text/markdown": "**so** [b](01_b.ipynb)", "text/plain": "<IPython.core.display.Markdown object>"}
    words = {"output_type": "display_data", "metadata": {}, "data": words}
    printed = {"output_type": "stream", "name": "stdout", "text": "a < b\n"}
    (folder(**{"00_a": [], "01_b": []}).parent / "repository" / "some file.csv").write_text("x\n")
    out = folder(
        **{
            "00_a": [
                v4.new_markdown_cell(
                    "# 00 · A & B\n\n| | |\n|---|---|\n| **You will learn** | to `x` & [y](01_b.ipynb) |\n"
                    "| **Time** | about 7 minutes |\n\n## Next\n\nSee [b](01_b.ipynb#Part), [here](#Next), "
                    "[the file](../some%20file.csv). It costs $5 or $7.\n\n    a formula $x$ = 1\n\n"
                    "<details>\n<summary>Reveal</summary>\n\n- one\n- two\n</details>"
                ),
                v4.new_code_cell(
                    "x < 1  # y",
                    outputs=[nbformat.from_dict(output) for output in (printed, result, words, picture)],
                    execution_count=1,
                ),
                v4.new_code_cell("m.explorer()", metadata={"tags": ["explorer"]}, execution_count=2),
                v4.new_code_cell(""),
            ],
            "01_b": [v4.new_markdown_cell("# 01 · B\n\n## Part")],
        }
    )
    text = (out / "00_a.html").read_text()
    for part in (
        'href="01_b.html#Part"',
        'href="#Next"',
        'href="some%20file.csv"',
        "<pre><samp>a &lt; b</samp></pre>",
        "<pre><samp>&lt;1&gt;</samp></pre>",
        '<img alt="a &quot;dot&quot; &amp; more" width="900" style="--width: 900px" '
        f'src="data:image/png;base64,{NOTHING}">',
        '<p><strong>so</strong> <a href="01_b.html">b</a></p>',
        "<code>make lab</code>",
        "<title>00 · A &amp; B · ",
        'rel="next">01 · B →</a>',
    ):
        assert part in text
    assert "IPython.core" not in text and "<thead>" not in text and "anchor-link" not in text
    assert (out / "some file.csv").read_text() == "x\n"
    index = (out / "index.html").read_text()
    assert '00 · A &amp; B</a></td><td>to <code>x</code> &amp; y</td><td class="minutes">7</td>' in index
    for name in ("index.html", "00_a.html", "01_b.html"):
        Read((out / name).read_text())


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("[x](02_c.ipynb)", "00_a.ipynb: 02_c.ipynb leads nowhere"),
        ("![x](../absent.png)", "../absent.png leads nowhere"),
        ("[x](../../outside.txt)", "outside.txt leads nowhere"),
        ("![x](https://example.org/x.png)", "x.png is loaded from elsewhere"),
        (r"so $\unheard{a}$ it is", r"'.*unheard\{a\}' can't be shown: .*unheard isn't known"),
        ("$$\n\\frac{a\n$$", "braces don't match"),
        ("<p>$x^2$</p>", r"'\$x\^2\$' isn't read as LaTeX"),
    ],
)
def test_what_would_not_work_is_told(folder, tmp_path, source, complaint):
    (tmp_path / "outside.txt").write_text("not ours")
    with pytest.raises(UsageError, match=f"the site is written, but .*{complaint}"):
        folder(**{"00_a": [v4.new_markdown_cell(f"# A\n\n{source}")]})
    assert (tmp_path / "out" / "00_a.html").is_file()


def test_two_builds_are_the_same_bytes(folder):
    cells = {"00_a": [v4.new_markdown_cell("# A\n\ntext"), v4.new_code_cell("1 + 1", execution_count=1)]}
    first = (folder(**cells) / "00_a.html").read_bytes()
    assert (folder(**cells) / "00_a.html").read_bytes() == first


@pytest.mark.parametrize("with_pdoc", [True, False])
def test_the_command(folder, tmp_path, capsys, monkeypatch, with_pdoc):
    """The modules' pages are written and linked to where pdoc is installed; else a line says how to get them."""
    folder(**{"00_a": [v4.new_markdown_cell("# A")]})
    monkeypatch.setattr(site, "find_spec", lambda name: with_pdoc or None)
    monkeypatch.setattr(site.reference, "build", lambda style: [(site.reference.FIRST, style["link"])])
    assert site.main(["--out", str(tmp_path / "new" / "site")]) == 0
    said = capsys.readouterr().out
    assert f"{2 + with_pdoc} pages: open" in said and ("pip install pdoc" in said) == (not with_pdoc)
    linked = f'href="{site.reference.FIRST}"' in (tmp_path / "new" / "site" / "index.html").read_text("utf-8")
    assert linked == with_pdoc == (tmp_path / "new" / "site" / site.reference.FIRST).is_file()
    (tmp_path / "file").write_text("")
    assert site.main(["--out", str(tmp_path / "file")]) == 2
    assert "not a folder that can be written" in capsys.readouterr().err
    for missing in ("nbconvert.filters.markdown_mistune", "latex2mathml.converter"):
        with monkeypatch.context() as without:
            without.setitem(sys.modules, missing, None)
            assert site.main(["--out", str(tmp_path / "new" / "site")]) == 2
        assert "pip install 'sdbnn-lite[notebooks]'" in capsys.readouterr().err


# --- search, explorers, one click ------------------------------------------------------------------------------------


def test_the_index_holds_words_and_code_under_their_headings_but_no_outputs(folder):
    printed = nbformat.from_dict({"output_type": "stream", "name": "stdout", "text": "printed\n"})
    cells = [
        v4.new_markdown_cell('# A & B\n\nSome *words*.\n\n## "So?" $x$\n\nMore.'),
        v4.new_code_cell("code < 1", outputs=[printed], execution_count=1),
    ]
    out = folder(**{"00_a": cells})
    ((page, title, sections),) = search_index(out)
    assert (page, title) == ("00_a.html", "A & B")
    assert [(name, text.split()) for _, name, text in sections] == [
        ("A & B", []), ("A & B", ["Some", "words", "."]), ('"So?" x', ["More.", "code", "<", "1"]),
    ]  # fmt: skip
    read = Read((out / page).read_text())
    assert {unquote(link) for link, _, _ in sections} <= read.ids
    assert "#" + sections[-1][0] in read.links  # the contents'


def test_scripts_come_only_with_explorers_that_they_move(folder):
    def page(**cells):
        out = folder(**cells)
        return re.findall(r'<script src="(.*?)"', (out / "00_a.html").read_text()), out

    explorer = v4.new_code_cell("layer_cost.explorer()", metadata={"tags": ["explorer"]}, execution_count=1)
    scripts, out = page(**{"00_a": [v4.new_markdown_cell("# A"), explorer]})
    assert scripts == ["site.js"] and not (out / "explorer-data.js").exists()
    explorer.source = "sum_of_signs.explorer(p=0.5)"
    scripts, out = page(**{"00_a": [v4.new_markdown_cell("# A"), explorer]})
    assert scripts == ["site.js", "explorer-data.js", "explorers.js", "network.js"]
    assert all((out / name).is_file() for name in scripts)


def test_colab_and_binder_open_the_notebook_of_a_named_repository(folder, monkeypatch, tmp_path, capsys):
    out = folder(**{"00_a": [v4.new_markdown_cell("# A")]})
    assert "Open in" not in (out / "00_a.html").read_text()
    assert site.main(["--out", str(out), "--repository", "ada/nets"]) == 0
    links = Read((out / "00_a.html").read_text()).links
    assert "https://colab.research.google.com/github/ada/nets/blob/HEAD/notebooks/00_a.ipynb" in links
    assert "https://mybinder.org/v2/gh/ada/nets/HEAD?labpath=notebooks%2F00_a.ipynb" in links
    assert site.main(["--out", str(tmp_path / "none"), "--repository", "ada"]) == 2
    assert "repository='ada': OWNER/NAME" in capsys.readouterr().err and not (tmp_path / "none").exists()


def test_long_printed_sentences_may_break_and_tables_may_not(folder):
    lines = ["a sentence that is longer than a phone is wide, really", "name    value    and what it means to us all"]
    printed = nbformat.from_dict({"output_type": "stream", "name": "stdout", "text": "\n".join(lines)})
    cells = [v4.new_markdown_cell("# A"), v4.new_code_cell("f()", outputs=[printed], execution_count=1)]
    text = (folder(**{"00_a": cells}) / "00_a.html").read_text()
    assert f'<samp><span class="words">{lines[0]}</span>\n{lines[1]}</samp>' in text
