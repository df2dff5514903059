"""The site in a real browser: a small chain with everything that its scripts do, by keyboard and by pointer."""

import re

import browser
import numpy as np
import pytest
import torch
from made_notebooks import code, markdown, notebook, result

pytest.importorskip("nbconvert")

import sdbnn_lite as sd  # noqa: E402
from sdbnn_lite.lessons.explorers import activation_shift, sum_of_signs  # noqa: E402
from sdbnn_lite.pages import chain, site  # noqa: E402
from sdbnn_lite.plots.theme import drawing, png_bytes  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(browser.why_not()), reason=browser.why_not())]

FORMULA = r"P(y \ge \theta) = \sum_{k \ge (n+\theta)/2} \binom{n}{k} r^k (1-r)^{n-k} \approx abcdefghijklmnop"
LONG = "words and more words, so many of them that they need several lines on a phone " * 2
TEXT = f"""# 00 · First

See ${FORMULA}$.

$${FORMULA}$$

| name | meaning |
|---|---|
| **one** | {LONG} |

| a | b |
|---|---|
| {"1" * 30} | {"2" * 30} |

## A heading about zebras

Nothing else.

## Another heading

Here are a zebra's words.
"""


def picture():
    from base64 import b64encode

    with drawing(9, 3) as figure:
        figure.text(0.1, 0.5, "words in the figure")
    metadata = {"image/png": {"alt": "Words", "width": 900}}
    data = {"image/png": b64encode(png_bytes(figure)).decode()}
    return {"output_type": "display_data", "metadata": metadata, "data": data}


def reveal(name, answer):
    shown = f'<div class="reveal" data-guess="{name}" data-answer="{answer}">It was {answer}.</div>'
    return code("reveal()", result(text_html=shown))


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """The site of two notebooks."""
    folder = tmp_path_factory.mktemp("small")
    first = [
        markdown(TEXT),
        code("plot()", picture()),
        code("sum_of_signs.explorer()", tags=["explorer"]),
        code("activation_shift.explorer()", tags=["explorer"]),
    ]
    second = [markdown("# 01 · Second\n\nThe word xylophone.")]
    for name, answer in (("a", 1), ("b", 0)):
        second += [code(f'guess("{name}", "What is {name}?", ["nought", "one"])', tags=["guess"]), reveal(name, answer)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chain, "NOTEBOOKS", folder / "notebooks")
        patch.setattr(chain, "CHAIN", ("00_a.ipynb", "01_b.ipynb"))
        for name, cells in zip(chain.CHAIN, (first, second)):
            chain.write(notebook(*cells), folder / "notebooks" / name)
        site.build(folder / "site")
    return folder / "site"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    with browser.chromium(tmp_path_factory.mktemp("chromium")) as context:
        yield context.browser


@pytest.fixture
def opened(out, chromium, request):
    """Opens a page in a browser that remembers nothing; fails for errors, and for what isn't the site's own."""
    contexts, errors = [], []

    def open_one(name="00_a", width=390, scheme="light", **options):
        contexts.append(
            chromium.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme, **options)
        )
        page = contexts[-1].new_page()
        page.set_default_timeout(30_000)
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda asked: None if asked.url.startswith(("file:", "data:")) else errors.append(asked.url))
        page.goto((out / f"{name}.html").as_uri())
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert errors == []


def style(page, selector, name):
    return page.evaluate(f"getComputedStyle(document.querySelector({selector!r}))[{name!r}]")


