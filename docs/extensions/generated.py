"""
The Sphinx extension: ``.. generated:: options`` puts there what the code says of its options.

What else there is, `docs.extensions.reference` has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sphinx.util.docutils import SphinxDirective

from docs.extensions import reference
from osproxy.config import backends, changes, options
from osproxy.repo import kinds, policies

if TYPE_CHECKING:
    from docutils.nodes import Node
    from sphinx.application import Sphinx

# A page that has a table is made anew when one of these has changed.
_SOURCES = [str(it.__file__) for it in (reference, backends, changes, options, kinds, policies)]


class Generated(SphinxDirective):
    """Stands for one of `reference.TABLES`."""

    required_arguments = 1

    def run(self) -> list[Node]:
        """Put the text there, as if it were written in the document."""
        (name,) = self.arguments
        if name not in reference.TABLES:
            raise self.error(f"there is no {name}; give {', '.join(reference.TABLES)}")
        for source in _SOURCES:
            self.env.note_dependency(source)
        return self.parse_text_to_nodes(reference.TABLES[name]())


def setup(app: Sphinx) -> dict[str, Any]:
    """Make the directive known."""
    app.add_directive("generated", Generated)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
