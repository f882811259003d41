"""The pages as a browser gets them."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image

from monitor.store.label_tables import ImageRow
from monitor.store.rollout_tables import BundleRow
from monitor.store.rule_tables import CameraRow, EventRow, IncidentRow
from monitor.web.pages import STATIC_FOLDER, Pages
from monitor.works import Works
from tests.monitor.web.conftest import make_pages
from tests.simulators.paper_bundle import write_paper_bundle
from tests.simulators.seeded_store import HASHES, SITE

CAMERA = f"/cameras/{SITE}/press-4/cam-b/cap"
LOOK = "/thresholds?escape=20&false_reject=1&review=0.2&reviews_a_day=50"
RECORD = f"/changes/{SITE}/3"
DAYS = ("/days", "/days?by=site&last=31")
PAGES = ("/", "/incidents", "/labels", "/releases", "/changes", RECORD, "/thresholds", LOOK, "/timeline", *DAYS, CAMERA)


class Elements(HTMLParser):
    """Start tags with their attributes, and the text between."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.text += data

    def values(self, attribute: str) -> list[str]:
        """Values of one attribute, wherever it stands."""
        return [values[attribute] for _, values in self.tags if attribute in values]


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("path", PAGES)
def test_every_page_is_there_in_every_language(reader: TestClient, path: str, language: str) -> None:
    answer = reader.get(path, params={"lang": language})
    assert answer.status_code == 200
    assert answer.headers["content-language"] == language
    assert f'<html lang="{language}">' in answer.text


@pytest.mark.parametrize("path", PAGES)
def test_no_page_needs_anything_that_its_own_policy_forbids(reader: TestClient, path: str) -> None:
    """No inline script, style or handler, nothing from elsewhere: the pages work with the cable out."""
    answer = reader.get(path)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    elements = Elements(answer.text)
    for tag, attributes in elements.tags:
        assert tag not in ("style", "iframe", "object"), tag
        assert tag != "script" or attributes.get("src", "").startswith("/static/"), attributes
        assert not [name for name in attributes if name.startswith("on") or name == "style"], attributes
    for address in elements.values("src") + elements.values("href") + elements.values("action"):
        assert address.startswith(("/", "?", "#")), address
        assert not address.startswith("//"), address


@pytest.mark.parametrize("path", PAGES)
def test_every_file_a_page_names_is_there(reader: TestClient, path: str) -> None:
    elements = Elements(reader.get(path).text)
    files = [name for name in elements.values("src") + elements.values("href") if name.startswith("/static/")]
    assert len(files) >= 4
    for file in files:
        assert reader.get(file).status_code == 200, file


@pytest.mark.parametrize("path", PAGES)
def test_links_between_pages_lead_somewhere(reader: TestClient, path: str) -> None:
    links = {link.partition("#")[0] for link in Elements(reader.get(path).text).values("href") if link[0] == "/"}
    for link in links:
        assert reader.get(link).status_code == 200, link


def test_a_monitor_that_has_seen_nothing_says_so_everywhere(empty_works: Works) -> None:
    with TestClient(make_pages(empty_works)) as client:
        assert "No agent has reported yet" in client.get("/").text
        assert "No open incident" in client.get("/incidents").text
        assert "No release yet" in client.get("/releases").text
        assert "Nothing has happened yet" in client.get("/timeline").text
        assert "No window has arrived in the last 7 days" in client.get("/days").text
        assert client.get("/labels").status_code == 200
        assert client.get(CAMERA).status_code == 404


def test_the_language_is_remembered(client: TestClient) -> None:
    assert 'lang="en"' in client.get("/").text
    client.get("/", params={"lang": "de"})
    assert "Freigabe 3 aktiv" in client.get("/").text
    assert '<html lang="de">' in client.get("/timeline").text


def test_german_writes_numbers_its_own_way(reader: TestClient) -> None:
    assert "6,000" in reader.get("/", params={"lang": "en"}).text
    german = reader.get("/", params={"lang": "de"}).text
    assert "6.000" in german
    assert re.search(r"\d,\d\u202f%", german)


def test_the_fleet_names_agents_cameras_states_and_releases(reader: TestClient) -> None:
    text = " ".join(Elements(reader.get("/").text).text.split())
    for words in ("press-4", "press-5", "cam-a", "Look at the camera", "Steady", "Release 3 active", "1 of 2 agents"):
        assert words in text, words


