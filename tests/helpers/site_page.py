"""A page of the static site as a reader's program sees it, and what its search looks through."""

import json
import re
from html.parser import HTMLParser

VOID = {"meta", "link", "img", "br", "hr", "input", "col", "wbr", "source"}


class Read(HTMLParser):
    """What a page loads, links to and shows; fails for tags that aren't closed in order."""

    def __init__(self, text):
        super().__init__()
        self.loaded, self.links, self.ids, self.levels, self.alts, self.tables = [], [], set(), [], [], []
        self.open, self.text = [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag not in VOID:
            self.open.append(tag)
        if "id" in given:
            assert given["id"] not in self.ids, f"two elements with id {given['id']}"
            self.ids.add(given["id"])
        if tag == "a" and "href" in given:  # else it is a place to link to
            self.links.append(given["href"])
        elif "href" in given:
            self.loaded.append(given["href"])
        self.loaded += [given[name] for name in ("src", "srcset", "data", "poster") if name in given]
        if tag == "img":
            self.alts.append(given.get("alt", ""))
        if re.fullmatch("h[1-6]", tag):
            self.levels.append(int(tag[1]))
        assert not any(name.startswith("on") for name in given) and tag not in ("iframe", "object")
        assert tag != "script" or "src" in given

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data):
        self.text.append(data)


def search_index(out):
    text = (out / "search-index.js").read_text("utf-8")
    assert text.startswith("window.searchIndex = ")
    return json.loads(text.removeprefix("window.searchIndex = ").rstrip(";\n"))
