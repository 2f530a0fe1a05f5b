"""HTML components: the factory of each stands beside its .html, .css and .js files."""
