"""One self-contained HTML page of a study."""

from autosearch.visualization.report.build import report_html, write_report

__all__ = ["report_html", "write_report"]
