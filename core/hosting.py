"""What a visitor may ask, here and on a host that strangers visit."""

from __future__ import annotations

from dataclasses import dataclass, replace

from core.settings import Settings


@dataclass(frozen=True)
class Limits:
    """What one visitor may ask. Seconds are of the one worker that runs models; None: no limit.

    ``job_s`` of one question, ``hour_s`` of all questions of one visitor within an hour, ``n_waiting`` questions in
    the queue. Uploads: ``upload_mb`` of the file, then what it holds after parsing (a small file may hold much):
    ``n_rows`` x ``n_columns``, ``n_chars`` of all its text. Prompts: ``n_prompts``, ``prompt_chars`` of one, and
    ``n_tokens`` of all of one question.
    """

    job_s: float | None = None
    hour_s: float | None = None
    n_waiting: int = 32
    upload_mb: int = 20
    n_rows: int = 100_000
    n_columns: int = 200
    n_chars: int = 50_000_000
    n_prompts: int = 20_000
    prompt_chars: int = 200_000
    n_tokens: int = 2_000_000


OWN = Limits()
HOSTED = Limits(60, 600, 10, 20, 20_000, 50, 5_000_000, 5_000, 20_000, 200_000)


def limits(settings: Settings) -> Limits:
    """The limits that hold here: few on one's own machine, more on a host."""
    if not settings.hosted:
        return OWN
    return replace(HOSTED, job_s=settings.job_s or HOSTED.job_s, hour_s=settings.hour_s or HOSTED.hour_s)
