"""Tables as Markdown and as aligned text."""

from sdbnn_lite.system.text import aligned_table, markdown_table, rows_table


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


def test_rows_stand_under_their_keys():
    rows = [{"name": "a", "n": 1234, "share": 0.5, "met": True}, {"name": "bc", "n": 5, "share": 0.25, "met": None}]
    assert rows_table(rows, 2) == (
        "name      n  share  met\n"
        "a     1,234   0.50  yes\n"
        "bc        5   0.25    -"
    )  # fmt: skip
    assert rows_table([], 2) == "nothing"
