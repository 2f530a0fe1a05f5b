"""The page's look: system fonts, quiet colours, one accent from each end of the cividis scale."""

from gradio import themes

from explorer.ui.components.files import joined

FONT = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "monospace")


def page_theme() -> themes.Base:
    """Gradio's own controls in the page's colours; contrast is at least 4.5 in light and dark."""
    return themes.Base(font=FONT, font_mono=MONO, radius_size=themes.sizes.radius_sm).set(
        body_background_fill="#fbfaf8",
        body_background_fill_dark="#12161b",
        body_text_color="#1d2329",
        body_text_color_dark="#e8eaed",
        body_text_color_subdued="#56606b",
        body_text_color_subdued_dark="#a9b2bc",
        background_fill_primary="#fbfaf8",
        background_fill_primary_dark="#12161b",
        background_fill_secondary="#f1efea",
        background_fill_secondary_dark="#1b2128",
        border_color_primary="#d6d1c7",
        border_color_primary_dark="#3a434e",
        border_color_accent="#1f4e79",
        border_color_accent_dark="#f2c94c",
        color_accent="#1f4e79",
        link_text_color="#1f4e79",
        link_text_color_dark="#9cc4ec",
        button_primary_background_fill="#1f4e79",
        button_primary_background_fill_dark="#f2c94c",
        button_primary_text_color="#ffffff",
        button_primary_text_color_dark="#1a1a1a",
    )


def page_css() -> str:
    """Colours of our own components, and what Gradio's page needs to stay quiet and narrow."""
    return joined("page.css")
