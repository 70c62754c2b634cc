"""A server with the routes of Ray's Jobs API that the reconciler uses: every job runs, no job ends.

python -m benchmarks.service.api.jobs_server PORT
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

NODES = [{"state": "ALIVE", "resources_total": {"CPU": 8.0, "GPU": 8.0}}] * 8


class Jobs(BaseHTTPRequestHandler):
    """A handler that answers at once and keeps connections open, like Ray's dashboard."""

    protocol_version = "HTTP/1.1"
    # Send head and body at once: with Nagle's algorithm the body would arrive 40 ms later.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Answer with a job, or with the nodes."""
        if self.path.startswith("/api/v0/nodes"):
            self._answer({"data": {"result": {"result": NODES}}})
        else:
            self._answer({"status": "RUNNING", "message": "Job is currently running."})

    def do_POST(self) -> None:
        """Accept a job."""
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        self._answer({"submission_id": body.get("submission_id")})

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""

    def _answer(self, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Jobs).serve_forever()
