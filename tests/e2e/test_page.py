"""The page in a real browser: generate, view and download, by mouse, by keyboard, on a phone.

IDDM_TEST_SCREENSHOTS names a folder for screenshots of the page.
"""

import base64
import io
import os
import re
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect, sync_playwright

from iddm_cli.serving.http.security import AccessPolicy
from tests.serving.conftest import make_model, make_upscaler, one_thread, serving, slowed  # noqa: F401

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
]  # fmt: skip
SCREENSHOTS = os.environ.get("IDDM_TEST_SCREENSHOTS")
PHONE = {"width": 360, "height": 740}
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def model():
    return make_model()


@pytest.fixture(scope="module")
def server(model):
    with serving(slowed(model, 0.01), make_model("plain", classes=())) as server:
        yield server


@pytest.fixture
def page(browser, server):
    yield from open_page(browser, server)


def open_page(browser, server, **options):
    """Open the page; at the end it had no error and loaded nothing from another site."""
    context = browser.new_context(accept_downloads=True, **options)
    page = context.new_page()
    errors, urls = [], []

    def record_error(message) -> None:
        if message.type == "error" and not re.search("status of (429|422)", message.text):
            errors.append(message.text)

    page.on("console", record_error)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: urls.append(request.url))
    page.goto(f"{server.url}/")
    expect(page.locator("#classes label")).to_have_count(3)
    yield page
    foreign = [url for url in urls if not url.startswith((server.url, "data:", "blob:"))]
    context.close()
    assert (errors, foreign) == ([], [])


def take_screenshot(page, name: str) -> None:
    if SCREENSHOTS:
        page.screenshot(path=Path(SCREENSHOTS, f"{name}.png"), full_page=True)


def open_more_settings(page) -> None:
    page.click("#more summary")
    expect(page.locator("#sampler")).to_be_visible()


def generate(page, **fields) -> None:
    for name, value in fields.items():
        page.fill(f"#{name}", str(value))
    page.click("#generate")


def wait_for_images(page, count: int) -> None:
    expect(page.locator('#grid button[aria-busy="false"]')).to_have_count(count, timeout=30_000)
    expect(page.locator("#after")).to_be_visible()


def test_previews_are_shown_until_the_images_are_finished(page):
    generate(page, count=3, seed=5, steps=150)
    preview = page.locator("#grid button img").first
    expect(preview).to_have_attribute("src", re.compile("^data:image/png"))
    seen = {preview.get_attribute("src")}
    expect(page.locator("#status")).to_contain_text("Generating")
    expect(page.locator("#progress")).to_be_visible()
    take_screenshot(page, "generating")
    wait_for_images(page, 3)
    assert preview.get_attribute("src") not in seen, "the image is not its first preview"
    expect(page.locator("#status")).to_have_text("3 images, seed 5.")
    take_screenshot(page, "generated")


def test_downloads_are_the_files_of_the_server(page, server):
    page.click("#classes label:nth-child(2)")
    generate(page, count=2, seed=7, steps=3)
    wait_for_images(page, 2)
    query = {"class": "dog", "count": 2, "seed": 7, "steps": 3, "response": "zip"}
    with server.client() as client:
        answer = client.post("/v1/images", json=query)
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        expected = [archive.read(f"image-00000{index}.png") for index in (0, 1)]
    page.click("#grid button:nth-child(2)")
    expect(page.locator("#notes")).to_contain_text("dog")
    with page.expect_download() as one:
        page.click("#download")
    assert Path(one.value.path()).read_bytes() == expected[1]
    assert one.value.suggested_filename == "dog-7-000001.png"
    page.keyboard.press("Escape")
    with page.expect_download() as both:
        page.click("#all")
    with zipfile.ZipFile(both.value.path()) as archive:
        assert archive.testzip() is None
        assert [archive.read(name) for name in archive.namelist()] == expected


def test_the_command_line_for_the_same_images(page):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    generate(page, count=1, seed=9, steps=2, guidance=1.5)
    wait_for_images(page, 1)
    page.click("#copy")
    expect(page.locator("#copied")).to_have_text("Copied.")
    command = page.evaluate("navigator.clipboard.readText()")
    assert command.startswith("iddm generate pets --class cat --count 1 --seed 9 --sampler ddim")


