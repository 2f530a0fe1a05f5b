"""Start the page: ``python app.py``; ``python app.py --help`` lists the flags."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

from explorer.cli_checkpoints import add_catalogue_flag
from explorer.models.catalogue import list_encoders, use_catalogues
from explorer.records import Exploration, Fit, SettingsError
from explorer.services.answer import Answerers
from explorer.services.explore import Explorer
from explorer.services.gpu import prepare
from explorer.services.precomputed import Precomputed
from explorer.services.tokens import TokenMaps
from explorer.store import Store, load_exploration
from explorer.ui.context import Context
from explorer.ui.page import build_page
from explorer.ui.server import serve
from explorer.ui.session import read_examples

ROOT = Path(__file__).resolve().parent
LIMIT_MB, PUBLIC_LIMIT_MB = 32, 8


def read_flags() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description="See what each layer of a vision encoder keeps of a picture.")
    parser.add_argument("--host", help="address to listen at (default 127.0.0.1, or $GRADIO_SERVER_NAME)")
    parser.add_argument("--port", type=int, help="port (default the first free one from 7860, or $GRADIO_SERVER_PORT)")
    parser.add_argument(
        "--encoder",
        default=os.environ.get("VLE_ENCODER", "mini"),
        help="encoder to begin with: mini (default, or $VLE_ENCODER), hub id, folder, open_clip:…",
    )
    parser.add_argument("--device", help="cpu, cuda or cuda:1 (default: the GPU where there is one)")
    parser.add_argument(
        "--public",
        action="store_true",
        default="SPACE_ID" in os.environ,
        help="for strangers: only what is listed and on this machine answers, the encoder cannot be changed, and files are "
        "at most 8 MB (the default on a Hugging Face Space)",
    )
    parser.add_argument(
        "--allow-any",
        action="store_true",
        default=bool(os.environ.get("VLE_ALLOW_ANY")),
        help="with --public: let visitors load any hub id, folder of this machine and served address all the same "
        "($VLE_ALLOW_ANY does the same)",
    )
    add_catalogue_flag(parser)
    parser.add_argument(
        "--examples", type=Path, default=ROOT / "assets" / "examples", help="folder of example pictures"
    )
    parser.add_argument("--checkpoints", type=Path, help="folder of the built-in checkpoints (default assets/models)")
    parser.add_argument("--precomputed", type=Path, default=ROOT / "precomputed", help="folder of finished analyses")
    parser.add_argument(
        "--no-warm-up",
        action="store_true",
        help="compile the code of UMAP when a map is asked for, not soon after the start",
    )
    return parser.parse_args()


def stored_analyses(folder: Path):
    """Return the function that finds a finished analysis by picture key, encoder id and fit."""
    store = Store(folder)

    def stored(picture_key: str, encoder_id: str, fit: Fit) -> Exploration | None:
        found = load_exploration(store, picture_key, encoder_id, fit)
        return found if isinstance(found, Exploration) else None

    return stored


def main() -> None:
    """Open the port, then load the encoder."""
    flags = read_flags()
    prepare()
    try:
        use_catalogues(flags.catalogue)
    except SettingsError as error:
        raise SystemExit(str(error)) from None
    free = flags.allow_any or not flags.public
    limit_mb = PUBLIC_LIMIT_MB if flags.public else LIMIT_MB
    explorer = Explorer(device=flags.device)
    tokens = TokenMaps(explorer)
    context = Context(
        explorer,
        stored_analyses(flags.precomputed),
        flags.encoder,
        list_encoders,
        read_examples(flags.examples),
        choosable=free,
        limit_mb=limit_mb,
        answerers=Answerers(device=flags.device, catalogue=flags.checkpoints, any_id=free),
        tokens=tokens,
        precomputed=Precomputed(flags.precomputed),
    )
    page = build_page(context)
    serve(page, host=flags.host, port=flags.port, limit_mb=limit_mb)
    print(f"Visual Layer Explorer: {page.local_url}", flush=True)
    explorer.use(flags.encoder)  # after the port is open: its imports would hold up the page
    if not flags.no_warm_up:
        tokens.warm_up_later()
    page.block_thread()


if __name__ == "__main__":
    main()
