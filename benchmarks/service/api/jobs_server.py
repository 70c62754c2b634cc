"""A peer that speaks the routes of Ray's Jobs API that the reconciler asks: every job of ours runs, nothing ends.

python -m benchmarks.service.api.jobs_server PORT
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

NODES = [{"state": "ALIVE", "resources_total": {"CPU": 8.0, "GPU": 8.0}}] * 8


class Jobs(BaseHTTPRequestHandler):
    """Answers at once; connections stay open, as the dashboard's do."""

    protocol_version = "HTTP/1.1"
    # Head and body go out as they are written: held back, the body would come 40 ms later.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """A job, or the nodes."""
        if self.path.startswith("/api/v0/nodes"):
            self._answer({"data": {"result": {"result": NODES}}})
        else:
            self._answer({"status": "RUNNING", "message": "Job is currently running."})

    def do_POST(self) -> None:
        """Take a job."""
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        self._answer({"submission_id": body.get("submission_id")})

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def _answer(self, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Jobs).serve_forever()
