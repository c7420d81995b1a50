"""What a server process uses and says of itself, from outside."""

from collections.abc import Mapping
from pathlib import Path

from aiohttp import ClientSession


def cpu_s(pid: int) -> float:
    """Processor time of all threads of a process until now, to the nanosecond."""
    tasks = Path(f"/proc/{pid}/task")
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir()) / 1e9


def resident_bytes(pid: int) -> int:
    """What the process has in memory now."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


async def readings(http: ClientSession, url: str, token: str) -> Mapping[str, float]:
    """The server's metrics without labels, by name."""
    async with http.get(f"{url}/metrics", headers={"Authorization": f"Bearer {token}"}) as response:
        text = await response.text()
    lines = (
        line.rsplit(" ", 1) for line in text.splitlines() if line[:1] not in ("#", "") and "{" not in line
    )
    return {name: float(value) for name, value in lines}
