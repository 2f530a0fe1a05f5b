"""The large libraries, loaded once and by one thread.

Threads that import transformers at the same moment may each see half of a module, and fail ("cannot import name …").
"""

import threading

_ONE_THREAD = threading.Lock()


def load_libraries() -> None:
    """Import all that encoders and checkpoints need; whoever calls meanwhile waits, and later calls cost nothing."""
    with _ONE_THREAD:
        from transformers import AutoImageProcessor, AutoProcessor, AutoTokenizer, CLIPModel  # noqa: F401
