"""The search page in a real browser, on a real server without Kafka or a model."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Route, expect

from spanstream.client import Document
from tests.fixtures import browser as browsers
from tests.fixtures import here as services
from tests.fixtures.browser import WAIT_SECONDS, Watched, picture
from tests.fixtures.here import Here

BROKEN = "document.body.dataset.broken = 'yes'"
SCRIPT = f'<script>{BROKEN}</script><img src=x onerror="{BROKEN}">'
BEES = (
    "Honey bees dance in a figure of eight to tell their sisters where the flowers are. The angle of the dance gives the "
    "direction relative to the sun. Drones do no work at all. The queen lays up to two thousand eggs a day."
)
SOIL = (
    "Clay holds water and sand lets it go. 🌱🌱 Seeds wake when the earth is warm and wet. Compost feeds small things."
)
HARBOURS = " ".join(f"Harbour number {n} keeps a table of its tides and of the way the moon stands." for n in range(40))
GARDEN = [
    Document("bees.md", BEES, title="How bees tell the way", metadata={"lang": "en", "year": 2019}),
    Document("soil.md", SOIL, title="Soil 🪱", metadata={"lang": "en", "year": 2021}),
    Document("bienen.md", "Bienen tanzen, um den Weg zu zeigen.", title="Wie Bienen tanzen", metadata={"lang": "de"}),
]
SEA = [
    Document("tides", f"Tides follow the moon. {HARBOURS}", title="Tides", metadata={"lang": "en"}),
    Document(
        "script", f"No place for tricks. A trick is {SCRIPT} here.", title=f"Tricky {SCRIPT}", metadata={"a": SCRIPT}
    ),
]

Open = Callable[..., AbstractContextManager[Watched]]

expect.set_options(timeout=1000 * WAIT_SECONDS)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    with services.running(tmp_path_factory.mktemp("page")) as here:
        with here.client() as client:
            for source, documents in (("garden", GARDEN), ("sea", SEA)):
                assert client.ingest(source, documents).counts.searchable == len(documents)
        yield here


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsers.launched() as launched:
        yield launched


@pytest.fixture
def tab(browser: Browser, server: Here) -> Open:
    """Opens pages with the key entered already."""
    return partial(browsers.opened, browser, server.url, server.key)


@pytest.fixture
def page(tab: Open, server: Here) -> Iterator[Page]:
    with tab() as watched:
        watched.page.goto(server.url)
        expect(watched.page.get_by_role("heading", name=re.compile("^Search .* documents"))).to_be_visible()
        yield watched.page


def ask(page: Page, text: str) -> None:
    """Write it, and wait until the answer to it is shown."""
    with page.expect_response(lambda answer: answer.url.endswith("/v1/search") and _asks(answer.request, text)):
        page.get_by_role("searchbox").fill(text)
    expect(page.locator(".hit").first).to_be_visible()


def _asks(request: Any, text: str) -> bool:
    return bool(request.post_data_json["query"] == text)


def clean(page: Page) -> None:
    """Nothing that stands between the page and somebody who does not see it, or uses no mouse."""
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()


def titles(page: Page) -> list[str]:
    return page.locator("#hits .title").all_inner_texts()


def test_typing_shows_hits_with_their_spans_marked(page: Page, server: Here, tmp_path: Path) -> None:
    ask(page, "seeds wake when the earth is warm")
    with server.client() as client:
        (hit, *_) = client.search("seeds wake when the earth is warm").hits
    span = hit.passages[0].spans[0]
    assert span.text == SOIL[span.start : span.end] == "🌱🌱 Seeds wake when the earth is warm and wet."
    mark = page.locator(".hit mark").first
    assert mark.inner_text() == span.text
    assert (mark.get_attribute("data-start"), mark.get_attribute("data-end")) == (str(span.start), str(span.end))
    expect(page.locator(".hit").first).to_contain_text("garden")
    expect(page.locator(".hit").first).to_contain_text("2021")
    expect(page.get_by_role("status").first).to_contain_text(re.compile(r"^\d+ documents in \d+ ms$"))
    assert urlsplit(page.url).query == "q=seeds+wake+when+the+earth+is+warm"
    clean(page)
    picture(page, "search", tmp_path)


def test_answer_to_an_older_question_is_dropped(page: Page) -> None:
    # Here an answer arrives although its question was given up, as one does that was on its way already.
    page.evaluate(
        """() => {
            const ask = window.fetch;
            window.fetch = (path, options) => {
                if (!path.endsWith('/v1/search') || JSON.parse(options.body).query !== 'bees') return ask(path, options);
                window.givenUp = options.signal;
                const late = {hits: [], partial: false, by_words: false, took_ms: 1};
                return new Promise((resolve) => { window.arrive = () => resolve(Response.json(late)); });
            };
        }"""
    )
    page.get_by_role("searchbox").fill("bees")
    expect(page.locator("#progress")).to_be_visible()
    ask(page, "the moon and the tides")
    assert titles(page)[0] == "Tides"
    assert page.evaluate("window.givenUp.aborted")
    page.evaluate("async () => { window.arrive(); await new Promise((resolve) => setTimeout(resolve, 50)); }")
    assert titles(page)[0] == "Tides"
    expect(page.locator("#count")).to_contain_text("documents in")


def test_script_in_a_document_is_text(page: Page) -> None:
    ask(page, "no place for tricks")
    hit = page.locator(".hit", has_text="Tricky")
    expect(hit.locator(".title")).to_have_text(f"Tricky {SCRIPT}")
    expect(hit).to_contain_text(f"A trick is {SCRIPT} here.")
    assert page.locator("#hits script, #hits img, #facets script, #facets img").count() == 0
    assert page.evaluate("document.body.dataset.broken") is None


def test_passages_open_and_further_ones_unfold(page: Page) -> None:
    ask(page, "harbour table of tides and moon")
    hit = page.locator(".hit").first
    shown = len(hit.locator(".text").first.inner_text())
    hit.get_by_role("button", name="Whole passage").first.click()
    assert len(hit.locator(".text").first.inner_text()) > shown
    hit.get_by_text(re.compile("more passage")).click()
    expect(hit.locator(".further .text").first).to_be_visible()


def test_filters_narrow_the_answer_and_stand_in_the_address(page: Page, server: Here) -> None:
    ask(page, "the way")
    everything = len(titles(page))
    group = page.get_by_role("group", name="lang")
    group.get_by_label("de").check()
    expect(page.locator(".hit")).to_have_count(1)
    expect(group.get_by_label("en")).to_be_visible()  # a second value can still be chosen
    assert everything > 1
    assert json.loads(parse_qs(urlsplit(page.url).query)["filter"][0]) == {"field": "metadata.lang", "in": ["de"]}
    assert page.evaluate("document.activeElement.type") == "checkbox"  # the keyboard's place is kept
    page.get_by_role("button", name="Remove the filter lang: de").click()
    expect(page.locator(".hit")).to_have_count(everything)
    page.get_by_text("Filter by a value").click()
    page.get_by_label("Field").fill("year")
    page.get_by_label("Comparison").select_option("at least")
    page.get_by_label("Value").fill("2020")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator(".hit")).to_have_count(1)
    assert titles(page) == ["Soil 🪱"]
    clean(page)


def test_back_goes_back_and_an_address_is_shared(page: Page, tab: Open, server: Here) -> None:
    ask(page, "bees dance")
    page.get_by_label("Rank by").select_option("words alone")
    expect(page).to_have_url(re.compile("mode=lexical"))
    page.get_by_role("button", name="Not about …").click()
    page.get_by_role("textbox", name="Not about").fill("flowers")
    page.get_by_role("textbox", name="Not about").press("Enter")
    expect(page).to_have_url(re.compile("not=flowers"))
    address = page.url
    page.go_back()
    expect(page.get_by_role("textbox", name="Not about")).to_have_count(0)
    page.go_back()
    expect(page.get_by_label("Rank by")).to_have_value("hybrid")
    with tab() as other:
        with other.page.expect_request("**/v1/search") as asked:
            other.page.goto(address)
        assert asked.value.post_data_json["query"] == {"all": ["bees dance", {"not": "flowers"}]}
        assert asked.value.post_data_json["mode"] == "lexical"
        expect(other.page.get_by_role("textbox", name="Not about")).to_have_value("flowers")


def test_more_like_this_and_not_like_this(page: Page) -> None:
    ask(page, "bees")
    first, second = titles(page)[:2]
    with page.expect_request("**/v1/search") as asked:
        page.locator(".hit").nth(1).get_by_role("button", name="Not like this").click()
    (text, unlike) = asked.value.post_data_json["query"]["all"]
    assert (text, list(unlike)) == ("bees", ["unlike"])
    expect(page.locator(".part")).to_contain_text(second)
    expect(page.locator(".hit", has_text=first)).to_have_count(1)
    expect(page.locator(".hits[aria-busy=false]")).to_have_count(1)
    with page.expect_request(lambda request: "like" in (request.post_data_json or {}).get("query", "")) as asked:
        page.locator(".hit", has_text=first).get_by_role("button", name="More like this").click()
    assert asked.value.post_data_json["query"] == {"like": {"source": "garden", "id": "bees.md"}}
    expect(page.locator(".part")).to_contain_text(first)
    expect(page.locator(".title", has_text=first)).to_have_count(0)
    expect(page.locator(".hit").first).to_be_visible()


def test_parts_make_one_question(page: Page) -> None:
    """Each kind of part, as the API takes it."""
    asked = page.evaluate(
        """async () => {
            const question = await import('/page/question.js');
            const forms = ['?q=a', '?q=a&any=b&all=c', '?any=b&any=c&not=d', '?like=s:3-9/x%2Fy&unlike=s/z', '?not=d', '?all=+'];
            return JSON.stringify(forms.map((form) => question.query(question.read(form))));
        }"""
    )
    assert json.loads(asked) == [
        "a",
        {"all": [{"any": ["a", "b"]}, "c"]},
        {"all": [{"any": ["b", "c"]}, {"not": "d"}]},
        {"all": [{"like": {"source": "s", "id": "x/y", "start": 3, "end": 9}}, {"unlike": {"source": "s", "id": "z"}}]},
        None,
        None,
    ]


def test_only_the_keyboard(page: Page) -> None:
    page.get_by_role("searchbox").press("Escape")
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    ask(page, "the way of the moon")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.id") == "hit-1"
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.press("Escape")  # empties the box
    expect(page.locator(".hit")).to_have_count(0)
    page.keyboard.press("Escape")  # leaves it
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    clean(page)
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    ask(page, "the way of the moon")
    page.evaluate("document.activeElement.blur()")
    reached = set()
    for _ in range(80):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))
        if page.evaluate("document.activeElement !== document.body"):  # the way leads through the browser's own bars
            assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    assert {"query", "mode", "add", "theme", "keys", "More like this"} <= reached


def test_dropped_file_is_found(page: Page, tmp_path: Path) -> None:
    page.evaluate(
        """() => {
            const data = new DataTransfer();
            data.items.add(new File(['Lighthouse lamps burned whale oil.'], 'lamps.txt', {type: 'text/plain'}));
            data.items.add(new File(['%PDF-1.7 this is none'], 'broken.pdf', {type: 'application/pdf'}));
            for (const type of ['dragenter', 'dragover', 'drop'])
                document.body.dispatchEvent(new DragEvent(type, {dataTransfer: data, bubbles: true, cancelable: true}));
        }"""
    )
    page.get_by_label("Source", exact=True).fill("lamps")
    clean(page)
    page.get_by_role("dialog").get_by_role("button", name="Add").click()
    expect(page.locator("#uploads li", has_text="lamps.txt")).to_contain_text(
        re.compile(r"accepted → searchable in \d+\.\d s")
    )
    expect(page.locator("#uploads li", has_text="broken.pdf")).to_contain_text("failed: the PDF is damaged")
    ask(page, "what did lighthouse lamps burn")
    assert page.locator(".hit mark").first.inner_text() == "Lighthouse lamps burned whale oil."
    clean(page)
    picture(page, "files", tmp_path)


def test_refused_file_says_why(tab: Open, server: Here) -> None:
    with tab() as watched:
        watched.allowed = ("415",)
        page = watched.page
        page.goto(server.url)
        page.get_by_role("button", name="Add files").click()
        file = {"name": "a.exe", "mimeType": "application/x-msdownload", "buffer": b"MZ"}
        page.get_by_label("Files", exact=True).set_input_files([file])  # type: ignore[list-item]
        page.get_by_role("dialog").get_by_role("button", name="Add").click()
        expect(page.locator("#uploads li", has_text="a.exe")).to_contain_text("This type is not supported")


def test_key_is_asked_for_where_the_server_wants_one(browser: Browser, server: Here, tmp_path: Path) -> None:
    with browsers.opened(browser, server.url, None) as watched:
        watched.allowed = ("401",)
        page = watched.page
        page.goto(f"{server.url}/?q=bees")
        box = page.get_by_role("dialog")
        expect(box).to_contain_text("This server asks for an API key")
        clean(page)
        picture(page, "key", tmp_path)
        box.get_by_label("API key").fill("sps_local_wrong")
        box.get_by_role("button", name="Use this key").click()
        expect(box).to_contain_text("does not know the key")
        box.get_by_label("API key").fill(server.key)
        box.get_by_role("button", name="Use this key").click()
        expect(page.locator(".hit").first).to_be_visible()
        assert page.evaluate("localStorage.length") == 0
        assert server.key not in page.url
        assert page.context.cookies() == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_follow_the_system_and_can_be_changed(tab: Open, server: Here, scheme: str, tmp_path: Path) -> None:
    with tab(color_scheme=scheme) as watched:
        page = watched.page
        page.goto(f"{server.url}/?q=bees")
        expect(page.locator(".hit").first).to_be_visible()
        before = _lightness(page)
        assert (before < 128) == (scheme == "dark")
        clean(page)
        picture(page, scheme, tmp_path)
        page.get_by_role("button", name=re.compile("colours")).click()
        assert (_lightness(page) < 128) != (scheme == "dark")
        clean(page)
        page.reload()
        assert (_lightness(page) < 128) != (scheme == "dark")


def _lightness(page: Page) -> float:
    colour = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    red, green, blue = map(int, re.findall(r"\d+", colour)[:3])
    return (red + green + blue) / 3


def test_small_screen_without_motion(tab: Open, server: Here, tmp_path: Path) -> None:
    with tab(viewport={"width": 360, "height": 740}, reduced_motion="reduce") as watched:
        page = watched.page
        page.goto(f"{server.url}/?q=tides&not=bees")
        expect(page.locator(".hit").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        clean(page)
        picture(page, "small", tmp_path)


def test_states_say_what_to_do(page: Page, tmp_path: Path) -> None:
    page.route("**/v1/search", lambda route: route.fulfill(json=_answer([])))
    page.get_by_role("searchbox").fill("nothing at all")
    expect(page.get_by_role("heading", name="Nothing found")).to_be_visible()
    clean(page)
    page.unroute("**/v1/search")
    page.route("**/v1/search", lambda route: route.fulfill(json=_answer([], by_words=True, unfinished=["rerank"])))
    page.get_by_role("searchbox").fill("by words")
    expect(page.locator(".note").first).to_contain_text("ranked by words alone")
    expect(page.locator(".note").nth(1)).to_contain_text("without rerank")
    page.goto(re.sub(r"\?.*", "?not=bees", page.url))
    expect(page.get_by_role("heading", name="Say what to look for, too")).to_be_visible()
    clean(page)


def test_server_that_refuses_or_is_away_is_explained(tab: Open, server: Here) -> None:
    with tab() as watched:
        watched.allowed = ("422", "503", "ERR_FAILED")
        page = watched.page
        page.goto(server.url)
        page.get_by_text("Filter by a value").click()
        page.get_by_label("Field").fill("source")
        page.get_by_label("Value").fill("nowhere")
        page.get_by_role("button", name="Apply").click()
        page.get_by_role("searchbox").fill("bees")
        expect(page.locator("#state")).to_contain_text("names a source that has no documents")
        page.get_by_role("button", name=re.compile("Remove the filter")).click()
        expect(page.locator(".hit").first).to_be_visible()
        page.route("**/v1/search", lambda route: route.abort())
        page.get_by_role("searchbox").fill("bees again")
        expect(page.locator("#state")).to_contain_text("Check that it runs")
        clean(page)
        page.unroute("**/v1/search")
        page.get_by_role("button", name="Try again").click()
        expect(page.locator(".hit").first).to_be_visible()


# --- What a server may offer beside: answered here as the API describes it --------------------------------------------
EXPLANATION = {
    "mode": "hybrid",
    "legs": [
        {"leg": "dense", "rank": 1, "score": 0.81234, "weight": 0.5, "rank_without": 3},
        {"leg": "lexical", "rank": None, "score": 0.0, "weight": 0.5, "rank_without": 1},
    ],
    "matched_terms": ["bees", SCRIPT],
    "stages": {"rerank": {"before": 2, "after": 1}},
}
FACETS = [{"field": "source", "values": [{"value": "garden", "count": 1234}]}]


def _answer(hits: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"hits": hits, "partial": False, "by_words": False, "took_ms": 1.0} | more


def _offer(page: Page, url: str) -> None:
    """A server with facets, explanations and documents' contents, whatever this one has."""
    described = httpx.get(f"{url}/openapi.json").json()
    described["components"]["schemas"]["SearchRequest"]["properties"] |= {"explain": {}, "facets": {"maxItems": 3}}
    described["paths"]["/v1/sources/{source}/documents/{id}/content"] = {}
    page.route("**/openapi.json", lambda route: route.fulfill(json=described))

    def search(route: Route) -> None:
        sent = route.request.post_data_json
        asked = {name: value for name, value in sent.items() if name not in ("facets", "explain")}
        answer = route.fetch(post_data=asked).json()
        if "facets" in sent:
            assert len(sent["facets"]) <= 3
            answer["facets"] = FACETS
        if sent.get("explain"):
            for hit in answer["hits"]:
                hit["explanation"] = EXPLANATION
        route.fulfill(json=answer)

    def content(route: Route) -> None:
        address = urlsplit(route.request.url)
        assert "/documents/bees.md/content" in address.path
        first = int(parse_qs(address.query)["from"][0])
        borders = [(0, 156), (156, len(BEES))]
        sentences = [(m.start(), m.end()) for m in re.finditer(r"\S[^.]*\.", BEES)]
        inner = [(sentences[0][0], 10), *sentences]
        passages = [
            {
                "ordinal": n,
                "start": start,
                "end": end,
                "text": BEES[start:end],
                "spans": [{"start": a, "end": b} for a, b in inner if start <= a < end],
            }
            for n, (start, end) in enumerate(borders)
        ]
        whole = {"source": "garden", "id": "bees.md", "version": 7, "title": "How bees tell the way"}
        whole |= {"content_type": "text/markdown", "metadata": {"note": SCRIPT}}
        whole |= {"passages": passages[first : first + 1], "next": 1 if first == 0 else None}
        route.fulfill(json=whole)

    page.route("**/v1/search", search)
    page.route("**/content?*", content)


