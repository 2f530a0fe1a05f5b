"""Visual Layer Explorer: see what each layer of a vision encoder keeps of a picture."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from explorer.services.analyze import analyze
    from explorer.services.ask import ask
    from explorer.services.lrs import lrs

__version__ = "0.1.0"
__all__ = ["analyze", "ask", "lrs"]


def __getattr__(name: str) -> object:
    """Import what the package offers when it is first used: ``import explorer`` alone stays light."""
    if name == "analyze":
        from explorer.services.analyze import analyze

        return analyze
    if name == "ask":
        from explorer.services.ask import ask

        return ask
    if name == "lrs":
        from explorer.services.lrs import lrs

        return lrs
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