@pytest.mark.parametrize(
    ("name", "stem"), [("Käfer", "Käfer"), ("猫 & dog", "猫-dog"), ("a/b", "a-b"), ("", "image")]
)
def test_files_are_named_after_classes_in_every_script(page, name, stem):
    named = page.evaluate("fileName", {"class": name, "seed": 7, "index": 1})
    assert named == f"{stem}-7-000001.png"


def test_by_keyboard_alone(page):
    page.keyboard.press("d")
    assert page.input_value("#seed") != "0"
    page.focus("#count")
    page.keyboard.press("Control+a")
    page.keyboard.type("2")
    page.fill("#steps", "2")
    page.keyboard.press("Control+Enter")
    wait_for_images(page, 2)
    page.focus("#grid button:first-child")
    page.keyboard.press("Enter")
    expect(page.locator("#detail")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#large")).to_have_attribute("alt", "Image 1, cat")
    page.keyboard.press("Escape")
    expect(page.locator("#detail")).to_be_hidden()


def test_stopping_frees_the_server(page, server):
    generate(page, count=2, steps=1000)
    server.wait_until(lambda: server.service.scheduler.count_jobs()["running"] == 1)
    page.keyboard.press("Escape")
    expect(page.locator("#status")).to_have_text("Stopped.")
    server.wait_until(lambda: server.service.scheduler.count_jobs()["running"] == 0)


def test_a_model_without_classes(page):
    page.select_option("#model", "plain")
    expect(page.locator("#classes-box")).to_be_hidden()
    generate(page, count=1, steps=2)
    wait_for_images(page, 1)


def test_another_sampler_takes_its_own_steps(page):
    open_more_settings(page)
    page.select_option("#sampler", "dpmpp-2m")
    assert page.input_value("#steps") == "20"
    expect(page.locator("#order")).to_be_hidden()
    page.select_option("#sampler", "unipc")
    assert page.input_value("#order") == "2"
    generate(page, count=1, steps=3, order=3)
    wait_for_images(page, 1)
    expect(page.locator("#command")).to_contain_text("--sampler unipc --steps 3")
    expect(page.locator("#command")).to_contain_text("--order 3")


def test_the_folded_settings_are_sent_and_named_where_they_differ(page):
    expect(page.locator("#sampler")).to_be_hidden()
    expect(page.locator("#changed")).to_have_text("")
    open_more_settings(page)
    page.select_option("#time_grid", "karras")
    page.select_option("#noise", "own")
    more = {"guided-from": 0.2, "guided-to": 0.9, "guidance_rescale": 0.7, "threshold": 0.99}
    for name, value in more.items():
        page.fill(f"#{name}", str(value))
    take_screenshot(page, "more-settings")
    page.click("#more summary")
    changed = (
        "time grid karras, guided from 0.2, guided to 0.9, rescale 0.7, threshold 0.99, noise own"
    )
    expect(page.locator("#changed")).to_have_text(changed)
    generate(page, count=1, seed=9, steps=3)
    wait_for_images(page, 1)
    command = page.locator("#command").text_content()
    for part in ("--time-grid karras", "--guidance-interval 0.2:0.9", "--guidance-rescale 0.7",
                 "--threshold 0.99"):  # fmt: skip
        assert part in command
    assert "--same-noise" not in command
    open_more_settings(page)
    page.click("#reset")
    assert page.input_value("#time_grid") == "trailing"
    expect(page.locator("#changed")).to_have_text("")


def test_a_folded_setting_that_is_wrong_is_shown(page):
    open_more_settings(page)
    page.fill("#threshold", "2")
    page.click("#more summary")
    page.click("#generate")
    expect(page.locator("#threshold")).to_be_visible()


def test_a_model_that_a_weaker_one_guides(browser, model):
    guided = replace(model, batch_weaker=make_model("weak").batch_denoiser, guide_with="weak@500")
    plain = make_model("plain", classes=())
    inside = replace(make_model("fast", guidance=1.0), no_guidance="guidance 2 is inside")
    with serving(guided, plain, inside) as own:
        for page in open_page(browser, own):
            expect(page.locator("#facts")).to_contain_text("guided by weak@500")
            generate(page, count=1, steps=2)
            wait_for_images(page, 1)
            expect(page.locator("#command")).to_contain_text("--guide-with weak@500")
            page.select_option("#model", "plain")
            expect(page.locator("#guidance")).to_be_hidden()
            page.select_option("#model", "pets")
            expect(page.locator("#guidance")).to_be_visible()
            page.select_option("#model", "fast")
            expect(page.locator("#guidance")).to_be_hidden()
            generate(page, count=1, steps=2)
            wait_for_images(page, 1)


def test_an_image_is_chosen_or_dropped_and_upscaled(browser, model, tmp_path):
    levels = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    Image.fromarray(levels).save(tmp_path / "old photo.png")
    with serving(model, slowed(make_upscaler(), 0.02)) as own:
        for page in open_page(browser, own):
            expect(page.locator("#source-box")).to_be_hidden()
            page.select_option("#model", "large")
            expect(page.locator("#facts")).to_have_text("makes images 2 times as large, 3 classes")
            expect(page.locator("#count")).to_be_hidden()
            generate(page)
            assert page.evaluate("$('file').matches(':invalid')"), "an image is needed"
            page.set_input_files("#file", tmp_path / "old photo.png")
            page.focus("#seed")
            page.fill("#noise_level", "0.2")
            page.fill("#steps", "30")
            page.keyboard.press("Control+Enter")
            expect(page.locator("#status")).to_contain_text("Upscaling")
            wait_for_images(page, 1)
            captions = page.locator("#grid figcaption")
            expect(captions).to_have_text(["old photo.png, 16 × 12", "upscaled, 32 × 24"])
            expect(page.locator("#command")).to_contain_text(
                "iddm upscale large image.png --seed 0"
            )
            expect(page.locator("#command")).to_contain_text("--noise-level 0.2")
            take_screenshot(page, "upscaled")
            with page.expect_download() as download:
                page.click("#all")
            assert download.value.suggested_filename == "old-photo-2x.png"
            with Image.open(download.value.path()) as image:
                assert (image.size, image.text["iddm:noise_level"]) == ((32, 24), "0.2")
            page.click("#grid button")
            expect(page.locator("#notes")).to_contain_text("noise level")
            expect(page.locator("#next")).to_be_hidden()
            take_screenshot(page, "upscaled-image")
            page.keyboard.press("Escape")
            page.evaluate("$('file').value = ''")
            page.evaluate(
                DROP, base64.b64encode((tmp_path / "old photo.png").read_bytes()).decode()
            )
            page.click("#classes label:nth-child(3)")
            generate(page, steps=2)
            expect(captions).to_have_text(["dropped.png, 16 × 12", "upscaled, 32 × 24"])
            expect(page.locator("#command")).to_contain_text("--class dog")
            page.set_input_files("#file", {
                "name": "damaged.png", "mimeType": "image/png", "buffer": b"hello"
            })  # fmt: skip
            generate(page)
            expect(page.locator("#status.error")).to_contain_text("not a file of a supported")
            page.set_viewport_size(PHONE)
            assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
            page.select_option("#model", "pets")
            generate(page, count=1, steps=2)
            wait_for_images(page, 1)
            expect(page.locator("#command")).to_contain_text("iddm generate pets")


DROP = """(content) => {
    const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File([bytes], "dropped.png", { type: "image/png" }));
    const options = { bubbles: true, cancelable: true, dataTransfer };
    for (const kind of ["dragover", "drop"]) $("drop").dispatchEvent(new DragEvent(kind, options));
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_in_light_and_dark_mode(browser, server, scheme):
    for page in open_page(browser, server, viewport=PHONE, color_scheme=scheme, has_touch=True):
        generate(page, count=4, steps=2)
        wait_for_images(page, 4)
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= PHONE["width"], "no horizontal scrolling"
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        brightness = sum(int(part) for part in background[4:-1].split(",")) / 3
        assert (brightness < 60) == (scheme == "dark")
        open_more_settings(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        small = page.locator("button:visible, select:visible, .fields input:visible")
        heights = [box["height"] for box in (one.bounding_box() for one in small.all())]
        assert min(heights) >= 40, "large enough for a finger"
        take_screenshot(page, f"phone-{scheme}")
        page.click("#grid button:first-child")
        take_screenshot(page, f"phone-{scheme}-image")
        image = Image.open(io.BytesIO(page.screenshot()))
        assert image.width >= PHONE["width"]


def test_the_token_is_taken_from_the_address_and_removed(browser, model):
    policy = AccessPolicy(token="a-token-long-enough")
    with serving(model, policy=policy) as own:
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"{own.url}/#token=a-token-long-enough")
        expect(page.locator("#classes label")).to_have_count(3)
        assert page.url == f"{own.url}/"
        generate(page, count=1, steps=2)
        wait_for_images(page, 1)
        stranger = browser.new_context().new_page()
        stranger.goto(f"{own.url}/")
        expect(stranger.locator("#ask")).to_be_visible()
        stranger.fill("#token", "a-token-long-enough")
        stranger.keyboard.press("Enter")
        expect(stranger.locator("#classes label")).to_have_count(3)
        stranger.context.close()
        context.close()


def test_a_rejection_is_shown(browser, model):
    with serving(slowed(model, 0.05), max_batch=1, max_queue=0) as own:
        for page in open_page(browser, own):
            # The thumbnails are requests, too: another one gets the slot only after the last.
            expect(page.locator("#classes img[src]")).to_have_count(3, timeout=20_000)
            with own.client() as other:
                query = {"class": 0, "steps": 1000, "response": "stream"}
                with other.stream("POST", "/v1/images", json=query) as response:
                    assert response.status_code == 200
                    generate(page, count=1, steps=2)
                    expect(page.locator("#status.error")).to_contain_text("The queue is full")


def test_keys_do_nothing_behind_an_open_image(page):
    generate(page, count=2, steps=2)
    wait_for_images(page, 2)
    seed = page.input_value("#seed")
    page.click("#grid button:first-child")
    page.keyboard.press("Control+Enter")
    page.keyboard.press("d")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#large")).to_have_attribute("alt", "Image 1, cat")
    assert page.input_value("#seed") == seed


def test_a_lost_connection_is_reported(browser, model):
    context = browser.new_context()
    page = context.new_page()
    with serving(slowed(model, 0.02)) as own:
        page.goto(f"{own.url}/")
        expect(page.locator("#classes label")).to_have_count(3)
        generate(page, count=1, steps=1000)
        expect(page.locator("#status")).to_contain_text("Generating")
        own.server.force_exit = True
        own.server.should_exit = True
        error = page.locator("#status.error")
        expect(error).to_contain_text("The server does not respond")
        expect(page.locator("#stop")).to_be_disabled()
    generate(page)
    expect(error).to_contain_text("The server does not respond")
    context.close()


def test_a_token_is_requested_until_it_is_right(browser, model):
    """With characters that a header cannot carry, for two requests at once, and by the address."""
    with serving(model, policy=AccessPolicy(token="a-token-long-enough")) as own:
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"{own.url}/")
        dialog = page.locator("#ask")
        expect(dialog).to_be_visible()
        page.fill("#token", "ключ")
        page.keyboard.press("Enter")
        expect(page.locator("#token")).to_have_value("")
        expect(dialog).to_be_visible()
        page.reload()
        expect(dialog).to_be_visible()
        page.evaluate(f"location.href = '{own.url}/#token=a-token-long-enough'")
        expect(page.locator("#classes label")).to_have_count(3)
        assert page.evaluate("location.hash") == ""
        page.evaluate("""sessionStorage.setItem("token", "of-the-server-before");
            answers = Promise.all(["v1/models", "v1/models"].map((path) => send(path))); null""")
        expect(dialog).to_be_visible()
        page.fill("#token", "a-token-long-enough")
        page.keyboard.press("Enter")
        statuses = "answers.then((all) => all.map((answer) => answer.status))"
        assert page.evaluate(statuses) == [200, 200]
        context.close()


def test_a_late_refusal_of_the_old_token_does_not_ask_again(browser, model):
    """The second of two requests is refused only after the first one was given the right token."""
    with serving(model, policy=AccessPolicy(token="a-token-long-enough")) as own:
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"{own.url}/#token=a-token-long-enough")
        expect(page.locator("#classes label")).to_have_count(3)
        held = []

        def hold_the_first(route) -> None:
            if held:
                route.continue_()
            else:
                held.append(route)

        page.route("**/v1/models?late", hold_the_first)
        page.evaluate("""sessionStorage.setItem("token", "of-the-server-before");
            document.title = "";
            for (const path of ["v1/models?late", "v1/models"])
              send(path).then((answer) => document.title += `${answer.status}-`); null""")
        expect(page.locator("#ask")).to_be_visible()
        page.fill("#token", "a-token-long-enough")
        page.keyboard.press("Enter")
        expect(page).to_have_title("200-")
        held[0].continue_()
        expect(page).to_have_title("200-200-")
        expect(page.locator("#ask")).not_to_be_visible()
        context.close()