@pytest.fixture
def offered(tab: Open, server: Here) -> Iterator[Page]:
    with tab() as watched:
        _offer(watched.page, server.url)
        watched.page.goto(server.url)
        ask(watched.page, "where are the flowers")
        yield watched.page


def test_counts_of_the_server_are_shown(offered: Page) -> None:
    expect(offered.get_by_role("group", name="Source").locator("label", has_text="garden")).to_contain_text("1,234")


def test_refused_facets_are_left_out(tab: Open, server: Here) -> None:
    with tab() as watched:
        watched.allowed = ("422",)
        page = watched.page
        _offer(page, server.url)
        page.unroute("**/v1/search")  # this server's own answer, which may know facets or refuse the field
        wrong = {"status": 422, "detail": "no", "errors": [{"field": "body.facets", "detail": "is no field"}]}

        def refuse(route: Route) -> None:
            if "facets" in route.request.post_data_json:
                route.fulfill(status=422, json=wrong)
            else:
                route.continue_()

        page.route("**/v1/search", refuse)
        page.goto(server.url)
        ask(page, "bees")
        expect(page.get_by_role("group", name="lang")).to_be_visible()


def test_hit_is_explained(offered: Page, tmp_path: Path) -> None:
    offered.get_by_role("searchbox").press("ArrowDown")
    offered.keyboard.press("e")
    drawer = offered.get_by_role("dialog")
    expect(drawer.get_by_role("columnheader")).to_have_text(
        ["leg", "rank", "score", "weight", "rank without", "name", "before", "after"]
    )
    expect(drawer.get_by_role("cell", name="0.812")).to_be_visible()
    expect(drawer).to_contain_text(f"bees, {SCRIPT}")
    clean(offered)
    picture(offered, "explanation", tmp_path)
    offered.keyboard.press("Escape")
    expect(drawer).to_have_count(0)
    assert offered.evaluate("document.activeElement.id") == "hit-0"


