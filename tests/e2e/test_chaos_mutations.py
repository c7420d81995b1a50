"""A chaos run can fail: without any one of the safeguards, it reports the breach."""

from pathlib import Path

import pytest

from tests.chaos import mutations
from tests.chaos.play import playing
from tests.chaos.scenes import SCENES
from tests.support.postgres import PostgresCluster
from tests.support.redis_server import RedisServer

LOST_AFTER_S = 4.0


@pytest.fixture
def database_url(postgres_cluster: PostgresCluster, postgres_demo: str) -> str:
    return postgres_cluster.create_database(postgres_demo)


def test_there_is_a_scene_for_every_mutation():
    assert SCENES.keys() == {*mutations.SERVER, *mutations.CLIENT}


@pytest.mark.parametrize("mutation", SCENES)
async def test_without_it_the_breach_is_reported(
    database_url: str, redis_server: RedisServer, tmp_path: Path, mutation: str
):
    scene, breach = SCENES[mutation]
    async with playing(tmp_path, database_url, redis=redis_server, people=1, mutation=mutation) as play:
        await scene(play)
        verdict = await play.verdict(LOST_AFTER_S, awaited=breach)
        assert verdict.breaches.keys() == {breach}
