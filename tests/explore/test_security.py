"""Who is answered, and what is never told: each way in is tried."""

import io
import re
from pathlib import Path

import pytest
from PIL import Image
from starlette.websockets import WebSocketDisconnect

import iconoscope as ico
from explore.browsing import PORT, browse
from iconoscope.explorer import open_session
from iconoscope.explorer.photographs import LARGEST, Photographs
from iconoscope.explorer.security import AccessRules
from iconoscope.results.folders import without_paths


def test_without_the_token_nothing_is_answered(session, rules):
    stranger = browse(session, rules, known=False)
    for address in ("/", "/app.js", "/api/session", "/api/images/0/picture.png", "/api/openapi.json"):
        assert stranger.get(address).status_code == 403
    assert stranger.get("/", params={"token": "x" * 32}).status_code == 403
    assert stranger.get("/", params={"token": "é"}).status_code == 403
    assert stranger.get("/api/session", params={"token": rules.token}).status_code == 403  # it is for the page alone
    assert "set-cookie" not in stranger.get("/", params={"token": "wrong"}).headers


def test_the_token_gives_a_cookie_that_no_script_and_no_other_site_gets(session, rules):
    client = browse(session, rules, known=False)
    answer = client.get("/", params={"token": rules.token})
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"iconoscope-{PORT}=")
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
    assert client.get("/api/session").status_code == 200
    client.cookies.clear()
    client.cookies.set(f"iconoscope-{PORT}", "forged")
    assert client.get("/api/session").status_code == 403


@pytest.mark.parametrize(
    "host", ["evil.example:8424", "127.0.0.1.evil.example:8424", "", "localhost.evil.example:8424", "127.0.0.1:x"]
)
def test_a_name_that_somebody_lets_point_here_is_refused(client, host):
    assert client.get("/api/session", headers={"host": host}).status_code == 403


@pytest.mark.parametrize("host", [f"localhost:{PORT}", f"127.0.0.1:{PORT}", f"[::1]:{PORT}", "localhost:9000"])
def test_names_of_this_machine_are_known(client, rules, host):
    cookie = f"{rules.cookie}={rules.token}"
    assert client.get("/api/session", headers={"host": host, "cookie": cookie}).status_code == 200


def test_another_site_may_not_ask(client):
    question = {"image": "0", "top": 0, "left": 0, "height": 8, "width": 8, "fill": "mean", "view": "a"}
    for origin in ("http://evil.example", "null", "http://127.0.0.1:9", f"https://127.0.0.1:{PORT}"):
        assert client.post("/api/patch", json=question, headers={"origin": origin}).status_code == 403
    assert client.get("/api/session", headers={"sec-fetch-site": "cross-site"}).status_code == 403
    assert client.get("/api/session", headers={"sec-fetch-site": "same-site"}).status_code == 403
    own = {"origin": f"http://127.0.0.1:{PORT}", "sec-fetch-site": "same-origin"}
    assert client.post("/api/patch", json=question, headers=own).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"host": "evil.example:8424"},
        {"sec-fetch-site": "cross-site"},
        {"cookie": f"iconoscope-{PORT}=forged"},
        {"cookie": ""},
    ],
)
def test_a_line_for_patches_is_given_to_nobody_else(client, rules, headers):
    own = {"host": f"127.0.0.1:{PORT}", "cookie": f"{rules.cookie}={rules.token}"}
    with client.websocket_connect("/api/patches", headers=own):
        pass
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/api/patches", headers={**own, **headers}):
        pass


@pytest.mark.parametrize(
    ("host", "asked", "known"),
    [
        ("0.0.0.0", "192.168.1.7:8424", True),
        ("0.0.0.0", "evil.example:8424", False),
        ("192.168.1.7", "192.168.1.7:8424", True),
        ("192.168.1.7", "192.168.1.8:8424", False),
        ("127.0.0.1", "192.168.1.7:8424", False),
    ],
)
def test_where_others_are_let_in_names_are_still_checked(host, asked, known):
    assert (AccessRules(host, PORT).refusal("GET", "/", {"host": asked}) == "") is known


def test_two_explorers_have_different_tokens():
    assert AccessRules("127.0.0.1", PORT).token != AccessRules("127.0.0.1", PORT).token
    assert "token" not in repr(AccessRules("127.0.0.1", PORT))


def test_every_answer_forbids_scripts_from_elsewhere(client):
    for address in ("/api/session", "/api/nothing", "/api/images/0/picture.png"):
        headers = client.get(address).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "script-src 'self'" in policy and "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


def test_too_much_is_not_read(client):
    assert client.post("/api/selection", content=b"[" * (2**20 + 1)).status_code == 413
    assert client.post("/api/uploads", content=b"\xff\xd8" + b"0" * LARGEST).status_code in (400, 413)

    def endless():
        while True:
            yield b"0" * 2**20

    assert client.post("/api/selection", content=endless()).status_code == 413
    assert client.post("/api/uploads", content=endless()).status_code in (400, 413)


