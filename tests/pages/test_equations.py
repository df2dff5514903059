"""LaTeX in Markdown becomes MathML, and nothing else does."""

import re

import pytest

pytest.importorskip("nbconvert")
pytest.importorskip("latex2mathml")

from sdbnn_lite.pages.equations import inline, plain, to_html  # noqa: E402


def shape(rendered):
    """The tags of the first formula, without attributes."""
    return re.sub(r"<(\w+)[^>]*>", r"<\1>", re.search(r"<math.*?</math>", rendered, flags=re.DOTALL)[0])


def test_inline_and_display():
    rendered, wrong = to_html("so $a_1$ is\n\n$$\\frac{a}{b}$$\n\nthere")
    assert wrong == [] and "$" not in rendered
    assert shape(rendered) == "<math><mrow><msub><mi>a</mi><mn>1</mn></msub></mrow></math>"
    assert "<mfrac><mrow><mi>a</mi></mrow><mrow><mi>b</mi></mrow></mfrac>" in rendered
    assert 'display="inline"' in rendered and '<span class="scroll equation"><math display="block">' in rendered
    assert "xmlns" not in rendered  # ElementTree would prefix every tag of a heading's


def test_in_headings_tables_and_lists():
    rendered, wrong = to_html("## The $\\theta$\n\n| a | b |\n|---|---|\n| $x^2$ | 1 |\n\n- $y$\n")
    assert wrong == [] and rendered.count("<math") == rendered.count("</math>") == 3
    assert re.search(r'<h2 id="[^"]+">The <math', rendered) and "<td><math" in rendered and "<li><math" in rendered


@pytest.mark.parametrize("environment", ["align", "align*", "aligned"])
def test_several_lines_are_aligned_and_not_numbered(environment):
    source = f"\\begin{{{environment}}} a &= b \\\\ c &= d \\end{{{environment}}}"
    rendered, wrong = to_html(f"$$\n{source}\n$$" if environment == "aligned" else source)
    assert wrong == [] and rendered.count("<mtr>") == 2 and rendered.count("<mtd") == 4 and "(1)" not in rendered


@pytest.mark.parametrize("source", ["`$x$`", "    $x$ is code", "```\n$x$\n```", "It costs $5 or $7.", r"\$5 and \$6"])
def test_what_is_no_formula_stays(source):
    rendered, wrong = to_html(source)
    assert "<math" not in rendered and wrong == [] and "$" in rendered


def test_a_line_has_neither_paragraph_nor_links():
    assert inline("to *do* [it](x) & `y`") == "to <em>do</em> it &amp; <code>y</code>"


def test_the_words_of_html():
    assert plain("<p>a &lt;\n<b>b</b></p>  <i>c</i>") == "a < b c"
