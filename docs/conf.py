"""How Sphinx renders the documents; tables of options and the like come from the code."""

import sys
from pathlib import Path

# For the extension, and for the settings that it reads; nothing has to be installed for them.
sys.path.insert(0, str(Path(__file__).parents[1]))

project = "osproxy"
extensions = ["docs.extensions.generated"]
exclude_patterns = ["_build"]
nitpicky = True
html_theme = "alabaster"
html_sidebars = {"**": ["globaltoc.html", "searchbox.html"]}