def test_what_waits_for_a_person_is_counted_on_every_page(reader: TestClient) -> None:
    for path in PAGES:
        counts = re.findall(r'class="count">(\d+)<', reader.get(path).text)
        assert counts == ["2", "4", "1"], path  # incidents, labels, approvals


def test_the_rater_never_sees_the_verdict(reader: TestClient) -> None:
    """Neither on the page nor in what its script fetches."""
    seen = reader.get("/labels").text + reader.get("/v1/labels/queue").text
    assert "image000" in seen
    for secret in ("secret-verdict", '"decision"', '"NG"', "defect_score", "bundle_hash", "drift-sample"):
        assert secret not in seen, secret


def test_a_rater_gets_the_picture(reader: TestClient) -> None:
    answer = reader.get("/labels/images/image000")
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert Image.open(BytesIO(answer.content)).size == (640, 640)


def test_a_picture_that_browsers_do_not_show_is_converted(client: TestClient, works: Works) -> None:
    data = BytesIO()
    Image.new("L", (30, 20), 90).save(data, "TIFF")
    with works.store.write() as session:
        row = session.get_one(ImageRow, "image000")
        row.blob, row.media_type = works.blobs.write(data.getvalue()), "image/tiff"
    answer = client.get("/labels/images/image000")
    assert answer.headers["content-type"] == "image/png"
    assert Image.open(BytesIO(answer.content)).size == (30, 20)


def test_a_picture_that_is_gone_is_gone(client: TestClient, works: Works) -> None:
    with works.store.write() as session:
        works.blobs.remove(session.get_one(ImageRow, "image000").blob)
    assert client.get("/labels/images/image000").status_code == 410
    assert client.get("/labels/images/none").status_code == 404


def test_incidents_say_in_plain_words_what_to_do(reader: TestClient) -> None:
    text = " ".join(Elements(reader.get("/incidents", params={"lang": "de"}).text).text.split())
    assert "nur die Bilder dieser Kamera haben sich verändert (dunkler, unscharf)" in text
    assert "Das Bild ist unscharf: Schärfe und Halterung prüfen, Linse reinigen." in text
    assert "200 Zufallslabels belegen keinen Schaden" in text


def _posts(reader: TestClient, path: str) -> list[str]:
    return Elements(reader.get(path).text).values("data-post")


def test_every_button_speaks_to_the_api(client: TestClient) -> None:
    """The answer of the API may be a no, but it is an answer to this very question."""
    buttons = _posts(client, "/incidents") + _posts(client, "/releases")
    assert len(buttons) == 2 + 3 + 2 + 1 + 2 + 1
    for address in buttons:
        body = {"by": "rater-1", "site": SITE, "reason": "because"}
        if address == "/v1/rollback":
            body = {**body, "to": 1, "refuse": False}  # type: ignore[dict-item]
        elif address.startswith("/v1/incidents"):
            body = {"by": "rater-1"}
        elif address == "/v1/benchmarks":
            body = {**body, "agent": "press-5", "bundle_hash": HASHES[3]}
        answer = client.post(address, json=body)
        assert answer.status_code in (200, 409), (address, answer.text)


def test_a_click_on_roll_back_brings_the_earlier_release_back(client: TestClient) -> None:
    answer = client.post(
        "/v1/rollback", json={"by": "rater-1", "site": SITE, "to": 1, "reason": "wrong", "refuse": False}
    )
    assert answer.status_code == 200
    assert "Release 1 active" in client.get("/").text


def test_the_page_says_how_far_people_agree_and_what_a_label_costs(reader: TestClient) -> None:
    english, german = (" ".join(reader.get("/labels", params={"lang": to}).text.split()) for to in ("en", "de"))
    found = re.search(r"kappa (0\.\d\d) \((0\.\d\d) to (\d\.\d\d)\) on 60 pictures", english)
    assert found is not None
    low, kappa, high = (float(found[n]) for n in (2, 1, 3))
    assert 0.5 < low < kappa < high <= 1.0
    assert "A label takes 2.8 seconds; 16 person-minutes so far." in english
    assert "Ein Label braucht 2,8 Sekunden" in german


def test_a_rater_sees_the_labels_alone_and_a_pseudonym_instead_of_a_name(rater_at_work: TestClient) -> None:
    page = rater_at_work.get("/")  # leads there
    assert page.url.path == "/labels"
    elements = Elements(page.text)
    assert [address for address in elements.values("href") if address in PAGES] == ["/", "/labels"]  # brand, tab
    assert 'id="rater"' not in page.text
    assert re.search(r'<output id="you">rater-[a-z2-7]{8}</output>', page.text)
    assert "ann" not in re.findall(r">([^<>]*)<", page.text)
    assert rater_at_work.get("/incidents").status_code == 403


