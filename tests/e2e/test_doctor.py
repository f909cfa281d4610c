"""The doctor as an operator runs it, on real servers, which differ in just these points."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests import command, corpus, oracle
from tests.conftest import FreshNames
from tests.e2e import ends
from tests.faults.proxy import INTERNAL_ERROR, Reply, Rule, answer, proxy_before, redirect
from tests.nginx import nginx_before
from tests.servers import S3Server, Servers, free_ports

pytestmark = pytest.mark.one_process

UNFORCED = {"BYTES_MIGRATOR_FORCE": None}
DOCTOR = ("doctor", "--json", "--to", "s3")
PROBE = (*DOCTOR, "--probe", "--yes")
EIGHT = {f"org{number}": 3 for number in range(8)}


def settings_of(server: S3Server, naming: oracle.Naming, data: Path, **more: str | None) -> Mapping[str, str | None]:
    return {**server.env(), **ends.settings(naming), "BYTES_DATA_DIR": str(data), **UNFORCED, **more}


def make_old(root: Path) -> None:
    """As if nothing had been saved for an hour."""
    then = time.time() - 3600
    for folder, _, names in os.walk(root):
        for name in names:
            os.utime(os.path.join(folder, name), (then, then))
        os.utime(folder, (then, then))


def statuses(document: Mapping[str, Any]) -> dict[str, str]:
    for finding in document["findings"]:
        assert set(finding) == {"name", "status", "seen", "why", "cure"}
        assert finding["seen"]
    return {name: finding["status"] for name, finding in ends.findings(document).items()}


@pytest.mark.parametrize("kind", ["weed", "rclone", "moto"])
def test_servers_are_told_apart_by_what_they_do(
    kind: str, servers: Servers, naming: oracle.Naming, fresh_names: FreshNames, data: Path
) -> None:
    server = servers.get(kind)
    corpus.make_store(data, {"alpha": 20, "b1": 5})
    make_old(data)
    for organization in ("alpha", "b1"):
        ends.make_bucket(server.client(), ends.bucket_of(naming, organization))
    before = oracle.s3_snapshot(server.client(), fresh_names.bucket, fresh_names.prefix)
    done = command.run(*PROBE, env=settings_of(server, naming, data))
    found = statuses(done.expect(0 if kind == "moto" else 1).json())
    assert oracle.s3_snapshot(server.client(), fresh_names.bucket, fresh_names.prefix) == before
    assert found["bytes-calls"] == ("pass" if kind == "moto" else "error")
    assert found["server-abilities"] == ("pass" if kind == "weed" else "warning")
    assert found["listing-order"] == ("warning" if kind == "weed" else "pass")
    assert found["multipart-minimum"] == ("warning" if kind == "rclone" else "pass")
    passing = {"server-reachable", "clock-skew", "latency", "addressing", "versioning", "object-lock", "rights-target"}
    passing |= {"default-encryption", "foreign-objects", "bucket-names", "source", "source-in-use", "strays"}
    passing |= {"setting-names", "profile-only", "secrets-readable", "unfinished-run", "other-ledgers"}
    passing |= {"bucket-per-org-default", "default-bucket-name", "empty-files", "organization-names"}
    assert {name: found.get(name) for name in passing} == dict.fromkeys(passing, "pass")
    nginx = done.json()["nginx"]
    assert (nginx is None) == (kind == "moto")
    if nginx:
        assert "PUT /[^/?]+/?$" in nginx


def test_without_probe_nothing_is_written_and_bytes_calls_stay_open(
    server: S3Server, naming: oracle.Naming, fresh_names: FreshNames, data: Path, state: Path, tmp_path: Path
) -> None:
    corpus.make_store(data, {"alpha": 20, "b1": 5})
    ends.make_bucket(server.client(), ends.bucket_of(naming, "alpha"))
    before = oracle.s3_snapshot(server.client(), fresh_names.bucket, fresh_names.prefix)
    buckets = oracle.buckets(server.client(), fresh_names.prefix), oracle.buckets(server.client(), fresh_names.bucket)
    with oracle.nothing_written(tmp_path, state):
        document = command.run(*DOCTOR, env=settings_of(server, naming, data)).expect(0).json()
    assert oracle.s3_snapshot(server.client(), fresh_names.bucket, fresh_names.prefix) == before
    after = oracle.buckets(server.client(), fresh_names.prefix), oracle.buckets(server.client(), fresh_names.bucket)
    assert after == buckets
    assert statuses(document)["bytes-calls"] == "warning"
    assert "--probe" in ends.findings(document)["bytes-calls"]["cure"]


@pytest.mark.parametrize("is_there", [True, False], ids=["there", "missing"])
def test_it_asks_little(
    is_there: bool, server: S3Server, naming: oracle.Naming, data: Path, record_property: Any
) -> None:
    """Under 40 requests and 8 for each bucket, the rights on each and the writing probe included."""
    corpus.make_store(data, EIGHT)
    buckets = {ends.bucket_of(naming, organization) for organization in EIGHT}
    if is_there:
        for bucket in buckets:
            ends.make_bucket(server.client(), bucket)
    with proxy_before(server) as proxy:
        for words in (DOCTOR, PROBE):
            proxy.seen.log.clear()
            document = command.run(*words, env=settings_of(proxy.server, naming, data)).json()
            assert document["findings"]
            record_property("requests", len(proxy.seen.log))
            assert len(proxy.seen.log) < 40 + 8 * len(buckets), proxy.seen.log


def test_what_it_found_to_work_is_used_by_the_migration(moto: S3Server, fresh_names: FreshNames, data: Path) -> None:
    naming = ends.single(fresh_names)
    corpus.make_store(data, {"alpha": 5})
    with proxy_before(moto) as proxy:
        env = settings_of(proxy.server, naming, data)
        command.run(*PROBE, env=env).expect(0)
        assert statuses(command.run(*DOCTOR, env=env).expect(0).json())["bytes-calls"] == "pass"
        proxy.seen.log.clear()
        command.run(*ends.MIGRATE, "--to", "s3", env=env).expect(0)
        assert not [target for method, target, _ in proxy.seen.log if "probe" in target and method == "PUT"]


def test_a_probe_needs_to_be_confirmed(weed: S3Server, fresh_names: FreshNames, data: Path) -> None:
    corpus.make_store(data, {"alpha": 2})
    env = settings_of(weed, ends.single(fresh_names), data)
    assert command.run(*DOCTOR, "--probe", env=env).expect(2).json()["error"]["name"] == "yes-missing"


def test_force_leaves_a_probe_out_and_takes_known_names_only(
    weed: S3Server, fresh_names: FreshNames, data: Path
) -> None:
    corpus.make_store(data, {"alpha": 2})
    env = settings_of(weed, ends.single(fresh_names), data)
    document = command.run(*PROBE, "--force", "bytes-calls", env=env).expect(0).json()
    finding = ends.findings(document)["bytes-calls"]
    assert (finding["status"], finding["forced"]) == ("warning", True)
    assert not oracle.buckets(weed.client(), fresh_names.bucket)
    command.run(*DOCTOR, "--force", "no-such-finding", env=env).expect(2)


@pytest.mark.parametrize(("who", "denied"), [("reader", "s3:PutObject"), ("blind", "s3:ListBucket")])
def test_rights_are_told_action_by_action(
    who: str, denied: str, weed: S3Server, fresh_names: FreshNames, data: Path
) -> None:
    corpus.make_store(data, {"alpha": 2})
    ends.make_bucket(weed.client(), fresh_names.bucket)
    env = settings_of(weed.as_identity(who), ends.single(fresh_names), data)
    document = command.run(*DOCTOR, env=env).expect(1).json()
    finding = ends.findings(document)["rights-target"]
    assert finding["status"] == "error"
    assert denied in finding["seen"]
    mover = settings_of(weed.as_identity("mover"), ends.single(fresh_names), data)
    assert statuses(command.run(*DOCTOR, env=mover).expect(0).json())["rights-target"] == "pass"


def test_rights_at_an_s3_source(weed: S3Server, fresh_names: FreshNames, data: Path) -> None:
    naming = ends.single(fresh_names)
    ends.put(weed.client(), naming, "alpha", "0123abcd-1111-4222-8333-444455556666", b"content")
    words = ("doctor", "--json", "--to", "disk")
    good = command.run(*words, env=settings_of(weed.as_identity("reader"), naming, data)).expect(0).json()
    assert statuses(good)["rights-source"] == "pass"
    assert statuses(good)["disk-space"] == "pass"
    bad = command.run(*words, env=settings_of(weed.as_identity("blind"), naming, data)).expect(1).json()
    assert statuses(bad)["source"] == "error"


def test_a_disk_target_that_is_not_there(weed: S3Server, fresh_names: FreshNames, tmp_path: Path) -> None:
    naming = ends.single(fresh_names)
    ends.put(weed.client(), naming, "alpha", "0123abcd-1111-4222-8333-444455556666", b"content")
    env = settings_of(weed, naming, tmp_path / "not" / "mounted")
    for words, status in ((("doctor", "--json"), 1), (("plan", "--json"), 1)):
        document = command.run(*words, "--to", "disk", env=env).expect(status).json()
        assert statuses(document)["target-folder"] == "error"
    error = command.run(*ends.MIGRATE, "--to", "disk", env=env).expect(3).json()["error"]
    assert error["name"] == "target-folder"


def test_a_disk_without_room_and_one_without_inodes(tmp_path: Path, fresh_names: FreshNames, weed: S3Server) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    source = tmp_path / "data"
    ends.make_varied_store(source, {"alpha": 40}, large=1)
    for option, name in (("size=1m", "disk-space"), ("nr_inodes=12", "disk-inodes")):
        place = tmp_path / name
        place.mkdir()
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", option, "none", str(place)], capture_output=True, check=False
        )
        if mounted.returncode:
            pytest.skip(f"cannot mount a tmpfs: {mounted.stderr.decode()}")
        try:
            words = ("--from", source, "--to", place / "back")
            found = statuses(command.run("doctor", "--json", *words).expect(1).json())
            assert found[name] == "error"
            assert [one for one, status in found.items() if status == "error"] == [name]
            assert command.run(*ends.MIGRATE, *words).expect(3).json()["error"]["name"] == name
            assert not (place / "back").exists()
        finally:
            subprocess.run(["umount", str(place)], check=True)


def test_the_source_is_looked_at(weed: S3Server, fresh_names: FreshNames, data: Path) -> None:
    ends.make_varied_store(data, {"alpha": 40})
    (data / "Not An Organization").mkdir()
    (data / "notes.txt").write_text("x")
    env = settings_of(weed, ends.single(fresh_names), data)
    found = statuses(command.run(*DOCTOR, env=env).expect(0).json())
    for name in ("empty-files", "source-in-use", "organization-names", "strays"):
        assert found[name] == "warning", name
    for folder, name in ((data / "alpha", "source"), (data / "nowhere", "source")):
        bad = {**env, "BYTES_DATA_DIR": str(folder)}
        assert statuses(command.run(*DOCTOR, env=bad).expect(1).json())[name] == "error"


def test_other_writers_are_told(weed: S3Server, fresh_names: FreshNames, data: Path, tmp_path: Path) -> None:
    naming = ends.single(fresh_names)
    ends.make_varied_store(data, {"alpha": 4})
    ends.make_varied_store(tmp_path / "other", {"beta": 4})
    env = settings_of(weed, naming, data)
    forced = ("--force", "bytes-calls")
    command.run(*ends.MIGRATE, "--to", "s3", *forced, env={**env, "BYTES_DATA_DIR": str(tmp_path / "other")}).expect(0)
    weed.client().put_object(Bucket=fresh_names.bucket, Key="somebody/else.txt", Body=b"x")
    document = command.run(*DOCTOR, env=env).expect(0).json()
    assert statuses(document)["other-ledgers"] == "warning"
    assert statuses(document)["foreign-objects"] == "warning"
    assert "somebody/else.txt" in ends.findings(document)["foreign-objects"]["seen"]


def test_settings_that_nobody_reads_and_secrets_for_everybody(
    weed: S3Server, fresh_names: FreshNames, data: Path, tmp_path: Path
) -> None:
    ends.make_varied_store(data, {"alpha": 4})
    path = ends.write_env_file(
        tmp_path / "new.env", weed.env(), {"S3_BUCKET": fresh_names.bucket, "AWS_ENDPOINT": "http://elsewhere"}
    )
    path.chmod(0o644)
    words = ("doctor", "--json", "--from", data, "--to", path, "--bytes-version", "1.21")
    found = statuses(command.run(*words, env=UNFORCED).expect(1).json())
    assert found["setting-names"] == "pass"  # the right name is set too
    assert found["secrets-readable"] == "warning"
    assert found["bucket-per-org-default"] == "warning"
    assert found["bucket-names"] == "error"
    assert found["bytes-version"] == "warning"
    command.run(*words[:-1], "newest", env=UNFORCED).expect(2)


def test_keys_that_only_a_profile_of_this_user_has(
    weed: S3Server, fresh_names: FreshNames, data: Path, hermetic: Path
) -> None:
    ends.make_varied_store(data, {"alpha": 4})
    (hermetic / ".aws").mkdir()
    keys = f"aws_access_key_id={weed.access_key}\naws_secret_access_key={weed.secret_key}\n"
    (hermetic / ".aws" / "credentials").write_text(f"[default]\n{keys}")
    env = settings_of(weed, ends.single(fresh_names), data, AWS_ACCESS_KEY_ID=None, AWS_SECRET_ACCESS_KEY=None)
    document = command.run(*DOCTOR, env=env).expect(0).json()
    assert statuses(document)["profile-only"] == "warning"
    assert statuses(document)["server-reachable"] == "pass"


# --- servers that are none ----------------------------------------------------------------------------------------------


@pytest.fixture
def silent() -> Iterator[str]:
    """Takes connections, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken: list[socket.socket] = []

        def take() -> None:
            while True:
                try:
                    taken.append(listener.accept()[0])
                except OSError:
                    return

        threading.Thread(target=take, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def reachable(done: command.Completed) -> dict[str, str]:
    finding: dict[str, str] = ends.findings(done.expect(1).json())["server-reachable"]
    assert finding["status"] == "error"
    assert finding["cure"]
    return finding


def test_a_server_that_hangs(silent: str, weed: S3Server, fresh_names: FreshNames, data: Path) -> None:
    ends.make_varied_store(data, {"alpha": 4})
    env = settings_of(weed, ends.single(fresh_names), data, AWS_ENDPOINT_URL=silent)
    assert "5 seconds" in reachable(command.run(*DOCTOR, env=env))["why"]


HTML = Reply(200, (("Content-Type", "text/html"),), b"<!doctype html><html><body>Log in</body></html>")


@pytest.mark.parametrize(
    ("rule", "says"),
    [(Rule(answer(HTML)), "not S3"), (Rule(redirect(307, "http://127.0.0.1:9/")), "elsewhere")],
    ids=["HTML", "redirects"],
)
def test_a_server_that_is_another(rule: Rule, says: str, weed: S3Server, fresh_names: FreshNames, data: Path) -> None:
    ends.make_varied_store(data, {"alpha": 4})
    with proxy_before(weed, rule) as proxy:
        finding = reachable(command.run(*DOCTOR, env=settings_of(proxy.server, ends.single(fresh_names), data)))
    assert says in finding["seen"]
    assert "AWS_ENDPOINT_URL" in finding["cure"]


def test_a_server_that_fails_for_a_moment_is_asked_again(weed: S3Server, fresh_names: FreshNames, data: Path) -> None:
    ends.make_varied_store(data, {"alpha": 4})
    ends.make_bucket(weed.client(), fresh_names.bucket)
    naming = ends.single(fresh_names)
    calm = command.run(*PROBE, env=settings_of(weed, naming, data)).json()
    with proxy_before(weed, Rule(answer(INTERNAL_ERROR), tries=1)) as proxy:
        failing = command.run(*PROBE, env=settings_of(proxy.server, naming, data)).json()
        assert proxy.seen.faults.total() > 10
    assert statuses(failing) == statuses(calm)


def test_a_call_that_always_fails_is_not_asked_again_on_each_bucket(
    weed: S3Server, fresh_names: FreshNames, data: Path
) -> None:
    corpus.make_store(data, EIGHT)
    naming = oracle.PerOrganization(fresh_names.prefix)
    for organization in EIGHT:
        ends.make_bucket(weed.client(), ends.bucket_of(naming, organization))
    always = Rule(answer(INTERNAL_ERROR), method="POST", path="uploadId")  # as moto does where there is no such upload
    with proxy_before(weed, always) as proxy:
        command.run(*DOCTOR, env=settings_of(proxy.server, naming, data))
        assert proxy.seen.faults.total() == len(EIGHT) + 2


def test_a_probe_that_fails_for_good_is_a_finding_beside_all_others(
    weed: S3Server, fresh_names: FreshNames, data: Path
) -> None:
    ends.make_varied_store(data, {"alpha": 4})
    ends.make_bucket(weed.client(), fresh_names.bucket)
    naming = ends.single(fresh_names)
    calm = statuses(command.run(*PROBE, env=settings_of(weed, naming, data)).json())
    always = Rule(answer(INTERNAL_ERROR), method="PUT", path="bytes-migrator-probe", nth=frozenset(range(2, 99)))
    with proxy_before(weed, always) as proxy:  # the first is Bytes' own, which works
        done = command.run(*PROBE, env=settings_of(proxy.server, naming, data)).expect(1).json()
    told_by_the_probe = ("listing-order", "multipart-minimum")
    others = {name: status for name, status in calm.items() if name not in told_by_the_probe}
    assert statuses(done) == others | {"server-abilities": "error"}
    assert "InternalError" in ends.findings(done)["server-abilities"]["seen"]


def test_a_wrong_clock(weed: S3Server, fresh_names: FreshNames, data: Path) -> None:
    ends.make_varied_store(data, {"alpha": 4})

    def an_hour_ago(exchange: Any) -> None:
        exchange.reply(exchange.forward().with_header("Date", "Mon, 23 Nov 2015 06:50:50 GMT"))

    with proxy_before(weed, Rule(an_hour_ago)) as proxy:
        done = command.run(*DOCTOR, env=settings_of(proxy.server, ends.single(fresh_names), data)).expect(1)
    assert ends.findings(done.json())["clock-skew"]["status"] == "error"


def test_a_certificate_that_nobody_knows(weed: S3Server, fresh_names: FreshNames, data: Path, tmp_path: Path) -> None:
    ends.make_varied_store(data, {"alpha": 4})
    port = free_ports(1)[0]
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    made += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(made, check=True, capture_output=True)
    lines = (
        f"server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {certificate}; ssl_certificate_key {key};",
        f"proxy_set_header Host $http_host; location / {{ proxy_pass {weed.endpoint_url}; }} }}",
    )
    with nginx_before(weed, lines, port, tmp_path / "nginx"):
        env = settings_of(weed, ends.single(fresh_names), data, AWS_ENDPOINT_URL=f"https://127.0.0.1:{port}")
        finding = reachable(command.run(*DOCTOR, env=env))
        assert "AWS_CA_BUNDLE" in finding["cure"]
        assert "--ca-bundle" in finding["cure"]
        trusted = command.run(*DOCTOR, "--ca-bundle", certificate, env=env).expect(0).json()
        assert statuses(trusted)["server-reachable"] == "pass"
