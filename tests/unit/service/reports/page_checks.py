"""Checks of an HTML page: its structure, as readers of screens need it, and that nothing foreign is in it."""

from html.parser import HTMLParser
from itertools import pairwise

VOID = {"meta", "link", "br", "hr", "img", "input"}
HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")


class Page(HTMLParser):
    """A parsed page: its elements in order, each with its attributes, its parents and its text."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[Element] = []
        self.unbalanced: list[str] = []
        self._open: list[Element] = []
        self.feed(text)
        self.close()
        self.unbalanced += [each.tag for each in self._open]

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = Element(tag, {key: value or "" for key, value in attributes}, [each.tag for each in self._open])
        self.elements.append(found)
        if tag not in VOID:
            self._open.append(found)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, {k: v or "" for k, v in attributes}, [each.tag for each in self._open]))

    def handle_endtag(self, tag: str) -> None:
        if self._open and self._open[-1].tag == tag:
            self._open.pop()
        else:
            self.unbalanced.append(tag)

    def handle_data(self, data: str) -> None:
        for each in self._open:
            each.text += data

    def all(self, *tags: str) -> list["Element"]:
        """Return the elements with one of these tags, in order."""
        return [each for each in self.elements if each.tag in tags]


class Element:
    """An element: its tag, its attributes, the tags of its parents and all of its text."""

    def __init__(self, tag: str, attributes: dict[str, str], parents: list[str]) -> None:
        self.tag, self.attributes, self.parents, self.text = tag, attributes, parents, ""


def faults(text: str) -> list[str]:
    """Return what is wrong with a page."""
    page = Page(text)
    found = [f"unbalanced {tag}" for tag in page.unbalanced]
    found += [] if page.all("html")[0].attributes.get("lang") else ["no lang"]
    found += [] if page.all("title") and page.all("title")[0].text.strip() else ["no title"]
    found += [] if len(page.all("main")) == 1 else ["not one main"]
    levels = [HEADINGS.index(each.tag) + 1 for each in page.all(*HEADINGS)]
    found += [] if levels[:1] == [1] and levels.count(1) == 1 else ["not one h1 at the beginning"]
    found += [f"h{a} is followed by h{b}" for a, b in pairwise(levels) if b > a + 1]
    found += [f"empty {each.tag}" for each in page.all(*HEADINGS, "caption", "th") if not each.text.strip()]
    found += [f"th without scope: {each.text}" for each in page.all("th") if "scope" not in each.attributes]
    found += [] if len(page.all("table")) == len(page.all("caption")) else ["a table without caption"]
    ids = [each.attributes["id"] for each in page.elements if "id" in each.attributes]
    found += sorted({f"id {each} twice" for each in ids if ids.count(each) > 1})
    for each in page.elements:
        if each.tag == "svg" and "svg" not in each.parents:
            named = each.attributes.get("aria-labelledby", "").split()
            found += (
                [] if each.attributes.get("role") == "img" and set(named) <= set(ids) and named else ["svg: no name"]
            )
        if each.tag == "img" and not each.attributes.get("alt"):
            found.append("img without alt")
        if each.attributes.get("tabindex", "0") != "0":
            found.append("tabindex")
    return found + foreign(page)


def foreign(page: Page) -> list[str]:
    """Return what could run or load something."""
    tags = {"script", "iframe", "object", "embed", "link", "base", "form", "foreignobject", "animate", "set", "a"}
    found = [f"element {each.tag}" for each in page.elements if each.tag in tags]
    for each in page.elements:
        for key, value in each.attributes.items():
            if key.startswith("on") or key in ("style", "srcdoc", "action", "formaction"):
                found.append(f"attribute {key}")
            if key in ("href", "xlink:href", "src") and not value.startswith(("#", "data:image/png;base64,")):
                found.append(f"{key} {value[:40]}")
    return found
