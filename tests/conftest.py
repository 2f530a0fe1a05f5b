import os

import pytest

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # two processes share the cores


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="also run the tests at real sizes and all those in a browser")


def pytest_collection_modifyitems(config, items):
    items.sort(key=lambda item: "e2e" in item.path.parts)  # the browser's event loop stays open once it runs
    if config.getoption("--slow"):
        return
    for item in items:
        if "slow" in item.keywords or ("e2e" in item.path.parts and "quick" not in item.keywords):
            item.add_marker(pytest.mark.skip(reason="real size, or in a browser: run with --slow"))
