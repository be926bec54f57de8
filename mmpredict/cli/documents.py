"""``mmpredict documents``."""

from __future__ import annotations

from mmpredict.cli.console import OUTPUT, print_json
from mmpredict.cli.estimate import AsJson


def documents(as_json: AsJson = False) -> None:
    """Memory figures of published guides beside our own, and where they part.

    Example: mmpredict documents
    """
    from mmpredict.report.documents import footprints_table, layers_table, placements_table, reasons
    from mmpredict.sizing.documents import documents as counted

    found = counted()
    if as_json:
        print_json(found.to_dict())
        return
    tables = {"placements": placements_table, "footprints": footprints_table, "gpu_layers": layers_table}
    for name, table in tables.items():
        _print(found.sources[name])
        OUTPUT.print(table(found))
    for what, sentences in reasons(found):
        for sentence in sentences:
            _print(f"{what}: {sentence}")


def _print(line: str) -> None:
    OUTPUT.print(line, highlight=False, markup=False, soft_wrap=True)
