"""What goes wrong on a person's machine, in words that say what to do."""

from __future__ import annotations

import errno
from pathlib import Path

from spanstream.runtime.http import PortInUse
from spanstream.runtime.settings import SettingsError
from spanstream.standalone.calling import command, elsewhere, on_free_ports

_DISK = (errno.ENOSPC, errno.EDQUOT)


class Trouble(Exception):
    """A sentence for the person who started us, and what to do about it; empty if the sentence says that too."""

    def __init__(self, what: str, advice: str) -> None:
        super().__init__(what)
        self.what = what
        self.advice = advice


class InUse(Trouble):
    """Another process has what only one may have."""


def explain(error: BaseException, folder: Path | None = None) -> Trouble:
    """Any failure, of a start on this data folder, as a Trouble. Errors whose message already says what to do are taken
    as they are.
    """
    match error:
        case Trouble():
            return error
        case PortInUse():
            return Trouble(
                f"{_sentence(error)}", f"Stop the other program, or take free ports: {on_free_ports(folder)}."
            )
        case SettingsError():
            return Trouble("The settings are not valid.", str(error))
        case OSError(errno=number) if number in _DISK:
            return Trouble("The disk is full.", "Free some space and start again; nothing that was accepted is lost.")
        case PermissionError():
            return Trouble(f"{_sentence(error)}", f"Choose another data folder: {elsewhere()}.")
    # Known by name: their modules load Java's, the index's or the model's machinery, which may be what failed to load.
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if type(error).__name__ == "Fatal" and error.__cause__ is not None:
        return explain(error.__cause__, folder)
    if kinds & {"BrokerError", "ProcessDied", "StoreCorrupt", "RepresentationError", "MigrationRefused", "OtherIndex"}:
        what, _, advice = _sentence(error).partition("\n")
        return Trouble(what, advice)
    if "LogUnavailable" in kinds:
        return Trouble(
            _sentence(error),
            "See that Kafka runs at --log-url (LOG_URL) and can be reached from here, then start again: nothing that was"
            " accepted is lost.",
        )
    if "PositionGone" in kinds:
        return Trouble(
            "Some events expired before they were processed, so their documents are not searchable.",
            f"Start with {command()} up --skip-lost to go on with the rest, then ingest again what is missing. ({error})",
        )
    return Trouble(
        f"Something unexpected happened: {type(error).__name__}: {error}",
        "The log has the details. Starting again is safe: nothing that was accepted is lost.",
    )


def _sentence(error: BaseException) -> str:
    text = str(error)
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")
