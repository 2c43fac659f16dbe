"""Servers that show another certificate than they should, or none: no retry helps, and nobody should go on without."""

import psycopg
import redis

from recsys_assets.errors import SettingsError

# As libpq, Python's ssl and redis-py say it. What a lost connection says (`SSL SYSCALL error: EOF detected`) is no such
# thing: a server that starts again has said no more than that.
_WORDS = ("certificate", "does not support ssl", "wrong_version_number", "no such file or directory")


def untrusted(setting: str, error: psycopg.OperationalError | redis.RedisError) -> SettingsError | None:
    """What to say of a failed connection where the server's certificate is why; None where it is not.

    >>> print(untrusted("RECSYS_REDIS_URL", redis.ConnectionError("Error 111 connecting to cache:6379.")))
    None
    """
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    if not any(word in line.lower() for word in _WORDS):
        return None
    ca = "ssl_ca_certs"
    if isinstance(error, psycopg.Error):
        line, ca = line.rpartition(" failed: ")[2], "sslrootcert"
    return SettingsError(
        f"{setting}: the server is not the one that this URL trusts: {line.removesuffix('.')}. Set {ca} in it to the "
        "file of the CA that has signed the server's certificate, or mend the server."
    )
