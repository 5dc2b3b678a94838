"""Where the address and the key come from."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from spanstream.client import config
from spanstream.client.errors import Unusable

SAVED = {"url": "http://saved:1", "api_key": "saved-key"}


def test_arguments_beat_the_environment_which_beats_the_saved_file(tmp_path: Path) -> None:
    config.save(tmp_path, SAVED)
    environment = {"SPANSTREAM_DATA": str(tmp_path)}
    assert config.resolve(environment=environment).url == "http://saved:1"
    environment["SPANSTREAM_URL"] = "http://environment:2/"
    assert config.resolve(environment=environment).url == "http://environment:2"
    assert config.resolve("http://argument:3", environment=environment).ingest_url == "http://argument:3"


def test_saved_key_goes_to_the_saved_address_only(tmp_path: Path) -> None:
    config.save(tmp_path, SAVED)
    environment = {"SPANSTREAM_DATA": str(tmp_path)}
    assert config.resolve(environment=environment).api_key == "saved-key"
    assert config.resolve("http://other:1", environment=environment).api_key is None
    assert config.resolve(ingest_url="http://other:1", environment=environment).api_key is None


def test_saved_file_is_readable_by_its_owner_only_and_the_key_is_not_shown(tmp_path: Path) -> None:
    path = config.save(tmp_path, SAVED)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "saved-key" not in repr(config.resolve(environment={"SPANSTREAM_DATA": str(tmp_path)}))


@pytest.mark.parametrize(
    "address", ["localhost:8700", "127.0.0.1:8700", "ftp://a:1", "http://", "http://a:b", "http://[a"]
)
def test_what_is_no_address_is_told_with_the_form_of_one(tmp_path: Path, address: str) -> None:
    environment = {"SPANSTREAM_DATA": str(tmp_path)}
    for of in ({"url": address}, {"ingest_url": address}):
        with pytest.raises(Unusable) as caught:
            config.resolve(**of, environment=environment)
        assert str(caught.value).endswith("is not of the form http://HOST:PORT or https://HOST:PORT")
    assert config.resolve("HTTPS://a/b/", environment=environment).url == "HTTPS://a/b"


@pytest.mark.parametrize("content", [b"[1", b"", b"[1]", b"\xff"])
def test_damaged_file_is_named_where_it_is_needed(tmp_path: Path, content: bytes) -> None:
    (tmp_path / config.FILE).write_bytes(content)
    environment = {"SPANSTREAM_DATA": str(tmp_path)}
    with pytest.raises(Unusable, match=str(tmp_path / config.FILE)):
        config.resolve(environment=environment)
    assert config.resolve("http://argument:3", environment=environment).api_key is None


def test_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / config.FILE).mkdir()  # root reads whatever its mode says
    with pytest.raises(Unusable, match="cannot read"):
        config.resolve(environment={"SPANSTREAM_DATA": str(tmp_path)})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no usable client.json in {folder}; is SPANSTREAM_DATA the same as the server's?"),
        ("{}", "no usable client.json in {folder}; is SPANSTREAM_DATA the same as the server's?"),
        ("{", "{folder}/client.json is not valid JSON"),
        ('{"url": "http://saved:1", "api_key": "k"}', "the key in {folder}/client.json is for http://saved:1"),
    ],
)
def test_missing_key_is_explained(tmp_path: Path, content: str | None, said: str) -> None:
    if content is not None:
        (tmp_path / config.FILE).write_text(content)
    why = config.why_no_key({"SPANSTREAM_DATA": str(tmp_path)})
    assert why.startswith(said.format(folder=tmp_path))
    assert "set SPANSTREAM_API_KEY" in why


def test_data_folder_follows_the_desktop_convention(tmp_path: Path) -> None:
    assert config.data_folder({"XDG_DATA_HOME": str(tmp_path)}) == tmp_path / "spanstream"
    assert config.data_folder({"SPANSTREAM_DATA": "~/x"}) == Path.home() / "x"


def test_saved_ingest_address_belongs_to_the_saved_address(tmp_path: Path) -> None:
    config.save(tmp_path, SAVED | {"ingest_url": "http://saved:2"})
    environment = {"SPANSTREAM_DATA": str(tmp_path)}
    found = config.resolve(environment=environment)
    assert (found.ingest_url, found.api_key) == ("http://saved:2", "saved-key")
    assert config.resolve("http://other:1", environment=environment).ingest_url == "http://other:1"
