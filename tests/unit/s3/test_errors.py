"""Errors of a store: one line for people, no secret in it, and the exit status that helps."""

import asyncio
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from archiver.errors import ArchiverError, ConfigurationError, StorageError
from archiver.monitoring.log_file import log_to_file
from archiver.monitoring.logs import log_to
from archiver.s3.objects import Absent
from tests.support.authorities import certified
from tests.support.bodies import body
from tests.support.http import sized
from tests.support.marks import slow_except
from tests.support.raw_server import RawServer, closed_port
from tests.support.seaweed import Place
from tests.support.store_proxy import Respond, Rewrite, StoreProxy

PATH = "data/v6/deepfake/263.mp4"
ENVIRONMENTS: dict[str, tuple[Mapping[str, str], str]] = {
    "no-credentials": (
        {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
        "no credentials found: set AWS_ACCESS_KEY_ID",
    ),
    "half-credentials": ({"AWS_SECRET_ACCESS_KEY": ""}, "missing: AWS_SECRET_ACCESS_KEY"),
    "unknown-key": ({"AWS_ACCESS_KEY_ID": "other"}, "the store does not know the access key"),
    "wrong-secret": ({"AWS_SECRET_ACCESS_KEY": "topsecret"}, "the secret key does not fit"),
    "no-such-profile": ({"AWS_PROFILE": "nothere"}, "nothere"),
    "no-url": ({"AWS_ENDPOINT_URL_S3": "localhost"}, "the endpoint URL is not one"),
    "no-such-file": ({"AWS_PROFILE": "x", "AWS_CONFIG_FILE": "/nothere"}, "x"),
}
ENDPOINTS = {
    "localhost:8000": "the endpoint URL is not one",
    "http://": "the endpoint URL is not one",
    "not a url": "the endpoint URL is not one",
    "ftp://127.0.0.1": "ftp://127.0.0.1",
    "http://user:topsecret@127.0.0.1:9": "leave them out",
}
NO_STORE = "what responds there is no S3 store"
ELSEWHERE = "the bucket is elsewhere"
REFUSALS = {
    "no-such-bucket": (Respond(404, "NoSuchBucket"), "there is no such bucket: create it"),
    "denied": (Respond(403, "AccessDenied"), "the credentials do not allow ListObjectsV2"),
    "denied-html": (Respond(403), "the credentials do not allow ListObjectsV2"),
    "expired": (Respond(400, "ExpiredToken"), "the credentials have expired"),
    "bad-token": (Respond(400, "InvalidToken"), "the session token is not accepted"),
    "clock": (Respond(403, "RequestTimeTooSkewed"), "the clock of this computer"),
    "other-region": (Respond(301, "PermanentRedirect"), ELSEWHERE),
    "other-region-400": (Respond(400, "AuthorizationHeaderMalformed"), ELSEWHERE),
    "redirect": (Respond(301), ELSEWHERE),
    "page": (Respond(200), NO_STORE),
    "other-xml": (Respond(200, "Feed"), "the store responds 500 Feed"),
    "not-found-page": (Respond(404), NO_STORE),
    "not-allowed-page": (Respond(405), NO_STORE),
    "bad-request-page": (Respond(400), "check the endpoint URL and the region"),
}


def refusal(place: Place) -> ArchiverError:
    """Return the error with which a place is not opened: one line, without a secret."""
    with pytest.raises(ArchiverError, match=f"opening {place.url}: ") as refused, place.open():
        pass
    assert "\n" not in str(refused.value)
    for secret in (place.server.secret_key, place.server.access_key, "topsecret"):
        assert secret not in str(refused.value)
    return refused.value


@pytest.mark.parametrize("name", slow_except(ENVIRONMENTS, "no-credentials", "wrong-secret"))
def test_what_is_wrong_in_the_environment_is_named(
    place: Place, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Credentials, a profile or an endpoint: status 2, and what to do."""
    environment, message = ENVIRONMENTS[name]
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
        if not value:
            monkeypatch.delenv(variable)
    error = refusal(place.at(None))
    assert isinstance(error, ConfigurationError)
    assert message in str(error)


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_an_endpoint_that_is_no_url_is_refused(place: Place, endpoint: str) -> None:
    """Nor one with a password in it, which would be logged somewhere."""
    error = refusal(place.at(endpoint))
    assert isinstance(error, ConfigurationError)
    assert ENDPOINTS[endpoint] in str(error)


@pytest.mark.parametrize("host", ["127.0.0.1", "nothere.invalid"])
def test_a_store_that_cannot_be_reached_may_come_back(place: Place, host: str) -> None:
    """Status 74, which is worth another run; the endpoint may be wrong, so it is named."""
    endpoint = f"http://{host}:{closed_port()}"
    error = refusal(place.at(endpoint))
    assert isinstance(error, StorageError)
    assert f"check the endpoint URL, {endpoint}" in str(error)


@pytest.mark.parametrize("name", slow_except(REFUSALS, "no-such-bucket", "page", "redirect"))
def test_a_refusal_is_explained(place: Place, proxy: StoreProxy, name: str) -> None:
    """What a store refuses at first is due to the configuration."""
    refused, message = REFUSALS[name]
    proxy.instruct(refused, times=100)
    error = refusal(place.at(proxy.endpoint_url))
    assert isinstance(error, StorageError if "500" in message else ConfigurationError)
    assert message in str(error)
    assert len(proxy.requests) < 10


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl")
async def test_a_certificate_is_verified(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store without a valid certificate learns nothing.

    The authorities are botocore's, or those in the file of `AWS_CA_BUNDLE`, or `SSL_CERT_FILE`.
    """
    tls, _ = certified(tmp_path / "server.pem"), certified(tmp_path / "other.pem")
    async with RawServer({"*": (sized(b"no", status="404 Not Found"),)}, tls=tls) as server:
        there = place.at(f"https://{server.host}")
        error = await asyncio.to_thread(refusal, there)
        assert isinstance(error, ConfigurationError)
        assert "its TLS certificate is not accepted" in str(error)
        assert server.heads == []
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "server.pem"))
        assert NO_STORE in str(await asyncio.to_thread(refusal, there))
        monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "server.pem"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "other.pem"))
        assert NO_STORE in str(await asyncio.to_thread(refusal, there))
        assert len(server.heads) == 2


