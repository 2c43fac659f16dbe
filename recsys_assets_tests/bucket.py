"""A server on this machine that speaks S3."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

SECRET = "a-secret-access-key"
_NAMES = itertools.count(1)


@dataclass(frozen=True)
class S3:
    """A running server. ``variables`` are what its clients find in their environment."""

    variables: dict[str, str]

    def new_bucket(self) -> str:
        """URL of an empty bucket."""
        import boto3

        name = f"lake-{next(_NAMES)}"
        client = boto3.client(
            "s3",
            endpoint_url=self.variables["AWS_ENDPOINT_URL"],
            aws_access_key_id=self.variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=SECRET,
            region_name=self.variables["AWS_REGION"],
        )
        client.create_bucket(Bucket=name)
        client.close()
        return f"s3://{name}"


@contextmanager
def s3_server() -> Iterator[S3]:
    """The server for as long as the block."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    variables = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "an-access-key",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
    }
    try:
        yield S3(variables)
    finally:
        server.stop()
