"""Draw a comparison: `tet compare ID --json | python docs/images/comparison.py > docs/images/comparison.svg`."""

import io
import json
import re
import sys

from rich.console import Console
from rich.terminal_theme import MONOKAI

from service.answers.comparisons import ComparisonView
from service.cli import rendering

console = Console(record=True, width=92, file=io.StringIO(), highlight=False)
console.print("[bold green]$[/] [bold]tet compare ID[/]\n")
console.print(rendering.comparison_table(ComparisonView.model_validate(json.load(sys.stdin))))
drawn = console.export_svg(title="examples/digits.yaml", theme=MONOKAI, unique_id="tet")
# An image in a README cannot load fonts. Without these rules, viewers use their own monospaced font.
print(re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL))
