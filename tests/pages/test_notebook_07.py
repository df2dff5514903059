"""Notebook 07: claims about other people's numbers, and what is printed fits a page."""

import re

import pytest
from committed_notebook import cells_of, prose

CELLS = cells_of("07")
TEXT = prose(CELLS)
PRINTED = "\n".join(o.text for cell in CELLS for o in cell.get("outputs", []) if o.output_type == "stream")


def test_xnor_net_s_58_was_measured_and_its_count_is_another_number():
    """Section 4.1 of arXiv 1603.05279: 62.27 times fewer operations by count, 58 times as fast on a CPU."""
    said = TEXT[TEXT.index("XNOR-Net's authors") :].partition("## 4.")[0]
    assert "section 4.1" in said and "1603.05279" in said and "**measured**" in said
    assert "58 times is such a count" not in TEXT
    assert f"S = {64 * 256 * 9 / (256 * 9 + 64):.2f}" in PRINTED and "S = 62.27" in PRINTED


def test_the_same_network_s_two_accuracies_are_explained():
    assert re.search(r"(?s)imagenette_resnet18: 78\.24 % .* 78\.19 % .*16-bit steps", PRINTED)


def test_networks_of_other_lengths_are_not_compared():
    shown = "\n".join(str(o.get("data", "")) for cell in CELLS for o in cell.get("outputs", []))
    assert "nothing to compare with: imagenette_resnet18 (30 epochs)" in shown


@pytest.mark.parametrize("number", ["06", "07"])
def test_printed_lines_are_not_cut_off(number):
    printed = [line for cell in cells_of(number) for o in cell.get("outputs", []) if o.output_type == "stream"
               for line in o.text.splitlines()]  # fmt: skip
    assert [line for line in printed if len(line) > 100] == []
