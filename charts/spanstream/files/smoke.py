"""Sends a document, waits until it is searchable, finds it, deletes it: what `helm test` runs.

Environment: GATEWAY_URL, INGEST_URL, TOKEN, SECONDS. Exit code 0, or 1 with a line that says what did not happen.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid


def call(method: str, url: str, body: object = None) -> dict:
    """The answer, as JSON. What a server says against it becomes RuntimeError."""
    headers = {"authorization": f"Bearer {os.environ['TOKEN']}", "content-type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise RuntimeError(f"{method} {url}: {error.code} {error.read(500).decode(errors='replace')}") from error


def main() -> None:
    """Raises what went wrong."""
    gateway, ingest = os.environ["GATEWAY_URL"], os.environ["INGEST_URL"]
    deadline = time.monotonic() + float(os.environ["SECONDS"])
    name = f"smoke-{uuid.uuid4().hex[:12]}"
    place = f"v1/sources/smoke/documents/{name}"
    receipt = call("PUT", f"{ingest}/{place}", {"text": f"The lighthouse keeper {name} counts ships at dusk."})
    try:
        while True:
            status = call("GET", f"{gateway}/{place}?version={receipt['version']}&wait=10")
            if status["state"] == "searchable":
                break
            if status["state"] == "failed" or time.monotonic() > deadline:
                raise RuntimeError(f"the document is {status['state']}: {json.dumps(status)}")
        found = call("POST", f"{gateway}/v1/search", {"query": f"lighthouse keeper {name}", "limit": 5})
        if name not in json.dumps(found):
            raise RuntimeError("the document is searchable, but a search did not find it")
    finally:
        call("DELETE", f"{ingest}/{place}")


if __name__ == "__main__":
    try:
        main()
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        sys.exit(f"smoke: {error}")
    print("smoke: sent, searchable, found, deleted")
