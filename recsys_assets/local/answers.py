"""``python -m recsys_assets.local.answers PORT PATH``: whether a program of this machine answers, for health checks."""

import http.client
import sys

HOST = "127.0.0.1"
SECONDS = 5


def answers(port: int, path: str, seconds: float = SECONDS) -> bool:
    """Whether an HTTP server answers; what it says (nothing published yet, say) is not asked."""
    connection = http.client.HTTPConnection(HOST, port, timeout=seconds)
    try:
        connection.request("GET", path)
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True


if __name__ == "__main__":
    sys.exit(not answers(int(sys.argv[1]), sys.argv[2]))
