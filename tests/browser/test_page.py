"""The page in a browser: what runs, what sorts, what prints, how it looks on a phone and in the dark, and who can use it."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from migrator.reports.report import Report
from tests.browser.conftest import Open
from tests.browser.pages import HOSTILE, page_of

WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 360, "height": 740}
ORGANIZATIONS = '[data-of="organizations"] tbody tr'
PAGES = {
    "fine": partial(page_of, 3),
    "problems": partial(page_of, 3, 40),
    "plan": partial(page_of, 12, 5, dry_run=True),
    "hostile": partial(page_of, 30, 60, hostile=True),
}
"""Made by those who need them: every worker of a session imports this."""

IN_LIGHT_AND_DARK = [
    pytest.param(name, scheme, id=f"{name}-{scheme}", marks=pytest.mark.slow if (number + place) % 2 else ())
    for number, name in enumerate(PAGES)
    for place, scheme in enumerate(["light", "dark"])
]
"""Each page, and each scheme; the other pairs are slow."""


def column(page: Any, number: int) -> list[str]:
    return page.eval_on_selector_all(
        ORGANIZATIONS, f"rows => rows.filter(r => !r.hidden).map(r => r.cells[{number}].textContent)"
    )


@pytest.mark.parametrize(("name", "scheme"), IN_LIGHT_AND_DARK)
def test_nothing_of_a_name_runs_and_nothing_breaks_the_layout(open_page: Open, name: str, scheme: str) -> None:
    page = open_page(PAGES[name](), color_scheme=scheme)
    for viewport in (WIDE, PHONE):
        page.set_viewport_size(viewport)
        assert page.evaluate("window.ran") is None
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page scrolls sideways"
        assert (
            page.evaluate("document.images.length + document.querySelectorAll('iframe,object,embed,link').length") == 0
        )


def test_the_policy_holds_even_where_an_escape_would_be_missing(open_page: Open, browser: Any, tmp_path: Path) -> None:
    html = open_page(page_of(2)).content()
    broken = tmp_path / "broken.html"
    broken.write_text(
        html.replace("</h1>", '</h1><script>window.ran=1</script><img src="x" onerror="window.ran=2">', 1)
    )
    page = browser.new_page()
    page.goto(broken.as_uri())
    assert page.evaluate("window.ran") is None


def test_sorting_by_name_and_by_number_and_back(open_page: Open) -> None:
    page = open_page(page_of(100))
    files = page.get_by_role("columnheader", name="files")
    files.get_by_role("button").click()
    found = [int(text.replace(",", "")) for text in column(page, 3)]
    assert found == sorted(found, reverse=True)
    assert files.get_attribute("aria-sort") == "descending"
    files.get_by_role("button").press("Enter")
    assert [int(text.replace(",", "")) for text in column(page, 3)] == sorted(found)
    page.get_by_role("columnheader", name="organization", exact=True).get_by_role("button").click()
    assert column(page, 0) == sorted(column(page, 0))
    assert files.get_attribute("aria-sort") is None
    sizes = page.get_by_role("columnheader", name="size").first
    sizes.get_by_role("button").click()
    bytes_ = page.eval_on_selector_all(ORGANIZATIONS, "rows => rows.map(r => Number(r.cells[4].dataset.v))")
    assert bytes_ == sorted(bytes_, reverse=True), "by bytes, not by the text 1.2 MB"


def test_filtering_a_thousand_organizations(open_page: Open) -> None:
    page = open_page(page_of(1_000, 100))
    page.get_by_placeholder("organization or bucket").fill("Organization-012")
    assert column(page, 0) == [f"organization-012{digit}" for digit in range(10)]
    assert page.get_by_text("10 of 1,000 shown").is_visible()
    page.get_by_placeholder("organization or bucket").fill("")
    page.get_by_label("only what needs a look").check()
    assert 0 < len(column(page, 0)) < 101
    assert all("✗" in state for state in column(page, 2))


def test_finding_a_problem_opens_the_lists(open_page: Open) -> None:
    page = open_page(page_of(3, 200))
    page.get_by_placeholder("id, path or reason").fill("00000064-1111")
    shown = page.eval_on_selector_all(
        '[data-of="problems"] tbody tr', "rows => rows.filter(r => r.offsetHeight > 0).length"
    )
    assert shown == 1


def test_ten_thousand_problems_are_a_thousand_names_and_a_word_where_the_others_are(open_page: Open) -> None:
    page = open_page(page_of(3, 10_000))
    assert page.locator('[data-of="problems"] tbody tr').count() == 1_000
    assert page.get_by_text("The first 1,000 of 10,000 are named here").is_visible()
    assert page.get_by_text("files.ndjson").first.is_visible()


def test_all_can_be_done_with_the_keyboard(open_page: Open) -> None:
    page = open_page(page_of(3, 40))
    reached: list[str] = []
    while len(reached) < 60 and not {"INPUT search", "INPUT checkbox", "BUTTON button"} <= set(reached):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.tagName + ' ' + (document.activeElement.type ?? '')"))
    assert "INPUT search" in reached
    assert "INPUT checkbox" in reached
    assert "BUTTON button" in reached
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid", "one sees where one is"


def test_without_script_all_is_there(browser: Any, tmp_path: Path, open_page: Open) -> None:
    page = open_page(page_of(5, 10), java_script_enabled=False)
    assert page.locator(ORGANIZATIONS).count() == 5
    assert not page.get_by_placeholder("organization or bucket").is_visible()


@pytest.mark.parametrize("name", ["fine", "problems", "plan"])
def test_it_prints_on_a4(open_page: Open, name: str) -> None:
    page = open_page(PAGES[name](), color_scheme="dark")
    printed = page.pdf(format="A4", prefer_css_page_size=True)
    assert re.findall(rb"/MediaBox\s*\[\s*0 0 (\d+)\S* (\d+)", printed)[0] in (
        (b"594", b"841"),
        (b"595", b"842"),
        (b"595", b"841"),
    )
    assert 1 <= len(re.findall(rb"/Type\s*/Page\b", printed)) <= 8
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.get_by_placeholder("organization or bucket").is_visible()


def test_the_dark_page_is_dark(open_page: Open) -> None:
    shades = []
    for scheme in ("light", "dark"):
        page = open_page(page_of(2), color_scheme=scheme)
        colour = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        shades.append(sum(map(int, re.findall(r"\d+", colour)[:3])))
    light, dark = shades
    assert light > 600
    assert dark < 150


@pytest.mark.parametrize(("name", "scheme"), IN_LIGHT_AND_DARK[:-2])  # of many lines axe would say the same many times
def test_axe_finds_nothing(open_page: Open, axe: str, name: str, scheme: str) -> None:
    page = open_page(PAGES[name](), color_scheme=scheme, bypass_csp=True)
    page.evaluate(axe)
    for viewport in (WIDE, PHONE):
        page.set_viewport_size(viewport)
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        assert [(each["id"], [node["target"] for node in each["nodes"]][:3]) for each in found["violations"]] == []


def test_a_state_is_told_by_more_than_colour(open_page: Open) -> None:
    page = open_page(PAGES["problems"]())
    assert all(re.match(r"[✓✗…–] \w", text) for text in column(page, 2))


def test_hostile_names_stand_there_as_text(open_page: Open) -> None:
    report: Report = PAGES["hostile"]()
    page = open_page(report)
    names = column(page, 0)
    assert HOSTILE[0] in names
    assert not any("\u202e" in name for name in names)
