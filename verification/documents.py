"""The Sphinx extension that fills documents from the repository: no number is typed by hand.

A value that is not in its JSON stops the build. Tables of items, risks, controls and tests are
drawn from the same dossier that the gate judges; without evidence they say "not run".
"""

from typing import Final

from sphinx.application import Sphinx

from verification import device_directives as device
from verification import item_directives as items
from verification import number_directives as numbers
from verification import record_directives as records
from verification import result_directives as results
from verification.directive import Base

__all__ = ["setup"]

_DIRECTIVES: Final[dict[str, type[Base]]] = {
    "api-reference": device.ApiReference,
    "clause-table": records.ClauseTable,
    "control-table": items.ControlTable,
    "drawing": results.Drawing,
    "evidence": records.Evidence,
    "fmea-table": items.FmeaTable,
    "gap-table": records.GapTable,
    "guard-table": device.GuardTable,
    "item-table": items.ItemTable,
    "ledger-table": records.LedgerTable,
    "limitations": results.Limitations,
    "metric": numbers.Metric,
    "metric-table": numbers.MetricTable,
    "pipeline-chart": device.PipelineChart,
    "placeholder": records.Placeholder,
    "record-table": numbers.RecordTable,
    "results": numbers.Results,
    "risk-table": items.RiskTable,
    "soup-table": items.SoupTable,
    "trace-matrix": items.TraceMatrix,
    "trace-summary": items.TraceSummary,
    "waiver-table": records.WaiverTable,
}


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives and the `metric` role."""
    app.add_config_value("cxr_drawings", {}, "env", types=[dict])
    app.add_role("metric", numbers.MetricRole())
    for name, directive in _DIRECTIVES.items():
        app.add_directive(name, directive)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