def test_a_label_given_leaves_the_queue_and_moves_the_progress(client: TestClient) -> None:
    before = client.get("/labels").text
    given = client.post("/v1/labels", json={"image_id": "image000", "label": "pit", "rater": "rater-1"})
    assert given.status_code == 201
    after = client.get("/labels").text
    assert "300 labelled, 4 waiting" in before
    assert "301 labelled, 3 waiting" in after
    again = client.post("/v1/labels", json={"image_id": "image000", "label": "pit", "rater": "rater-2"})
    assert again.status_code == 409


def test_releases_show_certificates_gate_and_refusals(reader: TestClient) -> None:
    text = " ".join(Elements(reader.get("/releases").text).text.split())
    for words in (
        "onnxruntime-cpu/int8 99.58 %",
        "not inferior on the gold set, and better on 52 new parts: 14 newly right, 1 newly wrong",
        "worse on the gold set: defective parts right 93.1% before, 81.0% with the candidate",
        "No agent may run it again: withdrawn: wrong on the line",
        "same decision in 97.0 % of 6,500 images",
        "epoch 7 of 20",
        "not for production",
    ):
        assert words in text, words


def test_model_card_is_shown_as_the_text_that_the_bundle_came_with(
    client: TestClient, works: Works, tmp_path: Path
) -> None:
    assert "/card" not in client.get("/releases").text, "bundles that are older than cards"
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "card.md").write_text("# Model of <script>", encoding="utf-8")
    write_paper_bundle(folder, SITE)
    bundle = works.shelf.take(folder)
    with works.store.write() as session:
        manifest = bundle.manifest.model_dump(mode="json")
        row = BundleRow(
            bundle_hash=bundle.hash, site=SITE, product="cap", manifest=manifest, stored_at=datetime.now(UTC)
        )
        session.add(row)
        session.get_one(BundleRow, HASHES[3]).manifest = manifest
    assert f'href="/releases/{HASHES[3]}/card"' in client.get("/releases").text
    answer = client.get(f"/releases/{bundle.hash}/card")
    assert (answer.status_code, answer.text) == (200, "# Model of <script>")
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert client.get(f"/releases/{HASHES[3]}/card").status_code == 410, "its files are not here"
    (works.shelf.path(bundle.hash) / "card.md").write_text("# Model of nobody....", encoding="utf-8")
    assert client.get(f"/releases/{bundle.hash}/card").status_code == 410, "changed on the shelf"
    for unknown in ("f" * 64, "..", HASHES[1]):
        assert client.get(f"/releases/{unknown}/card").status_code == 404


def test_only_releases_that_served_and_are_not_refused_are_offered_for_going_back(reader: TestClient) -> None:
    page = reader.get("/releases").text
    assert re.findall(r'<option value="(\d+)">', page) == ["1"]


def test_the_series_of_a_camera_is_complete_and_in_order(reader: TestClient) -> None:
    made = reader.get(f"{CAMERA}/series.json", params={"windows": 120}).json()
    assert len(made["at"]) == 120
    assert made["at"] == sorted(made["at"])
    for name in ("state", "t2", "limit", "images", "confidence_mean", "confidence_low", "latency_ms", "release"):
        assert len(made[name]) == 120, name
    shares = [sum(made["decisions"][name][index] for name in made["decisions"]) for index in range(120)]
    assert shares == pytest.approx([1.0] * 120)
    assert set(made["statistics"]) == {"mean", "contrast", "sharpness"}
    assert made["release"][-1] == 3
    assert made["labelled"][-1]["interval"][0] <= made["labelled"][-1]["right"] <= made["labelled"][-1]["interval"][1]


def test_a_camera_whose_windows_are_learning_has_no_limit(reader: TestClient) -> None:
    made = reader.get(f"{CAMERA}/series.json", params={"windows": 480}).json()
    assert made["state"][0] == "LEARNING"
    assert made["t2"][0] is None
    assert made["limit"][0] is None


def test_a_camera_that_nobody_knows_is_not_found(reader: TestClient) -> None:
    assert reader.get(f"/cameras/{SITE}/press-4/cam-x/cap").status_code == 404


def test_a_camera_fault_is_shown_before_everything_else(client: TestClient, works: Works) -> None:
    with works.store.write() as session:
        session.get_one(CameraRow, (SITE, "press-4", "cam-b", "cap")).fault = "black"
    assert "The picture is black" in client.get("/").text
    assert "The picture is black" in client.get(CAMERA).text


