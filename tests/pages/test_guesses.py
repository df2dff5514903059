"""Predictions on the site: what is read from a notebook, what is folded, and what is refused."""

import re

import pytest

pytest.importorskip("nbconvert")

from made_notebooks import code, markdown, notebook, result, stream  # noqa: E402

from sdbnn_lite.errors import UsageError  # noqa: E402
from sdbnn_lite.pages import chain, site  # noqa: E402
from sdbnn_lite.pages.guesses import read_guesses  # noqa: E402


def guess(source='guess("a", "What?", ["x", "y"])'):
    return code(source, stream("the form of the notebook"), tags=["guess"])


def reveal(name="a", answer=1, **kinds):
    shown = f'<div class="reveal" data-guess="{name}" data-answer="{answer}">so</div>'
    return code(f'reveal("{name}", i)', result(**kinds or {"text_html": shown}))


def render(tmp_path, *cells):
    path = tmp_path / "00_a.ipynb"
    chain.write(notebook(markdown("# T"), *cells), path)
    page = site.Page(path)
    return page.render([page])


def test_the_answer_comes_from_a_later_output_in_html_or_text():
    plain = '<div class="reveal" data-guess="b" data-answer="0">'
    nb = notebook(guess(), code("1"), guess('guess("b", "And?", ["u", "v", "w"])'), reveal(), reveal(text_plain=plain))
    guesses = read_guesses(nb)
    assert {at: name for at, (name, _) in guesses.items()} == {0: "a", 2: "b"}
    assert 'data-answer="1"' in guesses[0][1] and 'data-answer="0"' in guesses[2][1]
    assert re.findall(r'value="(\d)"> <span>(\w)', guesses[2][1]) == [("0", "u"), ("1", "v"), ("2", "w")]


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ([guess("x = 1"), reveal()], r'a cell tagged .guess. holds guess\("name", .* not .x = 1.'),
        ([guess('guess("a", "What?", CHOICES)'), reveal()], "not .*CHOICES"),
        ([guess('guess("a", "What?", ["x"])'), reveal()], 'not .*"x"'),
        ([guess('guess("a", "What?", ["x", 2])'), reveal()], "not "),
        ([guess('guess("a", question="What?")'), reveal()], "not "),
        ([guess('guess("a", "What?", ["x", "y"]); f()'), reveal()], "not "),
        ([guess('other("a", "What?", ["x", "y"])'), reveal()], "not .other"),
        ([guess()], "guess 'a': no later reveal's output names one of its 2 choices"),
        ([reveal(), guess()], "no later reveal"),
        ([guess(), reveal(answer=2)], "one of its 2 choices"),
        ([guess(), guess(), reveal()], "two guesses are called 'a'"),
    ],
)
def test_a_guess_that_makes_no_sense_is_refused(tmp_path, cells, said):
    with pytest.raises(UsageError, match=f"00_a.ipynb: .*{said}"):
        render(tmp_path, *cells)


def test_outputs_are_folded_up_to_the_next_heading_or_guess(tmp_path):
    text = render(
        tmp_path,
        code("before", stream("shown 1")),
        guess('guess("a", "Is *it* <so>?", ["$x^2$", "y & z"])'),
        code("after", stream("hidden 2")),
        markdown("Some words."),
        reveal(),
        guess('guess("b", "And?", ["u", "v"])'),
        code("more", stream("hidden 3")),
        markdown("## Next"),
        code("behind", stream("shown 4")),
        reveal("b", 0),
    )
    folds = {}
    for part in text.split('<details class="fold" data-guess="')[1:]:
        name, inside = part.split("</details>")[0].split('">', 1)
        folds.setdefault(name, []).append(inside)
    assert {name: len(inside) for name, inside in folds.items()} == {"a": 2, "b": 1}
    hidden = "".join(sum(folds.values(), []))
    assert "hidden 2" in hidden and "hidden 3" in hidden and 'data-guess="a"' in hidden
    assert "shown" not in hidden and "Some words." not in hidden and 'data-guess="b"' not in hidden
    assert "the form of the notebook" not in text and text.count('<form class="guess"') == 2
    assert "Is <em>it</em> " in text and "<msup>" in text and "y &amp; z" in text and "guess(" not in text
    assert '<form class="guess" data-guess="a" data-answer="1">' in text and text.count('class="score"') == 1


def test_a_page_without_guesses_has_neither_folds_nor_a_score(tmp_path):
    text = render(tmp_path, code("1", stream("1")))
    assert 'class="fold"' not in text and 'class="score"' not in text
