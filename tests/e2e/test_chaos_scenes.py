"""What a chaos run looks for does not happen, as long as every safeguard is there."""

from pathlib import Path

from tests.chaos.play import playing
from tests.chaos.scenes import SCENES
from tests.support.postgres import PostgresCluster
from tests.support.redis_server import RedisServer

WITHIN_S = 20.0


async def test_with_every_safeguard_all_promises_are_kept(
    postgres_cluster: PostgresCluster, postgres_demo: str, redis_server: RedisServer, tmp_path: Path
):
    url = postgres_cluster.create_database(postgres_demo)
    async with playing(tmp_path, url, redis=redis_server, people=len(SCENES)) as play:
        for scene, _ in SCENES.values():
            await scene(play)
        verdict = await play.verdict(WITHIN_S)
        assert verdict.breaches == {}
        assert verdict.total.due >= len(SCENES)
