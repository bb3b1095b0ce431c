"""Objects that print and draw themselves, on a terminal and in a notebook."""

import io

from rich.console import Console, RenderableType

HTML = '<pre style="line-height: normal; font-family: monospace">{code}</pre>'
WIDTH = 80
"""Characters of a line."""


class Shown:
    """Prints itself as the command line would, and shows the same in a notebook."""

    def parts(self) -> tuple[RenderableType, ...]:
        """What there is to print."""
        raise NotImplementedError

    def picture(self) -> str:
        """A drawing as SVG; empty if there is none."""
        return ""

    def _console(self) -> Console:
        console = Console(
            file=io.StringIO(), width=WIDTH, record=True, force_jupyter=False, color_system=None
        )
        console.print(*self.parts(), highlight=False)
        return console

    def __str__(self) -> str:
        text = self._console().export_text()
        return "\n".join(line.rstrip() for line in text.splitlines())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.picture() + self._console().export_html(inline_styles=True, code_format=HTML)
