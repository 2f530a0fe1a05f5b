"""An OpenAI-compatible server on this machine, well and badly behaved: each as the name of its model says."""

import json
import math
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECRET = "sk-very-secret-123"
TOPS = [("Yes", 0.7), (" yes", 0.1), ("No", 0.15), ("There", 0.05)]


class Server(ThreadingHTTPServer):
    """Behaves as the name of the model says."""

    def __init__(self):
        self.asked, self.headers, self.failures = [], [], 0
        self.go_on = threading.Event()
        super().__init__(("127.0.0.1", 0), Handler)

    def handle_error(self, request, client_address):
        pass  # a client that hangs up is what some tests are about


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        self.reply(200, json.dumps({"object": "list", "data": [{"id": "slow"}]}))

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(asked)
        self.server.headers.append(self.headers)
        getattr(self, asked["model"].replace("-", "_"))(asked)

    def good(self, asked, pause=lambda: None):
        self.begin()
        for n, word in enumerate(("", "Yes", ",", " two.")):
            self.send(word, TOPS if word == "Yes" and asked.get("logprobs") else None)
            if n == 1:
                pause()
        self.wfile.write(b"data: [DONE]\n\n")

    def slow(self, asked):
        self.good(asked, lambda: self.server.go_on.wait(60))

    def endless(self, asked):
        self.begin()
        while True:  # until the client hangs up
            self.send("very ", None)
            time.sleep(0.02)

    def plain(self, asked):
        return self.reply(400, '{"error": {"message": "no logprobs"}}') if "logprobs" in asked else self.good(asked)

    def busy(self, asked):
        self.server.failures += 1
        return self.reply(503, "{}") if self.server.failures < 3 else self.good(asked)

    def fails(self, asked):
        self.reply(500, json.dumps({"error": {"message": f"out of memory\n{SECRET}"}}))

    def refuses(self, asked):
        self.reply(401, json.dumps({"error": {"message": f"wrong key {SECRET}"}}))

    def unknown(self, asked):
        self.reply(404, json.dumps({"error": {"message": "no such model"}}))

    def hangs(self, asked):
        self.server.go_on.wait(60)

    def stalls(self, asked):
        self.begin()
        self.send("Yes", None)
        self.server.go_on.wait(60)

    def page(self, asked):
        self.reply(200, "<!DOCTYPE html><p>Welcome</p>", "text/html")

    def odd(self, asked):
        self.begin()
        self.wfile.write(b'data: {"choices": [{"delta": {"content": ["a", 3]}}]}\n\ndata: [DONE]\n\n')

    def garbage(self, asked):
        self.begin()
        self.wfile.write(b"data: {not json\n\n")

    def empty(self, asked):
        self.begin()
        self.wfile.write(b"data: [DONE]\n\n")

    def cut(self, asked):
        self.begin()
        self.send("Yes", None)
        self.wfile.write(b"20\r\nshort")
        self.close_connection = True

    def begin(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()

    def send(self, word, tops):
        choice = {"index": 0, "delta": {"content": word}, "finish_reason": None}
        if tops:
            rows = [{"token": t, "logprob": math.log(p), "bytes": None} for t, p in tops]
            choice["logprobs"] = {"content": [{**rows[0], "top_logprobs": rows}]}
        chunk = {"id": "x", "object": "chat.completion.chunk", "created": 0, "model": "m", "choices": [choice]}
        self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
        self.wfile.flush()

    def reply(self, status, text, kind="application/json"):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *args):
        pass
