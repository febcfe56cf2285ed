"""One self-contained HTML page of a study."""

from autosearch.visualization.report.build import Options, report_html, write_report

__all__ = ["Options", "report_html", "write_report"]
