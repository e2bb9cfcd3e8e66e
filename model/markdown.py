"""Tables in Markdown, and blocks that programs fill in pages that people write.

A block lies between `<!-- name -->` and `<!-- /name -->`; programs leave the rest of the page alone.
"""

import re
from collections.abc import Sequence


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    head, *body = (f"| {' | '.join(cells)} |" for cells in (header, *rows))
    return "\n".join([head, "|" + "---|" * len(header), *body])


def replace_block(page: str, name: str, text: str) -> str:
    """The page with the text of a block replaced.

    Raises:
        ValueError: the page has no block of that name, or more than one.
    """
    pattern = rf"(<!-- {re.escape(name)} -->).*?(<!-- /{re.escape(name)} -->)"
    replaced, count = re.subn(pattern, lambda m: f"{m[1]}\n{text}\n{m[2]}", page, flags=re.S)
    if count != 1:
        raise ValueError(f"the page needs one block <!-- {name} --> ... <!-- /{name} -->, it has {count}")
    return replaced