def test_what_is_no_photograph_is_refused(client):
    answer = client.post("/api/uploads", content=b"<script>alert(1)</script>")
    assert answer.status_code == 400
    assert answer.json()["message"]


def test_no_answer_has_a_path_of_this_disk(client, store, session, tmp_path):
    addresses = (
        "/api/session", "/api/network/0", "/api/layers/relu4", "/api/units/relu4:0", "/api/images/3", "/api/map",
        "/api/search?q=bison", "/api/find?class=lynx", "/api/pictures/none/0.png", "/api/layers/nope", "/api/audit/0",
        "/api/openapi.json",
    )  # fmt: skip
    for address in addresses:
        text = client.get(address).text
        assert str(store) not in text and str(store.parent) not in text and "/tmp" not in text and "/home" not in text
    question = {"image": "0", "unit": "prob:lynx", "patch": 8, "stride": 8, "fill": str(tmp_path), "view": "a"}
    assert str(tmp_path) not in client.post("/api/heat", json=question).text


def test_files_of_this_disk_cannot_be_named(client, tmp_path, picture):
    path = tmp_path / "private.jpg"
    path.write_bytes(picture)
    patch = {"image": "0", "top": 0, "left": 0, "height": 8, "width": 8, "view": "a"}
    assert client.post("/api/patch", json={**patch, "fill": str(path)}).status_code == 400
    heat = {"image": "0", "unit": "prob:lynx", "patch": 48, "stride": 48, "view": "a"}
    assert client.post("/api/heat", json={**heat, "fill": str(path)}).status_code == 400
    for name in ("start", "prior", "style"):
        question = {"unit": "logit:lynx", "steps": 2, name: str(path)}
        assert client.post("/api/optimizations", json=question).status_code == 400
    assert client.get("/..%2Fserver.py").status_code == 404
    assert client.get("/%2e%2e/server.py").status_code == 404


def test_a_photograph_is_in_memory_until_it_is_kept(client, store, picture):
    page = client.post("/api/uploads", content=picture).json()
    name = page["name"]
    assert re.fullmatch(r"upload-[0-9a-f]{16}", name)
    assert page["kept"] is False and not (store / "photographs").exists()
    assert client.get(f"/api/images/{name}").json()["probabilities"] == page["probabilities"]
    assert client.get(f"/api/images/{name}/picture.png").status_code == 200
    assert client.post(f"/api/images/{name}/keep").json()["kept"] is True
    assert [path.name for path in (store / "photographs").iterdir()] == [f"{name}.png"]
    assert client.get("/api/images/upload-..%2F..%2Fstore").status_code == 404


def encoded(width, height, shade=0):
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (shade, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def test_many_photographs_do_not_pile_up(session):
    for shade in range(40):
        session.photographs.add(encoded(8, 8, shade))
    assert len(session.photographs._images) == 32


def test_large_photographs_do_not_pile_up_either(tmp_path, monkeypatch):
    monkeypatch.setattr("iconoscope.explorer.photographs._MEMORY", 2 * 30 * 20 * 3)
    photographs = Photographs(tmp_path)
    names = [photographs.add(encoded(width, 20, shade)) for shade, width in enumerate((30, 20, 30, 10))]
    assert [name in photographs._images for name in names] == [False, True, True, True]
    large = photographs.add(encoded(300, 200))  # more than all may have, and nothing beside it
    assert list(photographs._images) == [large]


def test_an_explorer_that_only_reads_keeps_nothing(network, images, store, rules, picture):
    before = sorted(store.rglob("*"))
    with browse(open_session(network, images, store=store, read_only=True), rules) as client:
        assert client.get("/api/session").json()["read_only"] is True
        name = client.post("/api/uploads", content=picture).json()["name"]
        answer = client.post(f"/api/images/{name}/keep")
        assert answer.status_code == 403 and answer.json()["kind"] == "refused"
        client.post("/api/optimizations", json={"unit": "logit:bison", "steps": 2, "seed": 5})
    assert sorted(store.rglob("*")) == before


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("/home/me/run/record/ab is damaged.", "ab is damaged."),
        ("It came from '/home/me/my cars/a.png'.", "It came from 'a.png'."),
        (r"C:\Users\me\run is a file", "run is a file"),
        ("~/run holds no recording", "run holds no recording"),
        ("s3://bucket/a and https://a.example/b", "s3://bucket/a and https://a.example/b"),
        ("and/or, 3/4", "and/or, 3/4"),
        ("/home/me/o'brien/secret/run is damaged", "run is damaged"),
        ("/home/me/my, secret; old/run is damaged", "run is damaged"),
        ("/home/a/x.png, /home/b/y.png and (/home/c/z.png)", "x.png, y.png and (z.png)"),
        ("hf:/home/me/secret/a.png is a file", "hf:a.png is a file"),
        ("file:///home/me/secret/a.png is a file", "a.png is a file"),
        (
            "/home/me/a.png is no image. Give a folder/file, see https://a.example/b",
            "a.png is no image. Give a folder/file, see https://a.example/b",
        ),
        ('"/home/me/o\'brien/a.png", "/home/b.png"', '"a.png", "b.png"'),
        (r"\\server\share\me\run is a file", "run is a file"),
    ],
)
def test_folders_are_left_out(text, told):
    assert without_paths(text) == told


