"""Every byte that a home holds of somebody: databases as dumped, Redis, the lake decoded, every file."""

import gzip
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import polars as pl
import redis

from recsys_assets.local import dump
from recsys_assets.local.processes import wait_until
from recsys_assets.local.supervisor import Servers
from recsys_assets.settings import Home

# The servers' own data: as dumped and as read instead. What their files keep beyond that is told in the README.
_SERVERS = ("postgres", "postgres.new")


def spellings(home: Home, names: Sequence[str]) -> dict[str, list[bytes]]:
    """Name → what must not be found: the id, and the keys that it has as a user's, an anonymous and a session id."""
    found = {}
    for name in names:
        keys = [make(name) for make in (home.keys.user_key, home.keys.anon_key, home.keys.session_key)]
        forms = [name.encode()]
        for key in keys:
            forms += [key.encode(), key.upper().encode(), str(UUID(key)).encode(), UUID(key).bytes]
        found[name] = forms
    return found


def places(home: Home, servers: Servers, scratch: Path) -> Iterator[tuple[str, bytes]]:
    """Each place and its bytes."""
    urls = {
        "recsys": servers.postgres_url,
        "dagster": servers.dagster_postgres_url,
        "mlflow": servers.mlflow_postgres_url,
    }
    for name, url in urls.items():
        with dump._connected(url) as connection:
            major = connection.info.server_version // 10_000
        dump._run([dump._tool("pg_dump", major), "--format=plain", f"--file={scratch / 'sql'}"], url)
        yield f"postgres {name}", (scratch / "sql").read_bytes()
    with redis.Redis.from_url(servers.redis_url) as client:
        client.bgrewriteaof()
        assert wait_until(lambda: not client.info("persistence")["aof_rewrite_in_progress"], 30)
        yield "redis", b"\n".join(_of_redis(client, key) for key in client.scan_iter())
    for path in sorted(path for path in home.path.rglob("*") if path.is_file()):
        within = path.relative_to(home.path)
        if within.parts[0] in _SERVERS or within.name == "secret":
            continue
        yield str(within), within.as_posix().encode() + b"\n" + path.read_bytes()
        if (read := _DECODED.get(path.suffix)) is not None:
            yield f"{within} decoded", read(path)


def found(home: Home, servers: Servers, scratch: Path, names: Sequence[str]) -> dict[str, set[str]]:
    """Name → the places in which anything of it stands."""
    wanted = spellings(home, names)
    seen: dict[str, set[str]] = {name: set() for name in names}
    for place, content in places(home, servers, scratch):
        for name, forms in wanted.items():
            if any(form in content for form in forms):
                seen[name].add(place)
    return seen


def _of_redis(client: redis.Redis, key: bytes) -> bytes:
    members = client.type(key) == b"set"
    value: Any = client.smembers(key) if members else [client.get(key)]
    return b" ".join([key, *value])


def _parquet(path: Path) -> bytes:
    out = io.BytesIO()
    pl.read_parquet(path, hive_partitioning=False).write_ndjson(out)
    return out.getvalue()


def _npz(path: Path) -> bytes:
    with np.load(path) as arrays:  # text in arrays takes four bytes a letter
        return repr({name: arrays[name].tolist() for name in arrays.files}).encode()


_DECODED: dict[str, Callable[[Path], bytes]] = {
    ".parquet": _parquet,
    ".npz": _npz,
    ".gz": lambda path: gzip.decompress(path.read_bytes()),
}