def test_one_lot_at_three_sites_is_one_card_with_pictures_and_counts_once(reader: TestClient) -> None:
    page = reader.get("/incidents").text
    card = page.partition('id="fleet.incident-4"')[2].partition("</article>")[0]
    assert "Parts of lot" in card or "parts of lot L-7731" in card
    assert card.count("/labels/images/image") == 2 * 4
    assert "secret-verdict" not in page
    assert 'href="#fleet.incident-4"' in page
    assert '<span class="count">2</span>' in page
    german = reader.get("/incidents", params={"lang": "de"}).text
    assert "Teile der Charge L-7731 (cap) sehen an 3 Standorten anders aus" in german


def test_a_change_record_says_what_why_on_which_evidence_and_who(reader: TestClient) -> None:
    page = Elements(reader.get(RECORD).text).text
    for words in (
        "Change record 3 of mono",
        "Promotion",
        HASHES[3],
        "person-3 approved, 20",
        "looked at 40 parts",
        "Gate:",
    ):
        assert words in page, words
    assert "All records of the site up to this one are as they were written" in page
    assert reader.get(f"/changes/{SITE}/9").status_code == 404
    german = Elements(reader.get(RECORD, params={"lang": "de"}).text).text
    assert "person-3 gab es frei" in german


def test_a_running_retrain_is_cancelled_with_one_click(client: TestClient, works: Works) -> None:
    assert 'data-post="/v1/retrains/retrain-9/cancel"' in client.get("/releases").text
    client.post("/v1/retrains/retrain-9/cancel", json={"by": "person-3"})
    page = client.get("/releases").text
    assert "retrain-9/cancel" not in page
    assert 'data-post="/v1/retrains"' in page


def test_the_timeline_is_filtered_and_paged(client: TestClient, works: Works) -> None:
    with works.store.write() as session:
        example = session.get_one(EventRow, 1)
        columns = [column.key for column in EventRow.__mapper__.column_attrs if column.key != "id"]
        for number in range(130):
            values = {name: getattr(example, name) for name in columns}
            session.add(EventRow(**{**values, "kind": "order", "code": "none", "text": f"line {number}"}))
    first = client.get("/timeline", params={"kind": "order"}).text
    assert "Line 129" in first or "line 129" in first
    assert "repaired, said by operator" not in first
    assert "repaired, said by operator" in client.get("/timeline", params={"kind": "incident"}).text
    older = re.search(r'href="(/timeline[^"]*before=\d+)"', first)
    assert older is not None
    second = client.get(older[1].replace("&amp;", "&")).text
    assert "line 129" not in second
    assert "line 50" in second


def test_hostile_words_from_agents_stay_words(client: TestClient, works: Works) -> None:
    attack = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
    with works.store.write() as session:
        session.get_one(IncidentRow, "incident-3").title = attack
        session.get_one(IncidentRow, "incident-3").reason = {"code": "none", "parameters": {}, "plain": attack}
        first = session.get_one(EventRow, 1)
        values = {column.key: getattr(first, column.key) for column in EventRow.__mapper__.column_attrs}
        session.add(EventRow(**{**values, "id": None, "text": attack}))
        session.get_one(CameraRow, (SITE, "press-4", "cam-b", "cap")).fault = attack
    for path in PAGES:
        assert "<script>alert" not in client.get(path).text, path
        assert "<img src=x" not in client.get(path).text, path


def test_a_page_of_another_origin_may_not_click_here(client: TestClient) -> None:
    answer = client.post(
        "/v1/incidents/incident-3/repaired", json={"by": "x"}, headers={"Sec-Fetch-Site": "cross-site"}
    )
    assert answer.status_code == 403


def test_signatures_that_end_soon_are_told_in_time(works: Works) -> None:
    """The offline ones three months ahead, the online ones only when nobody renews them."""
    soon, later = datetime.now(UTC) + timedelta(days=80), datetime.now(UTC) + timedelta(days=100)
    ends = {"root": later, "targets": soon, "timestamp": datetime.now(UTC) + timedelta(days=1)}
    app = FastAPI()
    Pages(works.store, works.blobs, works.shelf, people=works.people, expiries=lambda: ends).attach(app)
    with TestClient(app) as client:
        told = re.findall(r"signature of (\w+) ends", client.get("/").text)
        assert told == ["targets"]
        ends["timestamp"] = datetime.now(UTC) - timedelta(seconds=1)
        told = re.findall(r"signature of (\w+) ends", client.get("/").text)
        assert told == ["targets", "timestamp"]


