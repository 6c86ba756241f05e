"""Reading of HTML pages in tests."""

import re
from html.parser import HTMLParser

VOID = {"meta", "img", "rect", "link", "br", "hr", "input"}
HOSTILE = '"><img src=x onerror=alert(1)>'
SCRIPT = "<script>alert(1)<"


class Page(HTMLParser):
    """Reads a page, and checks that what is opened is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def count(self, tag: str) -> int:
        return [name for name, _ in self.tags].count(tag)

    def texts(self, attribute: str) -> list[str]:
        return [values[attribute] or "" for _, values in self.tags if attribute in values]


def check_loads_nothing(text: str) -> Page:
    """Check that a page is balanced, runs no script and refers to nothing outside."""
    page = Page(text)
    assert text.startswith("<!doctype html>")
    assert page.count("html") == 1
    assert not {"script", "link", "iframe", "object", "embed", "base"} & {t for t, _ in page.tags}
    for _, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on") or name == "href"]
        assert (attributes.get("src") or "data:image/").startswith("data:image/")
    assert "http:" not in text
    assert "https:" not in text
    assert not re.search(r"url\(|@import", text)
    assert "<script" not in text
    return page
