"""A logger of one's own: a line of CSV for each candidate."""

import csv

from autosearch.integrations.loggers import Logger, Numbers, Watched
from autosearch.study.study import Candidate


class Table(Logger):
    """Appends to a file in the study's folder.

    Args:
        file: its name.
    """

    name = "table"
    summary = "a line of CSV for each candidate"

    def __init__(self, *, file: str = "table.csv") -> None:
        self.file = file

    def on_start(self, watched: Watched) -> None:
        self.stream = (watched.directory / self.file).open("a", newline="", encoding="utf-8")
        self.writer = csv.writer(self.stream)

    def on_result(self, candidate: Candidate, numbers: Numbers) -> None:
        found = {name: value for name, value in numbers.items() if name.startswith("search/")}
        self.writer.writerow([candidate.id, candidate.status, *found.values()])
        self.stream.flush()

    def close(self, *, finished: bool) -> None:
        self.stream.close()