def test_document_with_all_its_spans(offered: Page, tmp_path: Path) -> None:
    offered.get_by_role("searchbox").press("ArrowDown")
    offered.keyboard.press("Enter")
    drawer = offered.get_by_role("dialog", name="How bees tell the way")
    expect(drawer.locator("mark")).to_have_text(
        ["Honey bees", " dance in a figure of eight to tell their sisters where the flowers are."]
    )
    expect(drawer.locator(".passage")).to_have_count(1)
    drawer.get_by_role("button", name="Show more").click()
    expect(drawer.locator(".passage")).to_have_count(2)
    assert "".join(drawer.locator(".passages .text").all_text_contents()) == BEES
    offsets = drawer.locator(".span").evaluate_all(
        "nodes => nodes.map((node) => [node.dataset.start, node.dataset.end, node.textContent])"
    )
    assert all(BEES[int(start) : int(end)] == text for start, end, text in offsets)
    assert "document=garden%2Fbees.md" in offered.url
    clean(offered)
    picture(offered, "document", tmp_path)
    offered.keyboard.press("Escape")
    expect(drawer).to_have_count(0)
    expect(offered).not_to_have_url(re.compile("document="))
    offered.go_forward()
    expect(drawer).to_be_visible()
    with offered.expect_request("**/v1/search") as asked:
        drawer.get_by_role("button", name="More like this passage, number 1").click()
    assert asked.value.post_data_json["query"] == {
        "like": {"source": "garden", "id": "bees.md", "start": 0, "end": 156}
    }