def test_a_manifest_of_a_newer_version_does_not_hide_the_release(client: TestClient, works: Works) -> None:
    with works.store.write() as session:
        session.get_one(BundleRow, HASHES[3]).manifest = {"schema_version": 2}
    answer = client.get("/releases")
    assert answer.status_code == 200
    assert "Release 3" in answer.text


def test_vendored_files_are_what_their_table_says_and_come_with_their_licences() -> None:
    vendor = STATIC_FOLDER / "vendor"
    rows = re.findall(
        r"^\| (\S+) \| .* \(([A-Za-z.]+)\) \| ([0-9a-f]{64}) \|$", (vendor / "README.md").read_text(), re.M
    )
    assert {name for name, _, _ in rows} == {path.name for path in vendor.iterdir() if path.suffix in (".js", ".css")}
    for name, licence, sha256 in rows:
        assert hashlib.sha256((vendor / name).read_bytes()).hexdigest() == sha256, name
        assert (vendor / licence).is_file(), name


def test_scripts_of_the_pages_hold_no_addresses_of_elsewhere() -> None:
    for path in STATIC_FOLDER.glob("*.js"):
        assert not re.search(r"https?://(?!www\.w3\.org/)", path.read_text()), path.name


def test_words_handed_to_scripts_survive_the_way(reader: TestClient) -> None:
    words = json.loads(Elements(reader.get("/labels", params={"lang": "de"}).text).values("data-words")[0])
    assert words["undo"] == "Zurücknehmen"


@pytest.mark.parametrize(
    ("state", "language", "said"),
    [
        ("OK", "en", "an estimate, void while drifting: it decides nothing"),
        ("OK", "de", "eine Schätzung, bei Drift ungültig: sie entscheidet nichts"),
        ("DRIFT", "en", "void while drifting or faulty: confidence says nothing now"),
        ("SUSPECT", "de", "bei Drift oder Kamerafehler ungültig: Die Konfidenz sagt jetzt nichts"),
        ("LEARNING", "en", None),
    ],
)
def test_accuracy_without_labels_is_an_estimate_in_control_and_void_otherwise(
    works: Works, client: TestClient, state: str, language: str, said: str | None
) -> None:
    with works.store.write() as session:
        row = session.get(CameraRow, (SITE, "press-4", "cam-b", "cap"))
        assert row is not None
        row.state = state
    text = Elements(client.get(CAMERA, params={"lang": language}).text).text
    assert (said or "") in text
    assert bool(re.search(r"9\d[.,]\d\s*% ?, (from confidence|allein aus)", text)) is (state == "OK")
    assert ("Estimate without labels" in text or "Schätzung ohne Labels" in text) is (state != "LEARNING")


def test_accuracy_without_labels_is_void_while_the_camera_is_out_of_focus(client: TestClient, works: Works) -> None:
    with works.store.write() as session:
        row = session.get_one(CameraRow, (SITE, "press-4", "cam-b", "cap"))
        row.state, row.fault = "OK", "out-of-focus"
    text = client.get(CAMERA).text
    assert "The camera is out of focus" in text
    assert "void while drifting or faulty" in text
    assert "from confidence alone" not in text


def test_windows_add_up_over_http_as_they_do_on_the_pages(reader: TestClient) -> None:
    asked = {"since": "2020-01-01T00:00:00Z", "by": "camera", "span": "day"}
    sums = reader.get("/v1/windows/sums", params=asked).json()["sums"]
    windows = {
        name: sum(row["windows"] for row in sums if row["about"] == name) for name in {row["about"] for row in sums}
    }
    assert windows == {f"{SITE}/press-4/cam-a": 300, f"{SITE}/press-4/cam-b": 300, f"{SITE}/press-5/cam-a": 258}
    assert all(0.3 < row["statistics"]["mean"] < 0.6 for row in sums)
    assert reader.get("/v1/windows/sums", params={**asked, "span": "week"}).status_code == 422
    assert reader.get("/v1/windows/sums", params={**asked, "since": "2020-01-01T00:00:00"}).status_code == 422


def test_incidents_over_http_name_what_has_one_cause(reader: TestClient) -> None:
    (one,) = reader.get("/v1/incidents", params={"site": "north"}).json()["together"]
    assert one["body"]["lot"] == "L-7731"
    assert reader.get("/v1/incidents", params={"site": "elsewhere"}).json()["together"] == []