def test_known_folders_are_left_out_whatever_is_in_their_names():
    folders = [Path("/home/james' (old): x"), Path("runs/secret"), Path("/")]
    text = (
        "/home/james' (old): x/a/b.npz and hf:/home/james' (old): x/c, runs/secret/d.npz. In runs/secret, runs/secrets"
    )
    assert without_paths(text, folders) == "b.npz and hf:c, d.npz. In secret, runs/secrets"


@pytest.mark.parametrize("name", ["o'brien", "a, b; c", "james' (old)"])
def test_a_damaged_store_is_told_of_without_where_it_is(network, images, rules, tmp_path, name):
    store = tmp_path / name / "private" / "run"
    ico.record(network, images[:4], store=store, workers=0)
    ico.occlude(network, images[0], "logit:lynx", patch=48, stride=48, store=store)
    with browse(open_session(network, images[:4], store=store), rules) as client:
        assert client.get("/api/images/0/heat").status_code == 200
        for path in store.glob("occlude/*/arrays.npz"):
            path.write_bytes(path.read_bytes()[:100])
        answer = client.get("/api/images/0/heat")
    assert answer.status_code == 200 and "arrays.npz" in answer.text
    assert "private" not in answer.text and "tmp" not in answer.text and name not in answer.text


def test_a_hint_names_the_address_of_what_is_asked(client):
    assert client.post("/api/selection", json=[]).json()["hint"].startswith("/api/openapi.json")


def test_a_file_of_the_site_has_a_name_of_one(client):
    for name in ("a" * 5000 + ".js", "a%00.js", "..%2Fserver.py", "server.py"):
        assert client.get(f"/{name}").status_code == 404


@pytest.mark.parametrize("other", ['prefs={"x": 1}', "flag", "a=b c", "=", "x=;", "é=1"])
def test_a_cookie_of_another_program_at_this_address_does_not_lock_out(rules, other):
    own = f"{rules.cookie}={rules.token}"
    for cookie in (f"{other}; {own}", f"{own}; {other}", f"{other};{own}"):
        assert rules.is_admitted({"cookie": cookie})
    assert not rules.is_admitted({"cookie": f"{other}; x{own}"}) and not rules.is_admitted({"cookie": f'a="{own}"'})


def test_at_the_port_that_a_browser_leaves_out_the_own_address_is_known():
    rules = AccessRules("192.168.1.7", 80)
    for host in ("192.168.1.7", "192.168.1.7:80", "localhost", "[::1]"):
        assert rules.refusal("POST", "/api/patch", {"host": host, "origin": f"http://{host}"}) == ""
    for host in ("evil.example", "192.168.1.8", "192.168.1.7:81", "[::1", "::1"):
        assert rules.refusal("GET", "/", {"host": host}), host
    assert AccessRules("192.168.1.7", 8424).refusal("GET", "/", {"host": "192.168.1.7"})


@pytest.mark.parametrize("address", ["optimizations", "record"])
def test_a_mistake_of_ours_in_a_stream_is_in_the_log(network, images, rules, tmp_path, monkeypatch, caplog, address):
    def fail(*_, **__):
        raise RuntimeError("/home/me/secret went wrong")

    monkeypatch.setattr("iconoscope.explorer.live_optimization.optimize", fail)
    monkeypatch.setattr("iconoscope.explorer.live_recording.record", fail)
    with browse(open_session(network, images[:4], store=tmp_path / "run"), rules) as client:
        answer = client.post(f"/api/{address}", json={"unit": "logit:lynx", "steps": 2})
    assert "event: problem" in answer.text and "mistake in iconoscope" in answer.text and "secret" not in answer.text
    assert "secret went wrong" in caplog.text


def test_a_mistake_of_ours_is_told_without_what_it_was(client, monkeypatch, caplog):
    def fail(*_):
        raise RuntimeError("/home/me/secret went wrong")

    monkeypatch.setattr("iconoscope.explorer.session.Session.number", fail)
    answer = client.get("/api/images/3/picture.png")
    assert answer.status_code == 500 and "secret" not in answer.text and answer.json()["kind"] == "damaged"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "secret went wrong" in caplog.text


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b"{",
        b"\xff\xfe",
        b"null",
        b'{"images": ["x"]}',
        b'{"images": [1e400]}',
        b'{"images": [%d]}' % 2**70,
    ],
)
def test_a_question_that_is_none_is_said(client, body):
    answer = client.post("/api/selection", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["message"]
