"""Logging: structlog, readable on a terminal and JSON lines otherwise. Events are nouns with a past participle."""

import logging
import sys

import structlog

from neural_selfie.config import Log


def configure(settings: Log) -> None:
    """Given the `log` section, send structlog's and the standard library's log to standard error."""
    console = settings.format == "console" or (settings.format == "auto" and sys.stderr.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True)
        if not console
        else structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
    ]
    drawn: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        if console
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    level = logging.getLevelName(settings.level.upper())
    structlog.configure(
        processors=[*shared, _without_empty, structlog.processors.format_exc_info, drawn],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=drawn, foreign_pre_chain=shared))
    logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING), force=True)


def _without_empty(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Leave out what has no value: an empty variant says nothing."""
    return {key: value for key, value in event.items() if value not in (None, {}, ())}
