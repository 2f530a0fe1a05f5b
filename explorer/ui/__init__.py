"""The page: Gradio tabs made of small HTML components; figures are drawn in the browser from compact arrays."""
