"""What the Hugging Face libraries raise, said so that it can be mended."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from huggingface_hub import constants
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from core.errors import MachineError, NotFoundError, PrismError


@contextlib.contextmanager
def hub_errors(what: str, repo_id: str, download: str, near: str = "") -> Iterator[None]:
    """Translate hub and network errors raised inside into PrismErrors.

    ``what`` names the thing wanted ("the model 'gpt2'"), ``download`` is the command that fetches it,
    ``near`` a sentence with nearest known names, for a repository that does not exist.
    """
    try:
        yield
    except PrismError:
        raise
    except Exception as error:
        told = _told(error, what, repo_id, download, near)
        if told is None:
            raise
        raise told from error


def offline() -> bool:
    """Whether the hub is not to be asked (``HF_HUB_OFFLINE=1``)."""
    return bool(constants.HF_HUB_OFFLINE) or os.environ.get("HF_HUB_OFFLINE", "0") in ("1", "true", "TRUE", "yes")


def _told(error: BaseException, what: str, repo_id: str, download: str, near: str) -> PrismError | None:
    kinds = [type(e) for e in _chain(error)]

    def has(*wanted: type) -> bool:
        return any(issubclass(kind, wanted) for kind in kinds)

    if has(GatedRepoError):
        return MachineError(
            f"{what} is behind a licence that this machine's login has not accepted",
            f"the hub refuses {repo_id}",
            f"accept the licence on the page of {repo_id}, then `hf auth login` and `{download}`",
        )
    if has(OfflineModeIsEnabled, LocalEntryNotFoundError, ConnectionError) or _no_network(error):
        why = "HF_HUB_OFFLINE is set, so it was not asked for" if offline() else "the hub could not be reached"
        return MachineError(
            f"{what} is not on this machine",
            f"looked for {repo_id} in the hub cache {constants.HF_HUB_CACHE}; {why}",
            f"with a network: `{download}`; or name a local folder",
        )
    if has(RepositoryNotFoundError, RevisionNotFoundError):
        return NotFoundError(f"{what} does not exist", f"the hub knows no {repo_id}", near or "check the spelling")
    if has(EntryNotFoundError):
        return NotFoundError(
            f"{what} lacks a file that it needs", _last_line(error), near or "check the id and the repository"
        )
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _no_network(error: BaseException) -> bool:
    names = {type(e).__name__ for e in _chain(error)}
    return bool(names & {"ConnectionError", "ConnectError", "ConnectTimeout", "ReadTimeout", "ProxyError", "SSLError"})


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
