"""How tests pick one of the doctor's findings."""

from collections.abc import Iterator

from dagster_project.findings import Finding


def only(findings: Iterator[Finding], state: str) -> Finding:
    """The one finding of that state."""
    (found,) = [finding for finding in findings if finding.state == state]
    return found
