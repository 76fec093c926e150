"""How Sphinx renders the documents; plain pages, nothing generated from the code."""

project = "osproxy"
extensions: list[str] = []
exclude_patterns = ["_build"]
nitpicky = True
html_theme = "alabaster"
html_sidebars = {"**": ["globaltoc.html", "searchbox.html"]}
