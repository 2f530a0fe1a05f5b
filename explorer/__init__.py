"""Visual Layer Explorer: see what each layer of a vision encoder keeps of a picture."""

__version__ = "0.1.0"
