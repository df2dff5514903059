"""Tables as Markdown and as aligned text."""

from sdbnn_lite.system.text import aligned_table, markdown_table


def test_markdown():
    assert markdown_table(["a", "b"], [[1, "x|y"], [None, ""]]) == "| a | b |\n|---|---|\n| 1 | x\\|y |\n| None |  |"


def test_columns_are_aligned():
    rows = [["layer", "products", ""], ["conv1", "1,000", "a note"], ["fc", "7", ""]]
    assert aligned_table(rows, [False, True, False]) == (
        "layer  products\n"
        "conv1     1,000  a note\n"
        "fc            7"
    )  # fmt: skip
    assert aligned_table(rows[:2], [True, True, True], rule=True) == (
        "layer  products\n"
        "-----  --------  ------\n"
        "conv1     1,000  a note"
    )  # fmt: skip
