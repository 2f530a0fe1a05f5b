"""The large libraries, loaded once and by one thread.

Threads that import transformers at the same moment may each see half of a module, and fail ("cannot import name …").
"""

import threading
from importlib import import_module

# Held while a model is built: transformers changes torch's default number format meanwhile, for all threads.
ONE_MODEL = threading.RLock()
_ONE_THREAD = threading.Lock()
_USERS = ("hf_encoders", "shared_encoder", "columns", "transformers_speaker")
_LATE = ("AutoImageProcessor", "AutoProcessor", "AutoTokenizer", "CLIPModel")  # what loading a folder imports


def load_libraries() -> None:
    """Import all that encoders and checkpoints need; whoever calls meanwhile waits, and later calls cost nothing."""
    with _ONE_THREAD:
        for name in _USERS:
            import_module(f"explorer.models.{name}")
        transformers = import_module("transformers")
        for name in _LATE:
            getattr(transformers, name)
