"""The scenario file: hardware, server options, models, strategies and requests in one TOML document."""

from mmpredict.scenario.document import MAX_REQUESTS, Scenario
from mmpredict.scenario.read import MAX_FILE_BYTES, read_scenario
from mmpredict.scenario.request_section import RequestSection
from mmpredict.scenario.server_section import ServerSection

__all__ = ["MAX_FILE_BYTES", "MAX_REQUESTS", "RequestSection", "Scenario", "ServerSection", "read_scenario"]
