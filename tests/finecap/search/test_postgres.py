"""What a database is to an index: many processes at once, and servers that come and go."""

import shutil
import tempfile
import threading
from pathlib import Path

import psycopg
import pytest

from finecap.search.index import IndexRefused, IndexUnreachable, NoSuchBuild, SearchRequest
from finecap.search.postgres import PostgresIndex
from tests.mounted import mounted, needs_mount

DISK_MB = 64


@pytest.fixture
def url(postgres):
    return postgres.migrated()


@pytest.fixture
def live(url, gallery):
    index = PostgresIndex(url)
    gallery.build(index, "one")
    index.promote("one", expect=None)
    return index


def test_a_connection_that_died_is_made_again(live, url):
    before = live.search(SearchRequest("boat"))
    with psycopg.connect(url, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    assert live.search(SearchRequest("boat")) == before


def test_a_server_that_is_not_there_is_named():
    index = PostgresIndex("postgresql://nobody@127.0.0.1:1/nowhere")
    with pytest.raises(IndexRefused, match=r"cannot be reached: .*check FINECAP_INDEX_URL"):
        index.live()


def test_many_threads_share_one_index(live):
    answers = []

    def ask():
        answers.extend(live.search(SearchRequest("boat"))[0].image for _ in range(5))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 20
    assert len(set(answers)) == 1


def test_two_promotions_at_once_are_one_and_a_conflict(live, url, gallery):
    for name in ("two", "three"):
        gallery.build(live, name)
    outcomes = []

    def promote(name):
        try:
            PostgresIndex(url).promote(name, expect="one")
            outcomes.append("live")
        except IndexRefused as error:
            outcomes.append(type(error).__name__)

    threads = [threading.Thread(target=promote, args=[name]) for name in ("two", "three")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["PromoteConflict", "live"]


def test_one_builder_waits_for_another(live, url):
    order = []

    def second():
        with PostgresIndex(url).building():
            order.append("second")

    with live.building():
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(timeout=0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_a_dropped_build_leaves_no_tables(live, url, gallery):
    gallery.build(live, "two")
    live.drop("two")
    with pytest.raises(NoSuchBuild):
        live.search(SearchRequest("boat"), "two")
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "SELECT count(*) FROM pg_class WHERE relname ~ '^(images|captions|derived)_\\d+$'"
        ).fetchone()
        words = connection.execute("SELECT count(DISTINCT build) FROM finecap.words").fetchone()
    assert (tables, words) == ((3,), (1,))


@pytest.mark.usefixtures("live")
def test_associations_can_be_joined_in_sql(url):
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT m.name, m.version, c.caption, c.source, vector_dims(i.vector), i.hidden "
            "FROM finecap.images i JOIN finecap.captions c USING (build, image) "
            "JOIN finecap.models m USING (build) WHERE m.role = 'captioner' ORDER BY image LIMIT 1"
        ).fetchone()
    assert row == ("m", "1", "a red boat on the sea", "model", 8, "")


@pytest.fixture
def small_disk():
    """A folder on a file system that holds so many MB, which the server's user may enter."""
    with tempfile.TemporaryDirectory(prefix="finecap-disk-") as folder:
        Path(folder).chmod(0o755)
        disk = Path(folder) / "disk"
        with mounted(disk, "-o", f"size={DISK_MB}m,mode=777"):
            yield disk


@needs_mount
@pytest.mark.slow
def test_a_full_disk_stops_the_build_and_nothing_else(postgres, small_disk, gallery):
    said = [f"a boat {i} {'far away ' * 400}" for i in range(2_000)]
    rows = gallery.rows(said, gallery.vectors(len(said)))
    with postgres.on_disk(small_disk) as url:
        index = PostgresIndex(url)
        gallery.build(index, "one")
        index.promote("one", expect=None)
        before = index.search(SearchRequest("boat"))
        filler = small_disk / "filler"
        filler.write_bytes(b"\0" * (shutil.disk_usage(small_disk).free - (1 << 20)))
        index.create(gallery.manifest("two", len(rows)))
        with pytest.raises(IndexUnreachable, match=r"No space left on device.*nothing was changed"):
            index.upsert("two", rows)
        assert index.search(SearchRequest("boat")) == before
        assert [build.build_id for build in index.builds()] == ["one"]
        filler.unlink()
        index.upsert("two", rows)
        assert index.finish("two", lambda _: 1.0).rows == len(rows)
        index.close()