def test_shared_document_opens(tab: Open, server: Here) -> None:
    with tab() as watched:
        _offer(watched.page, server.url)
        watched.page.goto(f"{server.url}/?q=dance&document=garden/bees.md")
        expect(watched.page.get_by_role("dialog", name="How bees tell the way")).to_contain_text("Honey bees")
        watched.page.keyboard.press("Escape")
        expect(watched.page).to_have_url(f"{server.url}/?q=dance")


def damaged(server: Here) -> int:
    """How many open failures there are of damaged files, those of other tests too."""
    with server.client() as client:
        return sum(group.count for group in client.failures.groups().groups if group.reason == "PARSE_FAILED")


def test_what_failed_is_seen_sent_again_and_discarded(page: Page, server: Here, tmp_path: Path) -> None:
    for name in ("torn.pdf", "cut.pdf"):
        (tmp_path / name).write_bytes(b"%PDF-1.7 and no more")
    with server.client() as client:
        assert client.ingest_files("sea", tmp_path, sorted(tmp_path.glob("*.pdf"))).counts.failed == 2
    count = damaged(server)
    page.reload()
    page.get_by_role("button", name="Failures").click()
    drawer = page.get_by_role("dialog", name="What failed")
    cause = drawer.locator("section", has_text="The file is damaged, or not of the type that it claims.")
    cause.get_by_text("Newest records").click()
    expect(cause).to_contain_text("sea/torn.pdf")
    clean(page)
    picture(page, "failures", tmp_path)
    cause.get_by_role("button", name=f"Replay {count}").click()
    expect(cause.get_by_role("status")).to_have_text(f"{count} records replayed.")
    page.keyboard.press("Escape")
    expect(drawer).to_have_count(0)

    while damaged(server) < count:  # as damaged as before
        page.wait_for_timeout(50)
    page.get_by_role("button", name="Failures").click()
    cause.get_by_text("Newest records").click()
    expect(cause).to_contain_text("after 1 replay")
    cause.get_by_role("button", name=f"Discard {count}").click()
    cause.get_by_role("button", name=f"Yes, discard {count}").click()
    expect(cause.get_by_role("status")).to_have_text(f"{count} records discarded.")
    assert damaged(server) == 0
