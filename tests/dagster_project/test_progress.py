"""What a person reads on the terminal."""

import dagster as dg
import pytest

from dagster_project.progress import progress_logger


def run(asset, capsys: pytest.CaptureFixture[str]) -> list[str]:
    job = dg.define_asset_job("job", selection="*")
    defs = dg.Definitions([asset], jobs=[job], loggers={"progress": progress_logger})
    defs.resolve_job_def("job").execute_in_process(
        run_config={"loggers": {"progress": {}}}, raise_on_error=False
    )
    return capsys.readouterr().err.splitlines()


def test_start_log_lines_and_end_are_a_line_each(capsys: pytest.CaptureFixture[str]):
    @dg.asset(key=["scst", "clip_s"])
    def captioner(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        context.log.info("step 5 reward=1.2")
        return dg.MaterializeResult(metadata={"status": "made", "library_seconds": 1.5})

    lines = [line.split("  ", 1)[1].split(maxsplit=1) for line in run(captioner, capsys)]
    assert lines == [
        ["scst/clip_s", "started"],
        ["scst/clip_s", "step 5 reward=1.2"],
        ["scst/clip_s", "made (1.5 s in the library)"],
    ]


def test_failure_is_told_in_the_words_of_what_was_raised(capsys: pytest.CaptureFixture[str]):
    @dg.asset
    def broken() -> None:
        try:
            raise KeyError("inner")  # noqa: TRY301  the point is what is raised from it
        except KeyError as error:
            raise ValueError("captions.jsonl line 17: expected a caption") from error

    last = run(broken, capsys)[-1]
    assert "FAILED: ValueError: captions.jsonl line 17: expected a caption" in last
