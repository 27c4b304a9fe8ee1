"""Formulas in a short notation, as MathML, which browsers draw without a library."""

import html
import re
from collections.abc import Iterator

_TOKEN = re.compile(r'\s*("[^"]*"|\d+(?:\.\d+)?|[^\W\d_]+|\S)')
_INLINE = re.compile(r"\$([^$]+)\$([.,;:?)]*)|`([^`]+)`")
_CLOSING = {"{": "}", "(": ")", "[": "]", "|": "|", "‖": "‖"}


def formula_markup(text: str, *, is_block: bool = False) -> str:
    """Return a formula as MathML.

    `n_in` is an index, `x^2` a power, `a/b` a fraction, `√a` a root. Parentheses, brackets and bars
    group, and so do braces, which are not shown; quotation marks enclose words. The result is safe
    to show: only its own tags are not escaped.

    Args:
      text: the formula.
      is_block: whether it stands on a line of its own.

    Raises:
      ValueError: if a bracket is not closed, or an operand is missing.

    >>> formula_markup("n_in")
    '<math><mrow><msub><mi>n</mi><mi>in</mi></msub></mrow></math>'
    >>> formula_markup("√{1/2} < 1")
    '<math><mrow><msqrt><mrow><mfrac><mn>1</mn><mn>2</mn></mfrac></mrow></msqrt><mo>&lt;</mo>...'
    """
    tokens = _TOKEN.findall(text)
    reader = _Reader(text, iter([*tokens, ""]))
    markup = reader.read_row("")
    display = ' display="block"' if is_block else ""
    return f"<math{display}>{markup}</math>"


def prose_markup(text: str) -> str:
    """Return a text as HTML, with formulas between dollar signs, and code between backquotes.

    Args:
      text: the text; everything outside of formulas is escaped.

    Raises:
      ValueError: if a formula cannot be read.

    >>> prose_markup("`f` < $b$.")
    '<code>f</code> &lt; <span class="formula"><math><mrow><mi>b</mi></mrow></math>.</span>'
    """
    parts, end = [], 0
    for match in _INLINE.finditer(text):
        parts += [html.escape(text[end : match.start()]), _inline_markup(*match.groups())]
        end = match.end()
    return "".join([*parts, html.escape(text[end:])])


def _inline_markup(formula: str | None, after: str | None, code: str | None) -> str:
    """Return code, or a formula that no line break parts from the punctuation after it."""
    if formula is None:
        return f"<code>{html.escape(code or '')}</code>"
    return f'<span class="formula">{formula_markup(formula)}{html.escape(after or "")}</span>'


class _Reader:
    """Reads a formula from its tokens, the last of which is empty."""

    def __init__(self, text: str, tokens: Iterator[str]) -> None:
        self.text = text
        self.tokens = tokens
        self.token = next(tokens)

    def read_row(self, end: str) -> str:
        parts = []
        while self.token != end:
            parts.append(self._read_item())
        self.token = next(self.tokens, "")
        return f"<mrow>{''.join(parts)}</mrow>"

    def _take(self, token: str) -> bool:
        """Go on to the next token if this one is the given one."""
        if self.token != token:
            return False
        self.token = next(self.tokens)
        return True

    def _read_item(self) -> str:
        above = self._read_operand()
        return f"<mfrac>{above}{self._read_operand()}</mfrac>" if self._take("/") else above

    def _read_operand(self) -> str:
        base = self._read_atom()
        below = self._read_atom() if self._take("_") else ""
        power = self._read_atom() if self._take("^") else ""
        tag = ("msub" if below else "") + ("sup" if power else "")
        tag = tag if below or not power else "msup"
        return f"<{tag}>{base}{below}{power}</{tag}>" if tag else base

    def _read_atom(self) -> str:
        token, self.token = self.token, next(self.tokens, "")
        if token in _CLOSING:
            row, end = self.read_row(_CLOSING[token]), _CLOSING[token]
            fence = "<mrow><mo>{}</mo>{}<mo>{}</mo></mrow>"
            return row if token == "{" else fence.format(token, row, end)
        if token == "√":
            return f"<msqrt>{self._read_atom()}</msqrt>"
        if token in ("", "}", ")", "]", "_", "^", "/"):
            raise ValueError(
                f"formula {self.text!r}: expected an operand, got {token or 'the end'}"
            )
        return _leaf_markup(token)


def _leaf_markup(token: str) -> str:
    if token.startswith('"'):
        space = '<mspace width="1em"></mspace>'
        return f"{space}<mtext>{html.escape(token[1:-1])}</mtext>{space}"
    tag = "mn" if token[0].isdigit() else "mi" if token[0].isalpha() else "mo"
    return f"<{tag}>{html.escape(token)}</{tag}>"