def test_what_worked_before_is_no_matter_of_configuration(place: Place, proxy: StoreProxy) -> None:
    """A right that is missing from the start is status 2; one that is taken away later is 74."""
    denied = Respond(403, "AccessDenied")
    with place.at(proxy.endpoint_url).open() as objects:
        proxy.instruct(denied, "PUT")
        with pytest.raises(ConfigurationError, match="do not allow PutObject"):
            objects.put(PATH, body(b"hello"), Absent())
        objects.put(PATH, body(b"hello"), Absent())
        proxy.instruct(denied, "PUT")
        with pytest.raises(StorageError, match="do not allow PutObject"):
            objects.put("other", body(b"hello"), Absent())


@pytest.mark.parametrize("method", ["HEAD", "GET", "PUT"])
def test_a_page_in_the_place_of_an_object_is_refused(
    place: Place, proxy: StoreProxy, method: str
) -> None:
    """A portal that responds 200 to everything has neither taken nor given anything."""
    requests = {
        "HEAD": lambda objects: objects.head(PATH),
        "GET": lambda objects: objects.get(PATH),
        "PUT": lambda objects: objects.put(PATH, body(b"hello"), Absent()),
    }
    with place.at(proxy.endpoint_url).open() as objects:
        proxy.instruct(Respond(200), method)
        with pytest.raises(ArchiverError, match=NO_STORE):
            requests[method](objects)


def test_a_store_that_does_not_say_what_time_it_is_is_refused(
    place: Place, proxy: StoreProxy
) -> None:
    """Our own clock is not taken for the store's."""
    with place.at(proxy.endpoint_url).open() as objects:
        objects.put(PATH, body(b"hello"), Absent())
        proxy.instruct(Rewrite({"Date": ""}), "HEAD")
        with pytest.raises(StorageError, match="without a date"):
            objects.head(PATH)


def test_a_credential_process_keeps_its_secrets(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it printed is not shown: there may be credentials in it."""
    config = tmp_path / "config"
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    process = "/bin/sh -c 'echo topsecret; echo topsecret >&2; exit 1'"
    config.write_text(f"[profile x]\ncredential_process = {process}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_PROFILE", "x")
    error = refusal(place)
    assert isinstance(error, ConfigurationError)
    assert "custom-process" in str(error)


def test_credentials_of_a_profile_are_found(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As every S3 tool finds them: with the endpoint of the profile, too."""
    config = tmp_path / "config"
    config.write_text(
        f"[profile x]\naws_access_key_id = {place.server.access_key}\n"
        f"aws_secret_access_key = {place.server.secret_key}\n"
        f"endpoint_url = {place.server.endpoint_url}\n"
    )
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_PROFILE", "x")
    with place.at(None).open() as objects:
        assert list(objects.list()) == []


def test_a_long_silence_is_mentioned_once(
    place: Place,
    proxy: StoreProxy,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who watches sees why nothing goes on; a short pause is not worth a line."""
    log_to(logging.StreamHandler(), 0, watched=True)
    with place.at(proxy.endpoint_url).open() as objects:
        proxy.instruct(Respond(503, "SlowDown"), times=2)
        objects.head(PATH)
        assert capsys.readouterr().err == ""
        monkeypatch.setattr("archiver.s3.connection._NOTICED", place.settings.pause_longest)
        for _ in range(2):
            proxy.instruct(Respond(503, "SlowDown"), times=2)
            objects.head(PATH)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("waiting for the store: ") for line in lines)


def test_no_secret_is_logged(
    place: Place, proxy: StoreProxy, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whatever is logged at most is ours; botocore would log the signature, and how it came."""
    log_to_file(tmp_path / "log", "json", 2)
    log_to(logging.StreamHandler(), 2)
    proxy.instruct(Respond(503, "SlowDown"), times=3)
    with place.at(proxy.endpoint_url).open() as objects:
        objects.put(PATH, body(b"hello"), Absent())
        objects.get(PATH)
        objects.delete([PATH])
        assert place.server.secret_key not in repr(objects)
    logged = (tmp_path / "log").read_text() + "".join(capfd.readouterr())
    assert "again in" in logged
    signature = proxy.requests[-1].headers["Authorization"].rpartition("=")[2]
    for secret in (place.server.secret_key, place.server.access_key, signature):
        assert secret not in logged
