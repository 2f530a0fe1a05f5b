"""How long until the page answers: `python benchmarks/page_up.py`, beside a bare `import gradio`."""

import json
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RUNS = 5


def seconds_to_import_gradio() -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import gradio"], check=True, capture_output=True)
    return time.perf_counter() - began


def seconds_to_page() -> float:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    began = time.perf_counter()
    server = subprocess.Popen(
        [sys.executable, "app.py", "--port", str(port)], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
                    answer.read()
                return time.perf_counter() - began
            except (urllib.error.URLError, ConnectionError):
                if server.poll() is not None:
                    raise SystemExit("app.py ended before the page was up") from None
                time.sleep(0.02)
    finally:
        server.terminate()
        server.wait()


def main() -> None:
    seconds_to_page()  # fills the disk cache
    pairs = [(seconds_to_page(), seconds_to_import_gradio()) for _ in range(RUNS)]
    page, bare = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(json.dumps({"page_up_seconds": round(page, 2), "import_gradio_seconds": round(bare, 2),
                      "ratio": round(page / bare, 2), "runs": RUNS}))  # fmt: skip


if __name__ == "__main__":
    main()