# --- reading ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [390, 1200])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_and_follow_the_colours_of_the_system(opened, width, scheme):
    page = opened(width=width, scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page_colour, ink = (style(page, "body", name) for name in ("backgroundColor", "color"))
    dark = [sum(map(int, re.findall(r"\d+", colour)[:3])) < 384 for colour in (page_colour, ink)]
    assert dark == ([False, True] if scheme == "light" else [True, False])
    assert style(page, ".output img", "backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator(".contents details").get_attribute("open") == ("" if width == 1200 else None)


def test_the_switch_overrules_the_system_and_is_kept(opened):
    page = opened(scheme="dark")
    light = style(opened(), "body", "backgroundColor")
    page.get_by_role("button", name="Light").press("Enter")
    assert style(page, "body", "backgroundColor") == light
    page.reload()
    assert style(page, "body", "backgroundColor") == light and page.locator("#theme").inner_text() == "Dark"


def test_figures_can_be_read_on_a_phone_and_enlarged(opened):
    page = opened()
    figure = page.get_by_role("button", name="Words")
    assert figure.bounding_box()["width"] >= 0.8 * 900  # in a box that scrolls
    figure.click()
    assert page.locator("dialog img").bounding_box()["width"] >= 900
    page.keyboard.press("Escape")
    page.locator("dialog").wait_for(state="detached")  # its event "close" comes a task later
    figure.press("Enter")
    page.get_by_role("button", name="Close").click()
    page.locator("dialog").wait_for(state="detached")
    assert page.evaluate("document.activeElement.alt") == "Words"


def test_tables_of_words_stack_and_tables_of_numbers_scroll(opened):
    page = opened()
    words, numbers = page.locator("main table").all()
    assert words.bounding_box()["width"] <= 390 - 2 * 20 and words.locator("thead").is_hidden()
    content = words.locator("td").nth(1).evaluate("cell => getComputedStyle(cell, '::before').content")
    assert "meaning" in content
    box = numbers.locator("xpath=..")
    assert box.bounding_box()["width"] <= 350 < numbers.bounding_box()["width"]
    box.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("box => box.scrollLeft > 0", arg=box.element_handle())
    assert opened(width=1200).locator("main thead").first.is_visible()


def test_formulas_are_laid_out_and_stay_on_the_page(opened):
    page = opened()
    inside, display = (formula.bounding_box() for formula in page.locator("main math").all())
    assert inside["height"] > 20 and display["height"] > 30  # a sum has limits
    boxes = [box.bounding_box() for box in page.locator("main .equation").all()]
    assert len(boxes) == 2 and max(box["x"] + box["width"] for box in boxes) <= 390


def test_without_scripts_everything_can_be_read(opened):
    page = opened("01_b", java_script_enabled=False)
    assert page.locator("#search").is_hidden() and page.locator("#theme").is_hidden()
    assert page.get_by_text("It was 1.").is_hidden()
    page.locator("summary", has_text="Show what happened").first.click()
    assert page.get_by_text("It was 1.").is_visible()


# --- search, contents ------------------------------------------------------------------------------------------------


def test_the_search_finds_words_on_all_pages_and_headings_first(opened):
    page = opened()
    page.get_by_label("Search all pages").press_sequentially("ZEBRA")
    found = page.locator("#found a")
    page.wait_for_function("document.querySelectorAll('#found a').length === 2")
    assert [link.inner_text() for link in found.all()] == ["00 · First › A heading about zebras",
                                                           "00 · First › Another heading"]  # fmt: skip
    assert "Here are a zebra's words" in page.locator("#found li").nth(1).inner_text()
    found.first.click()
    page.wait_for_url("**/00_a.html#A-heading-about-zebras")
    page.get_by_label("Search all pages").fill("words here nowhere")
    assert page.locator("#found li").all_inner_texts() == ["0 sections found"]
    page.get_by_label("Search all pages").fill("xylophone the")
    found.click()
    page.wait_for_url("**/01_b.html#01-%C2%B7-Second")


def test_the_contents_lead_to_pages_and_headings(opened):
    page = opened()
    page.locator(".contents summary").click()
    page.get_by_role("link", name="Another heading").click()
    page.wait_for_url("**#Another-heading")
    page.locator(".contents").get_by_role("link", name="01 · Second").click()
    page.get_by_role("heading", name="01 · Second", exact=True, level=1).wait_for()


# --- predictions -----------------------------------------------------------------------------------------------------


def test_a_prediction_opens_what_happened_counts_and_is_kept(opened):
    page = opened("01_b")
    first, second = page.locator("form.guess").all()
    assert page.get_by_text("It was 1.").is_hidden() and page.locator(".score").inner_text() == ""
    first.get_by_label("one").check()
    assert first.get_by_role("status").inner_text() == "✓ Right."
    assert page.get_by_text("It was 1.").is_visible() and page.get_by_text("It was 0.").is_hidden()
    assert page.locator(".score").inner_text() == "You predicted 1 of 2; 1 not answered yet."
    second.get_by_label("nought").focus()
    page.keyboard.press("ArrowDown")  # chooses the other one
    assert second.get_by_role("status").inner_text() == "✗ Not so: the answer is “nought”."
    assert page.locator(".score").inner_text() == "You predicted 1 of 2."
    page.reload()
    assert page.locator(".score").inner_text() == "You predicted 1 of 2."
    assert first.get_by_label("one").is_checked() and page.get_by_text("It was 0.").is_visible()


def test_predictions_work_where_nothing_can_be_kept(opened, out):
    page = opened()
    page.add_init_script("Object.defineProperty(window, 'localStorage', {get() { throw new Error('no') }})")
    page.goto((out / "01_b.html").as_uri())
    page.locator("form.guess").first.get_by_label("one").check()
    assert page.locator(".score").inner_text() == "You predicted 1 of 2; 1 not answered yet."


# --- explorers -------------------------------------------------------------------------------------------------------


def same(ours, theirs):
    """Equal to 1e-9, arrays flat."""
    assert np.asarray(ours, float).ravel() == pytest.approx(np.asarray(theirs, float).ravel(), abs=1e-9, rel=1e-9)


def compare(page, name, module, values, fields):
    """Numbers and the sentence of the page's explorer against the package's; returns the latter's."""
    theirs = module.compute(**values)
    ours, said = page.evaluate(
        "([name, values]) => { const e = explorers[name], s = e.compute(values); return [s, e.say(s)] }", [name, values]
    )
    for field in fields:
        closed = theirs.closed if hasattr(getattr(theirs, "closed", None), field) and field != "plus" else theirs
        same(ours[field], getattr(closed, field))
    return theirs, said


SUMS = [
    (0.6, 0.55, 288, 0), (0.8, 0.7, 288, 69), (0.9, 0.5, 9, 0), (0, 1, 576, -400), (1, 1, 576, 400), (0.5, 0.5, 1, 0),
    (0.95, 0.65, 576, 1), (0.01, 0.99, 575, -400), (0.33, 0.77, 100, -3), (0.5, 0.31, 4, 4),
]  # fmt: skip


def test_the_sum_of_signs_is_the_notebooks(opened):
    page = opened()
    for p, q, fan_in, threshold in SUMS:
        values = {"p": p, "q": q, "fan_in": fan_in, "threshold": threshold, "seed": 0}
        fields = ("values", "probability", "mean", "variance", "plus", "entropy")
        theirs, said = compare(page, "sum_of_signs", sum_of_signs, values, fields)
        assert said == re.sub(r" \([\d.]+% of \d+ simulated ones, seed 0\)", "", sum_of_signs.say(theirs))


def test_the_activation_shift_is_the_notebooks(opened):
    page = opened()
    fields = ("shift", "a", "usual", "before", "after", "output_before", "output_after")
    places = [(0, "conv2", 0, 0), (4, "conv2", 31, 63), (4, "conv2", 50, 1), (359, "conv3", 63, 17)]
    for image, layer, channel, chosen in places:
        for mode, own_shift in (("asd", 0.0), ("off", 0.0), ("own", 0.5), ("own", -1.0), ("own", 0.99)):
            values = dict(image=image, layer=layer, channel=channel, filter=chosen, mode=mode, own_shift=own_shift)
            theirs, said = compare(page, "activation_shift", activation_shift, values, fields)
            assert said == activation_shift.say(theirs)


def test_every_test_image_is_there(opened):
    digits, seen, _ = activation_shift.scene()
    page = opened()
    same(page.evaluate("explorerData.network.labels"), digits.test_labels)
    ink = page.evaluate("Array.from({length: 360}, (_, i) => explorers.activation_shift.levels(i))")
    same(np.rint(np.array(ink) * 255 / 16), digits.test_images.reshape(360, 64))
    means = page.evaluate("Array.from({length: 20}, (_, i) => mean(layerInput('conv3',"
                          " explorers.activation_shift.levels(17 * i))))")  # fmt: skip
    same(means, seen["conv3"].a[:340:17].mean((1, 2, 3)))


@pytest.mark.parametrize("name", ["sum_of_signs", "activation_shift"])
def test_every_control_and_preset_moves_by_keyboard(opened, name):
    box = opened().locator(f"[data-explorer={name}]")
    module = {"sum_of_signs": sum_of_signs, "activation_shift": activation_shift}[name]
    sentence, picture = box.get_by_role("status"), box.locator(".pictures")
    for control in module.CONTROLS:
        if control.name == "seed":
            continue
        if control.name == "own_shift":
            box.get_by_label("my own shift", exact=True).check()
        before = sentence.inner_text(), picture.inner_html()
        field = box.locator(f"[name={control.name}]")
        if control.choices is None:
            assert [float(field.get_attribute(end)) for end in ("min", "max")] == [control.min, control.max]
            assert box.get_by_label(f"{control.label} [{control.unit}]").count() == 1
            field.press("PageUp")
        else:
            assert field.count() == len(control.pairs)
            field.first.press("ArrowRight")
        assert sentence.inner_text() != before[0] and picture.inner_html() != before[1], control.name
    for preset in module.PRESETS:
        box.get_by_label("preset").select_option(preset)
        assert box.get_by_label("preset").input_value() == preset


def test_ones_own_digit_is_seen_by_the_network(opened):
    """Drawn by keyboard and by pointer; the package computes the same from the same picture."""
    page = opened()
    box = page.locator("[data-explorer=activation_shift]")
    box.get_by_role("button", name="Clear").click()
    pad = box.locator(".pad button")
    pad.nth(0).focus()
    for key in ("ArrowDown", "ArrowRight", "Space", "ArrowRight", "Space"):
        page.keyboard.press(key)
    first, last = (pad.nth(i).bounding_box() for i in (19, 43))
    page.mouse.move(first["x"] + 9, first["y"] + 9)
    page.mouse.down()
    page.mouse.move(last["x"] + 9, last["y"] + 9, steps=12)
    page.mouse.up()
    drawn = [i for i in range(64) if pad.nth(i).get_attribute("aria-pressed") == "true"]
    assert drawn == [9, 10, 19, 27, 35, 43]
    assert "Your own digit" in box.get_by_role("status").inner_text()
    x = -torch.ones(1, 1, 8, 8, dtype=torch.float64)
    x.view(64)[drawn] = 1
    seen = activation_shift.layer_inputs(sd.load("digits_asd").double(), x)
    for layer in ("conv2", "conv3"):
        values = {"image": 4, "layer": layer, "channel": 7, "filter": 3, "mode": "asd", "own_shift": 0}
        ours = page.evaluate("values => explorers.activation_shift.compute(values)", values)
        same(ours["a"], seen[layer].a[0, 7])
        same(ours["shift"], seen[layer].shift[0, 7])
        same(ours["after"], seen[layer].after[0, 7])
    box.locator("[name=image]").press("ArrowRight")
    assert "Image 5 (a " in box.get_by_role("status").inner_text()
