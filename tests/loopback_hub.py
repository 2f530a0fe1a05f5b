"""A server on this machine that answers as the Hugging Face hub does, and remembers what it was asked for."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def files_of(folder):
    """A folder's files as a repository of the hub."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class Hub:
    """Serves ``{repository: {file: bytes}}``; large files in parts, and with broken connections where wanted.

    Attributes:
        asked: paths, in order.
        ranges: what part of a file was asked for, of each GET of a file: (path, the Range header or "").
        go_on: cleared, it holds back what is known of a repository.
        break_after: bytes after which the next GETs of a file end too early; a number is used up by each.
    """

    sha = "0123456789abcdef0123456789abcdef01234567"

    def __init__(self, repositories):
        self.asked, self.ranges, self.break_after = [], [], []
        self.go_on = threading.Event()
        self.go_on.set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self):
                self.do_GET()

            def do_GET(self):
                path = self.path.partition("?")[0]
                outer.asked.append(path)
                parts = path.strip("/").split("/")
                if parts[:2] == ["api", "models"]:
                    return self.tell("/".join(parts[2:4]), "tree" in parts)
                data = repositories["/".join(parts[:2])]["/".join(parts[4:])]
                headers = {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Repo-Commit": outer.sha}
                headers["Accept-Ranges"] = "bytes"
                wanted = self.headers.get("Range", "")
                if self.command == "GET":
                    outer.ranges.append((path, wanted))
                start = int(wanted.removeprefix("bytes=").rstrip("-") or 0)
                if start:
                    headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
                self.reply(206 if start else 200, data[start:], headers, breaks=True)

            def tell(self, repository, tree):
                outer.go_on.wait(60)
                files = repositories.get(repository)
                if files is None:
                    return self.reply(404, b"{}", {"X-Error-Code": "RepoNotFound"})
                if tree:
                    rows = [
                        {"type": "file", "path": n, "size": len(data), "oid": f"{i:040d}"}
                        for i, (n, data) in enumerate(files.items())
                    ]
                    return self.reply(200, json.dumps(rows).encode())
                siblings = [{"rfilename": name, "size": len(data)} for name, data in files.items()]
                facts = {"id": repository, "modelId": repository, "sha": outer.sha}
                facts |= {"private": False, "tags": [], "downloads": 0, "likes": 0, "siblings": siblings}
                self.reply(200, json.dumps(facts).encode())

            def reply(self, status, data, headers=(), breaks=False):
                self.send_response(status)
                for key, value in dict(headers).items():
                    self.send_header(key, value)
                kind = "application/json" if data[:1] in b"{[" else "application/octet-stream"
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                if self.command == "GET":
                    if breaks and outer.break_after:
                        self.wfile.write(data[: outer.break_after.pop(0)])
                        self.close_connection = True
                    else:
                        self.wfile.write(data)

            def log_message(self, *args):
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, request, client_address):
                pass  # a client that hangs up is what some tests are about

        self.server = Server(("127.0.0.1", 0), Handler)

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def answer(self, monkeypatch, cache):
        """Be the hub, with an empty cache."""
        from huggingface_hub import constants

        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
        self.answer_at(self.server.server_port, monkeypatch)

    def answer_at(self, port, monkeypatch):
        from huggingface_hub import constants

        url = f"http://127.0.0.1:{port}"
        monkeypatch.setattr(constants, "ENDPOINT", url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")

    def go_away(self, monkeypatch):
        self.answer_at(9, monkeypatch)  # a port nobody listens at
