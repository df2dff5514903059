"""Small notebooks made for tests: cells, outputs, and one that may be committed. Needs nbformat."""

import nbformat
from nbformat import v4

from sdbnn_lite.pages import chain

SOMEWHERE = "/".join(["", "home", "ada", "figure.png"])  # joined, so that this file names no such folder
WIDGET = {"output_type": "display_data", "metadata": {}, "data": {"text/plain": "VBox()", chain.WIDGET_VIEW: {}}}
PICTURE = {"output_type": "display_data", "metadata": {}, "data": {"text/plain": "<Figure>", "image/png": "AAAA"}}


def markdown(source):
    return v4.new_markdown_cell(source)


def code(source, *outputs, tags=(), count=None):
    outputs = [nbformat.from_dict(output) for output in outputs]
    return v4.new_code_cell(source, outputs=outputs, execution_count=count, metadata={"tags": list(tags)})


def stream(text, name="stdout"):
    return {"output_type": "stream", "name": name, "text": text}


def result(**data):
    """The output of an expression; ``text_plain="..."`` is its text/plain."""
    data = {kind.replace("_", "/"): value for kind, value in data.items()}
    return {"output_type": "execute_result", "execution_count": 1, "metadata": {}, "data": data}


def notebook(*cells):
    return v4.new_notebook(cells=list(cells))


def parameters(source="FAST = True  # a minute\nDATA = None"):
    return code(source, tags=["parameters"])


def good():
    """A notebook that may be committed."""
    return notebook(
        markdown("# Title\n\nText\n\n## Part\n\n```python\n#### a comment\n```\n"),
        code("FAST = True\nprint('fast')", stream("fast\n"), tags=["parameters"], count=1),
        code("1 / 2", result(text_plain="0.5"), count=2),
        markdown("### Detail\n\n## Next part"),
        code("plot()", PICTURE, count=3),
        code(""),
        code("import math", count=4),
    )
