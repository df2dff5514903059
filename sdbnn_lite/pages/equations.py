"""Markdown as HTML with its LaTeX as MathML, which browsers show without a script and without a network."""

import html
import re

from ..errors import UsageError

NEEDED = "the site needs nbconvert and latex2mathml: pip install 'sdbnn-lite[notebooks]'"


def to_html(source: str) -> tuple[str, list[str]]:
    """The HTML of Markdown with ``$…$`` and ``$$…$$``, and a complaint for each formula that can't be shown.

    Raises UsageError without nbconvert or latex2mathml.
    """
    try:
        from latex2mathml.converter import convert
        from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
    except ModuleNotFoundError as error:
        raise UsageError(NEEDED) from error
    complaints = []

    def mathml(tex: str, display: str) -> str:
        known = tex.strip().replace("{aligned}", "{align*}")  # the same, and latex2mathml knows only one of them
        shown = re.sub(r' xmlns="[^"]*"', "", convert(known, display=display))  # HTML needs none
        unknown = re.findall(r"\\[A-Za-z]+|(?<=>)&(?=<)", shown)  # it shows as it is what it doesn't know
        if unknown or tex.count("{") != tex.count("}"):
            why = f"{unknown[0]} isn't known" if unknown else "braces don't match"
            complaints.append(f"{tex.strip()!r} can't be shown: {why}")
        return shown

    class Renderer(IPythonRenderer):
        def inline_math(self, body: str) -> str:
            if body != body.strip():  # "$5 or $7"
                return f"${self.escape_html(body)}$"
            return mathml(body, "inline")

        def block_math(self, body: str) -> str:
            return f'<span class="scroll equation">{mathml(body, "block")}</span>'

        def latex_environment(self, name: str, body: str) -> str:
            name = name.rstrip("*") + "*"  # without numbers
            return self.block_math(f"\\begin{{{name}}}{body}\\end{{{name}}}")

    rendered = MarkdownWithMath(renderer=Renderer(escape=False)).render(source)
    prose = re.sub(r"<(pre|code|math|style)\b.*?</\1>|<[^>]*>", "", rendered, flags=re.DOTALL)
    if found := re.search(r"\$\$.+?\$\$|\$\S(?:[^$\n]*\S)?\$", prose, flags=re.DOTALL):
        complaints.append(f"{html.unescape(found[0])!r} isn't read as LaTeX: leave a blank line after the HTML tag")
    return rendered, complaints


def inline(source: str) -> str:
    """A line of Markdown as HTML, without the paragraph around it and without links, which may lead elsewhere."""
    return re.sub(r"^<p>|</p>$|</?a\b[^>]*>", "", to_html(source)[0].strip())


def plain(rendered: str) -> str:
    """The words of HTML."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", rendered)).split())
